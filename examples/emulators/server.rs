//! Connections to an emulator.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::net::TcpListener;

use super::{Reply, State, Vendor, Wire};

#[path = "../loopback/parts.rs"]
mod parts;

pub(super) use self::parts::{Counter, Gate};
pub use self::parts::{HttpClient, http1_client, http2_client};

pub(super) async fn serve<V: Vendor>(listener: TcpListener, state: Arc<State<V>>) {
    parts::serve(listener, move |request| {
        let state = Arc::clone(&state);
        async move { exchange(&state, request).await }
    })
    .await;
}

async fn exchange<V: Vendor>(
    state: &State<V>,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    match body.collect().await {
        Ok(body) => state.answer(Wire::new(parts, body.to_bytes())).await,
        Err(_) => Reply::text(StatusCode::BAD_REQUEST, "the body broke off"),
    }
    .into_response()
}
