use std::mem;
use std::sync::{Arc, Mutex};

use http_body::Body;

use super::first::First;
use super::recorded::Recorded;
use super::second::Second;
use super::shared::{Phase, Shared, State, Unread};

/// Has a body recorded while it is read.
#[allow(clippy::clone_on_copy)] // Since http-body 1.1.
pub(super) fn record<B: Body>(body: B, limit: usize) -> (First<B>, Recording<B>) {
    let (hint, ended) = (body.size_hint(), body.is_end_stream());
    let shared = Arc::new(Shared {
        limit,
        is_sized: hint.upper().is_some(),
        state: Mutex::new(State {
            phase: Phase::Recording,
            recorded: Recorded::default(),
            held_back: None,
            unread: match ended {
                true => Unread::Ended,
                false => Unread::Here(Box::pin(body)),
            },
            hint: hint.clone(),
            first: None,
            second: None,
        }),
    });
    let first = First::new(Arc::clone(&shared), hint, ended);
    (first, Recording { shared })
}

/// Decides what becomes of a recording. Dropped, it ends it.
pub(super) struct Recording<B> {
    shared: Arc<Shared<B>>,
}

impl<B> Recording<B> {
    /// Whether all is there to send the body again. If so it stays so.
    pub(super) fn offer(&self) -> bool {
        let mut state = self.shared.state();
        let complete = state.phase == Phase::Recording;
        if complete {
            state.phase = Phase::Offered;
        }
        complete
    }

    /// Makes the body again, and ends the first. If not all is there, what is made ends in an error, and the first
    /// goes on.
    pub(super) fn take_over(self) -> Second<B> {
        let mut state = self.shared.state();
        if !matches!(state.phase, Phase::Recording | Phase::Offered) {
            return Second::lost();
        }
        state.phase = Phase::TakenOver;
        let first = state.first.take();
        drop(state);
        if let Some(first) = first {
            first.wake();
        }
        Second::new(Arc::clone(&self.shared))
    }
}

impl<B> Drop for Recording<B> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        if matches!(state.phase, Phase::Recording | Phase::Offered) {
            state.phase = Phase::Alone;
            let recorded = mem::take(&mut state.recorded);
            let first = state.first.take();
            drop(state);
            drop(recorded);
            // It may have held something back.
            if let Some(first) = first {
                first.wake();
            }
        }
    }
}
