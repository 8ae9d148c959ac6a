use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Notified, Notify};

/// Tells the queue that there may be room.
pub(crate) struct Turns {
    changed: Notify,
    /// Whether there may be a fetch in the queue that nobody polls, so that waking one is not enough.
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

    /// Has all in the queue look.
    pub(super) fn tell_all(&self) {
        self.changed.notify_waiters();
    }

    /// There is room for one.
    pub(super) fn offer(&self) {
        if !self.undriven.load(Ordering::SeqCst) {
            self.changed.notify_one();
        }
        // Also if that came between: the one may be one that nobody polls.
        if self.undriven.load(Ordering::SeqCst) {
            self.tell_all();
        }
    }

    /// From now on, there may be a fetch that nobody polls.
    pub(crate) fn has_no_driver(&self) {
        self.undriven.store(true, Ordering::SeqCst);
    }

    /// The same, and the fetch may have been given a turn. It is offered to all.
    pub(crate) fn lost_its_driver(&self) {
        self.has_no_driver();
        self.tell_all();
    }
}
