//! What is told to the operator: events, spans and metrics.
//!
//! Labels and fields come from the closed sets below: no scope, tenant, URL or key is among them, and no
//! text of a server or a caller. Times are in seconds.
//!
//! # Events and spans (feature `tracing`)
//!
//! | what | level | fields |
//! |---|---|---|
//! | span `fetch_token`, around a call of the provider | info | `reason` |
//! | access token fetched | debug | `reason`, `outcome`, `duration` |
//! | fetching an access token failed | warn | `reason`, `outcome`, `duration` |
//! | access token not fetched | debug | `cause` |
//! | access token rejected and replaced | debug | |
//! | access token rejected and so was its replacement | warn | |
//! | access token rejected and sending the request again failed | warn | |
//! | access token rejected and request not sent again | warn | `reason`: a `rejections_total` outcome |
//! | request to an origin that is not allowed was sent without an access token | warn | |
//! | token file not read again, its last token is used | warn | |
//! | new refresh token not saved, it is in memory only | warn | |
//! | authorization server metadata not read again, the last is used | warn | `outcome` |
//! | access token used | trace | `age`, `remaining`, `stale` |
//!
//! # Metrics (feature `metrics`)
//!
//! All names begin with `tower_bearer_`. They go to the recorder of the [`metrics`] facade, with which
#![cfg_attr(
    feature = "metrics",
    doc = "[`describe_metrics`] registers their descriptions."
)]
#![cfg_attr(
    not(feature = "metrics"),
    doc = "`describe_metrics` registers their descriptions."
)]
//!
//! | name | kind | labels |
//! |---|---|---|
//! | `fetches_total` | counter | `reason`, `outcome` |
//! | `fetch_duration_seconds` | histogram: from the call of the provider to its end | `outcome` |
//! | `fetches_suppressed_total` | counter: a fetch was wanted and did not begin | `cause` |
//! | `waiters` | gauge: callers that wait for a fetch | |
//! | `token_age_seconds` | histogram, at use: since the token was asked for | |
//! | `token_remaining_seconds` | histogram, at use: until its end, unless it has none | |
//! | `stale_serves_total` | counter: a token was used that is due to be replaced | |
//! | `rejections_total` | counter: requests whose first token was rejected | `outcome` |
//! | `other_origin_total` | counter: requests passed on without a token | |
//! | `refresh_tokens_not_saved_total` | counter: a new refresh token could not be saved | |
//! | `metadata_failures_total` | counter: metadata could not be read again | `outcome` |
//!
//! # Values
//!
//! - `reason` of a fetch: `missing`, `stale`, `expired`, `rejected`, or `requested` by the handle.
//! - `outcome` of a fetch: `ok`, `superseded` (it brought the token that was rejected meanwhile), or the
//!   [kind](crate::FetchErrorKind) of its failure: `unavailable`, `denied`, `invalid_request`,
//!   `timed_out`, `panicked`, `expired`, `closed`, `other`.
//! - `outcome` of metadata not read again: the same kinds, of which it can be `unavailable`, `denied` and
//!   `panicked`.
//! - `cause` of no fetch: `pause` after a failure, `budget` of rejections, `closed`.
//! - `outcome` of a rejection: `healed` by the retry, `rejected_again`, `failed` (the retry got no
//!   response, or was redirected to another server below the layer and rejected there), or it was
//!   [not retried](crate::rejection::NotRetried): `body_not_replayable`, `same_token`, `fetch_failed`,
//!   `budget_spent`. One whose caller goes away first is not counted.
//!
//! # Cost
//!
//! Without the features, none. With `metrics`, every use of a token records its age and remaining life;
//! with `tracing`, it is looked up whether anybody wants events of the level trace.
//!
//! # Example
//!
//! What alerts are for: a fetch fails and keeps failing (`fetches_total` by `outcome`), or a route rejects
//! whatever it is sent (`rejections_total{outcome="rejected_again"}`, `outcome="budget_spent"`).
//!
//! ```
//! # #[cfg(feature = "metrics")]
//! tower_bearer::telemetry::describe_metrics();
//! ```
#![cfg_attr(
    not(feature = "metrics"),
    doc = "\n[`metrics`]: https://docs.rs/metrics"
)]

use std::future::Future;
use std::time::Duration;

use crate::error::{FetchError, FetchErrorKind};
use crate::rejection::NotRetriedReason;

/// Whether the uses of tokens are told to anybody.
pub(crate) const IS_ON: bool = cfg!(any(feature = "metrics", feature = "tracing"));

/// Why a fetch takes place.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reason {
    Missing,
    Stale,
    Expired,
    Rejected,
    Requested,
}

/// What has become of a rejected request.
#[derive(Clone, Copy)]
pub(crate) enum Rejection<'a> {
    Healed,
    RejectedAgain,
    Failed,
    NotRetried(&'a NotRetriedReason),
}

/// A token at its use.
#[cfg_attr(not(any(feature = "metrics", feature = "tracing")), allow(dead_code))]
pub(crate) struct Used {
    pub(crate) age: Duration,
    /// `None` if it has no end.
    pub(crate) remaining: Option<Duration>,
    pub(crate) is_stale: bool,
}

/// Runs a provider's future within a span.
pub(crate) async fn within_span<F: Future>(reason: Reason, fetch: F) -> F::Output {
    #[cfg(feature = "tracing")]
    let fetch = {
        // Not of the request that happens to need it first: others wait for it too.
        let span = tracing::info_span!(parent: None, "fetch_token", reason = reason.label());
        tracing::Instrument::instrument(fetch, span)
    };
    #[cfg(not(feature = "tracing"))]
    let _ = reason;
    fetch.await
}

/// A fetch has come to its end.
pub(crate) fn fetched(reason: Reason, outcome: Result<&'static str, &FetchError>, took: Duration) {
    let (reason, is_ok) = (reason.label(), outcome.is_ok());
    let outcome = outcome.unwrap_or_else(|error| label_of(error.kind()));
    let duration = took.as_secs_f64();
    #[cfg(feature = "tracing")]
    if is_ok {
        tracing::debug!(reason, outcome, duration, "access token fetched");
    } else {
        tracing::warn!(reason, outcome, duration, "fetching an access token failed");
    }
    #[cfg(feature = "metrics")]
    {
        metrics::counter!("tower_bearer_fetches_total", "reason" => reason, "outcome" => outcome)
            .increment(1);
        metrics::histogram!("tower_bearer_fetch_duration_seconds", "outcome" => outcome)
            .record(duration);
    }
    let _ = (reason, outcome, duration, is_ok);
}

/// A fetch was wanted, and did not begin because of an earlier failure.
pub(crate) fn suppressed_by(error: &FetchError) {
    suppressed(match error.kind() {
        FetchErrorKind::Closed => "closed",
        _ => "pause",
    });
}

/// A fetch was wanted, and rejections have caused too many.
pub(crate) fn suppressed_by_budget() {
    suppressed("budget");
}

fn suppressed(cause: &'static str) {
    #[cfg(feature = "tracing")]
    tracing::debug!(cause, "access token not fetched");
    #[cfg(feature = "metrics")]
    metrics::counter!("tower_bearer_fetches_suppressed_total", "cause" => cause).increment(1);
    let _ = cause;
}

/// The metadata of an issuer is too old and could not be read again.
#[cfg_attr(not(feature = "oauth2"), allow(dead_code))]
pub(crate) fn metadata_not_read_again(why: FetchErrorKind) {
    let outcome = label_of(why);
    #[cfg(feature = "tracing")]
    tracing::warn!(
        outcome,
        "authorization server metadata not read again, the last is used"
    );
    #[cfg(feature = "metrics")]
    metrics::counter!("tower_bearer_metadata_failures_total", "outcome" => outcome).increment(1);
    let _ = outcome;
}

/// The last token that was in a file stands in for one that cannot be read now.
pub(crate) fn file_token_not_read_again() {
    #[cfg(feature = "tracing")]
    tracing::warn!("token file not read again, its last token is used");
}

/// A refresh token that replaces another is lost with the process, unless saving it succeeds later.
#[cfg_attr(not(feature = "oauth2"), allow(dead_code))]
pub(crate) fn refresh_token_not_saved() {
    #[cfg(feature = "tracing")]
    tracing::warn!("new refresh token not saved, it is in memory only");
    #[cfg(feature = "metrics")]
    metrics::counter!("tower_bearer_refresh_tokens_not_saved_total").increment(1);
}

/// A token goes onto a request, or to a caller.
#[inline]
pub(crate) fn used(used: impl FnOnce() -> Used) {
    #[cfg(feature = "metrics")]
    {
        let used = used();
        metrics::histogram!("tower_bearer_token_age_seconds").record(used.age);
        if let Some(remaining) = used.remaining {
            metrics::histogram!("tower_bearer_token_remaining_seconds").record(remaining);
        }
        if used.is_stale {
            metrics::counter!("tower_bearer_stale_serves_total").increment(1);
        }
        trace_used(|| used);
    }
    #[cfg(not(feature = "metrics"))]
    trace_used(used);
}

#[inline]
fn trace_used(used: impl FnOnce() -> Used) {
    #[cfg(feature = "tracing")]
    if tracing::enabled!(tracing::Level::TRACE) {
        let used = used();
        tracing::trace!(
            age = used.age.as_secs_f64(),
            remaining = used.remaining.map(|left| left.as_secs_f64()),
            stale = used.is_stale,
            "access token used"
        );
    }
    #[cfg(not(feature = "tracing"))]
    let _ = used;
}

/// A request was rejected, and this is what became of it.
pub(crate) fn rejected(rejection: Rejection<'_>) {
    let outcome = rejection.label();
    #[cfg(feature = "tracing")]
    match rejection {
        Rejection::Healed => tracing::debug!("access token rejected and replaced"),
        Rejection::RejectedAgain => {
            tracing::warn!("access token rejected and so was its replacement");
        }
        Rejection::Failed => {
            tracing::warn!("access token rejected and sending the request again failed");
        }
        Rejection::NotRetried(_) => {
            let reason = outcome;
            tracing::warn!(reason, "access token rejected and request not sent again");
        }
    }
    #[cfg(feature = "metrics")]
    metrics::counter!("tower_bearer_rejections_total", "outcome" => outcome).increment(1);
    let _ = outcome;
}

/// A request was passed on without a token, since its origin is not named.
pub(crate) fn other_origin() {
    #[cfg(feature = "tracing")]
    tracing::warn!("request to an origin that is not allowed was sent without an access token");
    #[cfg(feature = "metrics")]
    metrics::counter!("tower_bearer_other_origin_total").increment(1);
}

/// A caller that waits for a fetch, until it is dropped.
pub(crate) struct Waiter(());

impl Waiter {
    pub(crate) fn new() -> Self {
        #[cfg(feature = "metrics")]
        metrics::gauge!("tower_bearer_waiters").increment(1.0);
        Self(())
    }
}

#[cfg(feature = "metrics")]
impl Drop for Waiter {
    fn drop(&mut self) {
        // Where this is dropped because of a panic, another one, of the recorder, would end the process.
        let decrement = || metrics::gauge!("tower_bearer_waiters").decrement(1.0);
        if let Err(payload) = std::panic::catch_unwind(decrement) {
            crate::error::discard(payload);
        }
    }
}

impl Reason {
    fn label(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Stale => "stale",
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::Requested => "requested",
        }
    }
}

impl Rejection<'_> {
    fn label(self) -> &'static str {
        match self {
            Self::Healed => "healed",
            Self::RejectedAgain => "rejected_again",
            Self::Failed => "failed",
            Self::NotRetried(NotRetriedReason::BodyNotReplayable) => "body_not_replayable",
            Self::NotRetried(NotRetriedReason::SameToken) => "same_token",
            Self::NotRetried(NotRetriedReason::FetchFailed(_)) => "fetch_failed",
            Self::NotRetried(NotRetriedReason::BudgetSpent) => "budget_spent",
        }
    }
}

fn label_of(kind: FetchErrorKind) -> &'static str {
    match kind {
        FetchErrorKind::Unavailable => "unavailable",
        FetchErrorKind::Denied => "denied",
        FetchErrorKind::InvalidRequest => "invalid_request",
        FetchErrorKind::TimedOut => "timed_out",
        FetchErrorKind::Panicked => "panicked",
        FetchErrorKind::Expired => "expired",
        FetchErrorKind::Closed => "closed",
        FetchErrorKind::Other => "other",
    }
}

/// Registers the descriptions and units of all [metrics](self#metrics-feature-metrics) with the recorder
/// that is installed.
#[cfg(feature = "metrics")]
pub fn describe_metrics() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

    describe_counter!(
        "tower_bearer_fetches_total",
        Unit::Count,
        "Access token fetches, by why and how they ended"
    );
    describe_histogram!(
        "tower_bearer_fetch_duration_seconds",
        Unit::Seconds,
        "How long access token fetches took"
    );
    describe_counter!(
        "tower_bearer_fetches_suppressed_total",
        Unit::Count,
        "Times when a fetch was wanted and did not begin"
    );
    describe_gauge!(
        "tower_bearer_waiters",
        Unit::Count,
        "Callers that wait for an access token"
    );
    describe_histogram!(
        "tower_bearer_token_age_seconds",
        Unit::Seconds,
        "Age of access tokens at use"
    );
    describe_histogram!(
        "tower_bearer_token_remaining_seconds",
        Unit::Seconds,
        "Remaining life of access tokens at use"
    );
    describe_counter!(
        "tower_bearer_stale_serves_total",
        Unit::Count,
        "Uses of access tokens that are due to be replaced"
    );
    describe_counter!(
        "tower_bearer_rejections_total",
        Unit::Count,
        "Requests whose access token was rejected, by what became of them"
    );
    describe_counter!(
        "tower_bearer_other_origin_total",
        Unit::Count,
        "Requests that were passed on without an access token because of their origin"
    );
    describe_counter!(
        "tower_bearer_refresh_tokens_not_saved_total",
        Unit::Count,
        "Times when a new refresh token could not be saved"
    );
    describe_counter!(
        "tower_bearer_metadata_failures_total",
        Unit::Count,
        "Times when authorization server metadata could not be read again, by why"
    );
}
