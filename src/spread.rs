//! Sharing among threads without one counter that all of them write to.
//!
//! An `Arc` that every request clones is a cache line that every processor wants: with one, two threads do
//! together hardly more than one alone. A [`Spread`] has a counter for each thread, and is cloned from that of
//! the thread that clones it, wherever it was made:
//!
//! ```text
//!  root ─▶ its value
//!   ├─ of thread 1 ─▶ the same value
//!   ├─ of thread 2 ─▶ the same value
//!   │   ├─ of thread 1 ...    what thread 2 cloned and thread 1 uses
//!   :   :
//! ```
//!
//! Who holds one holds what was made for it, and what is below that; nothing points upwards, so that there
//! are no circles. The third level has nothing below it, which bounds the whole: a clone of a clone of a
//! clone, each by another thread than uses it, is used by all as one `Arc` is.

use std::cell::Cell;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// So many threads have something of their own. Of more, several share.
const THREADS: usize = 16;

/// Levels below the root.
const DEPTH: u8 = 2;

/// An `Arc` whose clones count where they are made, and have something there that is the thread's own.
pub(crate) struct Spread<T, L> {
    node: Arc<Node<T, L>>,
}

struct Node<T, L> {
    value: Arc<T>,
    local: L,
    /// Whose it is. Threads with the same number share it.
    thread: usize,
    depth: u8,
    below: OnceLock<Below<T, L>>,
}

type Below<T, L> = Box<[OnceLock<Arc<Node<T, L>>>; THREADS]>;

impl<T, L: Default> Spread<T, L> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            node: Node::new(Arc::new(value), current_thread(), 0),
        }
    }

    /// What is the thread's own, if it is called by the thread that cloned.
    pub(crate) fn local(&self) -> &L {
        &self.node.local
    }
}

impl<T, L: Default> Node<T, L> {
    fn new(value: Arc<T>, thread: usize, depth: u8) -> Arc<Self> {
        Arc::new(Self {
            value,
            local: L::default(),
            thread,
            depth,
            below: OnceLock::new(),
        })
    }

    #[cold]
    fn below(&self, thread: usize) -> &Arc<Self> {
        let below = self.below.get_or_init(Box::default);
        below[thread].get_or_init(|| Self::new(Arc::clone(&self.value), thread, self.depth + 1))
    }
}

impl<T, L: Default> Clone for Spread<T, L> {
    #[inline]
    fn clone(&self) -> Self {
        let (node, thread) = (&self.node, current_thread());
        let node = if node.thread == thread || node.depth == DEPTH {
            node
        } else {
            node.below(thread)
        };
        Self {
            node: Arc::clone(node),
        }
    }
}

/// A number for this thread.
#[inline]
fn current_thread() -> usize {
    thread_local! {
        static CURRENT: Cell<usize> = const { Cell::new(THREADS) };
    }

    CURRENT.with(|current| {
        if current.get() == THREADS {
            current.set(next_number());
        }
        current.get()
    })
}

#[cold]
fn next_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed) % THREADS
}

impl<T, L> Deref for Spread<T, L> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.node.value
    }
}
