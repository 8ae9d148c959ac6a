//! What the examples do the same way: send, compare, tell, and end.

use std::process::ExitCode;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Service, ServiceExt};
use tower_bearer::error::BoxError;

use super::{Emulator, Vendor};

/// Ends with `ok`, or says what differed and exits with 1.
pub fn conclude(story: Result<(), BoxError>) -> ExitCode {
    match story {
        Ok(()) => {
            println!("ok");
            ExitCode::SUCCESS
        }
        Err(difference) => {
            println!("not as it should be: {difference}");
            ExitCode::FAILURE
        }
    }
}

/// Sends a request and expects its response to have this status.
pub async fn expect_status<S, B>(
    client: &S,
    request: Request<Full<Bytes>>,
    expected: StatusCode,
) -> Result<(), BoxError>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = BoxError> + Clone,
{
    let name = format!("{} {}", request.method(), request.uri().path());
    let status = client.clone().oneshot(request).await?.status();
    if status != expected {
        return Err(format!("{name} got {status}, expected {expected}").into());
    }
    Ok(())
}

/// Tells what the vendor saw, and expects this many token requests, and this many calls that were
/// accepted and rejected.
pub fn expect_seen<V: Vendor>(
    vendor: &Emulator<V>,
    expected: (usize, usize, usize),
) -> Result<(), BoxError> {
    let (asked, accepted, rejected) = (
        vendor.token_requests(),
        vendor.accepted(),
        vendor.rejected(),
    );
    println!("   token requests: {asked}; calls: {accepted} accepted, {rejected} rejected\n");
    if (asked, accepted, rejected) != expected {
        return Err(format!("expected {expected:?}").into());
    }
    Ok(())
}
