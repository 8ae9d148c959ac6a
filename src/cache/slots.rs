//! The slots of a cache by key, and which of them to forget.

use std::sync::Arc;

use super::slot::Slot;
use crate::clock::Instant;
use crate::error::discard;
use crate::provider::TokenRequest;
use crate::sync::{HashMap, PoisonError, RwLock};

/// How many keys are kept, unless set.
pub(crate) const MAX_KEYS: usize = 10_000;

/// When there are too many, this part of them is forgotten at once, so that looking for the least useful
/// is paid for by many insertions.
const FORGOTTEN_PART: usize = 8;

pub(crate) struct Slots {
    map: RwLock<Map>,
    max_keys: usize,
}

#[derive(Default)]
struct Map {
    by_key: HashMap<TokenRequest, Arc<Slot>>,
    /// With so many there may be some to forget. More than `max_keys` once all of those had to stay.
    look_at: usize,
}

impl Slots {
    pub(crate) fn new(max_keys: usize) -> Self {
        Self {
            map: RwLock::new(Map {
                by_key: HashMap::default(),
                look_at: max_keys.max(1),
            }),
            max_keys: max_keys.max(1),
        }
    }

    pub(crate) fn get(&self, request: &TokenRequest, now: impl FnOnce() -> Instant) -> Arc<Slot> {
        if let Some(slot) = self.read(|slots| slots.get(request).map(Arc::clone)) {
            return slot;
        }
        let mut forgotten = Vec::new();
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        if map.by_key.len() >= map.look_at && !map.by_key.contains_key(request) {
            forgotten = forget(&mut map.by_key, self.max_keys, now());
            // If nearly all have to stay, not again at once.
            let some = (self.max_keys / FORGOTTEN_PART).max(1);
            map.look_at = self.max_keys.max(map.by_key.len() + some);
        }
        let slot = map
            .by_key
            .entry(request.clone())
            .or_insert_with(|| Arc::new(Slot::new(request.clone())));
        let slot = Arc::clone(slot);
        drop(map);
        // Outside of the lock: the last error of a provider is among them.
        discard(forgotten);
        slot
    }

    pub(crate) fn all(&self) -> Vec<Arc<Slot>> {
        self.read(|slots| slots.values().map(Arc::clone).collect())
    }

    fn read<T>(&self, f: impl FnOnce(&HashMap<TokenRequest, Arc<Slot>>) -> T) -> T {
        f(&self
            .map
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .by_key)
    }
}

/// Takes out the slots that are least useful: first those without a usable token, then those that were
/// not used for the longest time.
///
/// A slot stays if somebody uses it, or if forgetting it would forget a fetch, a pause or a budget that
/// was drawn upon. There can be more than `max_keys` of those.
fn forget(
    slots: &mut HashMap<TokenRequest, Arc<Slot>>,
    max_keys: usize,
    now: Instant,
) -> Vec<Arc<Slot>> {
    let mut idle: Vec<_> = slots
        .values()
        // Nobody can come to hold it meanwhile, since the map is locked.
        .filter(|slot| Arc::strong_count(slot) == 1 && slot.is_idle(now))
        .map(|slot| {
            (
                slot.usable(now).is_some(),
                slot.last_used(),
                slot.request().clone(),
            )
        })
        .collect();
    let count = (max_keys / FORGOTTEN_PART).max(1).min(idle.len());
    if count < idle.len() {
        idle.select_nth_unstable_by_key(count, |&(usable, used, _)| (usable, used));
    }
    idle.truncate(count);
    idle.iter()
        .filter_map(|(_, _, request)| slots.remove(request))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::freshness::Schedule;
    use super::*;
    use crate::error::FetchError;
    use crate::token::AccessToken;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(0).after(Duration::from_secs(seconds))
    }

    fn request(number: usize) -> TokenRequest {
        TokenRequest::default().with_tenant(number.to_string())
    }

    fn get(slots: &Slots, number: usize) -> Arc<Slot> {
        slots.get(&request(number), || at(1000))
    }

    fn install(slot: &Slot, used: Instant) {
        let schedule = Schedule {
            refresh_at: at(2000),
            expires_at: at(2000),
            wall_end: None,
            asked_at: at(0),
        };
        slot.install(&mut slot.lock(), AccessToken::new("t").unwrap(), schedule);
        slot.touch(used);
    }

    fn has(slots: &Slots, number: usize) -> bool {
        slots.read(|slots| slots.contains_key(&request(number)))
    }

    #[test]
    #[cfg_attr(miri, ignore = "it takes minutes")]
    fn the_number_of_keys_is_bounded() {
        let slots = Slots::new(100);
        for number in 0..10_000 {
            get(&slots, number);
            assert!(slots.read(HashMap::len) <= 100);
        }
    }

    #[test]
    fn one_key_has_one_slot() {
        let slots = Slots::new(100);
        assert!(Arc::ptr_eq(&get(&slots, 1), &get(&slots, 1)));
        assert!(!Arc::ptr_eq(&get(&slots, 1), &get(&slots, 2)));
    }

    #[test]
    fn a_slot_without_a_token_goes_before_one_with_and_an_old_one_before_a_new_one() {
        let slots = Slots::new(4);
        install(&get(&slots, 1), at(900));
        install(&get(&slots, 2), at(800));
        install(&get(&slots, 3), at(999));
        get(&slots, 4).touch(at(1000));

        get(&slots, 5);
        assert!(!has(&slots, 4));
        install(&get(&slots, 5), at(1000));
        get(&slots, 6);
        assert!(!has(&slots, 2));
        assert!(has(&slots, 1) && has(&slots, 3) && has(&slots, 5) && has(&slots, 6));
    }

    #[test]
    fn forgetting_forgets_no_pause_no_budget_and_nothing_in_use() {
        let slots = Slots::new(1);
        let paused = get(&slots, 1);
        let error = FetchError::invalid_request("x");
        paused.lock().pause.fail(at(999), at(999), error);
        drop(paused);
        let rejected = get(&slots, 2);
        rejected.lock().budget.take(at(999));
        drop(rejected);
        let held = get(&slots, 3);

        for number in 4..20 {
            get(&slots, number);
        }
        assert!(has(&slots, 1) && has(&slots, 2) && has(&slots, 3));
        assert!(!has(&slots, 4));
        drop(held);
    }

    #[test]
    #[cfg_attr(miri, ignore = "it takes minutes")]
    fn if_all_have_to_stay_it_is_not_looked_at_all_of_them_for_each_new_one() {
        let slots = Slots::new(80);
        let mut looks = 0;
        let _held: Vec<_> = (0..1000)
            .map(|number| {
                slots.get(&request(number), || {
                    looks += 1;
                    at(1000)
                })
            })
            .collect();

        assert_eq!(slots.read(HashMap::len), 1000);
        assert_eq!(looks, 92); // every ten, after the first eighty
    }
}
