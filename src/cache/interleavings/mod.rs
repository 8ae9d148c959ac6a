//! What threads do to a cache at once, one interleaving after another.
//!
//! ```text
//! RUSTFLAGS='--cfg shuttle' cargo test --release --lib --all-features interleavings
//! ```
//!
//! Needs a target directory of its own, else everything is built anew each time. `INTERLEAVINGS` says how
//! many schedules each scheduler tries per scenario; they are the same each time unless
//! `SHUTTLE_RANDOM_SEED` is set. Each scenario tells how many it was.
//!
//! A scenario fails by its assertions, and if nobody can go on: who waits for ever is a deadlock to the
//! scheduler, which knows of no timers. No time passes but by hand, so that no time limit comes to the
//! rescue. A failure prints its schedule; [`replay`] repeats it.
//!
//! What this does not see: the effects of weaker memory orderings, since here all are the strongest, and
//! what happens within one operation of `arc_swap`, of tokio's `Notify` or of the clock.

mod callers;
mod ends;
mod failures;
mod gate;
mod queue;
mod rejections;
mod seen;
mod stale;
mod support;
