//! The refresh token grant, from a server that replaces the refresh token each time.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tower_bearer::FetchErrorKind;
use tower_bearer::oauth2::{ClientAuth, Credential, RefreshToken};

use super::interop_support::calls::{Caller, a_second_use_is_denied};
use super::interop_support::http_client;
use super::{ID, SECRET, client, server};

const SCOPE: &str = "orders:read orders:write";

fn app(auth_method: &str) -> Value {
    let mut client = client(auth_method);
    client["grant_types"] = json!(["refresh_token"]);
    client["scope"] = json!(SCOPE);
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_gets_one_token_for_all_and_one_more_when_it_is_revoked() {
    for (method, auth, credential) in [
        (
            "client_secret_post",
            ClientAuth::Post,
            Credential::from(SECRET),
        ),
        ("none", ClientAuth::default(), Credential::none()),
    ] {
        let server = or_skip!(server(app(method)));
        let minted = server.mint(ID, "alice", SCOPE).await.refresh_token;
        let saved = Arc::<Mutex<Vec<String>>>::default();
        let save = Arc::clone(&saved);
        let provider = RefreshToken::builder(server.token_endpoint(), ID, credential, minted)
            .with_client_auth(auth)
            .with_rotation_saved_by(move |rotation| {
                save.lock().unwrap().push(rotation.expose_new().to_owned());
                async { Ok(()) }
            })
            .build(http_client());
        let caller = Caller::new(&server, provider.unwrap());

        let seen = caller.shares_and_heals(&server).await;
        assert_eq!(
            seen,
            json!({ "client_id": ID, "sub": "alice", "scope": SCOPE })
        );
        assert_eq!(saved.lock().unwrap().len(), 2);
    }
}

// It gives the new refresh token the scope of the access token, where RFC 6749 §6 wants that of the old one.
#[tokio::test]
async fn a_refresh_token_that_lost_a_scope_by_being_replaced_still_serves_the_others() {
    let server = or_skip!(server(app("client_secret_basic")));
    let minted = server.mint(ID, "alice", SCOPE).await.refresh_token;
    let provider = RefreshToken::builder(server.token_endpoint(), ID, SECRET, minted);
    let caller = Caller::new(&server, provider.build(http_client()).unwrap());

    let read = caller.for_scope("orders:read");
    assert_eq!(read.succeeds().await["scope"], "orders:read");
    caller
        .for_scope("orders:write")
        .is_refused(
            FetchErrorKind::InvalidRequest,
            400,
            "invalid_scope",
            &[SECRET],
        )
        .await;
    server.revoke(&read.token()).await;
    assert_eq!(read.succeeds().await["scope"], "orders:read");

    let counters = server.counters().await;
    assert_eq!((counters.token_requests, counters.issued), (3, 2));
}

#[tokio::test]
async fn a_refresh_token_that_has_been_used_is_denied_and_not_told() {
    let server = or_skip!(server(app("client_secret_basic")));
    a_second_use_is_denied(&server, ID, SECRET, SCOPE).await;
}
