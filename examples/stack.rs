//! A client as services have it: traces, redirects, tokens, a time limit, a limit of requests in flight and
//! compression, each in its place, over HTTP/2.
//!
//! ```console
//! $ cargo run --example stack --features tracing
//! ```

mod loopback;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
use http::header::{AUTHORIZATION, CONTENT_ENCODING};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_bearer::BearerAuthLayer;
use tower_bearer::error::BoxError;
use tower_bearer::oauth2::ClientCredentials;
use tower_http::decompression::DecompressionLayer;
use tower_http::follow_redirect::FollowRedirectLayer;
use tower_http::trace::TraceLayer;
use tracing::Span;

use self::loopback::{Api, CLIENT_ID, CLIENT_SECRET, Issuer, http2_client};

const AT_ONCE: usize = 50;
const APP: HeaderName = HeaderName::from_static("x-app");

/// `the file`, by gzip.
const COMPRESSED: &[u8] =
    b"\x1f\x8b\x08\0\0\0\0\0\x02\x03+\xc9HUH\xcb\xccI\x05\0`\x1aB\xc1\x08\0\0\0";

type Count = Arc<AtomicUsize>;

/// The client. Here the traces only count: what the caller asked for, and what was sent for it.
fn client(
    issuer: &Issuer,
    api: &Api,
    asked: &Count,
    sent: &Count,
) -> Result<
    impl Service<
        Request<Full<Bytes>>,
        Response = Response<impl Body<Error: Into<BoxError>>>,
        Error = BoxError,
    > + Clone,
    BoxError,
> {
    let http = http2_client();
    let provider =
        ClientCredentials::builder(issuer.url(), CLIENT_ID, CLIENT_SECRET).build(http.clone())?;
    let auth = BearerAuthLayer::for_origin(provider, api.origin())?
        .with_header(APP, HeaderValue::from_static("stack"));
    let counting = |count: &Count| {
        let count = Arc::clone(count);
        move |_: &Request<Full<Bytes>>, _: &Span| {
            count.fetch_add(1, Relaxed);
        }
    };

    Ok(ServiceBuilder::new()
        // One request of the caller's is one here. It has no token yet.
        .layer(TraceLayer::new_for_http().on_request(counting(asked)))
        // Each hop is a request of its own to the layer below: another host gets no token.
        .layer(FollowRedirectLayer::new())
        .layer(auth)
        // Each send by itself, with a token that is marked as sensitive.
        .layer(TraceLayer::new_for_http().on_request(counting(sent)))
        // For each send. How long a token may take is the cache's to say.
        .timeout(Duration::from_secs(30))
        // A request that waits for a token takes up no place.
        .layer(GlobalConcurrencyLimitLayer::new(8))
        .layer(DecompressionLayer::new())
        .service(http))
}

/// Another host, which has a file and wants no token. Counts what it got that it should not have.
async fn file_server(leaks: &Count) -> String {
    let leaks = Arc::clone(leaks);
    let address = loopback::start(move |request: Request<Incoming>| {
        let leaked = [AUTHORIZATION, APP]
            .iter()
            .filter(|name| request.headers().contains_key(*name))
            .count();
        leaks.fetch_add(leaked, Relaxed);
        async {
            let mut response = Response::new(Full::from(COMPRESSED));
            let gzip = HeaderValue::from_static("gzip");
            response.headers_mut().insert(CONTENT_ENCODING, gzip);
            response
        }
    })
    .await;
    format!("http://{address}/file")
}

async fn text<B>(response: Response<B>) -> Result<String, BoxError>
where
    B: Body<Error: Into<BoxError>>,
{
    let body = response.into_body().collect().await.map_err(Into::into)?;
    Ok(String::from_utf8(body.to_bytes().into())?)
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, is: T, should: T) -> Result<(), BoxError> {
    if is == should {
        return Ok(());
    }
    Err(format!("{what}: {is:?} rather than {should:?}").into())
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let issuer = Issuer::start().await;
    let api = Api::start(&issuer).await;
    let (asked, sent, leaks) = (Count::default(), Count::default(), Count::default());
    let client = client(&issuer, &api, &asked, &sent)?;

    println!("1. A request.");
    let post = |text: &str| {
        let body = Full::from(text.to_owned());
        Request::post(api.origin()).body(body)
    };
    let response = client.clone().oneshot(post("hello")?).await?;
    expect("version", response.version(), Version::HTTP_2)?;
    expect("answer", text(response).await?.as_str(), "hello")?;
    expect("token requests", issuer.requests(), 1)?;

    println!("2. The token is revoked, and {AT_ONCE} requests find out.");
    issuer.revoke_all();
    let answers = (0..AT_ONCE).map(|number| {
        let (request, client) = (post(&format!("number {number}")), client.clone());
        async move {
            let response = client.oneshot(request?).await?;
            expect("status", response.status(), StatusCode::OK)?;
            expect("answer", text(response).await?, format!("number {number}"))
        }
    });
    try_join_all(answers).await?;
    let rejected = api.rejected();
    println!("   {rejected} were rejected and sent again, after one token request.");
    expect("token requests", issuer.requests(), 2)?;
    expect("accepted", api.accepted(), 1 + AT_ONCE)?;
    expect("asked for", asked.load(Relaxed), 1 + AT_ONCE)?;
    expect("sent", sent.load(Relaxed), 1 + AT_ONCE + rejected)?;

    println!("3. The API redirects to another host, which gets no token.");
    api.move_to(&file_server(&leaks).await);
    let request = Request::get(format!("{}/moved", api.origin())).body(Full::default())?;
    let response = client.oneshot(request).await?;
    expect("file", text(response).await?.as_str(), "the file")?;
    expect("leaks", leaks.load(Relaxed), 0)?;
    expect("asked for", asked.load(Relaxed), 2 + AT_ONCE)?;
    expect("sent", sent.load(Relaxed), 3 + AT_ONCE + rejected)?;
    expect("token requests", issuer.requests(), 2)?;

    println!("ok");
    Ok(())
}
