//! How it works: the way of a request through the code, and why it can be relied on.
//!
//! # From file to file
//!
//! A request passes the files in the order in which one reads them:
//!
//! | file in `src` | what happens there |
//! |---|---|
//! | `layer.rs`, `config.rs` | the layer was told which requests get a token, and how |
//! | `service.rs` | takes a request for a service that is ready, and decides: pass it on, refuse it, send it, or wait for a token |
//! | `origin.rs`, `provider/token_request.rs` | may it carry a token, and which? |
//! | `replay/` | what is kept of it, should it have to be sent again |
//! | `cache/hit.rs`, `held.rs`, `slot.rs` | the token that is there: a *hit* |
//! | `spread.rs` | the settings, and what a thread has seen of the token, without threads in each other's way |
//! | `future/` | waits: for the response, and, if need be, for a token and for the service |
//! | `rejection/` | is the response a rejection, and does the server say that a new token would help? |
//! | `cache/acquire.rs`, `engine.rs` | no token: join a fetch, begin one, or fail |
//! | `cache/flight.rs`, `gate.rs`, `places.rs`, `turns.rs` | the fetch, and whether it may begin now |
//! | `provider/`, `oauth2/` | who is asked for the token |
//! | `token.rs` | what it becomes: a header value, made once, and a lifetime |
//!
//! # Three machines
//!
//! [A request](crate::future), [the token of a key](crate::cache#a-tokens-life) and [a
//! fetch](crate::cache#a-fetchs-life) each have states of their own, which are drawn there. This is where they touch:
//!
//! ```text
//!  ┌── a request ────────────┐          ┌── its key ─────────────┐          ┌── the fetch ──────────────┐
//!  │                         │          │                        │          │                           │
//!  │  call ── a hit? ────────┼── (1) ──▶│  fresh                 │          │                           │
//!  │   │                     │          │    │ its window begins │          │                           │
//!  │   │                     ├── (1) ──▶│  stale ────────────────┼── (2) ──▶│                  queued   │
//!  │   │                     │          │    │ its end           │          │                     │ (3) │
//!  │  Acquiring ─────────────┼── (4) ──▶│  none, expired ────────┼── (2) ──▶│                     ▼     │
//!  │   │  ▲                  │          │                        │          │                  running  │
//!  │   │  └──────────────────┼── (5) ───┼────────────────────────┼──────────┼─────────────────────┤     │
//!  │   ▼                     │          │                        │          │                     │     │
//!  │  Readying ──────────────┼── (6) ──▶│  whatever is newest    │          │                     │     │
//!  │   │                     │          │                        │          │                     │     │
//!  │   ▼                     │          │    fresh ◀─────────────┼── (8) ───┼── landed ◀──────────┤     │
//!  │  Sending ── rejected ───┼── (7) ──▶│  condemned ────────────┼── (2) ──▶│                     │     │
//!  │   │                     │          │    put back ◀──────────┼── (9) ───┼── failed: a pause ◀─┘     │
//!  │   ▼                     │          │                        │          │                           │
//!  │  done                   │          │                        │          │                           │
//!  └─────────────────────────┘          └────────────────────────┘          └───────────────────────────┘
//! ```
//!
//! 1. A token that is fresh or stale is put on the request, with its *generation* noted, and the service called at
//!    once.
//! 2. Whoever first finds a token stale, missing, expired or condemned begins a fetch; all others join that. None
//!    begins in a pause: what is still good stays in use, and who has nothing gets the last failure.
//! 3. A fetch that has to wait for its place does not begin any more once a pause has begun or the cache is closed.
//! 4. The service that was ready is given back, so that nothing is held while the request waits.
//! 5. All who wait are told the outcome, and look at what is there then.
//! 6. A token is taken only once the service is ready, so that it cannot end in between. If it has ended or was
//!    rejected meanwhile, the service is given back, and it is a wait as before; three times at most.
//! 7. The generation that was rejected is named, and the request, if it can be sent again, waits as in (4). If that
//!    one is still current, and the budget allows a fetch, it is condemned. If there is a newer one already, that is
//!    taken, without any fetch.
//! 8. The token becomes the current one, unless it is the very one that was rejected since the fetch began.
//! 9. A condemned token that still lives goes back into use. The first use after the pause tries again to replace it.
//!
//! # Identity
//!
//! A token's generation is a number of its text: another text is another number, the same text the same one, also if
//! it comes back after others (eight are remembered, by hashes that are keyed at random). So
//!
//! - a late 401 for a token that has been replaced condemns nothing;
//! - a hundred requests rejected with one token condemn it once, and cause one fetch;
//! - an issuer that returns the same token again is noticed, and the request not sent again with it.
//!
//! ```
//! use tower_bearer::TokenCache;
//! use tower_bearer::error::BoxError;
//! use tower_bearer::testing::ScriptedProvider;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let provider = ScriptedProvider::new();
//! let cache = TokenCache::new(provider.clone());
//! let rejected = cache.token().await?;
//!
//! let second = cache.replacement_for(&rejected).await?;
//! let late = cache.replacement_for(&rejected).await?;
//! assert_eq!(second, late);
//! assert_eq!(provider.fetches(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! # One fetch, and who drives it
//!
//! A fetch is one future that belongs to the key, and to none of those who wait. Where there is a tokio runtime, a
//! task drives it, one for each runtime on which somebody has joined; those who wait poll it too. So it goes on if
//! callers go, or a runtime, and without any runtime it advances while somebody waits.
//!
//! It is polled within the runtime on which it began, as long as that lives, whoever polls: its sockets and timers
//! are from there. Since anybody's task may poll it, a provider reads nothing but its arguments: no task-locals.
//!
//! A panic, of the provider's call, its future or either's destructor, is caught and is a failure. The time limit is
//! inside of the fetch, with a timer that needs no runtime.
//!
//! # Two clocks
//!
//! Freshness goes by a clock that nobody can set, and that goes on while the host sleeps where the system has such
//! (Linux's `CLOCK_BOOTTIME`). A lifetime counts from before the token was asked for. About once a second, at a use,
//! the wall clock is compared too: it can only bring a token's end forward. So neither a wrong clock, nor one that is
//! set, nor a suspended machine makes a token live longer than it was issued for.
//!
//! # What limits fetches
//!
//! | limit | of | keeps |
//! |---|---|---|
//! | one at a time | a key | callers from asking the same twice |
//! | [pauses](crate::cache#a-fetchs-life) | a cache, or a key if the failure concerns that alone | a dead issuer from being hammered |
//! | places: 16, four before the first success, one after a failure | a cache | many keys from doing so together |
//! | the [budget](crate::cache#rejections) | a key | a route that rejects everything from becoming a storm of token requests |
//!
//! # Locks
//!
//! | what | guarded by | who may wait for it |
//! |---|---|---|
//! | the current token | nothing: it is swapped as a whole | nobody |
//! | what a thread has seen of it: a copy, and a number that tells whether it is still the current one | a mutex of one of 32, by the thread's number, that is only *tried* | nobody: who finds it taken looks at the current token itself |
//! | a key's fetch, condemned token, budget and pause | a mutex of the key | misses, rejections, ends of fetches, who makes room for other keys, `close` and `reset_backoff`; a hit when it finds the token stale, is the first that succeeds with it or after a rejection, or compares the wall clock, about once a second |
//! | places and the pause of all | a mutex of the cache | misses, rejections, beginnings and ends of fetches; a hit when it finds the token stale |
//! | the keys, in parts | a lock for each that is shared by those who look | requests that name their token, while a new key comes into the same part, or old ones leave it |
//! | making room among all parts | a mutex that is only *tried* | nobody: one is enough |
//! | the future of a fetch | a mutex that is only *tried* | nobody: who finds it taken is woken when there is something to do |
//! | who waits for a fetch | a mutex | those who join, leave and wake |
//!
//! None is held across an `.await`, nor while somebody else's code runs, be it a provider, a waker, or the destructor
//! of an error. The exceptions are two of those that are only tried: around the future of a fetch, which is the
//! provider's code, and around what a thread has seen, while your recorder or subscriber is told of a use, and while an
//! `Authorization` that is replaced is dropped. Header values of a token that nobody has any more may be dropped under
//! that one or a key's.
//!
//! # How that is checked
//!
//! Beside examples for each promise, random sequences run against a model of the cache, threads under a scheduler
//! that tries one interleaving after another, and real sockets with faults of all kinds. The README of the repository
//! has the commands.
