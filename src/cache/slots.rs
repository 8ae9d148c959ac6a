//! The slots of a cache by key, and how many there may be.
//!
//! They are spread by hash over parts, each with a lock of its own. Threads that want different keys seldom
//! touch the same lock, and to look for what can be forgotten stops those who want keys of one part alone.

use std::sync::Arc;

use super::part::{FORGOTTEN, Part};
use super::slot::Slot;
use crate::clock::Instant;
use crate::error::discard;
use crate::provider::TokenRequest;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, TryLockError};

/// How many keys are kept, unless set.
pub(crate) const MAX_KEYS: usize = 10_000;

/// A part has as many keys or up to twice as many when the cache is full. It is looked at as a whole, in some
/// ten microseconds.
const PART: usize = 128;

/// 256 KiB of locks and empty maps.
#[cfg(not(all(test, shuttle)))]
const MAX_PARTS: usize = 4096;
/// Each lock is a step at which others may run.
#[cfg(all(test, shuttle))]
const MAX_PARTS: usize = 2;

pub(crate) struct Slots {
    /// A power of two of them.
    parts: Box<[Part]>,
    max_keys: usize,
    /// How many slots there are in all parts.
    number: AtomicUsize,
    /// With more than that there may be some to forget. More than `max_keys` once all of those had to stay.
    look_above: AtomicUsize,
    /// How often a part was looked at: each comes in its turn, so that as much is forgotten of one as of another.
    looks: AtomicUsize,
    /// Held by who looks at more than one part.
    looking: Mutex<()>,
}

impl Slots {
    pub(crate) fn new(max_keys: usize) -> Self {
        let max_keys = max_keys.max(1);
        let parts = (max_keys / PART).clamp(1, MAX_PARTS);
        let parts = 1 << parts.ilog2();
        Self {
            parts: (0..parts).map(|_| Part::default()).collect(),
            max_keys,
            number: AtomicUsize::new(0),
            look_above: AtomicUsize::new(max_keys),
            looks: AtomicUsize::new(0),
            looking: Mutex::new(()),
        }
    }

    pub(crate) fn get(&self, request: &TokenRequest, now: impl FnOnce() -> Instant) -> Arc<Slot> {
        let part = self.part_of(request);
        if let Some(slot) = part.get(request) {
            return slot;
        }
        let (slot, is_new) = part.get_or_insert(request);
        if !is_new {
            return slot;
        }
        let number = self.number.fetch_add(1, Ordering::Relaxed) + 1;
        if number > self.look_above.load(Ordering::Relaxed) {
            self.make_room(now());
        }
        slot
    }

    pub(crate) fn all(&self) -> Vec<Arc<Slot>> {
        self.parts.iter().flat_map(Part::all).collect()
    }

    fn part_of(&self, request: &TokenRequest) -> &Part {
        // The map of the part goes by the lowest and the highest bits.
        &self.parts[(request.keyed_hash() >> 32) as usize & (self.parts.len() - 1)]
    }

    /// Forgets some slots of one part or, if all of those have to stay, of the next.
    fn make_room(&self, now: Instant) {
        let parts = self.parts.len();
        let first = self.looks.fetch_add(1, Ordering::Relaxed);
        let forgotten = self.forget_of(first, now);
        if !forgotten.is_empty() {
            self.look_again_after(0);
            // Outside of all locks: the last error of a provider is among them.
            return discard(forgotten);
        }
        // That may be so of all parts. One thread looks, at each part once, and others go on without.
        let looking = match self.looking.try_lock() {
            Ok(looking) => looking,
            Err(TryLockError::Poisoned(looking)) => looking.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if self.number.load(Ordering::Relaxed) <= self.look_above.load(Ordering::Relaxed) {
            // Another has, in between.
            return;
        }
        let found = (1..parts).find_map(|next| {
            let forgotten = self.forget_of(first + next, now);
            (!forgotten.is_empty()).then_some((next, forgotten))
        });
        let (in_vain, forgotten) = found.unwrap_or((parts, Vec::new()));
        self.looks
            .fetch_add(in_vain.min(parts - 1), Ordering::Relaxed);
        self.look_again_after(in_vain);
        drop(looking);
        discard(forgotten);
    }

    /// Of the part whose turn it is.
    fn forget_of(&self, look: usize, now: Instant) -> Vec<Arc<Slot>> {
        let forgotten = self.parts[look & (self.parts.len() - 1)].forget(now);
        self.number.fetch_sub(forgotten.len(), Ordering::Relaxed);
        forgotten
    }

    /// After so many parts were looked at in vain: if nearly all have to stay, not again at once.
    fn look_again_after(&self, in_vain: usize) {
        let some = (self.max_keys / self.parts.len() / FORGOTTEN).max(1);
        let others = self.number.load(Ordering::Relaxed) - 1;
        let look_above = self.max_keys.max(others + in_vain * some);
        self.look_above.store(look_above, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::super::freshness::Schedule;
    use super::*;
    use crate::clock::Clock;
    use crate::error::FetchError;
    use crate::token::AccessToken;

    /// Of several parts.
    const MANY: usize = 8 * PART;

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
        let now = Clock::System.moment();
        slot.install(
            &mut slot.lock(),
            AccessToken::new("t").unwrap(),
            schedule,
            now,
        );
        slot.touch(used);
    }

    fn has(slots: &Slots, number: usize) -> bool {
        let request = request(number);
        slots.part_of(&request).get(&request).is_some()
    }

    fn len(slots: &Slots) -> usize {
        let len = slots.all().len();
        assert_eq!(slots.number.load(Ordering::Relaxed), len);
        len
    }

    #[test]
    #[cfg_attr(miri, ignore = "it takes minutes")]
    fn the_number_of_keys_is_bounded() {
        let slots = Slots::new(100);
        for number in 0..10_000 {
            get(&slots, number);
            assert!(len(&slots) <= 100);
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

        assert_eq!(len(&slots), 1000);
        assert_eq!(looks, 92); // every ten, after the first eighty
    }

    #[test]
    fn while_one_looks_at_all_parts_others_go_on_without() {
        let slots = Slots::new(2);
        let mut held = vec![get(&slots, 1), get(&slots, 2)];

        let looking = slots.looking.lock().unwrap();
        held.push(get(&slots, 3));
        assert_eq!(slots.look_above.load(Ordering::Relaxed), 2);
        drop(looking);
        held.push(get(&slots, 4));
        assert_eq!(slots.look_above.load(Ordering::Relaxed), 4);
        assert_eq!(len(&slots), 4);
    }

    #[test]
    fn there_are_as_many_parts_as_it_takes_to_keep_each_small() {
        let parts = [0, 1, 255, 256, 10_000, 100_000].map(|keys| Slots::new(keys).parts.len());
        assert_eq!(
            parts,
            [1, 1, 1, 2, 64, 512].map(|parts| parts.min(MAX_PARTS))
        );
        assert_eq!(Slots::new(usize::MAX).parts.len(), MAX_PARTS);
    }

    #[test]
    #[cfg_attr(miri, ignore = "it takes minutes")]
    fn the_keys_of_all_parts_together_are_bounded_and_the_bound_is_made_use_of() {
        let slots = Slots::new(MANY);
        for number in 0..MANY {
            get(&slots, number);
            assert_eq!(len(&slots), number + 1);
        }
        for number in MANY..3 * MANY {
            get(&slots, number);
            // What was forgotten is an eighth of one part.
            assert!((MANY - 2 * PART / FORGOTTEN..=MANY).contains(&len(&slots)));
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "it takes minutes")]
    fn in_every_part_those_go_that_were_not_used_for_the_longest_time() {
        let slots = Slots::new(MANY);
        for number in 0..MANY {
            let used = if number % 2 == 0 { at(900) } else { at(800) };
            install(&get(&slots, number), used);
        }
        for number in MANY..MANY + MANY / 8 {
            install(&get(&slots, number), at(1000));
        }

        assert!((0..MANY).step_by(2).all(|number| has(&slots, number)));
        assert!((MANY..MANY + MANY / 8).all(|number| has(&slots, number)));
    }

    #[test]
    #[cfg_attr(miri, ignore = "it takes minutes")]
    fn if_all_of_a_part_has_to_stay_another_makes_room() {
        let slots = Slots::new(MANY);
        let is_of_first =
            |number: &usize| std::ptr::eq(slots.part_of(&request(*number)), &slots.parts[0]);
        let held: Vec<_> = (1..).filter(is_of_first).take(MANY - 1).collect();
        let held: Vec<_> = held.into_iter().map(|number| get(&slots, number)).collect();
        let other = (1..).find(|number| !is_of_first(number)).expect("a number");
        install(&get(&slots, other), at(999));
        assert!(has(&slots, other));

        let new = get(&slots, 0);
        assert!(!has(&slots, other) && has(&slots, 0));
        assert_eq!(len(&slots), MANY);
        drop((held, new));
    }

    #[test]
    fn however_many_threads_ask_a_key_has_one_slot_and_is_counted_once() {
        let slots = Slots::new(MANY);
        let ask = || {
            (0..100)
                .map(|number| get(&slots, number))
                .collect::<Vec<_>>()
        };
        let (ours, theirs) = thread::scope(|scope| {
            let theirs = scope.spawn(ask);
            (ask(), theirs.join().unwrap())
        });

        assert!(ours.iter().zip(&theirs).all(|(a, b)| Arc::ptr_eq(a, b)));
        assert_eq!(len(&slots), 100);
    }

    #[test]
    fn all_slots_are_those_of_all_parts() {
        let slots = Slots::new(MANY);
        let mut numbers: Vec<_> = (0..100).map(|number| get(&slots, number)).collect();
        let mut all = slots.all();
        for slots in [&mut numbers, &mut all] {
            slots.sort_by_key(|slot| Arc::as_ptr(slot).addr());
        }
        assert!(numbers.iter().zip(&all).all(|(a, b)| Arc::ptr_eq(a, b)));
        assert_eq!(all.len(), 100);
    }
}
