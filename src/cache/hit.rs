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
/// It is kept until any thread sees another, or the layer and all that came of it are dropped.
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
    /// thread looks at the same, or this one does already. What others have seen before it is forgotten.
    #[inline(always)] // See `BearerAuth::begin`.
    pub(crate) fn hit_seen<'a>(
        &self,
        seen: &'a Mutex<Seen>,
        others: impl Iterator<Item = &'a Mutex<Seen>>,
    ) -> Option<Fresh<'a>> {
        let mut seen = Seen::try_lock(seen)?;
        let slot = self.slot();
        let now = self.engine().now();
        self.engine().touch(slot, now);
        if seen.version != slot.version() {
            seen.look_at(slot, others);
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
    fn look_at<'a>(&mut self, slot: &Slot, others: impl Iterator<Item = &'a Mutex<Self>>) {
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
        // Who has one of them comes to see the same.
        for mut other in others.filter_map(Self::try_lock) {
            if other.version < self.version {
                other.own = None;
            }
        }
    }

    #[inline(always)] // See `BearerAuth::begin`.
    fn try_lock(seen: &Mutex<Self>) -> Option<MutexGuard<'_, Self>> {
        match seen.try_lock() {
            Ok(seen) => Some(seen),
            Err(TryLockError::Poisoned(seen)) => Some(seen.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::iter;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use futures_executor::block_on;

    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::provider::token_fn;
    use crate::token::AccessToken;

    const HOUR: Duration = Duration::from_secs(3600);

    /// A cache that has `t1`, which lives for an hour.
    fn cache() -> (TokenCache<impl TokenProvider>, ManualClock) {
        let (clock, fetches) = (ManualClock::new(), AtomicUsize::new(0));
        let mut builder = TokenCache::builder(token_fn(move |_| {
            let number = fetches.fetch_add(1, Ordering::Relaxed) + 1;
            let token = AccessToken::new(&format!("t{number}"));
            ready(Ok(token.unwrap().with_expires_in(HOUR)))
        }));
        builder.clock = Clock::Manual(clock.clone());
        let cache = builder.build();
        block_on(cache.token()).unwrap();
        (cache, clock)
    }

    fn look<'a>(
        cache: &TokenCache<impl TokenProvider>,
        seen: &'a Mutex<Seen>,
    ) -> Option<Fresh<'a>> {
        cache.hit_seen(seen, iter::empty())
    }

    fn text(cache: &TokenCache<impl TokenProvider>, seen: &Mutex<Seen>) -> Option<String> {
        let fresh = look(cache, seen)?;
        let value = fresh.header_value();
        assert_eq!(value, fresh.held().token.header_value());
        Some(value.to_str().unwrap().to_owned())
    }

    #[test]
    fn what_was_seen_is_a_copy_of_its_own_made_once() {
        let (cache, _) = cache();
        let (one, other) = (Mutex::default(), Mutex::default());
        let value = |seen: &Mutex<Seen>| look(&cache, seen).unwrap().header_value();
        let address = |value: &HeaderValue| value.as_bytes().as_ptr();
        let of_token = cache.cached().unwrap().header_value().clone();

        let first = value(&one);
        assert!(first == of_token && first.is_sensitive());
        assert_ne!(address(&first), address(&of_token));
        assert_eq!(address(&first), address(&value(&one)));
        assert_ne!(address(&first), address(&value(&other)));
        assert_eq!(address(&value(&other)), address(&value(&other)));
    }

    #[test]
    fn what_has_become_of_the_token_is_seen_at_the_next_look() {
        let (cache, _) = cache();
        let seen = Mutex::default();
        assert_eq!(text(&cache, &seen).unwrap(), "Bearer t1");

        block_on(cache.refresh()).unwrap();
        assert_eq!(text(&cache, &seen).unwrap(), "Bearer t2");
        assert_eq!(text(&cache, &seen).unwrap(), "Bearer t2");

        cache.invalidate(&AccessToken::new("t2").unwrap());
        assert_eq!(text(&cache, &seen), None);
        assert!(seen.lock().unwrap().own.is_none(), "no copy is kept");
        block_on(cache.token()).unwrap();
        assert_eq!(text(&cache, &seen).unwrap(), "Bearer t3");
    }

    #[test]
    fn what_other_threads_saw_before_is_forgotten_when_one_sees_another() {
        let (cache, _) = cache();
        let seen: [Mutex<Seen>; 4] = Default::default();
        let kept = || -> Vec<bool> {
            let is_kept = |seen: &Mutex<Seen>| Seen::try_lock(seen).unwrap().own.is_some();
            seen.iter().map(is_kept).collect()
        };
        for one in &seen[..3] {
            look(&cache, one).unwrap();
        }
        assert_eq!(kept(), [true, true, true, false]);

        block_on(cache.refresh()).unwrap();
        look(&cache, &seen[0]).unwrap();
        let in_use = seen[1].lock().unwrap();
        // Of the same version as the first.
        cache.hit_seen(&seen[3], seen.iter()).unwrap();
        drop(in_use);
        assert_eq!(kept(), [true, true, false, true]);
        assert_eq!(text(&cache, &seen[1]).unwrap(), "Bearer t2");
        assert_eq!(text(&cache, &seen[2]).unwrap(), "Bearer t2");

        cache.invalidate(&AccessToken::new("t2").unwrap());
        assert!(cache.hit_seen(&seen[0], seen.iter()).is_none());
        assert_eq!(kept(), [false; 4]);
    }

    #[test]
    fn a_token_that_is_not_fresh_is_not_to_be_had_here() {
        let (cache, clock) = cache();
        let seen = Mutex::default();
        clock.advance(HOUR - Duration::from_secs(60));
        assert_eq!(text(&cache, &seen).unwrap(), "Bearer t1");

        clock.advance(Duration::from_secs(59));
        assert_eq!(text(&cache, &seen), None, "stale");
        assert!(cache.cached().is_some());
        clock.advance(Duration::from_secs(1));
        assert_eq!(text(&cache, &seen), None, "expired");
        block_on(cache.token()).unwrap();
        assert_eq!(text(&cache, &seen).unwrap(), "Bearer t2");
    }

    #[test]
    fn nothing_is_to_be_had_of_a_cache_that_has_nothing() {
        let cache = TokenCache::new(token_fn(|_| std::future::pending()));
        assert_eq!(text(&cache, &Mutex::default()), None);
    }

    #[cfg(feature = "test-util")]
    #[test]
    fn the_wall_clock_is_looked_at_as_by_any_other_hit() {
        let (cache, clock) = cache();
        let seen = Mutex::default();
        assert_eq!(text(&cache, &seen).unwrap(), "Bearer t1");
        clock.set_wall_time(clock.wall_time() + HOUR);
        clock.advance(Duration::from_secs(2));

        assert_eq!(text(&cache, &seen), None);
    }

    #[test]
    fn who_looks_while_another_does_is_sent_elsewhere_and_does_not_wait() {
        let (done, result) = mpsc::channel();
        // On a thread that can be left alone if it waits for itself.
        thread::spawn(move || {
            let (cache, _) = cache();
            let seen = Mutex::default();
            let fresh = look(&cache, &seen).unwrap();
            let looks = || look(&cache, &seen).is_none();
            let by_another = thread::scope(|scope| scope.spawn(looks).join().unwrap());
            let by_itself = looks();
            drop(fresh);
            done.send((by_another, by_itself, look(&cache, &seen).is_some()))
        });
        let result = result.recv_timeout(Duration::from_secs(60));
        assert_eq!(result, Ok((true, true, true)));
    }

    #[test]
    fn a_panic_of_one_who_looks_is_nothing_to_the_next() {
        let (cache, _) = cache();
        let seen = Mutex::default();
        let panics = || {
            let _fresh = look(&cache, &seen);
            panic!("a caller's");
        };
        catch_unwind(AssertUnwindSafe(panics)).unwrap_err();
        assert!(seen.try_lock().is_err(), "it is poisoned");

        assert_eq!(text(&cache, &seen).unwrap(), "Bearer t1");
        block_on(cache.refresh()).unwrap();
        assert_eq!(text(&cache, &seen).unwrap(), "Bearer t2");
    }
}
