//! How a storm is made, measured and shown.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use http::StatusCode;
use tokio::sync::watch;
use tower_bearer::error::BoxError;

use crate::issuer::Issuer;

/// What came of one task.
pub type Outcome = Result<StatusCode, BoxError>;

/// One storm, and those who have to weather it.
pub struct Storm {
    pub title: String,
    pub contenders: Vec<Contender>,
    /// So often they are measured, in turn and in random order: what happens to the machine meanwhile
    /// happens to all.
    pub rounds: usize,
}

pub struct Contender {
    pub name: &'static str,
    pub tasks: usize,
    pub run: Run,
}

/// Runs a storm of so many tasks.
pub type Run = Box<dyn Fn(usize) -> BoxFuture<'static, Measured> + Send + Sync>;

impl Contender {
    pub fn new<F>(
        name: &'static str,
        tasks: usize,
        run: impl Fn(usize) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Measured> + Send + 'static,
    {
        Self {
            name,
            tasks,
            run: Box::new(move |tasks| Box::pin(run(tasks))),
        }
    }
}

/// What came of all tasks, from the start on.
pub struct Measured {
    fetches: usize,
    most_at_once: usize,
    total: Duration,
    /// Of it, what the issuer takes at least.
    issuers_own: Duration,
}

impl Measured {
    fn over(&self) -> Duration {
        self.total.saturating_sub(self.issuers_own)
    }
}

impl Storm {
    /// Returns the table.
    pub async fn run(&self) -> String {
        let mut measured: Vec<Vec<Measured>> = self.contenders.iter().map(|_| vec![]).collect();
        let mut order: Vec<_> = (0..self.contenders.len()).collect();
        for _ in 0..self.rounds {
            fastrand::shuffle(&mut order);
            for &i in &order {
                let contender = &self.contenders[i];
                measured[i].push((contender.run)(contender.tasks).await);
            }
        }
        let rows = self.contenders.iter().zip(&measured);
        let rows = rows.map(|(contender, measured)| row(contender, measured));
        format!(
            "## {}\n\n\
             | contender | tasks | fetches | fetches at once | total (ms) | issuer's own (ms) | \
             over the issuer's own (ms) | over it per task (us) |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|\n{}",
            self.title,
            rows.collect::<String>(),
        )
    }
}

fn row(contender: &Contender, measured: &[Measured]) -> String {
    let most = |value: fn(&Measured) -> usize| measured.iter().map(value).max().expect("a round");
    let millis = |value: fn(&Measured) -> Duration| {
        let mut values: Vec<_> = measured.iter().map(value).collect();
        values.sort();
        values[values.len() / 2].as_secs_f64() * 1e3
    };
    let over = millis(Measured::over);
    format!(
        "| {} | {} | {} | {} | {:.2} | {:.2} | {:.2} | {:.2} |\n",
        contender.name,
        contender.tasks,
        most(|measured| measured.fetches),
        most(|measured| measured.most_at_once),
        millis(|measured| measured.total),
        millis(|measured| measured.issuers_own),
        over,
        over * 1e3 / contender.tasks as f64,
    )
}

/// Runs as many tasks as `start` waits for, and counts from its shot. `fetches_in_turn` of those that
/// the issuer sees cannot be at the same time.
///
/// # Panics
///
/// Unless all outcomes are as `expected`.
pub async fn measure<F>(
    start: &Start,
    issuer: &Issuer,
    fetches_in_turn: usize,
    expected: fn(&Outcome) -> bool,
    send: impl Fn(usize) -> F,
) -> Measured
where
    F: Future<Output = Outcome> + Send + 'static,
{
    let calls_before = issuer.calls();
    let tasks: Vec<_> = (0..start.tasks)
        .map(|number| tokio::spawn(send(number)))
        .collect();
    let started = start.fire().await;
    for task in tasks {
        let outcome = task.await.expect("no panic");
        assert!(expected(&outcome), "{outcome:?}");
    }
    let total = started.elapsed();
    Measured {
        fetches: issuer.calls() - calls_before,
        most_at_once: issuer.most_at_once(),
        total,
        issuers_own: issuer.mean() * fetches_in_turn as u32,
    }
}

impl Measured {
    #[track_caller]
    pub fn assert_fetches(self, range: std::ops::RangeInclusive<usize>) -> Self {
        assert!(range.contains(&self.fetches), "{} fetches", self.fetches);
        self
    }

    #[track_caller]
    pub fn assert_at_once(self, most: usize) -> Self {
        assert!(self.most_at_once <= most, "{} at once", self.most_at_once);
        self
    }
}

pub fn served(outcome: &Outcome) -> bool {
    matches!(outcome, Ok(StatusCode::OK))
}

/// Without a token, nothing was sent.
pub fn failed(outcome: &Outcome) -> bool {
    outcome.is_err()
}

/// Lets all tasks go on at the same instant.
pub struct Start {
    tasks: usize,
    arrived: AtomicUsize,
    shot: watch::Sender<bool>,
}

impl Start {
    pub fn new(tasks: usize) -> Arc<Self> {
        Arc::new(Self {
            tasks,
            arrived: AtomicUsize::new(0),
            shot: watch::Sender::new(false),
        })
    }

    /// Is true from the shot on.
    pub fn shot(&self) -> watch::Receiver<bool> {
        self.shot.subscribe()
    }

    pub async fn wait(&self) {
        let mut shot = self.shot();
        self.arrived.fetch_add(1, Ordering::Relaxed);
        shot.wait_for(|shot| *shot).await.expect("there is a start");
    }

    /// Waits for `future`, which has arrived once it was polled: what it waits for is let go by the shot.
    pub async fn after_a_look<T>(self: Arc<Self>, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let first = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        self.arrived.fetch_add(1, Ordering::Relaxed);
        match first {
            Poll::Ready(output) => output,
            Poll::Pending => future.await,
        }
    }

    /// Waits for all tasks to arrive, and then for nothing.
    async fn fire(&self) -> Instant {
        while self.arrived.load(Ordering::Relaxed) < self.tasks {
            tokio::task::yield_now().await;
        }
        let now = Instant::now();
        self.shot.send_replace(true);
        now
    }
}
