//! Sixty-four requesters with tokens that live for a second, over real sockets, while a token endpoint
//! and an API do badly. An oracle knows which tokens are good and says what went wrong without need.

// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use std::env;
use std::fmt::Display;
use std::str::FromStr;
use std::time::{Duration, Instant};

use self::round::{Weather, round};
use self::tally::Tally;

#[path = "../layer_support/mod.rs"]
mod layer_support;
mod oracle;
mod outcome;
mod round;
mod servers;
#[path = "../socket_support/mod.rs"]
mod socket_support;
mod tally;

/// How long one cache is used.
const ROUND: Duration = Duration::from_millis(5000);

#[test]
fn for_three_seconds_no_request_fails_or_waits_without_need() {
    soak(Duration::from_secs(3), Duration::from_millis(1500));
}

#[test]
#[ignore = "takes a minute: cargo test --release --all-features --test soak -- --ignored --nocapture"]
fn for_a_minute_no_request_fails_or_waits_without_need() {
    soak(Duration::from_secs(from_env("SOAK_SECONDS", 60)), ROUND);
}

fn soak(time: Duration, each: Duration) {
    let seed = from_env("SOAK_SEED", fastrand::u64(..));
    println!("soak: begins, seed={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let began = Instant::now();
    let (mut mild, mut harsh) = (Tally::default(), Tally::default());
    while began.elapsed() < time {
        mild += round(Weather::Mild, each, random.fork());
        harsh += round(Weather::Harsh, each, random.fork());
    }
    println!("soak: mild: {mild} seed={seed}");
    println!("soak: harsh: {harsh} seed={seed}");

    for (name, tally) in [("mild", &mild), ("harsh", &harsh)] {
        let faults = &tally.faults[..tally.faults.len().min(10)];
        assert!(faults.is_empty(), "{name}, seed={seed}: {faults:#?}");
        assert!(
            tally.requests > 0 && tally.fetches > 0,
            "{name}: nothing was done"
        );
    }
    assert_eq!(mild.failures, 0, "seed={seed}");
    if time >= Duration::from_secs(30) {
        // Else the weather was not what it is said to be.
        assert!(harsh.failures > 0 && harsh.retries > 0, "seed={seed}");
    }
}

fn from_env<T: FromStr<Err: Display>>(name: &str, default: T) -> T {
    match env::var(name) {
        Ok(value) => value
            .parse()
            .unwrap_or_else(|error| panic!("{name}: {error}")),
        Err(_) => default,
    }
}
