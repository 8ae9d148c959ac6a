//! Time limits of reqwest, which are those of each send, on real sockets.

// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use reqwest::Response;
use tower::{Layer, ServiceExt};
use tower_bearer::rejection::NotRetriedReason;
use tower_bearer::testing::Answer;
use tower_bearer::{BearerAuthLayer, FetchError};

use self::layer_support::{Gate, Issuer, without_hanging};
use self::reqwest_support::{client, reason};
use self::socket_support::{Conn, RawServer, Received, answer};

mod layer_support;
mod reqwest_support;
mod socket_support;

/// Far from what any of it takes, unless [time is moved](beyond_the_limit).
const LIMIT: Duration = Duration::from_secs(50);

/// Moves the time that reqwest sees, without waiting.
async fn beyond_the_limit() {
    tokio::time::pause();
    tokio::time::advance(LIMIT + Duration::from_secs(1)).await;
    // Otherwise it would be moved on whenever a socket is waited for.
    tokio::time::resume();
}

/// The response to a request whose time limit is over before the last of these answers comes.
async fn response_after_a_slow_fetch(
    server: &RawServer,
    answers: impl IntoIterator<Item = Answer>,
) -> Response {
    let gate = Gate::new();
    let mut answers: Vec<_> = answers.into_iter().collect();
    let last = answers.pop().unwrap().after(&gate);
    answers.push(last);
    let fetches = answers.len();
    let issuer = Issuer::answering(answers);
    let request = client().post(server.origin()).body("payload");
    let request = request.timeout(LIMIT).build().unwrap();

    let sent = tokio::spawn(auth(server, &issuer).oneshot(request));
    issuer.wait_for_fetches(fetches).await;
    beyond_the_limit().await;
    gate.open();
    without_hanging(sent).await.unwrap().unwrap()
}

fn auth(server: &RawServer, issuer: &Issuer) -> reqwest_support::AuthClient {
    let layer = BearerAuthLayer::for_origin(issuer.clone(), server.origin());
    layer.unwrap().layer(client())
}

#[tokio::test]
async fn a_wait_for_the_first_token_is_no_part_of_the_limit() {
    let server = RawServer::start(|_| answer("200 OK", "", "welcome"));

    let response = response_after_a_slow_fetch(&server, [Answer::token("token-1")]).await;

    assert_eq!(response.text().await.unwrap(), "welcome");
}

#[tokio::test]
async fn nor_is_one_for_the_token_of_the_second_send() {
    let server = RawServer::start(|_| answer("200 OK", "", "welcome"));
    server.answers(answer("401 Unauthorized", "", "revoked"));
    let answers = ["token-1", "token-2"].map(Answer::token);

    let response = response_after_a_slow_fetch(&server, answers).await;

    assert_eq!(response.text().await.unwrap(), "welcome");
    assert_eq!(server.requests(), 2);
}

/// The documentation says so. Its time is that of the first send, which is over.
#[tokio::test]
async fn but_if_that_fails_after_the_limit_the_body_of_the_401_cannot_be_read_any_more() {
    let server = RawServer::start(|_| answer("401 Unauthorized", "x-why: revoked\r\n", "revoked"));
    let answers = [Answer::token("token-1"), FetchError::denied("no").into()];

    let response = response_after_a_slow_fetch(&server, answers).await;

    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["x-why"], "revoked");
    assert!(matches!(
        reason(&response),
        Some(NotRetriedReason::FetchFailed(_))
    ));
    assert!(response.text().await.unwrap_err().is_timeout());
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn the_time_limit_of_a_request_holds_for_the_second_send_too() {
    let server = RawServer::start(|_| answer("200 OK", "", ""));
    server.answers(answer("401 Unauthorized", "", ""));
    server.next(async move |mut conn: Conn| {
        conn.request().await?;
        // And answers nothing.
        conn.closed().await;
        None
    });
    let issuer = Issuer::new();
    let request = client()
        .post(server.origin())
        .body("payload")
        .timeout(Duration::from_secs(2))
        .build();

    let sent = auth(&server, &issuer).oneshot(request.unwrap());
    let error = without_hanging(sent).await.unwrap_err();

    assert!(error.downcast::<reqwest::Error>().unwrap().is_timeout());
    let received = server.received();
    let tokens: Vec<_> = received.iter().map(Received::bearer).collect();
    assert_eq!(tokens, ["token-1", "token-2"]);
    assert_eq!(issuer.fetches(), 2);
}
