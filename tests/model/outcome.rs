//! What a caller gets.

use http::{Response, StatusCode};
use tower_bearer::error::BoxError;
use tower_bearer::rejection::{NotRetried, NotRetriedReason};
use tower_bearer::{AccessToken, FetchError, FetchErrorKind};

use crate::spec::Kind;

/// What a caller gets.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    Response {
        status: StatusCode,
        send: usize,
        not_retried: Option<Reason>,
    },
    Token(String),
    Failed(Kind),
    Closed,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Reason {
    SameToken,
    BudgetSpent,
    NotReplayable,
    FetchFailed(Kind),
}

pub(crate) fn got(result: Result<AccessToken, FetchError>) -> Outcome {
    match result {
        Ok(token) => Outcome::Token(token.expose_secret().to_owned()),
        Err(error) => Outcome::Failed(kind(&error)),
    }
}

pub(crate) fn responded(result: Result<Response<usize>, BoxError>) -> Outcome {
    match result {
        Ok(response) => Outcome::Response {
            status: response.status(),
            send: *response.body(),
            not_retried: response
                .extensions()
                .get()
                .map(|cause: &NotRetried| reason(cause)),
        },
        Err(error) => Outcome::Failed(kind(error.downcast_ref().expect("the API never fails"))),
    }
}

fn reason(cause: &NotRetried) -> Reason {
    match cause.reason() {
        NotRetriedReason::SameToken => Reason::SameToken,
        NotRetriedReason::BudgetSpent => Reason::BudgetSpent,
        NotRetriedReason::BodyNotReplayable => Reason::NotReplayable,
        NotRetriedReason::FetchFailed(error) => Reason::FetchFailed(kind(error)),
        other => panic!("{other:?}"),
    }
}

fn kind(error: &FetchError) -> Kind {
    match error.kind() {
        FetchErrorKind::Unavailable => Kind::Unavailable,
        FetchErrorKind::Denied => Kind::Denied,
        FetchErrorKind::InvalidRequest => Kind::InvalidRequest,
        FetchErrorKind::TimedOut => Kind::TimedOut,
        FetchErrorKind::Panicked => Kind::Panicked,
        FetchErrorKind::Expired => Kind::Expired,
        FetchErrorKind::Closed => Kind::Closed,
        FetchErrorKind::Other => Kind::Other,
        other => panic!("{other:?}"),
    }
}
