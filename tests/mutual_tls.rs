//! Clients that are known by their TLS certificate (RFC 8705), over real mutual TLS.
//!
//! Tokens are bound to the certificate (§3): the API takes one from the connection of its owner only.

// Helpers of tests are not tests to clippy.
#![allow(clippy::unwrap_used)]

use std::error::Error;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use tower::ServiceExt;
use tower_bearer::error::{BoxError, FetchError, FetchErrorKind};
use tower_bearer::oauth2::{
    ClientCredentials, Credential, TokenEndpointError, TokenEndpointErrorKind as Kind,
};
use tower_bearer::{BearerAuth, BearerAuthLayer};

use self::tls::{Identity, Server, Tls};

#[path = "mutual_tls/tls.rs"]
mod tls;

type Client = BearerAuth<Tls, ClientCredentials<Tls>>;

/// A client by that id, over connections with that certificate.
fn client(server: &Server, id: &str, certificate: Option<&Identity>) -> Client {
    let tls = server.connector(certificate);
    let provider =
        ClientCredentials::builder(server.url("/token"), id, Credential::tls_certificate());
    let provider = provider.build(tls.clone()).unwrap();
    let layer = BearerAuthLayer::for_origin(provider, &server.url("")).unwrap();
    tower::Layer::layer(&layer, tls)
}

async fn call(client: &Client, server: &Server) -> Result<StatusCode, BoxError> {
    let request = Request::get(server.url("/api")).body(Full::<Bytes>::default());
    let response = client.clone().oneshot(request.unwrap()).await?;
    Ok(response.status())
}

fn cause(error: &BoxError) -> (FetchErrorKind, &TokenEndpointError) {
    let error = error.downcast_ref::<FetchError>().unwrap();
    (
        error.kind(),
        error.source().unwrap().downcast_ref().unwrap(),
    )
}

#[tokio::test]
async fn a_client_is_known_by_its_certificate_and_sends_its_id_and_no_secret() {
    let server = Server::start().await;
    for (id, identity) in [
        // `tls_client_auth` (§2.1) and `self_signed_tls_client_auth` (§2.2).
        ("signed", &server.signed),
        ("self-signed", &server.self_signed),
    ] {
        let client = client(&server, id, Some(identity));
        for _ in 0..3 {
            assert_eq!(call(&client, &server).await.unwrap(), StatusCode::OK);
        }

        let form = format!("grant_type=client_credentials&client_id={id}");
        assert_eq!(server.take_token_requests(), [(None, form)]);
    }
}

#[tokio::test]
async fn a_revoked_token_is_replaced_over_the_same_certificate() {
    let server = Server::start().await;
    let client = client(&server, "signed", Some(&server.signed));
    assert_eq!(call(&client, &server).await.unwrap(), StatusCode::OK);
    server.revoke_all();

    assert_eq!(call(&client, &server).await.unwrap(), StatusCode::OK);
    assert_eq!(server.take_token_requests().len(), 2);
}

#[tokio::test]
async fn a_token_is_of_no_use_without_its_certificate() {
    let server = Server::start().await;
    let owner = client(&server, "signed", Some(&server.signed));
    let token = owner.cache().token().await.unwrap();

    for (identity, status) in [
        (None, StatusCode::UNAUTHORIZED),
        (Some(&server.self_signed), StatusCode::UNAUTHORIZED),
        (Some(&server.signed), StatusCode::OK),
    ] {
        let mut request = Request::get(server.url("/api"))
            .body(Full::<Bytes>::default())
            .unwrap();
        let authorization = token.header_value().clone();
        request.headers_mut().insert("authorization", authorization);
        let response = server.connector(identity).oneshot(request).await.unwrap();
        assert_eq!(response.status(), status);
    }
}

#[tokio::test]
async fn a_client_without_its_certificate_is_denied() {
    let server = Server::start().await;
    for identity in [None, Some(&server.self_signed)] {
        let error = call(&client(&server, "signed", identity), &server).await;

        let error = error.unwrap_err();
        let (kind, cause) = cause(&error);
        assert_eq!(kind, FetchErrorKind::Denied);
        assert_eq!(cause.error_code(), Some("invalid_client"));
        assert_eq!(server.take_token_requests().len(), 1);
    }
}

#[tokio::test]
async fn a_certificate_that_the_server_does_not_trust_ends_the_handshake() {
    let server = Server::start().await;
    let stranger = Identity::self_signed("signed");
    let error = call(&client(&server, "signed", Some(&stranger)), &server).await;

    let error = error.unwrap_err();
    let (kind, cause) = cause(&error);
    assert_eq!(kind, FetchErrorKind::Unavailable);
    assert_eq!((cause.kind(), cause.status()), (Kind::Transport, None));
    assert!(cause.source().is_some());
    assert!(server.take_token_requests().is_empty());
}
