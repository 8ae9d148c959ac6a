//! Servers in the field that do otherwise than RFC 6749 says.

use http::StatusCode;
use tower_bearer::error::{FetchError, FetchErrorKind};
use tower_bearer::oauth2::{
    Assertion, ClientCredentials, Credential, JwtBearer, TokenEndpointErrorKind as Kind,
};
use tower_bearer::{FetchContext, TokenCache, TokenProvider, TokenRequest};

use super::server::{Server, response};
use super::support::*;

#[tokio::test]
async fn a_refusal_without_a_word_says_what_to_check() {
    for status in [400, 401, 403] {
        let server = Server::answering(status, "").await;
        let error = failure(client(&server)).await;

        assert_eq!(error.kind(), FetchErrorKind::Denied);
        let cause = cause(&error);
        assert_eq!(cause.kind(), Kind::Rejected);
        assert_eq!(cause.status().map(|it| it.as_u16()), Some(status));
        let text = cause.to_string();
        assert!(text.contains(&server.url()), "{text}");
        assert!(text.contains(&format!("HTTP status {status}")), "{text}");
        assert!(
            text.contains("did not say why; check the client id and secret"),
            "{text}"
        );
    }
    let server = Server::answering(403, "go away").await;
    let text = cause(&failure(client(&server)).await).to_string();
    assert!(text.ends_with("refused: go away"), "{text}");
}

#[tokio::test]
async fn a_bearer_token_is_one_by_whichever_name() {
    for token_type in ["Bearer", "bearer", "BEARER", "access_token", "Access_Token"] {
        let body = format!(r#"{{"access_token":"issued","token_type":"{token_type}"}}"#);
        let server = Server::answering(200, body).await;
        let token = fetch(client(&server)).await.unwrap();
        assert_eq!(token.header_value(), "Bearer issued", "{token_type}");
    }
    for token_type in ["mac", "DPoP", "N_A", "refresh_token", "bearer token"] {
        let body = format!(r#"{{"access_token":"hunter2","token_type":"{token_type}"}}"#);
        let server = Server::answering(200, body).await;
        let error = failure(client(&server)).await;
        assert_eq!(
            cause(&error).kind(),
            Kind::UnsupportedTokenType,
            "{token_type}"
        );
    }
}

fn granting(scope: &str) -> String {
    format!(r#"{{"access_token":"issued","token_type":"Bearer","expires_in":60,"scope":{scope}}}"#)
}

#[tokio::test]
async fn a_token_for_fewer_scopes_than_asked_for_is_an_error_that_names_them() {
    for (scope, missing) in [
        (r#""orders:read""#, "it lacks: orders:write stock"),
        (r#""stock orders:read""#, "it lacks: orders:write"),
        (r#"["stock","orders:write"]"#, "it lacks: orders:read"),
        (
            r#""Orders:read orders:write stock""#,
            "it lacks: orders:read",
        ),
        (r#""""#, "it lacks: orders:read orders:write stock"),
        ("[]", "it lacks: orders:read orders:write stock"),
    ] {
        let server = Server::answering(200, granting(scope)).await;
        let asking = client(&server).with_scope("orders:read orders:write stock");
        let error = failure(asking.clone()).await;

        assert_eq!(error.kind(), FetchErrorKind::InvalidRequest);
        let cause = cause(&error);
        assert_eq!(cause.kind(), Kind::ScopesNotGranted);
        assert_eq!(cause.status(), Some(StatusCode::OK));
        let text = cause.to_string();
        assert!(text.ends_with(missing), "{text}");
        assert!(text.contains("with_fewer_scopes_accepted"), "{text}");

        let token = fetch(asking.with_fewer_scopes_accepted()).await;
        assert_eq!(token.unwrap().expose_secret(), "issued");
    }
}

#[tokio::test]
async fn a_token_for_all_the_scopes_and_more_is_taken() {
    for scope in [
        r#""orders:read stock""#,
        r#""stock  admin orders:read""#,
        r#"["orders:read","stock"]"#,
        // Says nothing, so that all were granted.
        "null",
        "7",
    ] {
        let server = Server::answering(200, granting(scope)).await;
        let token = fetch(client(&server).with_scope("stock orders:read")).await;
        assert_eq!(token.unwrap().expose_secret(), "issued", "{scope}");
    }
    let server = Server::answering(200, TOKEN).await;
    assert!(fetch(client(&server).with_scope("stock")).await.is_ok());
}

#[tokio::test]
async fn a_scope_that_is_not_granted_pauses_nobody_else() {
    let server = Server::start(|_| response(200, granting(r#""stock""#))).await;
    let cache = TokenCache::new(client(&server).build(hyper()).unwrap());
    let for_scope = |scope| cache.for_request(&TokenRequest::default().with_scope(scope));

    let error = for_scope("orders").token().await.unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::InvalidRequest);
    assert!(for_scope("stock").token().await.is_ok());
    assert_eq!(server.received().len(), 2);
}

#[tokio::test]
async fn a_refusal_under_the_status_200_is_told_by_its_code_and_quoted_no_further() {
    for (code, shown) in [
        ("invalid_client", Some("invalid_client")),
        ("bad_refresh_token", Some("bad_refresh_token")),
        ("Bad Token hunter2", None),
        ("hunter2", None),
        // The shape of a code, and a secret.
        ("passphrase", None),
    ] {
        let body = format!(r#"{{"error":"{code}","error_description":"hunter2"}}"#);
        let server = Server::answering(200, body).await;
        let builder = client(&server).with_parameter("key", "passphrase");
        let error = failure(builder).await;

        assert_eq!(error.kind(), FetchErrorKind::Denied);
        assert_eq!(cause(&error).kind(), Kind::Rejected);
        assert_eq!(cause(&error).error_code(), shown);
        assert_eq!(cause(&error).error_description(), None);
    }
}

#[tokio::test]
async fn a_client_that_is_not_believed_reads_what_to_look_at() {
    let assertion = Assertion::from_fn(|_| async { Ok("e30.e30.sig".to_owned()) });
    for (credential, advice) in [
        (
            Credential::from("s3cret"),
            "check the client id and secret, and whether",
        ),
        (
            assertion.into(),
            "check the client id, the key and its id, whom the assertion is for",
        ),
        (
            Credential::tls_certificate(),
            "that the transport presents this client's certificate",
        ),
        (Credential::none(), "whether this client needs no secret"),
    ] {
        for body in ["", r#"{"error":"invalid_client"}"#] {
            let server = Server::answering(401, body).await;
            let builder = ClientCredentials::builder(server.url(), "me", credential.clone());
            let text = cause(&failure(builder).await).to_string();
            assert!(text.contains(advice), "{text}");
        }
    }
}

#[tokio::test]
async fn a_tenant_that_is_refused_stands_in_no_other_ones_way() {
    let server = Server::start(|request| match request.form.contains("bob") {
        true => response(400, r#"{"error":"invalid_grant"}"#),
        false => response(200, TOKEN),
    })
    .await;
    let assertion = Assertion::from_fn(|cx| {
        let tenant = cx.token_request().tenant().map(str::to_owned);
        async move { Ok(format!("e30.e30.{}", tenant.unwrap_or_default())) }
    });
    let builder = JwtBearer::builder(server.url(), assertion.with_tenant_inside());
    let cache = TokenCache::new(builder.build(hyper()).unwrap());
    let of = |tenant| cache.for_request(&TokenRequest::default().with_tenant(tenant));

    let error = of("bob").token().await.unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::InvalidRequest);
    assert_eq!(cause(&error).error_code(), Some("invalid_grant"));
    assert!(of("ann").token().await.is_ok());

    // Without a tenant, it is the client's own.
    let server = Server::answering(400, r#"{"error":"invalid_grant"}"#).await;
    let assertion = Assertion::from_fn(|_| async { Ok("e30.e30.sig".to_owned()) });
    let provider = JwtBearer::builder(server.url(), assertion).build(hyper());
    let fetched = provider.unwrap().fetch_token(FetchContext::default()).await;
    let error = fetched.unwrap_err().downcast::<FetchError>().unwrap();
    assert_eq!(error.kind(), FetchErrorKind::Denied);
}
