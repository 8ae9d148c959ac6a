//! A model of the cache and the layer, and random sequences to compare them with it.
//!
//! The [model](spec) states what is promised; the [system](system) is a real cache and a real layer over a
//! scripted issuer and API. Everything happens on one thread, on a clock that is turned by hand and with
//! the random numbers of the cache seeded. A sequence that fails does so again, but for the order in
//! which a hash map gives its values.
//!
//! `cargo test --all-features --test model` plays 2,000 sequences of up to 60 steps, always the same.
//! `MODEL_CASES=100000 cargo test --release --all-features --test model` plays as many, and others each
//! time; `MODEL_SEED` plays those of a run again. Both print what happened how often.
//!
//! A failure is shrunk and printed. What was found so is in [found], as literal sequences.

use std::cell::{Cell, RefCell};
use std::time::{SystemTime, UNIX_EPOCH};

use proptest::test_runner::{Config, RngSeed, TestRunner};

use self::tally::Tally;

mod answers;
mod events;
mod found;
mod ops;
mod outcome;
mod pause;
mod spec;
mod steps;
mod system;
mod tally;
mod token;
mod world;

const SEQUENCES: u32 = 2_000;
const LONGEST: usize = 60;

#[test]
fn whatever_happens_in_whatever_order_the_promises_hold() {
    let (sequences, seed) = match number("MODEL_CASES") {
        None => (SEQUENCES, 1),
        Some(sequences) => (
            sequences as u32,
            number("MODEL_SEED").unwrap_or_else(by_time),
        ),
    };
    let mut runner = TestRunner::new(Config {
        cases: sequences,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        max_shrink_iters: 20_000,
        ..Config::default()
    });
    let tally = RefCell::new(Tally::default());
    let steps = Cell::new(0);
    let result = runner.run(&ops::sequences(LONGEST), |sequence| {
        steps.set(steps.get() + sequence.ops.len());
        tally.borrow_mut().add_all(&system::play(&sequence));
        Ok(())
    });
    if let Err(failure) = result {
        panic!("seed {seed}: {failure}");
    }

    let tally = tally.into_inner();
    println!(
        "{sequences} sequences of seed {seed}, {} steps",
        steps.get()
    );
    println!("{tally}");
    for what in TRANSITIONS {
        assert!(tally.of(what) > 0, "never happened: {what}");
    }
}

/// What the model has a say about. If it does not happen, the test tests nothing.
const TRANSITIONS: &[&str] = &[
    "hit",
    "sent with a stale token",
    "fetch in the background",
    "retry with another token",
    "late 401 healed without a fetch",
    "late rejection of a token that was replaced",
    "rejection of a token that went already",
    "condemned",
    "the same token again",
    "superseded fetch",
    "budget spent",
    "kept, budget spent",
    "kept in a pause",
    "401 for want of another token",
    "put back",
    "put back by a caller in a pause",
    "sent with a token that was put back",
    "refused at once in a pause",
    "fetch after a failure",
    "fetch in the queue",
    "sixteen fetches at once",
    "fetch that nobody waits for any more",
    "failed: unavailable",
    "failed: denied",
    "failed: invalid request",
    "failed: other",
    "failed: timed out",
    "failed: panicked",
    "failed: expired on arrival",
    "failed: Retry-After",
    "last handle dropped with a fetch under way",
];

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect(variable))
}

fn by_time() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
