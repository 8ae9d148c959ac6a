use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_timer::Delay;
use futures_util::future::{Either, select};
use tokio::sync::watch;

/// Far longer than anything takes that a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lets nothing pass until it is opened by hand: for delays that end when the test says so.
///
/// Clones are the same gate. It can be shut again. Works on any executor.
///
/// ```
/// use tower_bearer::testing::{Answer, Gate, ScriptedProvider};
/// use tower_bearer::TokenCache;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let gate = Gate::new();
/// let provider = ScriptedProvider::answering([Answer::token("late").after(&gate)]);
/// let cache = TokenCache::new(provider.clone());
///
/// let waiting = tokio::spawn({
///     let cache = cache.clone();
///     async move { cache.token().await }
/// });
/// provider.wait_for_fetches(1).await;
/// assert!(cache.cached().is_none());
///
/// gate.open();
/// assert_eq!(waiting.await??.expose_secret(), "late");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Gate {
    is_open: Arc<watch::Sender<bool>>,
}

impl Gate {
    /// A gate that is shut.
    pub fn new() -> Self {
        Self {
            is_open: Arc::new(watch::Sender::new(false)),
        }
    }

    /// Lets pass all who wait and all who come.
    pub fn open(&self) {
        self.is_open.send_replace(true);
    }

    /// Holds all who come from now on, and who were let pass but have not gone on yet.
    pub fn shut(&self) {
        self.is_open.send_replace(false);
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        *self.is_open.borrow()
    }

    /// Waits until it is open, for ever if need be.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn pass(&self) {
        let mut is_open = self.is_open.subscribe();
        let passed = is_open.wait_for(|is_open| *is_open).await;
        passed.expect("`self` holds the sender");
    }
}

/// A gate that is shut.
impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("is_open", &self.is_open())
            .finish()
    }
}

/// Waits until `count` of the state is at least `wanted`, on any executor.
///
/// # Panics
///
/// After a minute, so that a test which waits in vain says so instead of hanging.
pub(super) async fn wait_for<T>(
    state: &watch::Sender<T>,
    what: &str,
    wanted: usize,
    count: impl Fn(&T) -> usize,
) {
    wait_at_most(PATIENCE, state, what, wanted, count).await;
}

async fn wait_at_most<T>(
    patience: Duration,
    state: &watch::Sender<T>,
    what: &str,
    wanted: usize,
    count: impl Fn(&T) -> usize,
) {
    let mut receiver = state.subscribe();
    let reached = async {
        let reached = receiver.wait_for(|state| count(state) >= wanted).await;
        drop(reached.expect("the caller holds the sender"));
    };
    if !in_time(patience, reached).await {
        let seen = count(&state.borrow());
        panic!("waited in vain for {wanted} {what}: there are {seen}");
    }
}

async fn in_time(limit: Duration, future: impl Future<Output = ()>) -> bool {
    matches!(
        select(pin!(future), Delay::new(limit)).await,
        Either::Left(_)
    )
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;
    use tokio_test::{assert_pending, assert_ready, task};

    use super::*;

    #[test]
    fn a_gate_lets_pass_whoever_waits_once_it_is_open_and_holds_again_once_it_is_shut() {
        let gate = Gate::new();
        let mut early = task::spawn(gate.pass());
        assert_pending!(early.poll());

        gate.clone().open();
        assert!(early.is_woken());
        assert_ready!(early.poll());
        assert_ready!(task::spawn(gate.pass()).poll());

        gate.shut();
        assert!(!gate.is_open());
        assert_pending!(task::spawn(gate.pass()).poll());
    }

    #[test]
    #[should_panic = "waited in vain for 3 requests: there are 2"]
    fn who_waits_in_vain_is_told_so() {
        let state = watch::Sender::new(2);
        block_on(wait_at_most(
            Duration::ZERO,
            &state,
            "requests",
            3,
            |count| *count,
        ));
    }

    #[test]
    fn a_count_that_was_passed_is_not_waited_for() {
        let state = watch::Sender::new(4);
        block_on(wait_for(&state, "requests", 3, |count| *count));
    }
}
