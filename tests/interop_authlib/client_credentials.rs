//! The client credentials grant, with a secret.

use tower_bearer::FetchErrorKind;
use tower_bearer::oauth2::{ClientAuth, ClientCredentials};

use super::interop_support::calls::Caller;
use super::interop_support::http_client;
use super::{ID, SECRET, client, plain, server};

#[tokio::test(flavor = "multi_thread")]
async fn client_secret_basic_gets_one_token_for_all_and_one_more_when_it_is_revoked() {
    let server = or_skip!(server(client("client_secret_basic")));
    let provider = ClientCredentials::builder(server.token_endpoint(), ID, SECRET);
    let caller = Caller::new(&server, provider.build(http_client()).unwrap());

    assert_eq!(caller.shares_and_heals(&server).await, plain());
}

#[tokio::test(flavor = "multi_thread")]
async fn client_secret_post_gets_one_token_for_all_and_one_more_when_it_is_revoked() {
    let server = or_skip!(server(client("client_secret_post")));
    let provider = ClientCredentials::builder(server.token_endpoint(), ID, SECRET)
        .with_client_auth(ClientAuth::Post)
        .build(http_client());
    let caller = Caller::new(&server, provider.unwrap());

    assert_eq!(caller.shares_and_heals(&server).await, plain());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_without_a_token_makes_one_token_request() {
    let server = or_skip!(server(client("client_secret_basic")));
    let provider = ClientCredentials::builder(server.token_endpoint(), ID, SECRET);
    let caller = Caller::new(&server, provider.build(http_client()).unwrap());

    caller.crowd_makes_one_token_request(&server).await;
}

#[tokio::test]
async fn a_token_with_fewer_scopes_than_asked_for_is_used_and_not_replaced() {
    let server = or_skip!(server(client("client_secret_basic")));
    let provider = ClientCredentials::builder(server.token_endpoint(), ID, SECRET)
        .with_scope("orders:write orders:read")
        .with_fewer_scopes_accepted()
        .build(http_client());
    let caller = Caller::new(&server, provider.unwrap());

    assert_eq!(caller.succeeds().await["scope"], "orders:read");
    let response = caller.send("?scope=orders:write").await.unwrap();
    assert_eq!(response.status(), 403);
    let counters = server.counters().await;
    assert_eq!((counters.token_requests, counters.forbidden), (1, 1));
}

#[tokio::test]
async fn a_wrong_secret_is_denied_and_not_told() {
    let wrong = "wr:ong secret+1";
    let spellings = [wrong, "wr%3Aong%20secret%2B1", "wr%3Aong+secret%2B1"];
    for (auth, method) in [
        (ClientAuth::Basic, "client_secret_basic"),
        (ClientAuth::Post, "client_secret_post"),
    ] {
        let server = or_skip!(server(client(method)));
        let provider = ClientCredentials::builder(server.token_endpoint(), ID, wrong)
            .with_client_auth(auth)
            .build(http_client());
        let caller = Caller::new(&server, provider.unwrap());

        for _ in 0..2 {
            caller
                .is_refused(FetchErrorKind::Denied, 401, "invalid_client", &spellings)
                .await;
        }
        // The second call came within the pause.
        let counters = server.counters().await;
        assert_eq!((counters.token_requests, counters.issued), (1, 0));
    }
}

#[tokio::test]
async fn a_scope_that_there_is_not_concerns_only_what_was_asked_for() {
    let server = or_skip!(server(client("client_secret_basic")));
    let provider = ClientCredentials::builder(server.token_endpoint(), ID, SECRET)
        .with_scope("cheese:eat")
        .build(http_client());
    Caller::new(&server, provider.unwrap())
        .is_refused(
            FetchErrorKind::InvalidRequest,
            400,
            "invalid_scope",
            &[SECRET],
        )
        .await;
}
