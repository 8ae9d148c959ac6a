//! Mangopay blocks an account that asks for tokens too often: an hour of trouble each, in simulated time,
//! and how often our client asks.

#[path = "../examples/emulators/mod.rs"]
mod emulators;
mod vendor_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use tower::util::BoxCloneService;
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_bearer::oauth2::{ClientAuth, ClientCredentials};
use tower_bearer::{BearerAuth, BearerAuthLayer, TokenCache};

use self::emulators::mangopay::{API_KEY, BLOCK_LIMIT, CLIENT_ID, Mangopay, SANDBOX_LIFETIME};
use self::emulators::{Emulator, HttpClient, http1_client, http2_client};
use self::vendor_support::{Body, Time};

const HOUR: Duration = Duration::from_secs(3600);

/// After failures that may pass by themselves.
const MAX_PAUSE: Duration = Duration::from_secs(180);

type Network = BoxCloneService<Request<Body>, Response<Incoming>, BoxError>;

/// An account in the sandbox, whose tokens live for 20 minutes, and the network on the way to it.
struct Hour {
    vendor: Emulator<Mangopay>,
    time: Time,
    client: BearerAuth<HttpClient, ClientCredentials<Network>>,
    network: Arc<AtomicU8>,
}

impl Hour {
    async fn new() -> Self {
        let time = Time::default();
        let vendor = Emulator::start_with_clock(Mangopay::default(), time.of_vendor()).await;
        vendor.set_lifetime(SANDBOX_LIFETIME);
        let state = Arc::new(AtomicU8::new(WHOLE));
        let provider = ClientCredentials::builder(vendor.token_url(), CLIENT_ID, API_KEY)
            .with_client_auth(ClientAuth::BasicRaw)
            .build(network(Arc::clone(&state)))
            .unwrap();
        let cache = TokenCache::builder(provider)
            .with_clock(time.of_cache())
            .build();
        let layer = BearerAuthLayer::for_origin(cache, vendor.origin()).unwrap();
        Self {
            client: layer.layer(http2_client()),
            vendor,
            time,
            network: state,
        }
    }

    async fn call(&self, resource: &str) -> Result<StatusCode, BoxError> {
        let uri = self.vendor.url(&format!("/v2.01/{CLIENT_ID}/{resource}"));
        let request = Request::get(uri).body(Body::default())?;
        Ok(self.client.clone().oneshot(request).await?.status())
    }

    /// Makes a call to each of `resources` every second.
    async fn passes(&self, resources: &[&str], check: impl Fn(&str, Result<StatusCode, BoxError>)) {
        let end = self.time.elapsed() + HOUR;
        while self.time.elapsed() < end {
            for resource in resources {
                check(resource, self.call(resource).await);
            }
            self.time.advance(Duration::from_secs(1));
        }
    }

    /// The network is whole again: a call succeeds once the pause is over.
    async fn heals_within(&self, pause: Duration) {
        self.network.store(WHOLE, Ordering::Relaxed);
        self.time.advance(pause);
        assert_eq!(self.call("users").await.unwrap(), StatusCode::OK);
    }

    fn assert_far_from_blocked(&self, at_most: usize) {
        let most = self.vendor.vendor().most_in_an_hour();
        println!("{most} token requests in an hour");
        assert!(most <= at_most, "{most} token requests in an hour");
        assert!(at_most < BLOCK_LIMIT);
        assert!(!self.vendor.vendor().was_blocked());
    }
}

/// What the network does with token requests.
const WHOLE: u8 = 0;
/// It does not bring them to the vendor.
const CUT: u8 = 1;
/// It brings them to the vendor, and no answer back.
const ONE_WAY: u8 = 2;

fn network(state: Arc<AtomicU8>) -> Network {
    let client = http1_client();
    BoxCloneService::new(service_fn(move |request| {
        let (client, state) = (client.clone(), state.load(Ordering::Relaxed));
        async move {
            if state == CUT {
                return Err("no route to host".into());
            }
            let answer = client.oneshot(request).await?;
            if state == ONE_WAY {
                return Err("connection reset".into());
            }
            Ok(answer)
        }
    }))
}

#[tokio::test]
async fn an_hour_of_calls_costs_a_token_for_each_lifetime() {
    let hour = Hour::new().await;
    hour.passes(&["users"], |_, status| {
        assert_eq!(status.unwrap(), StatusCode::OK)
    })
    .await;

    hour.assert_far_from_blocked(4);
    assert_eq!(hour.vendor.rejected(), 0);
}

#[tokio::test]
async fn an_hour_of_a_failing_api_costs_no_more() {
    let hour = Hour::new().await;
    hour.vendor.fail_calls(StatusCode::INTERNAL_SERVER_ERROR);
    hour.passes(&["users"], |_, status| {
        assert_eq!(status.unwrap(), StatusCode::INTERNAL_SERVER_ERROR);
    })
    .await;

    hour.assert_far_from_blocked(4);
}

#[tokio::test]
async fn an_hour_of_401_for_every_token_costs_a_few() {
    let hour = Hour::new().await;
    hour.vendor.fail_calls(StatusCode::UNAUTHORIZED);
    hour.passes(&["users"], |_, status| {
        assert_eq!(status.unwrap(), StatusCode::UNAUTHORIZED);
    })
    .await;

    hour.assert_far_from_blocked(16);
}

#[tokio::test]
async fn an_hour_of_one_route_that_rejects_every_token_stays_below_the_limit_and_the_others_work() {
    let hour = Hour::new().await;
    hour.vendor.close_path("/v2.01/ExampleClientId/payouts");
    hour.passes(&["users", "payouts"], |resource, status| {
        let expected = match resource {
            "users" => StatusCode::OK,
            _ => StatusCode::UNAUTHORIZED,
        };
        assert_eq!(status.unwrap(), expected, "{resource}");
    })
    .await;

    hour.assert_far_from_blocked(63);
}

#[tokio::test]
async fn an_hour_without_a_way_to_the_token_endpoint_heals_by_itself_with_one_request() {
    let hour = Hour::new().await;
    hour.network.store(CUT, Ordering::Relaxed);
    hour.passes(&["users"], |_, status| assert!(status.is_err()))
        .await;
    assert_eq!(hour.vendor.token_requests(), 0);

    hour.heals_within(MAX_PAUSE).await;
    assert_eq!(hour.vendor.token_requests(), 1);
}

#[tokio::test]
async fn an_hour_of_a_token_endpoint_that_is_down_stays_below_the_limit() {
    let hour = Hour::new().await;
    hour.vendor
        .fail_token_requests(StatusCode::SERVICE_UNAVAILABLE);
    hour.passes(&["users"], |_, status| assert!(status.is_err()))
        .await;

    hour.assert_far_from_blocked(69);
}

#[tokio::test]
async fn an_hour_of_a_network_that_loses_every_answer_stays_below_the_limit() {
    let hour = Hour::new().await;
    hour.network.store(ONE_WAY, Ordering::Relaxed);
    hour.passes(&["users"], |_, status| assert!(status.is_err()))
        .await;

    hour.assert_far_from_blocked(69);
    hour.heals_within(MAX_PAUSE).await;
}

#[tokio::test]
async fn an_hour_of_all_of_that_at_once_stays_below_the_limit_and_what_works_goes_on() {
    let hour = Hour::new().await;
    assert_eq!(hour.call("users").await.unwrap(), StatusCode::OK);
    hour.vendor.set_lifetime(2 * HOUR);
    hour.client.cache().refresh().await.unwrap();
    hour.vendor.close_path("/v2.01/ExampleClientId/payouts");
    hour.network.store(ONE_WAY, Ordering::Relaxed);
    hour.passes(&["users", "payouts"], |resource, status| {
        let expected = match resource {
            "users" => StatusCode::OK,
            _ => StatusCode::UNAUTHORIZED,
        };
        assert_eq!(status.unwrap(), expected, "{resource}");
    })
    .await;

    hour.assert_far_from_blocked(69);
}
