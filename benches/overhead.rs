//! What the layer costs a request for which there is a token at hand.
//!
//! The inner service answers at once and the futures are polled by hand, so that nothing but the layers
//! is measured. Building requests is not part of it. After criterion's own groups comes a table of costs
//! over the bare service, for which all contenders are measured in turn, many times over and each time in
//! random order: what happens to the machine meanwhile happens to all of them. The bare service of a
//! contender sends the same request, and does nothing to it.
//!
//! The table alone: `cargo bench --bench overhead -- table`. (As a filter, that leaves none of the groups.)

// It is how a bench speaks.
#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion};

use self::contenders::{Contender, all};

mod contenders;

/// Requests that are timed together.
const BATCH: u32 = 128;

/// So often all contenders are measured.
const ROUNDS: usize = 10_000;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let mut group = criterion.benchmark_group("hit");
    for contender in &mut all() {
        let request = contender.sent.request;
        let send = &mut contender.send;
        group.bench_function(contender.name, |bencher| {
            bencher.iter_batched(request, &mut *send, BatchSize::SmallInput);
        });
    }
    group.finish();
    criterion.final_summary();

    // As criterion decides it: `cargo test` only runs everything once.
    let is_bench = std::env::args().any(|arg| arg == "--bench");
    let is_test = std::env::args().any(|arg| arg == "--test" || arg == "--list");
    if is_bench && !is_test {
        compare();
        clocks();
    }
}

/// Measures all contenders in turn, and prints what they cost over the bare service: the median of the
/// differences within a round.
fn compare() {
    let mut contenders = all();
    let mut nanos: Vec<Vec<f64>> = vec![Vec::new(); contenders.len()];
    let mut order: Vec<_> = (0..contenders.len()).collect();
    for _ in 0..ROUNDS {
        fastrand::shuffle(&mut order);
        for &i in &order {
            nanos[i].push(nanos_per_request(&mut contenders[i]));
        }
    }

    let place = |name: &str| {
        let place = contenders.iter().position(|it| it.name == name);
        place.expect("a contender")
    };
    let over_bare = |i: usize| {
        let bare = &nanos[place(contenders[i].sent.bare)];
        median(nanos[i].iter().zip(bare).map(|(own, bare)| own - bare))
    };
    let static_token = over_bare(place("add_authorization"));
    println!("## Time over the bare service\n");
    println!("{ROUNDS} rounds of {BATCH} requests each, medians.\n");
    println!(
        "| contender | time (ns/request) | over bare (ns/request) | ratio to add_authorization |"
    );
    println!("|---|--:|--:|--:|");
    for (i, contender) in contenders.iter().enumerate() {
        let (name, own) = (contender.name, median(nanos[i].iter().copied()));
        if contender.is_bare() {
            println!("| {name} | {own:.1} | | |");
        } else {
            let over = over_bare(i);
            let ratio = over / static_token;
            println!("| {name} | {own:.1} | {over:.1} | {ratio:.2} |");
        }
    }
    println!();
}

fn nanos_per_request(contender: &mut Contender) -> f64 {
    let requests: Vec<_> = (0..BATCH).map(|_| (contender.sent.request)()).collect();
    let start = Instant::now();
    for request in requests {
        (contender.send)(request);
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH)
}

/// What one read of a clock takes: a hit has one of the first, which goes on while the host is suspended.
fn clocks() {
    println!("## Reading a clock\n");
    println!("| clock | time (ns/read) |");
    println!("|---|--:|");
    #[cfg(any(target_os = "linux", target_os = "android"))]
    println!(
        "| CLOCK_BOOTTIME | {:.1} |",
        nanos_per_read(|| rustix::time::clock_gettime(rustix::time::ClockId::Boottime))
    );
    println!("| Instant::now | {:.1} |\n", nanos_per_read(Instant::now));
}

fn nanos_per_read<T>(read: impl Fn() -> T) -> f64 {
    median((0..ROUNDS).map(|_| {
        let start = Instant::now();
        for _ in 0..BATCH {
            black_box(read());
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH)
    }))
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
