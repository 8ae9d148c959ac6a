//! What a key weighs, by a counting allocator: what was asked for, without what the allocator itself adds.

use std::hint::black_box;

use tower_bearer::testing::ManualClock;
use tower_bearer::{TokenCache, TokenRequest};

use crate::{Issuer, TOKEN_LENGTH, fetch, key};

/// So often the token of each key is replaced by another.
const REFRESHES: usize = 10;

/// Above it that takes too long.
const REFRESHED_UP_TO: usize = 10_000;

pub(crate) fn report(sizes: &[usize]) {
    println!("## Memory per key\n");
    println!(
        "| keys | empty cache (B) | key (B) | token (B) | beside them (B) | beside them, after {REFRESHES} refreshes (B) |"
    );
    println!("|--:|--:|--:|--:|--:|--:|");
    for &size in sizes {
        weigh(size);
    }
    println!();
}

fn weigh(size: usize) {
    let issuer = Issuer::default();
    // By the system's clock each fetch has a timer, which another thread drops.
    let cache = issuer.cache(size).with_clock(ManualClock::new());
    let (empty, cache) = held(|| cache.build());
    let mut keys = Vec::with_capacity(size);
    let (of_keys, ()) = held(|| keys.extend((0..size).map(key)));
    let (of_cache, ()) = held(|| keys.iter().for_each(|key| fetch(&cache, key)));
    assert_eq!(issuer.calls(), size);

    let each = |bytes: i64| bytes as f64 / size as f64;
    let beside = each(of_cache) - TOKEN_LENGTH as f64;
    let refreshed = match size <= REFRESHED_UP_TO {
        true => {
            let (more, ()) = held(|| refresh(&cache, &keys));
            format!("{:.0}", beside + each(more))
        }
        false => String::new(),
    };
    println!(
        "| {size} | {empty} | {:.0} | {TOKEN_LENGTH} | {beside:.0} | {refreshed} |",
        each(of_keys)
    );
}

fn refresh(cache: &TokenCache<Issuer>, keys: &[TokenRequest]) {
    for _ in 0..REFRESHES {
        for key in keys {
            let token = futures_executor::block_on(cache.for_request(key).refresh());
            token.expect("a token");
        }
    }
}

/// What `make` makes, and how many bytes more are held after it than before.
pub(crate) fn held<T>(make: impl FnOnce() -> T) -> (i64, T) {
    let mut made = None;
    let info = allocation_counter::measure(|| made = Some(make()));
    (info.bytes_current, black_box(made).expect("it was called"))
}
