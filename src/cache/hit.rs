//! The hit: a token is at hand.

use std::sync::Arc;

use http::HeaderValue;

use super::handle::TokenCache;
use super::held::Held;
use super::slot::Slot;
use crate::provider::TokenProvider;
use crate::sync::{Mutex, MutexGuard, TryLockError};
use crate::telemetry;

/// What one thread has last seen of the token of a handle.
///
/// To read the slot itself takes twice as many instructions, and all threads would count the references of one
/// header value: the same cache line, which lets two threads do hardly more than one.
///
/// It is kept until a thread with this number sees another, or the layer and all that came of it are dropped.
#[derive(Default)]
pub(crate) struct Seen {
    /// Of the slot, when it was looked at.
    version: u64,
    own: Option<Own>,
}

struct Own {
    held: Arc<Held>,
    /// A copy, with a reference count of its own.
    value: HeaderValue,
}

impl<P: TokenProvider> TokenCache<P> {
    /// Serves a hit, if there is one, and has a stale token replaced.
    pub(crate) fn hit<T>(&self, slot: &Arc<Slot>, f: impl FnOnce(&Held) -> T) -> Option<T> {
        let now = self.engine().now();
        self.engine().touch(slot, now);
        let current = slot.current();
        let held = current.as_deref()?;
        if !held.is_fresh(now) {
            if !held.is_usable(now) {
                return None;
            }
            self.engine().refresh_stale(slot, held);
        }
        telemetry::used(|| held.at_use(now));
        Some(f(held))
    }

    /// The handle's own token, by what this thread has seen of it. Only if it is fresh; and not if another
    /// thread looks at the same, or this one does already.
    #[inline(always)] // See `BearerAuth::begin`.
    pub(crate) fn hit_seen<'a>(&self, seen: &'a Mutex<Seen>) -> Option<Fresh<'a>> {
        let mut seen = match seen.try_lock() {
            Ok(seen) => seen,
            Err(TryLockError::Poisoned(seen)) => seen.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let slot = self.slot();
        let now = self.engine().now();
        self.engine().touch(slot, now);
        if seen.version != slot.version() {
            seen.look_at(slot);
        }
        let own = seen.own.as_ref()?;
        if !own.held.is_fresh(now) {
            return None;
        }
        telemetry::used(|| own.held.at_use(now));
        Some(Fresh { seen })
    }
}

/// A token that can be used now. Not to be kept.
pub(crate) struct Fresh<'a> {
    seen: MutexGuard<'a, Seen>,
}

impl Fresh<'_> {
    #[inline(always)] // See `BearerAuth::begin`.
    pub(crate) fn held(&self) -> &Held {
        &self.own().held
    }

    /// The value of `Authorization`, of which this thread has a copy.
    #[inline(always)] // See `BearerAuth::begin`.
    pub(crate) fn header_value(&self) -> HeaderValue {
        self.own().value.clone()
    }

    #[inline(always)] // See `BearerAuth::begin`.
    fn own(&self) -> &Own {
        self.seen.own.as_ref().expect("it is fresh")
    }
}

impl Seen {
    #[cold]
    fn look_at(&mut self, slot: &Slot) {
        self.own = None;
        // First: should it change in between, the next request looks again.
        self.version = slot.version();
        if self.version % 2 != 0 {
            return;
        }
        self.own = slot.current().as_ref().map(|held| Own {
            held: Arc::clone(held),
            value: held.token.copy_of_header_value(),
        });
    }
}
