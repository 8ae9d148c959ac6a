use std::error::Error;
use std::sync::Arc;

use http::{HeaderMap, Response, StatusCode};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

use crate::error::{BoxError, FetchError, FetchErrorKind, MissingTokenRequest, OriginNotAllowed};
use crate::rejection::NotRetried;

const DETAILS: &str = "grpc-status-details-bin";

/// Makes a status of an error, of a rejection that was not sent again, and of an answer of a proxy's.
pub(super) fn explain<B>(result: Result<Response<B>, BoxError>) -> Result<Response<B>, Status> {
    let response = result.map_err(into_status)?;
    let reason = response.extensions().get::<NotRetried>();
    let is_of_grpc = response.headers().contains_key("grpc-status");
    let status = match reason {
        Some(_) if is_of_grpc => of_grpc(response.headers()),
        _ if !is_of_grpc && response.status() == StatusCode::UNAUTHORIZED => {
            Some(of_proxy(response.headers()))
        }
        _ => None,
    };
    let Some(mut status) = status else {
        return Ok(response);
    };
    if let Some(reason) = reason {
        status.set_source(Arc::new(reason.clone()));
    }
    Err(status)
}

/// What `tonic` would make of it.
fn of_grpc(headers: &HeaderMap) -> Option<Status> {
    let mut metadata = MetadataMap::from_headers(headers.clone());
    // At which `tonic` would panic.
    let details = metadata.get_bin(DETAILS).map(MetadataValue::to_bytes);
    if matches!(details, Some(Err(_))) {
        metadata.remove_bin(DETAILS);
    }
    let status = Status::from_header_map(metadata.as_ref())?;
    (status.code() != Code::Ok).then_some(status)
}

/// For `tonic`, what it is depends on the body.
///
/// See <https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md>.
fn of_proxy(headers: &HeaderMap) -> Status {
    let metadata = MetadataMap::from_headers(headers.clone());
    let message = "the server answered with HTTP's status 401";
    Status::with_metadata(Code::Unauthenticated, message, metadata)
}

/// Makes a [`Status`] of an error of [`BearerAuth`], as [`GrpcAuth`] does.
///
/// Without it, `tonic` makes `UNKNOWN` of the errors of this crate, or what it can make of the error below:
/// should the token endpoint be asked by gRPC, a status of that is taken for one of the API.
///
/// | error | status | since |
/// |---|---|---|
/// | [`Unavailable`](FetchErrorKind::Unavailable) | `UNAVAILABLE` | it may get better by itself |
/// | [`TimedOut`](FetchErrorKind::TimedOut) | `UNAVAILABLE` | likewise; the limit was the fetch's, not the call's deadline |
/// | [`Expired`](FetchErrorKind::Expired) | `UNAVAILABLE` | likewise, with the next token |
/// | [`Other`](FetchErrorKind::Other) | `UNAVAILABLE` | likewise, as far as is known |
/// | [`Denied`](FetchErrorKind::Denied) | `UNAUTHENTICATED` | there are no credentials for the call until somebody does something |
/// | [`InvalidRequest`](FetchErrorKind::InvalidRequest) | `UNAUTHENTICATED` | likewise |
/// | [`Closed`](FetchErrorKind::Closed) | `CANCELLED` | this side has ended it; to repeat the call is in vain |
/// | [`Panicked`](FetchErrorKind::Panicked) | `INTERNAL` | a mistake in the program |
/// | [`OriginNotAllowed`] | `INTERNAL` | likewise |
/// | [`MissingTokenRequest`] | `INTERNAL` | likewise |
/// | any other | as by [`Status::from_error`] | it is not ours |
///
/// [gRPC's list] has failed credentials as `UNAUTHENTICATED`, and leaves codes such as
/// `FAILED_PRECONDITION` to servers; that what may get better is `UNAVAILABLE` is the custom of its
/// libraries, whose retries go by it. In none of these cases has the server done anything with the call: it was
/// not sent, or it was rejected, and no token was left for the second send.
///
/// An error of ours is found below those of layers in between. The message is our text, and the error is kept as
/// the [source](Error::source), to downcast.
///
/// ```
/// use tonic::Code;
/// use tower_bearer::FetchError;
/// use tower_bearer::tonic::into_status;
///
/// let status = into_status(FetchError::unavailable("connection refused").into());
/// assert_eq!(status.code(), Code::Unavailable);
/// assert_eq!(status.message(), "no access token: the issuer is unavailable");
///
/// let source = std::error::Error::source(&status).unwrap();
/// assert!(source.is::<FetchError>());
/// ```
///
/// [`BearerAuth`]: crate::BearerAuth
/// [`GrpcAuth`]: super::GrpcAuth
/// [gRPC's list]: https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
pub fn into_status(error: BoxError) -> Status {
    let Some((code, message)) = find(&*error) else {
        return Status::from_error(error);
    };
    let mut status = Status::new(code, message);
    status.set_source(Arc::from(error));
    status
}

/// The code and the text of the outermost error that is ours, if no status comes first.
fn find(error: &(dyn Error + 'static)) -> Option<(Code, String)> {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<Status>() {
            return None;
        }
        if let Some(code) = code(error) {
            return Some((code, error.to_string()));
        }
        next = error.source();
    }
    None
}

fn code(error: &(dyn Error + 'static)) -> Option<Code> {
    if let Some(error) = error.downcast_ref::<FetchError>() {
        return Some(match error.kind() {
            FetchErrorKind::Unavailable
            | FetchErrorKind::TimedOut
            | FetchErrorKind::Expired
            | FetchErrorKind::Other => Code::Unavailable,
            FetchErrorKind::Denied | FetchErrorKind::InvalidRequest => Code::Unauthenticated,
            FetchErrorKind::Closed => Code::Cancelled,
            FetchErrorKind::Panicked => Code::Internal,
        });
    }
    let is_mistake = error.is::<OriginNotAllowed>() || error.is::<MissingTokenRequest>();
    is_mistake.then_some(Code::Internal)
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;
    use crate::rejection::NotRetriedReason;

    #[test]
    fn every_kind_of_failure_has_its_code() {
        for (kind, code) in [
            (FetchErrorKind::Unavailable, Code::Unavailable),
            (FetchErrorKind::TimedOut, Code::Unavailable),
            (FetchErrorKind::Expired, Code::Unavailable),
            (FetchErrorKind::Other, Code::Unavailable),
            (FetchErrorKind::Denied, Code::Unauthenticated),
            (FetchErrorKind::InvalidRequest, Code::Unauthenticated),
            (FetchErrorKind::Closed, Code::Cancelled),
            (FetchErrorKind::Panicked, Code::Internal),
        ] {
            let error = FetchError::new(kind);
            let text = error.to_string();
            let status = into_status(error.into());
            assert_eq!((status.code(), status.message()), (code, &*text));
        }
        for error in [
            BoxError::from(OriginNotAllowed),
            BoxError::from(MissingTokenRequest),
        ] {
            let text = error.to_string();
            let status = into_status(error);
            assert_eq!((status.code(), status.message()), (Code::Internal, &*text));
        }
    }

    /// Of a layer in between.
    #[derive(Debug)]
    struct Wrapped(BoxError);

    impl fmt::Display for Wrapped {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a layer in between")
        }
    }

    impl Error for Wrapped {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&*self.0)
        }
    }

    #[test]
    fn an_error_is_found_below_others_and_stays_reachable() {
        let error = FetchError::denied("no account");
        let status = into_status(Wrapped(Wrapped(error.into()).into()).into());

        assert_eq!(status.code(), Code::Unauthenticated);
        assert!(
            status
                .message()
                .starts_with("no access token: the issuer refuses")
        );
        let outermost = status.source().unwrap();
        assert!(outermost.is::<Wrapped>());
        let ours = outermost.source().unwrap().source().unwrap();
        assert!(ours.is::<FetchError>());
    }

    #[test]
    fn a_status_of_the_token_endpoint_is_not_one_of_the_api() {
        let of_issuer = || FetchError::from_provider(Status::not_found("no such account").into());

        let status = into_status(of_issuer().into());
        assert_eq!(status.code(), Code::Unavailable);
        assert!(!status.message().contains("no such account"));
        // What it is without.
        assert_eq!(
            Status::from_error(of_issuer().into()).code(),
            Code::NotFound
        );
    }

    #[test]
    fn what_is_a_status_stays_as_it_is() {
        let status = into_status(Status::aborted("twice").into());
        assert_eq!((status.code(), status.message()), (Code::Aborted, "twice"));

        let mut aborted = Status::aborted("twice");
        aborted.set_source(Arc::new(FetchError::new(FetchErrorKind::Closed)));
        let status = into_status(Wrapped(aborted.into()).into());
        assert_eq!((status.code(), status.message()), (Code::Aborted, "twice"));
    }

    #[test]
    fn other_errors_are_left_to_tonic() {
        let status = into_status("broken pipe".into());
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unknown, "broken pipe")
        );
    }

    #[test]
    fn no_text_of_a_status_holds_that_of_a_providers_error() {
        let status = into_status(FetchError::unavailable("password is hunter2").into());
        assert!(!format!("{status} {status:?} {status:#?}").contains("hunter2"));
    }

    fn not_retried(response: http::response::Builder) -> Result<Response<()>, Status> {
        let reason = NotRetried::new(NotRetriedReason::SameToken);
        explain(Ok(response.extension(reason).body(()).unwrap()))
    }

    fn has_reason(status: &Status) -> bool {
        let source = status.source().unwrap();
        let reason = source.downcast_ref::<NotRetried>().unwrap().reason();
        matches!(reason, NotRetriedReason::SameToken)
    }

    #[test]
    fn a_rejection_that_was_not_sent_again_says_why() {
        let mut response = Response::builder().header("shard", "7");
        let rejection = Status::with_details(Code::Unauthenticated, "who?", (&b"abc"[..]).into());
        rejection
            .add_header(response.headers_mut().unwrap())
            .unwrap();

        let status = not_retried(response).unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unauthenticated, "who?")
        );
        assert_eq!(status.details(), b"abc");
        assert_eq!(status.metadata().get("shard").unwrap(), "7");
        assert!(has_reason(&status));
    }

    #[test]
    fn details_that_are_not_base64_are_left_out() {
        for (sent, details) in [("YQ,YQ", ""), ("?", ""), ("YQ", "a"), ("YQ==", "a")] {
            let response = Response::builder()
                .header("grpc-status", "16")
                .header("grpc-message", "who?")
                .header("grpc-status-details-bin", sent);
            let status = not_retried(response).unwrap_err();
            assert_eq!(
                (status.code(), status.message()),
                (Code::Unauthenticated, "who?")
            );
            assert_eq!(status.details(), details.as_bytes(), "{sent}");
            assert!(!status.metadata().contains_key("grpc-status-details-bin"));
            assert!(has_reason(&status));
        }
    }

    #[test]
    fn so_does_a_401_of_a_proxy() {
        let response = Response::builder().status(401).header("via", "1.1 gate");
        let status = not_retried(response).unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
        assert_eq!(status.metadata().get("via").unwrap(), "1.1 gate");
        assert!(has_reason(&status));
    }

    #[test]
    fn a_401_of_a_proxy_is_unauthenticated_whether_or_not_there_is_a_reason() {
        let challenge = "Bearer error=\"insufficient_scope\"";
        let response = Response::builder().status(401);
        let response = response.header("www-authenticate", challenge);
        let status = explain(Ok(response.body(()).unwrap())).unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
        assert_eq!(
            status.metadata().get("www-authenticate").unwrap(),
            challenge
        );
        assert!(status.source().is_none());
    }

    #[test]
    fn what_tonic_understands_stays_a_response() {
        for response in [
            Response::builder().status(419),
            Response::builder().header("grpc-status", "0"),
            Response::builder().status(401).header("grpc-status", "0"),
        ] {
            assert!(not_retried(response).is_ok());
        }
        for response in [
            Response::builder().header("grpc-status", "16"),
            Response::builder().status(401).header("grpc-status", "16"),
            Response::builder().status(403),
        ] {
            assert!(explain(Ok(response.body(()).unwrap())).is_ok());
        }
    }
}
