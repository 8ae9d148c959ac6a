//! Keeps what was read last, and says when to read it again.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use crate::clock::{Clock, Instant};
use crate::oauth2::error::TokenEndpointError;
use crate::telemetry;

/// For how long the first value is waited for. A token request has to fit into the fetch as well, whose
/// limit is 30 seconds unless set.
const FIRST: Duration = Duration::from_secs(10);

/// For how long a later one is waited for, without which there is no harm.
const LATER: Duration = Duration::from_secs(5);

/// How soon after a failure to try again, while there is a value.
const PAUSE: Duration = Duration::from_secs(60);

/// A `Retry-After` counts up to here, as everywhere.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// A value that is read from elsewhere, now and then.
///
/// - While there is none, all who need it share one read, and its failure. It is a shared future that each
///   of them drives, and no lock: nobody waits for somebody who is no longer polled. When the last of them
///   goes away, so does the read.
/// - A value that is too old is read again by one who needs it, and meanwhile used by the others. The next
///   attempt is put off *before* the read begins, so that a read that is dropped, as at the time limit of a
///   fetch, has failed as well.
/// - A failure never takes a value away.
pub(super) struct LastRead<V> {
    max_age: Duration,
    clock: Clock,
    state: Mutex<State<V>>,
}

struct State<V> {
    held: Option<Held<V>>,
    /// The first one.
    reading: Option<WeakShared<Read<V>>>,
}

struct Held<V> {
    value: V,
    read_again: Instant,
}

type Read<V> = BoxFuture<'static, Result<V, TokenEndpointError>>;

impl<V: Clone + Send + Sync + 'static> LastRead<V> {
    pub(super) fn new(max_age: Duration) -> Self {
        Self::with_clock(max_age, Clock::System)
    }

    fn with_clock(max_age: Duration, clock: Clock) -> Self {
        let state = State {
            held: None,
            reading: None,
        };
        Self {
            max_age,
            clock,
            state: Mutex::new(state),
        }
    }

    /// The value, by `read` if need be, which is given its time limit.
    pub(super) async fn get<F>(
        &self,
        read: impl FnOnce(Duration) -> F,
    ) -> Result<V, TokenEndpointError>
    where
        F: Future<Output = Result<V, TokenEndpointError>> + Send + 'static,
    {
        let last = {
            let mut state = self.lock();
            let now = self.clock.now();
            match &mut state.held {
                None => None,
                Some(held) if now < held.read_again => return Ok(held.value.clone()),
                Some(held) => {
                    held.read_again = now.after(PAUSE);
                    Some(held.value.clone())
                }
            }
        };
        let Some(last) = last else {
            let value = self.first(read).await?;
            self.keep_first(&value);
            return Ok(value);
        };
        match read(LATER).await {
            Ok(value) => {
                self.keep(&value);
                Ok(value)
            }
            Err(error) => {
                telemetry::metadata_not_read_again();
                let asked = error.retry_after().unwrap_or_default();
                self.put_off(asked.clamp(PAUSE, LONGEST_PAUSE));
                Ok(last)
            }
        }
    }

    /// The read of the first value: that which is under way, or a new one.
    fn first<F>(&self, read: impl FnOnce(Duration) -> F) -> Shared<Read<V>>
    where
        F: Future<Output = Result<V, TokenEndpointError>> + Send + 'static,
    {
        if let Some(reading) = self.lock().under_way() {
            return reading;
        }
        // What is foreign is neither called nor dropped under the lock.
        let new = read(FIRST).boxed().shared();
        let mut state = self.lock();
        if let Some(reading) = state.under_way() {
            drop(state);
            return reading;
        }
        state.reading = new.downgrade();
        drop(state);
        new
    }

    fn keep(&self, value: &V) {
        self.lock().held = Some(self.fresh(value));
    }

    /// One who waited for the first value may get to it long after others have read a newer one.
    fn keep_first(&self, value: &V) {
        let mut state = self.lock();
        state.held.get_or_insert_with(|| self.fresh(value));
    }

    fn fresh(&self, value: &V) -> Held<V> {
        Held {
            value: value.clone(),
            read_again: self.clock.now().after(self.max_age),
        }
    }

    fn put_off(&self, pause: Duration) {
        if let Some(held) = &mut self.lock().held {
            held.read_again = self.clock.now().after(pause);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V: Clone> State<V> {
    fn under_way(&self) -> Option<Shared<Read<V>>> {
        let reading = self.reading.as_ref()?.upgrade()?;
        // One that has ended may be held by somebody for long.
        reading.peek().is_none().then_some(reading)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::{mpsc, oneshot};
    use tokio_test::{assert_pending, assert_ready, task};

    use super::*;
    use crate::clock::ManualClock;
    use crate::oauth2::error::TokenEndpointErrorKind::NotJson;

    type Answer = Result<u32, TokenEndpointError>;
    type Reply = oneshot::Sender<Answer>;

    const HOUR: Duration = Duration::from_secs(3600);

    /// Where reads arrive.
    struct Desk {
        asked: mpsc::UnboundedReceiver<Reply>,
        clock: ManualClock,
    }

    struct Values {
        values: LastRead<u32>,
        ask: mpsc::UnboundedSender<Reply>,
    }

    fn values(max_age: Duration) -> (Values, Desk) {
        let clock = ManualClock::new();
        let (ask, asked) = mpsc::unbounded_channel();
        let values = LastRead::with_clock(max_age, Clock::Manual(clock.clone()));
        (Values { values, ask }, Desk { asked, clock })
    }

    impl Values {
        /// One who needs the value, once polled.
        fn one(&self) -> task::Spawn<BoxFuture<'_, Answer>> {
            let ask = self.ask.clone();
            let read = |_| async move {
                let (reply, answer) = oneshot::channel();
                ask.send(reply).unwrap();
                answer.await.unwrap()
            };
            task::spawn(self.values.get(read).boxed())
        }

        /// The value, for which nothing is read.
        #[track_caller]
        fn at_once(&self, desk: &mut Desk) -> u32 {
            let value = assert_ready!(self.one().poll()).unwrap();
            assert!(desk.asked.try_recv().is_err(), "it was read");
            value
        }

        /// The value, which is read now.
        #[track_caller]
        fn by_reading(&self, desk: &mut Desk, answer: Answer) -> Answer {
            let mut one = self.one();
            assert_pending!(one.poll());
            desk.answer(answer);
            assert_ready!(one.poll())
        }
    }

    impl Desk {
        #[track_caller]
        fn answer(&mut self, answer: Answer) {
            let reply = self.asked.try_recv().expect("it is read");
            reply.send(answer).expect("it is waited for");
        }
    }

    fn failed() -> Answer {
        Err(TokenEndpointError::new(NotJson))
    }

    #[test]
    fn who_needs_the_first_value_shares_one_read_and_its_failure() {
        let (values, mut desk) = values(HOUR);
        let mut waiting = [values.one(), values.one(), values.one()];
        for one in &mut waiting {
            assert_pending!(one.poll());
        }
        desk.answer(failed());
        assert!(desk.asked.try_recv().is_err(), "it is read twice");

        assert_eq!(
            assert_ready!(waiting[0].poll()).unwrap_err().kind(),
            NotJson
        );
        // Who comes later does not get the failure, although the others still hold it.
        assert_eq!(values.by_reading(&mut desk, Ok(1)).ok(), Some(1));
        assert_eq!(
            assert_ready!(waiting[1].poll()).unwrap_err().kind(),
            NotJson
        );
    }

    #[test]
    fn a_first_read_goes_on_as_long_as_somebody_waits_for_it() {
        let (values, mut desk) = values(HOUR);
        let (mut first, mut second) = (values.one(), values.one());
        assert_pending!(first.poll());
        assert_pending!(second.poll());
        drop(first);
        desk.answer(Ok(1));
        assert_eq!(assert_ready!(second.poll()).ok(), Some(1));
        assert_eq!(values.at_once(&mut desk), 1);
    }

    #[test]
    fn a_first_read_that_nobody_waits_for_is_dropped_and_begun_anew() {
        let (values, mut desk) = values(HOUR);
        let mut one = values.one();
        assert_pending!(one.poll());
        drop(one);
        assert!(desk.asked.try_recv().unwrap().is_closed());
        assert_eq!(values.by_reading(&mut desk, Ok(1)).ok(), Some(1));
    }

    #[test]
    fn a_value_is_used_until_it_is_too_old_and_then_read_again() {
        let (values, mut desk) = values(HOUR);
        values.by_reading(&mut desk, Ok(1)).unwrap();
        desk.clock.advance(HOUR - Duration::from_nanos(1));
        assert_eq!(values.at_once(&mut desk), 1);
        desk.clock.advance(Duration::from_nanos(1));
        assert_eq!(values.by_reading(&mut desk, Ok(2)).ok(), Some(2));
        assert_eq!(values.at_once(&mut desk), 2);
    }

    #[test]
    fn a_failure_keeps_the_last_value_and_puts_off_the_next_attempt() {
        let (values, mut desk) = values(HOUR);
        values.by_reading(&mut desk, Ok(1)).unwrap();
        desk.clock.advance(HOUR);
        assert_eq!(values.by_reading(&mut desk, failed()).ok(), Some(1));
        desk.clock.advance(PAUSE - Duration::from_nanos(1));
        assert_eq!(values.at_once(&mut desk), 1);
        desk.clock.advance(Duration::from_nanos(1));
        assert_eq!(values.by_reading(&mut desk, failed()).ok(), Some(1));
        desk.clock.advance(PAUSE);
        assert_eq!(values.by_reading(&mut desk, Ok(2)).ok(), Some(2));
    }

    #[test]
    fn the_pause_is_longer_if_the_server_says_so_and_an_hour_at_most() {
        let (values, mut desk) = values(HOUR);
        values.by_reading(&mut desk, Ok(1)).unwrap();
        for (asked, pause) in [(PAUSE * 5, PAUSE * 5), (HOUR * 9, HOUR), (PAUSE / 2, PAUSE)] {
            desk.clock.advance(HOUR);
            let failed = failed().map_err(|error| error.with_retry_after(Some(asked)));
            assert_eq!(values.by_reading(&mut desk, failed).ok(), Some(1));
            desk.clock.advance(pause - Duration::from_nanos(1));
            assert_eq!(values.at_once(&mut desk), 1);
        }
    }

    #[test]
    fn while_one_reads_again_the_others_use_the_last_value() {
        let (values, mut desk) = values(Duration::ZERO);
        values.by_reading(&mut desk, Ok(1)).unwrap();
        let mut reader = values.one();
        assert_pending!(reader.poll());
        let reply = desk.asked.try_recv().unwrap();
        assert_eq!(values.at_once(&mut desk), 1);
        reply.send(Ok(2)).unwrap();
        assert_eq!(assert_ready!(reader.poll()).ok(), Some(2));
        // That was too old at once, too.
        assert_eq!(values.by_reading(&mut desk, Ok(3)).ok(), Some(3));
    }

    #[test]
    fn a_later_read_that_is_dropped_has_failed() {
        let (values, mut desk) = values(HOUR);
        values.by_reading(&mut desk, Ok(1)).unwrap();
        desk.clock.advance(HOUR);
        let mut reader = values.one();
        assert_pending!(reader.poll());
        drop(reader);
        assert!(desk.asked.try_recv().unwrap().is_closed());
        assert_eq!(values.at_once(&mut desk), 1);
        desk.clock.advance(PAUSE);
        assert_eq!(values.by_reading(&mut desk, Ok(2)).ok(), Some(2));
    }

    #[test]
    fn who_gets_to_the_first_value_late_does_not_bring_it_back() {
        let (values, mut desk) = values(HOUR);
        let (mut prompt, mut late) = (values.one(), values.one());
        assert_pending!(prompt.poll());
        assert_pending!(late.poll());
        desk.answer(Ok(1));
        assert_eq!(assert_ready!(prompt.poll()).ok(), Some(1));
        desk.clock.advance(HOUR);
        assert_eq!(values.by_reading(&mut desk, Ok(2)).ok(), Some(2));
        assert_eq!(assert_ready!(late.poll()).ok(), Some(1));
        assert_eq!(values.at_once(&mut desk), 2);
    }
}
