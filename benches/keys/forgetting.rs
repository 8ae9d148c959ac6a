//! What becomes of keys when there are too many.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use tower_bearer::error::BoxError;
use tower_bearer::testing::ManualClock;
use tower_bearer::{AccessToken, FetchContext, TokenCache, TokenProvider};

use crate::memory::held;
use crate::{Client, Issuer, TOKEN_LENGTH, fetch, key, request, send};

/// Keys that are looked up again and again, by requests that are built in portions.
const HOT: usize = 4096;

/// Lookups one by one, while another thread asks for keys that were never seen, so that others are
/// forgotten: of the same cache, or, to see what the machine adds, of another.
///
/// Who has to wait looks up nothing else meanwhile, so that a long wait is one lookup of very many, and a
/// percentile near 100 would not see it. The longest does.
pub(crate) fn report_longest_lookup(client: &Client, time: Duration) {
    let keys = client.keys.len();
    let another = Issuer::default().cache(keys.min(10_000)).build();

    println!("## The longest lookup while keys are forgotten\n");
    println!("{keys} keys; one thread looks up, another asks for keys that are new.\n");
    println!("| new keys in | new keys | lookups | p50 (us) | max (us) |");
    println!("|---|--:|--:|--:|--:|");
    for (name, cache) in [
        ("another cache", &another),
        ("the same cache", &client.cache),
    ] {
        let (mut times, new) = watch_lookups(client, cache, time / 2);
        times.sort();
        let micros = |place: usize| times[place].as_secs_f64() * 1e6;
        let lookups = times.len();
        let (median, longest) = (micros(lookups / 2), micros(lookups - 1));
        println!("| {name} | {new} | {lookups} | {median:.2} | {longest:.0} |");
    }
    println!();
}

fn watch_lookups(
    client: &Client,
    cache: &TokenCache<Issuer>,
    time: Duration,
) -> (Vec<Duration>, usize) {
    // Numbers that no other watch has used.
    static NEXT: AtomicUsize = AtomicUsize::new(10_000_000);
    let is_over = AtomicBool::new(false);
    let mut service = client.service.clone();
    let hot = &client.keys[..(client.keys.len() / 8 + 1).min(HOT)];
    let mut times = Vec::new();
    let new = thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut new = 0;
            while !is_over.load(Ordering::Relaxed) {
                drop(cache.for_request(&key(NEXT.fetch_add(1, Ordering::Relaxed))));
                new += 1;
            }
            new
        });
        let start = Instant::now();
        while start.elapsed() < time {
            for request in hot.iter().map(request).collect::<Vec<_>>() {
                let start = Instant::now();
                send(&mut service, request);
                times.push(start.elapsed());
            }
        }
        is_over.store(true, Ordering::Relaxed);
        asking.join().expect("no panic")
    });
    (times, new)
}

/// With more it takes too long.
const BOUND_UP_TO: usize = 100_000;

/// Asks for twice as many keys as are allowed.
pub(crate) fn report_bound(sizes: &[usize]) {
    println!("## The number of keys is bounded\n");
    println!("| keys allowed | keys asked for | tokens kept | most tokens at once | held (MB) |");
    println!("|--:|--:|--:|--:|--:|");
    for size in sizes.iter().map(|&size| size.min(BOUND_UP_TO)) {
        let issuer = CountingIssuer::default();
        let cache = TokenCache::builder(issuer.clone())
            .with_max_keys(size)
            .with_clock(ManualClock::new())
            .build();
        let mut bytes = 0;
        for numbers in [0..size, size..2 * size] {
            let asked = numbers.end;
            let (more, ()) = held(|| numbers.for_each(|number| fetch(&cache, &key(number))));
            bytes += more;
            let (kept, most) = issuer.tokens.counts();
            let megabytes = bytes as f64 / 1e6;
            println!("| {size} | {asked} | {kept} | {most} | {megabytes:.3} |");
            assert!(most <= size, "{most} tokens of {size} keys");
        }
    }
    println!();
}

/// A quarter of the keys is used again, and those must stay.
pub(crate) fn report_who_goes_first() {
    const KEYS: usize = 10_000;
    let (issuer, clock) = (Issuer::default(), ManualClock::new());
    let cache = issuer.cache(KEYS).with_clock(clock.clone()).build();
    let used = || (0..KEYS).step_by(4);

    (0..KEYS).for_each(|number| fetch(&cache, &key(number)));
    clock.advance(Duration::from_secs(10));
    used().for_each(|number| fetch(&cache, &key(number)));
    assert_eq!(issuer.calls(), KEYS);

    clock.advance(Duration::from_secs(10));
    let added = KEYS..KEYS + KEYS / 4;
    for number in added.clone() {
        match number % 4 {
            0 => drop(cache.for_request(&key(number))),
            _ => fetch(&cache, &key(number)),
        }
    }
    let calls = issuer.calls();
    used().for_each(|number| fetch(&cache, &key(number)));
    let forgotten = issuer.calls() - calls;

    println!("## Who goes first\n");
    println!("| keys allowed | of them used again | keys added | forgotten of those used again |");
    println!("|--:|--:|--:|--:|");
    let (used, added) = (used().count(), added.len());
    println!("| {KEYS} | {used} | {added}, a quarter without a token | {forgotten} |\n");
    assert_eq!(forgotten, 0);
}

/// Issues tokens that are counted as long as they exist.
#[derive(Clone, Default)]
struct CountingIssuer {
    tokens: Arc<Tokens>,
}

#[derive(Default)]
struct Tokens {
    number: AtomicUsize,
    most: AtomicUsize,
}

impl Tokens {
    /// How many there are, and how many there were at most.
    fn counts(&self) -> (usize, usize) {
        let load = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        (load(&self.number), load(&self.most))
    }
}

impl TokenProvider for CountingIssuer {
    async fn fetch_token(&self, _: FetchContext) -> Result<AccessToken, BoxError> {
        let number = self.tokens.number.fetch_add(1, Ordering::Relaxed) + 1;
        self.tokens.most.fetch_max(number, Ordering::Relaxed);
        let counted = Bytes::from_owner(Counted(Arc::clone(&self.tokens)));
        let counted = HeaderValue::from_maybe_shared(counted)?;
        let token = AccessToken::new(&format!("{number:0TOKEN_LENGTH$}"))?;
        Ok(token
            .with_expires_in(Duration::from_secs(24 * 3600))
            .with_header(HeaderName::from_static("x-counted"), counted))
    }
}

/// Goes with a token.
struct Counted(Arc<Tokens>);

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        b"counted"
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.number.fetch_sub(1, Ordering::Relaxed);
    }
}
