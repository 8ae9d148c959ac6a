//! Who in the queue is told that there may be room, and what becomes of a turn that is not taken.
//!
//! There may be thousands in the queue, so room is offered to one alone, to whom it is a *turn*: to who is
//! first, or to the next who comes. Everybody queues before they look. What becomes free after that is
//! offered to them, and who goes, or enters otherwise, passes on the turn that they had.
//!
//! | what happens | who is told |
//! |---|---|
//! | a fetch leaves its place; an answer lets more in | one |
//! | a fetch enters that needs no place | one more, since it may have had a turn |
//! | a failure, a reset, the end of the cache | all |
//! | a place lapses, since nobody gave it back | nobody: all have a timer for it |
//!
//! Who is told and is not polled loses the turn, and with it the place. There are three kinds of them:
//!
//! | why it is not polled | who finds the turn |
//! |---|---|
//! | all who polled it had gone when it was offered the turn | they have [noted](Turns::abandon) it, so that the offer is made to all |
//! | the last of them goes at that moment | if it was woken, it offers the turn again; if not, who offers sees the note after the offer |
//! | somebody holds it and does other things, or its runtime is not run | all look [by themselves](LOOK_AGAIN) too, and who finds room tells all |
//!
//! To be told with all others is to leave the queue, and who is polled joins it again. So each of those who
//! are not costs a turn once.

use std::time::Duration;

use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Notified, Notify};

/// How often a fetch in the queue looks by itself. It keeps its place in the queue meanwhile.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Tells the queue that there may be room.
pub(crate) struct Turns {
    changed: Notify,
    /// Whether a fetch may be in the queue that nobody polls any more.
    has_abandoned: AtomicBool,
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self {
            changed: Notify::new(),
            has_abandoned: AtomicBool::new(false),
        }
    }

    /// Resolves once there may be room. It is in the queue from when it is enabled or polled; if all are
    /// told, from when it is made.
    pub(super) fn next(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Has all in the queue look.
    pub(super) fn tell_all(&self) {
        self.changed.notify_waiters();
    }

    /// There is room for one.
    pub(super) fn offer(&self) {
        if !self.has_abandoned.swap(false, Ordering::SeqCst) {
            self.changed.notify_one();
            // Else it may have gone to one that was abandoned in between.
            if !self.has_abandoned.swap(false, Ordering::SeqCst) {
                return;
            }
        }
        self.tell_all();
    }

    /// Notes that nobody polls a fetch any more, which may be in the queue. To tell the others at once would
    /// have all of them look for each caller that gives up.
    ///
    /// Called before anybody can find that there is no one to wake, and by who was woken before an offer of
    /// their own.
    pub(super) fn abandon(&self) {
        self.has_abandoned.store(true, Ordering::SeqCst);
    }
}
