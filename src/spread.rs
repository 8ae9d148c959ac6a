//! Sharing among threads without one counter that all of them write to.
//!
//! An `Arc` that every request clones is a cache line that every processor wants: with one, two threads do
//! together hardly more than one alone. A [`Spread`] has a counter for each thread, and is cloned from that of
//! the thread that clones it, wherever it was made:
//!
//! ```text
//!  root
//!   ├─ for thread 1
//!   ├─ for thread 2
//!   │   ├─ for thread 1: what thread 2 cloned and thread 1 clones again
//!   :   :
//! ```
//!
//! Who holds one holds what was made for it, and what is below that; nothing points upwards, so that there
//! are no circles. On the lowest level all threads count in one place, which bounds the whole: that takes a clone
//! of a clone of a clone of a clone, each made by another thread.
//!
//! Threads have numbers, which are given back when they end. If there are more threads than numbers, some share
//! one.

use std::ops::Deref;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// So many numbers there are.
const THREADS: usize = u32::BITS as usize;

/// Levels below the root.
const DEPTH: u8 = 3;

/// An `Arc` whose clones count where they are made, and which has something of its own for each thread.
pub(crate) struct Spread<T, L> {
    node: Arc<Node<T, L>>,
}

struct Node<T, L> {
    shared: Arc<Shared<T, L>>,
    /// That of the thread, at hand.
    local: Arc<Apart<L>>,
    /// The number of the thread that it is for.
    thread: usize,
    depth: u8,
    below: OnceLock<PerThread<Arc<Node<T, L>>>>,
}

struct Shared<T, L> {
    value: T,
    locals: PerThread<Arc<Apart<L>>>,
}

type PerThread<T> = Box<[OnceLock<T>; THREADS]>;

/// Shares no cache line with others. Some processors fetch them in pairs.
#[derive(Default)]
#[repr(align(128))]
struct Apart<L>(L);

impl<T, L: Default> Spread<T, L> {
    pub(crate) fn new(value: T) -> Self {
        let shared = Shared {
            value,
            locals: PerThread::default(),
        };
        Self {
            node: Node::new(Arc::new(shared), current_thread(), 0),
        }
    }

    /// What the thread has for itself that cloned this one. There is one for each number.
    #[inline]
    pub(crate) fn local(&self) -> &L {
        &self.node.local.0
    }

    /// What any thread has for itself.
    pub(crate) fn locals(&self) -> impl Iterator<Item = &L> {
        let locals = self.node.shared.locals.iter();
        locals.filter_map(|local| local.get().map(|apart| &apart.0))
    }
}

impl<T, L: Default> Node<T, L> {
    fn new(shared: Arc<Shared<T, L>>, thread: usize, depth: u8) -> Arc<Self> {
        let local = shared.locals[thread].get_or_init(Arc::default);
        Arc::new(Self {
            local: Arc::clone(local),
            shared,
            thread,
            depth,
            below: OnceLock::new(),
        })
    }

    #[inline]
    fn below(&self, thread: usize) -> &Arc<Self> {
        let below = self.below.get_or_init(PerThread::default);
        below[thread].get_or_init(|| Self::new(Arc::clone(&self.shared), thread, self.depth + 1))
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

impl<T, L> Deref for Spread<T, L> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.node.shared.value
    }
}

#[inline]
fn current_thread() -> usize {
    thread_local! {
        static NUMBER: Number = Number::take();
    }

    // None while the thread's other values are dropped.
    NUMBER.try_with(|number| number.number).unwrap_or(0)
}

/// A thread's number, given back when it is dropped.
struct Number {
    number: usize,
    is_its_own: bool,
}

/// A bit for each number that no thread has.
static FREE: AtomicU32 = AtomicU32::new(u32::MAX);

impl Number {
    fn take() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);

        let without_lowest = |free: u32| (free != 0).then(|| free & (free - 1));
        let taken = FREE.fetch_update(Ordering::Relaxed, Ordering::Relaxed, without_lowest);
        Self {
            number: match taken {
                Ok(free) => free.trailing_zeros() as usize,
                Err(_) => NEXT.fetch_add(1, Ordering::Relaxed) % THREADS,
            },
            is_its_own: taken.is_ok(),
        }
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        if self.is_its_own {
            FREE.fetch_or(1 << self.number, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
