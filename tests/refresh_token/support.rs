//! An authorization server whose refresh tokens are for one use, and what saves and answers them.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::sync::Semaphore;
use tower::service_fn;
use tower::util::BoxCloneSyncService;
use tower_bearer::error::{BoxError, FetchError};
use tower_bearer::oauth2::{Credential, RefreshToken, RefreshTokenBuilder, RefreshTokenSource};
use tower_bearer::{AccessToken, FetchContext, TokenProvider, TokenRequest};

pub(crate) use crate::error_support::{cause, everything};
use crate::server::{Body, Received, Server, response};

pub(crate) const INVALID_GRANT: &str = r#"{"error":"invalid_grant"}"#;

pub(crate) fn hyper() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

/// A public client that starts with `r0` or whatever it is given.
pub(crate) fn client(
    server: &Server,
    refresh_token: impl Into<RefreshTokenSource>,
) -> RefreshTokenBuilder {
    RefreshToken::builder(server.url(), "my-app", Credential::none(), refresh_token)
}

/// A parameter of a form, which is there once.
pub(crate) fn parameter(form: &str, name: &str) -> Option<String> {
    let mut values = form_urlencoded::parse(form.as_bytes()).filter(|(key, _)| key == name);
    let value = values.next().map(|(_, value)| value.into_owned());
    assert!(values.next().is_none(), "more than one {name}");
    value
}

/// The refresh tokens that arrived, in order.
pub(crate) fn refresh_tokens(server: &Server) -> Vec<String> {
    let received = server.received().into_iter();
    received
        .map(|it| parameter(&it.form, "refresh_token").unwrap())
        .collect()
}

/// Tokens `a{n}` and `r{n}` for one use of `r{n-1}`. A second use of any revokes them all, as RFC 9700
/// §4.14.2 has it.
#[derive(Clone)]
pub(crate) struct Family {
    state: Arc<Mutex<State>>,
}

struct State {
    valid: Option<String>,
    issued: usize,
}

impl Family {
    pub(crate) fn new() -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                valid: Some("r0".into()),
                issued: 0,
            })),
        }
    }

    pub(crate) async fn serve(&self) -> Server {
        let family = self.clone();
        Server::start(move |request| response_to(&family, request)).await
    }

    pub(crate) fn is_revoked(&self) -> bool {
        self.state.lock().unwrap().valid.is_none()
    }

    /// Issues `r{n}` out of turn, as to somebody who logs in.
    pub(crate) fn log_in(&self, refresh_token: &str) {
        let mut state = self.state.lock().unwrap();
        state.issued = refresh_token[1..].parse().unwrap();
        state.valid = Some(refresh_token.to_owned());
    }

    /// Uses up the refresh token, as another process would.
    pub(crate) fn use_up(&self, refresh_token: &str) -> Option<String> {
        let mut state = self.state.lock().unwrap();
        if state.valid.as_deref() != Some(refresh_token) {
            state.valid = None;
            return None;
        }
        state.issued += 1;
        state.valid = Some(format!("r{}", state.issued));
        state.valid.clone()
    }
}

fn response_to(family: &Family, request: &Received) -> Response<Body> {
    let sent = parameter(&request.form, "refresh_token").unwrap();
    match family.use_up(&sent) {
        Some(new) => response(200, answer(&new.replace('r', "a"), &new)),
        None => response(400, INVALID_GRANT),
    }
}

pub(crate) fn answer(access_token: &str, refresh_token: &str) -> String {
    format!(
        r#"{{"access_token":"{access_token}","token_type":"Bearer","expires_in":3600,
            "refresh_token":"{refresh_token}"}}"#
    )
}

/// A transport whose answers wait on this side of the socket until there is a permit.
pub(crate) type Gated = BoxCloneSyncService<Request<Full<Bytes>>, Response<Incoming>, BoxError>;

/// The transport, what opens it, and what counts the answers that have come.
pub(crate) fn gated() -> (Gated, Arc<Semaphore>, Arc<Semaphore>) {
    let (gate, arrived) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (open, come) = (Arc::clone(&gate), Arc::clone(&arrived));
    let client = hyper();
    let transport = service_fn(move |request| {
        let (client, gate, arrived) = (client.clone(), Arc::clone(&gate), Arc::clone(&arrived));
        async move {
            let response = client.request(request).await?;
            arrived.add_permits(1);
            gate.acquire().await?.forget();
            Ok::<_, BoxError>(response)
        }
    });
    (BoxCloneSyncService::new(transport), open, come)
}

pub(crate) async fn fetch(provider: &impl TokenProvider) -> Result<AccessToken, BoxError> {
    provider.fetch_token(FetchContext::default()).await
}

pub(crate) async fn fetch_text(provider: &impl TokenProvider) -> String {
    fetch(provider).await.unwrap().expose_secret().to_owned()
}

pub(crate) async fn failure(provider: &impl TokenProvider) -> FetchError {
    *fetch(provider).await.unwrap_err().downcast().unwrap()
}

pub(crate) fn scope(scope: &str) -> TokenRequest {
    TokenRequest::default().with_scope(scope)
}

/// A store of one refresh token that keeps what it was told, and fails when told to.
#[derive(Clone, Default)]
pub(crate) struct Store {
    state: Arc<Mutex<Stored>>,
}

#[derive(Default)]
struct Stored {
    text: String,
    told: Vec<(String, String)>,
    is_down: bool,
}

impl Store {
    pub(crate) fn holding(text: &str) -> Self {
        let store = Self::default();
        store.put(text);
        store
    }

    pub(crate) fn put(&self, text: &str) {
        self.state.lock().unwrap().text = text.to_owned();
    }

    pub(crate) fn go_down(&self, is_down: bool) {
        self.state.lock().unwrap().is_down = is_down;
    }

    pub(crate) fn text(&self) -> String {
        self.state.lock().unwrap().text.clone()
    }

    /// What it was told, also while down: what is replaced, and by what.
    pub(crate) fn told(&self) -> Vec<(String, String)> {
        self.state.lock().unwrap().told.clone()
    }

    pub(crate) fn source(&self) -> RefreshTokenSource {
        let store = self.clone();
        RefreshTokenSource::from_fn(move || {
            let state = store.state.lock().unwrap();
            let text = if state.is_down {
                Err("the store hunter2 is down".into())
            } else {
                Ok(state.text.clone())
            };
            async { text }
        })
    }

    /// Has it told of each rotation.
    pub(crate) fn saves(&self, builder: RefreshTokenBuilder) -> RefreshTokenBuilder {
        let store = self.clone();
        builder.with_rotation_saved_by(move |rotation| {
            let store = store.clone();
            async move {
                let (old, new) = (rotation.expose_old(), rotation.expose_new());
                let mut state = store.state.lock().unwrap();
                state.told.push((old.to_owned(), new.to_owned()));
                if state.is_down {
                    return Err("the store hunter2 is down".into());
                }
                state.text = new.to_owned();
                Ok(())
            }
        })
    }
}
