//! The refresh token grant, from a server that replaces the refresh token each time, and takes the second use
//! of one for theft: then it revokes whatever it has given for it.

use std::pin::pin;
use std::sync::{Arc, Mutex};

use futures_util::future::{Either, join_all, select};
use serde_json::{Value, json};
use tower_bearer::oauth2::{Credential, RefreshToken, RefreshTokenBuilder};

use super::interop_support::calls::{Caller, a_second_use_is_denied};
use super::interop_support::{Server, http_client};
use super::{ID, SECRET, client, server};

const SCOPE: &str = "orders:read orders:write";

fn app(auth_method: &str) -> Value {
    let mut client = client(auth_method);
    client["grant_types"] = json!(["refresh_token"]);
    client
}

/// Saves each new refresh token, in order.
fn saved(builder: RefreshTokenBuilder) -> (RefreshTokenBuilder, Arc<Mutex<Vec<String>>>) {
    let saved = Arc::<Mutex<Vec<String>>>::default();
    let save = Arc::clone(&saved);
    let builder = builder.with_rotation_saved_by(move |rotation| {
        save.lock().unwrap().push(rotation.expose_new().to_owned());
        async { Ok(()) }
    });
    (builder, saved)
}

async fn builder(server: &Server, credential: impl Into<Credential>) -> RefreshTokenBuilder {
    let minted = server.mint(ID, "alice", SCOPE).await;
    RefreshToken::builder(
        server.token_endpoint(),
        ID,
        credential,
        minted.refresh_token,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_gets_one_token_for_all_and_one_more_when_it_is_revoked() {
    for (method, credential) in [
        ("client_secret_basic", Credential::from(SECRET)),
        ("none", Credential::none()),
    ] {
        let mut app = app(method);
        if method == "none" {
            app.as_object_mut().unwrap().remove("client_secret");
        }
        let server = or_skip!(server(app));
        let (builder, saved) = saved(builder(&server, credential).await);
        let caller = Caller::new(&server, builder.build(http_client()).unwrap());

        let seen = caller.shares_and_heals(&server).await;
        let expected = json!({ "client_id": ID, "sub": "alice", "scope": SCOPE });
        assert_eq!(seen, expected);
        assert_eq!(saved.lock().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn the_refresh_token_that_was_saved_is_what_the_next_process_goes_on_with() {
    let server = or_skip!(server(app("client_secret_basic")));
    let (first, saved) = saved(builder(&server, SECRET).await);
    let first = Caller::new(&server, first.build(http_client()).unwrap());
    first.succeeds().await;

    let saved = saved.lock().unwrap().pop().unwrap();
    let next = RefreshToken::builder(server.token_endpoint(), ID, SECRET, saved);
    let next = Caller::new(&server, next.build(http_client()).unwrap());
    next.succeeds().await;

    let counters = server.counters().await;
    assert_eq!((counters.token_requests, counters.issued), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_for_many_scopes_at_once_use_no_refresh_token_twice() {
    let server = or_skip!(server(app("client_secret_basic")));
    let (builder, saved) = saved(builder(&server, SECRET).await);
    let caller = Caller::new(&server, builder.build(http_client()).unwrap());

    let scopes = ["", "orders:read", "orders:write", SCOPE];
    let callers = scopes.map(|scope| caller.for_scope(scope));
    let seen = join_all(callers.iter().map(Caller::succeeds)).await;

    let seen: Vec<_> = seen.iter().map(|seen| seen["scope"].as_str()).collect();
    let expected = [SCOPE, "orders:read", "orders:write", SCOPE];
    assert_eq!(seen, expected.map(Some));
    let counters = server.counters().await;
    assert_eq!((counters.token_requests, counters.issued), (4, 4));
    assert_eq!(saved.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn a_caller_that_goes_away_meanwhile_leaves_the_token_to_the_next() {
    let server = or_skip!(server(app("client_secret_basic")));
    let (builder, saved) = saved(builder(&server, SECRET).await);
    let caller = Caller::new(&server, builder.build(http_client()).unwrap());

    server.hold_token_requests().await;
    {
        let mut call = pin!(caller.succeeds());
        let asked = pin!(server.has_token_requests(1));
        match select(&mut call, asked).await {
            Either::Right(_) => {}
            Either::Left((seen, _)) => panic!("it has a token: {seen}"),
        }
    }
    server.release_token_requests().await;

    caller.succeeds().await;
    let counters = server.counters().await;
    assert_eq!((counters.token_requests, counters.accepted), (1, 1));
    assert_eq!(saved.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_refresh_token_that_has_been_used_is_denied_and_not_told() {
    let server = or_skip!(server(app("client_secret_basic")));
    a_second_use_is_denied(&server, ID, SECRET, SCOPE).await;
}
