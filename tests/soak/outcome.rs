//! What a request came to.

use std::time::Instant;

use tower_bearer::FetchErrorKind;

/// Why a request failed.
pub(crate) enum Failure {
    /// No token could be fetched.
    NoToken(FetchErrorKind),
    /// The connection to the API.
    Connection,
    /// Two tokens in a row were rejected.
    Twice,
    /// Rejections have caused too many fetches of late.
    BudgetSpent,
    Other(String),
}

/// A request of which the outcome is known.
pub(crate) struct Done {
    pub(crate) number: u64,
    pub(crate) key: String,
    pub(crate) began: Instant,
    pub(crate) waited: bool,
    pub(crate) sends: usize,
    pub(crate) failure: Option<Failure>,
}
