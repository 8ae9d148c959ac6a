//! A part of the slots of a cache: a map under a lock, and which of them to forget first.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::slot::Slot;
use crate::clock::Instant;
use crate::provider::TokenRequest;
use crate::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// So much is forgotten at once: looking for the least useful is paid for by many insertions.
pub(super) const FORGOTTEN: usize = 8;

/// On a cache line of its own, since to read it is to write to its lock.
#[derive(Default)]
#[repr(align(64))]
pub(super) struct Part {
    slots: RwLock<ByKey>,
}

type ByKey = HashMap<TokenRequest, Arc<Slot>, BuildHasherDefault<AsItIs>>;

impl Part {
    pub(super) fn get(&self, request: &TokenRequest) -> Option<Arc<Slot>> {
        self.read().get(request).map(Arc::clone)
    }

    /// Also says whether the slot is new.
    pub(super) fn get_or_insert(&self, request: &TokenRequest) -> (Arc<Slot>, bool) {
        match self.write().entry(request.clone()) {
            Entry::Occupied(slot) => (Arc::clone(slot.get()), false),
            Entry::Vacant(place) => {
                let slot = place.insert(Arc::new(Slot::new(request.clone())));
                (Arc::clone(slot), true)
            }
        }
    }

    pub(super) fn all(&self) -> Vec<Arc<Slot>> {
        self.read().values().map(Arc::clone).collect()
    }

    /// Takes out the slots that are least useful: first those without a usable token, then those that were
    /// not used for the longest time.
    pub(super) fn forget(&self, now: Instant) -> Vec<Arc<Slot>> {
        let least_useful = least_useful(&self.read(), now);
        // Only now does anybody have to wait.
        let mut slots = self.write();
        let forget = |request| match slots.get(request) {
            Some(slot) if may_go(slot, now) => slots.remove(request),
            // Somebody has come to use it in between.
            _ => None,
        };
        least_useful.iter().filter_map(forget).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, ByKey> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, ByKey> {
        self.slots.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn least_useful(slots: &ByKey, now: Instant) -> Vec<TokenRequest> {
    let mut idle: Vec<_> = slots
        .values()
        .filter(|slot| may_go(slot, now))
        .map(|slot| (slot.is_usable(now), slot.last_used(), slot.request()))
        .collect();
    let count = (slots.len() / FORGOTTEN).max(1).min(idle.len());
    if count < idle.len() {
        idle.select_nth_unstable_by_key(count, |&(usable, used, _)| (usable, used));
    }
    let requests = idle.into_iter().map(|(_, _, request)| request.clone());
    requests.take(count).collect()
}

/// Whether a slot may be forgotten. Not if somebody uses it, nor if that would forget a fetch, a pause or a
/// budget that was drawn upon. There can be more than `max_keys` of those.
///
/// Nobody can come to use it while its part is locked to write.
fn may_go(slot: &Arc<Slot>, now: Instant) -> bool {
    Arc::strong_count(slot) == 1 && slot.is_idle(now)
}

/// A key is hashed when it is made, and by a key of our own.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a key writes its hash and nothing else");
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
