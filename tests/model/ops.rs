//! What can happen, and in what proportion it does.

use std::time::Duration;

use http::StatusCode;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Whose token. Two keys that everything happens to, and a crowd that fills the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    A,
    B,
    Crowd(u8),
}

/// Where a number chooses among several, it does so modulo how many there are; if there are none, nothing
/// happens. So that what is left of a sequence means something when a part is taken out.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// Through the layer.
    Request(Key),
    Token(Key),
    Refresh(Key),
    WarmUp(Key),
    InvalidateCurrent(Key),
    /// Some token that was issued for the key at some time.
    InvalidateAny(Key, u8),
    ResetBackoff,
    /// To a request in flight.
    Respond(u8, StatusCode),
    /// To a fetch in flight of A or B.
    Answer(u8, Say),
    /// The same, and before anybody has seen it a caller goes.
    AnswerAndDrop(u8, Say, u8),
    /// To one of the crowd.
    AnswerCrowd(u8, Say),
    /// A request, a 401 to it and a new token, so many times; each time before that, perhaps, a request
    /// that succeeds.
    Revoke(Key, bool, u8),
    /// A caller goes.
    Drop(u8),
    Advance(Turn),
    /// So many others want a token each.
    Crowd(u8),
    /// So many others want one, and go at once.
    Passers(u8),
    /// So many of their fetches succeed, one by one.
    ServeCrowd(u8),
    /// The inner service is not ready from now on.
    Shut,
    Open,
    Close,
}

/// What the issuer says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Say {
    New(Life),
    /// The token that it issued last for this key.
    Same(Life),
    /// Any that it issued before for this key, as one that keeps several tokens does.
    Older(u8, Life),
    Fail(Fault, Option<RetryAfter>),
    Panic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Zero,
    Second,
    Short,
    Long,
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Unavailable,
    Denied,
    InvalidRequest,
    /// An error of the provider's own type.
    Other,
}

/// In seconds.
pub(crate) type RetryAfter = u64;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Turn {
    Millis(u64),
    /// To where the key's token is stale.
    IntoWindow(Key),
    ToEnd(Key),
    /// To where the last fetch but two that a rejection caused is a minute ago, or just before that.
    ToRefill(Key, bool),
    /// To where no pause of the key can last any longer.
    PastPause(Key),
}

/// How a sequence ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// All that waits is answered, and then the last handle goes.
    Drained,
    /// The last handle goes with everything in flight.
    Abrupt,
}

#[derive(Clone, Debug)]
pub(crate) struct Sequence {
    /// Whether there is a runtime, so that fetches advance when nobody waits.
    pub(crate) driven: bool,
    /// Of all that is drawn at random in the cache.
    pub(crate) seed: u64,
    pub(crate) ops: Vec<Op>,
    pub(crate) end: End,
}

impl Op {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Request(_) => "op: request",
            Self::Token(_) => "op: token",
            Self::Refresh(_) => "op: refresh",
            Self::WarmUp(_) => "op: warm_up",
            Self::InvalidateCurrent(_) => "op: invalidate the current token",
            Self::InvalidateAny(..) => "op: invalidate any token",
            Self::ResetBackoff => "op: reset_backoff",
            Self::Respond(_, StatusCode::OK) => "op: respond 200",
            Self::Respond(..) => "op: respond 401",
            Self::Answer(_, Say::New(_)) => "op: answer with a new token",
            Self::Answer(_, Say::Same(_)) => "op: answer with the same token",
            Self::Answer(_, Say::Older(..)) => "op: answer with an older token",
            Self::Answer(_, Say::Fail(..)) => "op: answer with an error",
            Self::Answer(_, Say::Panic) => "op: panic",
            Self::AnswerAndDrop(..) => "op: answer and drop a caller",
            Self::AnswerCrowd(..) => "op: answer one of the crowd",
            Self::Revoke(..) => "op: revoke the token",
            Self::Drop(_) => "op: drop a caller",
            Self::Advance(_) => "op: advance the clock",
            Self::Crowd(_) => "op: crowd",
            Self::Passers(_) => "op: passers",
            Self::ServeCrowd(_) => "op: serve the crowd",
            Self::Shut => "op: shut",
            Self::Open => "op: open",
            Self::Close => "op: close",
        }
    }
}

impl Life {
    pub(crate) fn duration(self) -> Duration {
        Duration::from_secs(match self {
            Self::Zero => 0,
            Self::Second => 1,
            Self::Short => 20,
            Self::Long => 3600,
            Self::Unknown => 300,
        })
    }
}

pub(crate) fn sequences(longest: usize) -> impl Strategy<Value = Sequence> {
    let driven = prop_oneof![1 => Just(false), 3 => Just(true)];
    // After these, or among them, little else happens.
    let crowded = prop_oneof![5 => Just(false), 1 => Just(true)];
    let closes = prop_oneof![5 => Just(false), 1 => Just(true)];
    let end = prop_oneof![Just(End::Drained), Just(End::Abrupt)];
    let seed = any::<u64>().no_shrink();
    let parts = (driven, crowded, closes, end, seed, vec(op(), 1..=longest));
    parts.prop_map(|(driven, crowded, closes, end, seed, mut ops)| {
        ops.retain(|op| match op {
            Op::Crowd(n) => crowded || *n <= A_FEW,
            Op::Close => closes,
            _ => true,
        });
        Sequence {
            driven,
            seed,
            ops,
            end,
        }
    })
}

fn op() -> impl Strategy<Value = Op> {
    let any_pick = any::<u8>;
    prop_oneof![
        18 => key().prop_map(Op::Request),
        5 => key().prop_map(Op::Token),
        6 => key().prop_map(Op::Refresh),
        2 => key().prop_map(Op::WarmUp),
        4 => key().prop_map(Op::InvalidateCurrent),
        2 => (key(), any_pick()).prop_map(|(key, pick)| Op::InvalidateAny(key, pick)),
        2 => Just(Op::ResetBackoff),
        10 => any_pick().prop_map(|pick| Op::Respond(pick, StatusCode::OK)),
        16 => any_pick().prop_map(|pick| Op::Respond(pick, StatusCode::UNAUTHORIZED)),
        26 => (any_pick(), say()).prop_map(|(pick, say)| Op::Answer(pick, say)),
        2 => (any_pick(), say(), any_pick())
            .prop_map(|(pick, say, caller)| Op::AnswerAndDrop(pick, say, caller)),
        1 => (any_pick(), say()).prop_map(|(pick, say)| Op::AnswerCrowd(pick, say)),
        5 => (key(), any::<bool>(), 1..=4u8).prop_map(|(key, worked, n)| Op::Revoke(key, worked, n)),
        5 => any_pick().prop_map(Op::Drop),
        14 => turn().prop_map(Op::Advance),
        2 => (1..=A_FEW).prop_map(Op::Crowd),
        1 => (1..=MOST_OF_CROWD).prop_map(Op::Crowd),
        2 => (1..=A_FEW).prop_map(Op::Passers),
        2 => (1..=MOST_OF_CROWD).prop_map(Op::ServeCrowd),
        1 => Just(Op::Shut),
        3 => Just(Op::Open),
        // Little happens after it.
        1 => Just(Op::Close),
    ]
}

/// Enough for sixteen fetches at once: the gate widens by one for each that is answered.
const MOST_OF_CROWD: u8 = 36;

/// Enough for a queue after a failure.
const A_FEW: u8 = 3;

const MORE_THAN_A_YEAR: u64 = 400 * 86_400_000;

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![3 => Just(Key::A), 1 => Just(Key::B)]
}

fn say() -> impl Strategy<Value = Say> {
    let fault = select(vec![
        Fault::Unavailable,
        Fault::Denied,
        Fault::InvalidRequest,
        Fault::Other,
    ]);
    // Only a `FetchError` can carry one.
    let retry_after = prop_oneof![3 => Just(None), 1 => select(vec![1, 90, 7200]).prop_map(Some)];
    prop_oneof![
        14 => life().prop_map(Say::New),
        7 => life().prop_map(Say::Same),
        1 => (any::<u8>(), life()).prop_map(|(pick, life)| Say::Older(pick, life)),
        4 => (fault, retry_after).prop_map(|(fault, after)| match fault {
            Fault::Other => Say::Fail(fault, None),
            _ => Say::Fail(fault, after),
        }),
        1 => Just(Say::Panic),
    ]
}

fn life() -> impl Strategy<Value = Life> {
    prop_oneof![
        8 => Just(Life::Long),
        3 => Just(Life::Short),
        2 => Just(Life::Unknown),
        1 => Just(Life::Second),
        1 => Just(Life::Zero),
    ]
}

fn turn() -> impl Strategy<Value = Turn> {
    let within_a_fetch = vec![1, 100, 400, 600, 1_000, 5_000, 14_000, 29_999];
    let beyond = vec![
        31_000,
        60_000,
        240_000,
        1_200_000,
        3_700_000,
        MORE_THAN_A_YEAR,
    ];
    prop_oneof![
        6 => select(within_a_fetch).prop_map(Turn::Millis),
        2 => select(beyond).prop_map(Turn::Millis),
        3 => key().prop_map(Turn::IntoWindow),
        1 => key().prop_map(Turn::ToEnd),
        2 => (key(), any::<bool>()).prop_map(|(key, before)| Turn::ToRefill(key, before)),
        3 => key().prop_map(Turn::PastPause),
    ]
}
