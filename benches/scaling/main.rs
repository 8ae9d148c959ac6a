//! How much more is done by two threads than by one.
//!
//! A layer that writes to memory that its clones share, be it a reference count, makes threads wait for one
//! another's caches. The contenders are measured in three ways of use:
//!
//! * *a clone for each thread*: each thread makes one clone of the service and sends everything through it;
//! * *cloned for each request*: each thread has a clone, and sends each request through a clone of that, as
//!   clients of hyper's and reqwest's are used: `client.clone().oneshot(request)`;
//! * *one client, cloned for each request*: the same, but all threads clone one and the same service, such as
//!   one in a `static`.
//!
//! # How the figures are made
//!
//! The inner service answers at once, with the request: it is sent again, when the token has been taken off.
//! So no requests are built within the time, and nothing is shared by the threads but what a contender
//! shares: each thread has built its own request. Nothing dilutes what the layers cost; a client that does
//! more for each request scales better. Futures are polled by hand.
//!
//! A *block* is a fixed number of requests, about a millisecond. Two threads measure theirs at the same time,
//! and both are busy before and after with more of the same. A *round* is, for each contender and way of use,
//! a block of one thread and one of two right after, or right before: a pair. In each pair the requests a
//! second of two threads together are divided by those of one; the figure is the median of these ratios,
//! with its interval of 95 % by the sign test.
//!
//! Two threads that take turns on one processor are not in each other's way. A pair counts only if every
//! thread had a processor all the time, and the two began together: a thread that used less than 95 % of the
//! time it took was disturbed by something else. (Where that cannot be told, on other systems than Linux and
//! macOS, every pair counts.) How many are left is a column of its own. A machine without two free cores
//! shows nothing: if few pairs are left, or the bare service does not reach about 2, that is said after the
//! tables.
//!
//! What it costs to share memory depends on how far apart the two cores are, and a virtual machine's are not
//! always the same ones: on one machine, with nothing changed but the minute, `AddAuthorizationLayer` reached
//! 0.79 and 1.90, and all others that share were slower or faster with it. So a contender can be compared with
//! others of the same run only, and a run in which the static layer does well shows little; that is said, too.
//!
//! What must hold is asserted: after each block the last request had the token, and the provider was called
//! once.
//!
//! `cargo bench --bench scaling -- --seconds 10` is done sooner, and less sure of its figures.

// It is how a bench speaks.
#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tower_bearer::AccessToken;

use self::contenders::{BARE, Contenders, NAMES, STATIC, WAYS};
use self::paired::{Median, Run};
use self::threads::{Case, Measured, Thread, one, two};

mod contenders;
#[path = "../paired/mod.rs"]
mod paired;
mod threads;

const USUAL: Duration = Duration::from_secs(30);
const BLOCK: Duration = Duration::from_millis(1);

/// What the bare service has to reach, for a run to be any good.
const TWO_FREE_CORES: f64 = 1.9;

/// What the static layer reaches where it costs next to nothing to share memory.
const CLOSE_CORES: f64 = 1.5;

/// How many pairs have to be left.
const FEWEST_PAIRS: usize = 20;

fn main() {
    let run = Run::from_args(USUAL);
    if let Run::Test = run {
        paired::check();
    }
    let token = AccessToken::new(&"x".repeat(1024)).expect("a token");
    let provider_calls = Arc::<AtomicUsize>::default();
    let contenders = Contenders::new(&token, &provider_calls);
    let threads = [Thread::start(&contenders), Thread::start(&contenders)];

    let (pairs, rounds) = measure(&threads, &run);
    assert_eq!(provider_calls.load(Ordering::Relaxed), 1);
    if let Run::Bench(_) = run {
        report(&pairs, rounds);
    }
}

/// What one thread and two threads reach right after, in requests a second.
struct Pair {
    one: f64,
    two: f64,
}

impl Pair {
    /// Unless something else was in the way.
    fn of(requests: usize, one: Measured, two: [Measured; 2]) -> Option<Self> {
        let undisturbed = [one, two[0], two[1]].iter().all(Measured::is_undisturbed);
        (undisturbed && began_together(two, requests)).then(|| Self {
            one: one.cost.wall.recip(),
            two: two.iter().map(|thread| thread.cost.wall.recip()).sum(),
        })
    }
}

fn began_together([first, second]: [Measured; 2], requests: usize) -> bool {
    let took = first.cost.wall.min(second.cost.wall) * requests as f64;
    let apart = first.began.max(second.began) - first.began.min(second.began);
    apart.as_secs_f64() < took * 0.1
}

/// By way of use and contender, round by round.
type Pairs = [[Vec<Pair>; NAMES.len()]; WAYS.len()];

/// And in how many rounds.
fn measure(threads: &[Thread; 2], run: &Run) -> (Pairs, usize) {
    let mut cases: Vec<_> = (0..WAYS.len())
        .flat_map(|way| (0..NAMES.len()).map(move |contender| Case { contender, way }))
        .collect();
    let mut requests = [[64; NAMES.len()]; WAYS.len()];
    let (until, rounds) = match run {
        Run::Test => (Instant::now(), 4),
        Run::Bench(time) => {
            for &case in &cases {
                requests[case.way][case.contender] = requests_for(BLOCK, &threads[0], case);
            }
            (Instant::now() + *time, 6)
        }
    };

    let mut pairs = Pairs::default();
    let mut round = 0;
    while round < rounds || Instant::now() < until {
        fastrand::shuffle(&mut cases);
        for &case in &cases {
            let requests = requests[case.way][case.contender];
            let alone = || one(&threads[round % 2], case, requests);
            let together = || two(threads, case, requests);
            let pair = if round / 2 % 2 == 0 {
                let one = alone();
                Pair::of(requests, one, together())
            } else {
                let two = together();
                Pair::of(requests, alone(), two)
            };
            pairs[case.way][case.contender].extend(pair);
        }
        round += 1;
    }
    (pairs, round)
}

/// How many requests take so long.
fn requests_for(time: Duration, thread: &Thread, case: Case) -> usize {
    let time = time.as_secs_f64();
    let mut requests = 1000;
    loop {
        let cost = one(thread, case, requests).cost;
        if cost.wall * requests as f64 * 4.0 > time {
            return (time / cost.wall).ceil() as usize;
        }
        requests *= 2;
    }
}

fn report(pairs: &Pairs, rounds: usize) {
    println!("{rounds} rounds");
    for (way, pairs) in WAYS.into_iter().zip(pairs) {
        println!("\n## Two threads, {way}\n");
        println!(
            "| contender | 1 thread (requests/us) | 2 threads (requests/us) | ratio | from (95 %) | to (95 %) \
             | pairs |"
        );
        println!("|---|--:|--:|--:|--:|--:|--:|");
        for (name, pairs) in NAMES.into_iter().zip(pairs) {
            if pairs.is_empty() {
                println!("| {name} | | | | | | 0 |");
                continue;
            }
            let median = |figure: fn(&Pair) -> f64| Median::of(pairs.iter().map(figure));
            let one = median(|pair| pair.one).value / 1e6;
            let two = median(|pair| pair.two).value / 1e6;
            let Median { value, low, high } = median(|pair| pair.two / pair.one);
            let count = pairs.len();
            println!(
                "| {name} | {one:.2} | {two:.2} | {value:.2} | {low:.2} | {high:.2} | {count} |"
            );
        }
    }
    println!();
    for (way, pairs) in WAYS.into_iter().zip(pairs) {
        if pairs.iter().any(|pairs| pairs.len() < FEWEST_PAIRS) {
            println!("This run is no good: {way}, too few pairs were left undisturbed.");
            continue;
        }
        let reached = |i: usize| Median::of(pairs[i].iter().map(|pair| pair.two / pair.one)).value;
        let (bare, static_layer) = (reached(BARE), reached(STATIC));
        if bare < TWO_FREE_CORES {
            println!(
                "This run is no good: {way}, the bare service reached {bare:.2} and not about 2. \
                 There were no two free cores."
            );
        }
        if static_layer > CLOSE_CORES {
            println!(
                "This run shows little: {way}, `AddAuthorizationLayer` reached {static_layer:.2} although its \
                 clones share a count. The two cores are close to each other."
            );
        }
    }
}
