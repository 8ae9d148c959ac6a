use std::time::Duration;

use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Notified, Notify};

/// How often a fetch in the queue looks by itself, if a turn may have been given to one that nobody polls.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Tells the queue that there may be room.
///
/// There may be thousands in it, so what becomes free is offered to one alone. That must not be one which
/// nobody polls any more: whenever somebody who polled has gone, all are told, by which all leave the
/// queue. Who is polled looks and queues again.
pub(crate) struct Turns {
    changed: Notify,
    /// Whether a fetch may be in the queue that somebody holds and does not poll, such as a caller without a
    /// runtime that has other things to do.
    undriven: AtomicBool,
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self {
            changed: Notify::new(),
            undriven: AtomicBool::new(false),
        }
    }

    /// Resolves once there may be room, counted from when it is made.
    pub(super) fn next(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// After how long to look without having been told.
    pub(super) fn look_again(&self) -> Option<Duration> {
        self.undriven.load(Ordering::SeqCst).then_some(LOOK_AGAIN)
    }

    /// Has all in the queue look.
    pub(super) fn tell_all(&self) {
        self.changed.notify_waiters();
    }

    /// There is room for one.
    pub(super) fn offer(&self) {
        self.changed.notify_one();
    }

    /// From now on, there may be a fetch that is held and not polled.
    pub(crate) fn has_no_driver(&self) {
        if !self.undriven.swap(true, Ordering::SeqCst) {
            // Those in the queue do not know that they have to look by themselves.
            self.tell_all();
        }
    }

    /// Somebody who polled a fetch has gone, and nobody else may. If it is in the queue, it leaves it; if it
    /// was given a turn, that is offered to all.
    pub(crate) fn lost_its_driver(&self) {
        self.tell_all();
    }
}
