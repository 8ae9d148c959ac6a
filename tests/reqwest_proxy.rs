//! The proxy of the environment, which reqwest asks for plain `http` to any host.

// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use tower::{Layer, ServiceExt};
use tower_bearer::BearerAuthLayer;

use self::layer_support::socket::{Server, answer};
use self::layer_support::{Issuer, bearer};
use self::reqwest_support::client;

mod layer_support;
mod reqwest_support;

/// Where the test below sends its requests when it is run within itself.
const TARGET: &str = "TOWER_BEARER_TEST_TARGET";

async fn send(http: reqwest::Client, origin: &str) -> String {
    let auth = BearerAuthLayer::for_origin(Issuer::new(), origin).unwrap();
    let request = http.get(origin).build().unwrap();
    let response = auth.layer(http).oneshot(request).await.unwrap();
    response.text().await.unwrap()
}

#[tokio::test]
async fn a_token_for_loopback_is_handed_to_the_proxy_of_the_environment_unless_the_client_has_none()
{
    if let Ok(origin) = std::env::var(TARGET) {
        assert_eq!(send(client(), &origin).await, "server");
        // If this fails some day, reqwest exempts loopback, and the documentation may say less.
        assert_eq!(send(reqwest::Client::new(), &origin).await, "proxy");
        return;
    }

    let proxy = Server::start(|_| answer(200, "proxy")).await;
    let server = Server::start(|_| answer(200, "server")).await;
    // An environment cannot be changed safely but for another process.
    let name =
        "a_token_for_loopback_is_handed_to_the_proxy_of_the_environment_unless_the_client_has_none";
    let mut this = tokio::process::Command::new(std::env::current_exe().unwrap());
    this.args([name, "--exact"])
        .env(TARGET, server.origin())
        .env("HTTP_PROXY", proxy.origin())
        .env("http_proxy", proxy.origin())
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        // With it, reqwest takes this for a script of a web server, and trusts `HTTP_PROXY` no more.
        .env_remove("REQUEST_METHOD")
        .kill_on_drop(true);
    let output = this.output().await.unwrap();

    assert!(output.status.success(), "{output:?}");
    let (at_server, at_proxy) = (server.received(), proxy.received());
    assert_eq!((at_server.len(), at_proxy.len()), (1, 1));
    assert_eq!(bearer(&at_proxy[0]), Some("token-1"));
    assert_eq!(at_proxy[0].uri(), &*format!("{}/", server.origin()));
}
