//! What the layer allocates for a request whose token is at hand: nothing, or what a copy of the request takes.
//!
//! By an allocator that counts for each thread by itself. What is counted is what comes on top of the same
//! request through the inner service alone, the building of the request included.

#[path = "../../benches/contenders/mod.rs"]
mod contenders;
mod hits;
mod own;
mod replays;
mod stale;
mod support;
mod threads;
