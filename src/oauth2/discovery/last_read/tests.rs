use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio_test::{assert_pending, assert_ready, task};

use super::*;
use crate::clock::ManualClock;
use crate::oauth2::error::TokenEndpointErrorKind::NotJson;

type Answer = Result<u32, TokenEndpointError>;
type Reply = oneshot::Sender<Answer>;

const HOUR: Duration = Duration::from_secs(3600);

/// Where reads arrive.
struct Desk {
    asked: mpsc::UnboundedReceiver<Reply>,
    clock: ManualClock,
}

struct Values {
    values: Arc<LastRead<u32>>,
    ask: mpsc::UnboundedSender<Reply>,
}

fn values(max_age: Duration) -> (Values, Desk) {
    let clock = ManualClock::new();
    let (ask, asked) = mpsc::unbounded_channel();
    let values = LastRead::with_clock(max_age, Clock::Manual(clock.clone()));
    let values = Arc::new(values);
    (Values { values, ask }, Desk { asked, clock })
}

impl Values {
    /// One who needs the value, once polled.
    fn one(&self) -> task::Spawn<BoxFuture<'static, Answer>> {
        let (values, ask) = (Arc::clone(&self.values), self.ask.clone());
        let read = |_| async move {
            let (reply, answer) = oneshot::channel();
            ask.send(reply).unwrap();
            answer.await.expect("a read that panics")
        };
        task::spawn(async move { values.get(read).await }.boxed())
    }

    /// The value, for which nothing is read.
    #[track_caller]
    fn at_once(&self, desk: &mut Desk) -> u32 {
        let value = assert_ready!(self.one().poll()).unwrap();
        assert!(desk.asked.try_recv().is_err(), "it was read");
        value
    }

    /// The value, which is read now.
    #[track_caller]
    fn by_reading(&self, desk: &mut Desk, answer: Answer) -> Answer {
        let mut one = self.one();
        assert_pending!(one.poll());
        desk.answer(answer);
        assert_ready!(one.poll())
    }
}

impl Desk {
    #[track_caller]
    fn answer(&mut self, answer: Answer) {
        let reply = self.asked.try_recv().expect("it is read");
        reply.send(answer).expect("it is waited for");
    }
}

fn failed() -> Answer {
    Err(TokenEndpointError::new(NotJson))
}

#[test]
fn each_who_needs_the_first_value_reads_it_and_the_first_answer_is_kept() {
    let (values, mut desk) = values(HOUR);
    let (mut prompt, mut late) = (values.one(), values.one());
    assert_pending!(prompt.poll());
    let first = desk.asked.try_recv().unwrap();
    assert_pending!(late.poll());
    first.send(Ok(1)).unwrap();
    desk.answer(Ok(2));
    assert_eq!(assert_ready!(prompt.poll()).ok(), Some(1));
    assert_eq!(assert_ready!(late.poll()).ok(), Some(2));
    assert_eq!(values.at_once(&mut desk), 1);
}

#[test]
fn a_first_read_that_fails_fails_one_unless_others_have_had_more_luck() {
    let (values, mut desk) = values(HOUR);
    let error = values.by_reading(&mut desk, failed()).unwrap_err();
    assert_eq!(error.kind(), NotJson);

    let mut unlucky = values.one();
    assert_pending!(unlucky.poll());
    let reply = desk.asked.try_recv().unwrap();
    assert_eq!(values.by_reading(&mut desk, Ok(1)).ok(), Some(1));
    reply.send(failed()).unwrap();
    assert_eq!(assert_ready!(unlucky.poll()).ok(), Some(1));
}

#[test]
fn a_first_read_that_panics_or_is_dropped_concerns_nobody_else() {
    let (values, mut desk) = values(HOUR);
    let (mut panics, mut other) = (values.one(), values.one());
    let gone = { values.one() };
    assert_pending!(panics.poll());
    drop(desk.asked.try_recv().unwrap());
    assert_pending!(other.poll());
    drop(gone);
    let panicked = std::panic::catch_unwind(AssertUnwindSafe(|| panics.poll().is_ready()));
    discard(panicked.unwrap_err());

    desk.answer(Ok(1));
    assert_eq!(assert_ready!(other.poll()).ok(), Some(1));
    assert_eq!(values.at_once(&mut desk), 1);
}

#[test]
fn a_value_is_used_until_it_is_too_old_and_then_read_again() {
    let (values, mut desk) = values(HOUR);
    values.by_reading(&mut desk, Ok(1)).unwrap();
    desk.clock.advance(HOUR - Duration::from_nanos(1));
    assert_eq!(values.at_once(&mut desk), 1);
    desk.clock.advance(Duration::from_nanos(1));
    assert_eq!(values.by_reading(&mut desk, Ok(2)).ok(), Some(2));
    assert_eq!(values.at_once(&mut desk), 2);
}

#[test]
fn a_failure_keeps_the_last_value_and_puts_off_the_next_attempt() {
    let (values, mut desk) = values(HOUR);
    values.by_reading(&mut desk, Ok(1)).unwrap();
    desk.clock.advance(HOUR);
    assert_eq!(values.by_reading(&mut desk, failed()).ok(), Some(1));
    desk.clock.advance(PAUSE - Duration::from_nanos(1));
    assert_eq!(values.at_once(&mut desk), 1);
    desk.clock.advance(Duration::from_nanos(1));
    assert_eq!(values.by_reading(&mut desk, failed()).ok(), Some(1));
    desk.clock.advance(PAUSE);
    assert_eq!(values.by_reading(&mut desk, Ok(2)).ok(), Some(2));
}

#[test]
fn the_pause_is_longer_if_the_server_says_so_and_an_hour_at_most() {
    let (values, mut desk) = values(HOUR);
    values.by_reading(&mut desk, Ok(1)).unwrap();
    for (asked, pause) in [(PAUSE * 5, PAUSE * 5), (HOUR * 9, HOUR), (PAUSE / 2, PAUSE)] {
        desk.clock.advance(HOUR);
        let failed = failed().map_err(|error| error.with_retry_after(Some(asked)));
        assert_eq!(values.by_reading(&mut desk, failed).ok(), Some(1));
        desk.clock.advance(pause - Duration::from_nanos(1));
        assert_eq!(values.at_once(&mut desk), 1);
    }
}

#[test]
fn while_one_reads_again_the_others_use_the_last_value() {
    let (values, mut desk) = values(Duration::ZERO);
    values.by_reading(&mut desk, Ok(1)).unwrap();
    let mut reader = values.one();
    assert_pending!(reader.poll());
    let reply = desk.asked.try_recv().unwrap();
    assert_eq!(values.at_once(&mut desk), 1);
    reply.send(Ok(2)).unwrap();
    assert_eq!(assert_ready!(reader.poll()).ok(), Some(2));
    // That was too old at once, too.
    assert_eq!(values.by_reading(&mut desk, Ok(3)).ok(), Some(3));
}

#[test]
fn a_later_read_that_is_dropped_has_failed() {
    let (values, mut desk) = values(HOUR);
    values.by_reading(&mut desk, Ok(1)).unwrap();
    desk.clock.advance(HOUR);
    let mut reader = values.one();
    assert_pending!(reader.poll());
    drop(reader);
    assert!(desk.asked.try_recv().unwrap().is_closed());
    assert_eq!(values.at_once(&mut desk), 1);
    desk.clock.advance(PAUSE);
    assert_eq!(values.by_reading(&mut desk, Ok(2)).ok(), Some(2));
}

#[test]
fn a_value_that_is_doubted_is_read_before_it_is_used_again_once_a_minute() {
    let (values, mut desk) = values(HOUR);
    values.by_reading(&mut desk, Ok(1)).unwrap();
    values.values.doubt(|value| *value == 2);
    assert_eq!(values.at_once(&mut desk), 1);
    values.values.doubt(|value| *value == 1);
    assert_eq!(values.by_reading(&mut desk, Ok(2)).ok(), Some(2));

    values.values.doubt(|value| *value == 2);
    desk.clock.advance(PAUSE - Duration::from_nanos(1));
    assert_eq!(values.at_once(&mut desk), 2);
    desk.clock.advance(Duration::from_nanos(1));
    // It is of no use to others either, and yet all there is.
    assert_eq!(values.by_reading(&mut desk, failed()).ok(), Some(2));
    assert_eq!(values.at_once(&mut desk), 2);
}

#[test]
fn why_it_could_not_be_read_again_is_known_until_it_is() {
    let (values, mut desk) = values(Duration::ZERO);
    values.by_reading(&mut desk, Ok(1)).unwrap();
    assert!(values.values.failure().is_none());
    values.by_reading(&mut desk, failed()).unwrap();
    assert_eq!(values.values.failure().unwrap().kind(), NotJson);
    desk.clock.advance(PAUSE);
    values.by_reading(&mut desk, Ok(2)).unwrap();
    assert!(values.values.failure().is_none());
}

#[tokio::test]
async fn where_there_is_a_runtime_nobody_waits_for_a_later_read() {
    let (values, mut desk) = values(HOUR);
    values.by_reading(&mut desk, Ok(1)).unwrap();
    desk.clock.advance(HOUR);
    let mut first = values.one();
    assert_eq!(assert_ready!(first.poll()).ok(), Some(1));
    drop(first);
    let reply = desk.asked.recv().await.unwrap();
    assert_eq!(values.at_once(&mut desk), 1);
    reply.send(Ok(2)).unwrap();
    while values.at_once(&mut desk) == 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(values.at_once(&mut desk), 2);
}

#[tokio::test]
async fn a_later_read_that_panics_beside_has_failed() {
    let (values, mut desk) = values(HOUR);
    values.by_reading(&mut desk, Ok(1)).unwrap();
    desk.clock.advance(HOUR);
    assert_eq!(assert_ready!(values.one().poll()).ok(), Some(1));
    drop(desk.asked.recv().await.unwrap());
    assert_eq!(values.at_once(&mut desk), 1);

    desk.clock.advance(PAUSE);
    assert_eq!(assert_ready!(values.one().poll()).ok(), Some(1));
    desk.asked.recv().await.unwrap().send(Ok(2)).unwrap();
    while values.at_once(&mut desk) == 1 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_later_read_within_a_fetch_takes_a_second_at_most() {
    let (values, desk) = values(Duration::ZERO);
    let limit = |values: &Values| {
        let (values, mut limit) = (Arc::clone(&values.values), None);
        let read = |it| {
            limit = Some(it);
            async { Ok(1) }
        };
        values.get(read).now_or_never().unwrap().unwrap();
        limit.unwrap()
    };
    assert_eq!(limit(&values), LIMIT);
    assert_eq!(limit(&values), Duration::from_secs(1));
    values.values.doubt(|_| true);
    assert_eq!(limit(&values), LIMIT);
    drop(desk);
}
