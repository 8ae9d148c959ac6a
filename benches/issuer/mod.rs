//! Where the tokens of storms and of the latency bench come from.

// Each bench uses a part.
#![allow(dead_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tower_bearer::error::BoxError;
use tower_bearer::{AccessToken, TokenProvider, token_fn};

/// Issues tokens that are numbered, and counts. Clones are the same issuer.
#[derive(Clone)]
pub struct Issuer(Arc<Inner>);

struct Inner {
    conduct: Conduct,
    life: Duration,
    calls: AtomicUsize,
    running: AtomicUsize,
    most_at_once: AtomicUsize,
    /// What all fetches took together, and the longest.
    nanos: AtomicU64,
    longest: AtomicU64,
}

pub enum Conduct {
    /// Answers after so long.
    Answers(Duration),
    /// Fails after so long.
    Fails(Duration),
    /// Answers after so many steps, each of which takes so long: connecting, writing, reading and so on
    /// each wake whoever waits.
    AnswersInSteps(u32, Duration),
    /// Never says anything. Whoever asks gives up after so long.
    Hangs(Duration),
    /// Answers at once, but not before this is true.
    AnswersOnce(watch::Receiver<bool>),
}

impl Issuer {
    pub fn new(conduct: Conduct, life: Duration) -> Self {
        Self(Arc::new(Inner {
            conduct,
            life,
            calls: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
            nanos: AtomicU64::new(0),
            longest: AtomicU64::new(0),
        }))
    }

    pub async fn issue(self) -> Result<AccessToken, BoxError> {
        let number = self.0.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let _running = Running::begin(&self.0);
        match &self.0.conduct {
            Conduct::Answers(after) => tokio::time::sleep(*after).await,
            Conduct::Fails(after) => {
                tokio::time::sleep(*after).await;
                return Err("the issuer is down".into());
            }
            Conduct::AnswersInSteps(steps, step) => {
                for _ in 0..*steps {
                    tokio::time::sleep(*step).await;
                }
            }
            Conduct::Hangs(_) => std::future::pending().await,
            Conduct::AnswersOnce(open) => {
                open.clone().wait_for(|open| *open).await?;
            }
        }
        Ok(AccessToken::new(&format!("token-{number}"))?.with_expires_in(self.0.life))
    }

    pub fn provider(&self) -> impl TokenProvider + use<> {
        let issuer = self.clone();
        token_fn(move |_| issuer.clone().issue())
    }

    pub fn life(&self) -> Duration {
        self.0.life
    }

    pub fn calls(&self) -> usize {
        self.0.calls.load(Ordering::Relaxed)
    }

    pub fn most_at_once(&self) -> usize {
        self.0.most_at_once.load(Ordering::Relaxed)
    }

    /// What a fetch took.
    pub fn mean(&self) -> Duration {
        if let Conduct::Hangs(limit) = self.0.conduct {
            return limit;
        }
        let calls = self.calls().max(1) as u64;
        Duration::from_nanos(self.0.nanos.load(Ordering::Relaxed) / calls)
    }

    pub fn longest(&self) -> Duration {
        Duration::from_nanos(self.0.longest.load(Ordering::Relaxed))
    }
}

/// Counts until it is dropped, also by a time limit.
struct Running<'a> {
    issuer: &'a Inner,
    began: Instant,
}

impl<'a> Running<'a> {
    fn begin(issuer: &'a Inner) -> Self {
        let running = issuer.running.fetch_add(1, Ordering::Relaxed) + 1;
        issuer.most_at_once.fetch_max(running, Ordering::Relaxed);
        Self {
            issuer,
            began: Instant::now(),
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let nanos = self.began.elapsed().as_nanos() as u64;
        self.issuer.nanos.fetch_add(nanos, Ordering::Relaxed);
        self.issuer.longest.fetch_max(nanos, Ordering::Relaxed);
        self.issuer.running.fetch_sub(1, Ordering::Relaxed);
    }
}
