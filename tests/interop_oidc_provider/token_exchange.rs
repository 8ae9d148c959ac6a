//! Token exchange (RFC 8693), of access tokens that the same server has issued.

use serde_json::{Value, json};
use tower_bearer::FetchErrorKind;
use tower_bearer::oauth2::{
    ActorToken, RefreshToken, SubjectToken, TokenExchange, TokenTypeIdentifier,
};

use super::interop_support::calls::Caller;
use super::interop_support::http_client;
use super::{ID, SECRET, client, server};

fn exchanger() -> Value {
    let mut client = client("client_secret_basic");
    let exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
    client["grant_types"] = json!([exchange, "refresh_token"]);
    client
}

fn subject(token: &str) -> SubjectToken {
    SubjectToken::new(TokenTypeIdentifier::ACCESS_TOKEN, token)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_exchanged_for_one_for_all_and_one_more_when_that_is_revoked() {
    let server = or_skip!(server(exchanger()));
    let alice = server.mint(ID, "alice", "orders:read orders:write").await;
    let bob = server.mint(ID, "bob", "orders:read").await;
    let actor = ActorToken::new(TokenTypeIdentifier::ACCESS_TOKEN, bob.access_token);
    let provider = TokenExchange::builder(server.token_endpoint(), subject(&alice.access_token))
        .with_client(ID, SECRET)
        .with_actor_token(actor)
        .with_requested_token_type(TokenTypeIdentifier::ACCESS_TOKEN)
        .with_audience("a b+c%&=é")
        .with_scope("orders:read")
        .build(http_client());
    let caller = Caller::new(&server, provider.unwrap());

    let seen = caller.shares_and_heals(&server).await;
    assert_eq!(
        seen,
        json!({
            "client_id": ID,
            "sub": "alice",
            "act": { "sub": "bob" },
            "aud": "a b+c%&=é",
            "scope": "orders:read",
        })
    );
}

#[tokio::test]
async fn the_token_of_another_grant_is_exchanged() {
    let server = or_skip!(server(exchanger()));
    let minted = server.mint(ID, "alice", "orders:read").await.refresh_token;
    let alice = RefreshToken::builder(server.token_endpoint(), ID, SECRET, minted);
    let alice = SubjectToken::access_token_of(alice.build(http_client()).unwrap());
    let provider = TokenExchange::builder(server.token_endpoint(), alice)
        .with_client(ID, SECRET)
        .build(http_client());
    let caller = Caller::new(&server, provider.unwrap());

    let expected = json!({ "client_id": ID, "sub": "alice", "scope": "orders:read" });
    assert_eq!(caller.succeeds().await, expected);
    let first = caller.token();
    server.revoke(&first).await;
    assert_eq!(caller.succeeds().await, expected);

    // Alice's is kept, and exchanged twice.
    let counters = server.counters().await;
    assert_eq!((counters.token_requests, counters.issued), (3, 3));
}

#[tokio::test]
async fn a_subject_token_that_has_been_revoked_is_denied_and_not_told() {
    let server = or_skip!(server(exchanger()));
    let alice = server.mint(ID, "alice", "orders:read").await.access_token;
    server.revoke(&alice).await;
    let provider = TokenExchange::builder(server.token_endpoint(), subject(&alice))
        .with_client(ID, SECRET)
        .build(http_client());

    Caller::new(&server, provider.unwrap())
        .is_refused(
            FetchErrorKind::Denied,
            400,
            "invalid_request",
            &[&alice, SECRET],
        )
        .await;
}
