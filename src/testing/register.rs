//! Which tokens are good.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The tokens of a [`AuthorizationServer`](super::AuthorizationServer), known to every [`Api`](super::Api) that trusts it.
#[derive(Default)]
pub(super) struct Register {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// In the order in which they were issued, those included that were revoked.
    issued: Vec<String>,
    valid: HashSet<String>,
    /// If nobody issues: what was shown already.
    seen: Option<HashSet<String>>,
}

impl Register {
    /// Every token is good that was not revoked.
    pub(super) fn of_any() -> Self {
        let state = State {
            seen: Some(HashSet::new()),
            ..State::default()
        };
        Self {
            state: Mutex::new(state),
        }
    }

    /// A token that is issued again is good again.
    pub(super) fn issue(&self, token: &str) {
        let mut state = self.state();
        state.issued.push(token.to_owned());
        state.valid.insert(token.to_owned());
    }

    pub(super) fn issued(&self) -> Vec<String> {
        self.state().issued.clone()
    }

    pub(super) fn is_valid(&self, token: &str) -> bool {
        let mut guard = self.state();
        let state = &mut *guard;
        let is_new = match &mut state.seen {
            Some(seen) => seen.insert(token.to_owned()),
            None => false,
        };
        if is_new {
            state.valid.insert(token.to_owned());
        }
        state.valid.contains(token)
    }

    pub(super) fn revoke(&self, token: &str) {
        let mut state = self.state();
        state.valid.remove(token);
        if let Some(seen) = &mut state.seen {
            seen.insert(token.to_owned());
        }
    }

    pub(super) fn revoke_all(&self) {
        self.state().valid.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
