//! What is made of contenders that were measured one right after another, again and again.
//!
//! What happens to the machine meanwhile happens to all that are measured in one round. So a figure is the
//! median of the ratios within the rounds, and not a ratio of medians, and how far it can be trusted is told
//! by how the rounds differ from one another.

use std::time::{Duration, Instant};

/// What one request took, in seconds.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) wall: f64,
    /// The processor's time that the thread used, the kernel's share included. Of no other thread, and not
    /// what it waited while others had the processor. NaN where it cannot be had.
    pub(crate) cpu: f64,
}

/// Measures what the thread does from now on.
pub(crate) struct Stopwatch {
    began: Instant,
    cpu: Option<Duration>,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        let cpu = thread_cpu_time();
        Self {
            began: Instant::now(),
            cpu,
        }
    }

    #[allow(dead_code)] // Not every bench asks.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// By as many requests as there were since.
    pub(crate) fn cost_of(self, requests: usize) -> Cost {
        let wall = self.began.elapsed().as_secs_f64();
        let used = thread_cpu_time().zip(self.cpu);
        let cpu = used.map_or(f64::NAN, |(now, then)| (now - then).as_secs_f64());
        Cost {
            wall: wall / requests as f64,
            cpu: cpu / requests as f64,
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
fn thread_cpu_time() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Some(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn thread_cpu_time() -> Option<Duration> {
    None
}

/// A median, and an interval that holds the true one in at least 95 of 100 runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Median {
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Median {
    /// The interval is that of the sign test, which assumes nothing of how the values are distributed: it
    /// reaches from the k-th smallest to the k-th greatest, with the greatest k for which at most 2.5 % of
    /// all samples have fewer than k values on one side of the true median. Below six values it reaches from
    /// the smallest to the greatest, which is less than 95 %.
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.collect();
        values.sort_by(f64::total_cmp);
        let count = values.len();
        let outside = outside(count);
        Self {
            value: (values[(count - 1) / 2] + values[count / 2]) / 2.0,
            low: values[outside],
            high: values[count - 1 - outside],
        }
    }

    /// How far this interval is above the other, or below it as a negative number, and 0 if they overlap.
    pub(crate) fn beyond(&self, other: &Self) -> f64 {
        let (above, below) = (self.low - other.high, other.low - self.high);
        // NaN is to stay what it is.
        if above > 0.0 || above.is_nan() {
            above
        } else if below > 0.0 {
            -below
        } else {
            0.0
        }
    }
}

/// How many of so many values are outside the interval on each side.
fn outside(count: usize) -> usize {
    // The probability that so many of all values are below the true median. By logarithms, since half to
    // the power of `count` may be too small for a number.
    let mut log = count as f64 * 0.5_f64.ln();
    let mut fewer_or_equal = 0.0;
    for below in 0..count / 2 {
        fewer_or_equal += log.exp();
        if fewer_or_equal > 0.025 {
            return below.saturating_sub(1);
        }
        log += ((count - below) as f64 / (below + 1) as f64).ln();
    }
    // One value or none.
    0
}

/// Tables of the sign test, and intervals that are told apart. For benches that are run as tests.
pub(crate) fn check() {
    for (count, ranks) in [
        (1, 0),
        (2, 0),
        (5, 0),
        (6, 0),
        (8, 0),
        (9, 1),
        (10, 1),
        (100, 39),
    ] {
        assert_eq!(outside(count), ranks, "of {count}");
    }
    assert_eq!(outside(10_000), 4901);

    let of = |values: std::ops::RangeInclusive<i32>| Median::of(values.map(f64::from));
    let (one_to_ten, median) = (of(1..=10), |value, low, high| Median { value, low, high });
    assert_eq!(one_to_ten, median(5.5, 2.0, 9.0));
    assert_eq!(of(-3..=-3), median(-3.0, -3.0, -3.0));
    assert_eq!(one_to_ten.beyond(&of(8..=17)), 0.0);
    assert_eq!(one_to_ten.beyond(&of(11..=20)), -3.0);
    assert_eq!(of(11..=20).beyond(&one_to_ten), 3.0);
    let unknown = Median::of([f64::NAN].into_iter());
    assert!(one_to_ten.beyond(&unknown).is_nan() && unknown.beyond(&one_to_ten).is_nan());
}

/// How a bench is run.
pub(crate) enum Run {
    /// Once and quickly, to see that it works.
    Test,
    /// For so long.
    Bench(Duration),
}

impl Run {
    /// As criterion decides it: `cargo test` only runs everything once. `--seconds 20` after `cargo bench
    /// --bench NAME --` makes it take so long.
    pub(crate) fn from_args(usual: Duration) -> Self {
        let args: Vec<_> = std::env::args().collect();
        let is = |name: &str| args.iter().any(|arg| arg == name);
        if !is("--bench") || is("--test") || is("--list") {
            return Self::Test;
        }
        let mut after = args.iter().skip_while(|arg| *arg != "--seconds").skip(1);
        let seconds = after.next().map(|seconds| seconds.parse());
        Self::Bench(seconds.map_or(usual, |seconds| {
            Duration::from_secs(seconds.expect("a whole number of seconds"))
        }))
    }
}
