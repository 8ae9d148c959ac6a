//! The JWT bearer grant, and Google's service accounts, against token endpoints on real sockets.

// Helpers of tests are not tests to clippy.
#![allow(clippy::unwrap_used)]

use std::error::Error;

use serde_json::{Value, json};
use tower_bearer::error::{FetchError, FetchErrorKind};
use tower_bearer::oauth2::jwt::{
    GoogleServiceAccount, InvalidServiceAccountKind, InvalidSigningKey, JwsAlgorithm, JwtAssertion,
};
use tower_bearer::oauth2::{
    Assertion, InvalidConfigKind, JwtBearer, JwtBearerBuilder, TokenEndpointErrorKind as Kind,
};
use tower_bearer::{AccessToken, FetchContext, TokenCache, TokenProvider, TokenRequest};

use self::assertion_support::*;
use self::error_support::cause;
use self::server::{Server, response};

mod assertion_support;
mod error_support;
#[path = "token_endpoint/server.rs"]
mod server;

const TOKEN: &str = r#"{"access_token":"issued","token_type":"Bearer","expires_in":3600}"#;
const GRANT: &str = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";

fn es256(claims: JwtAssertion) -> Assertion {
    claims.signed_by(key(P256, JwsAlgorithm::Es256))
}

async fn fetch(
    builder: JwtBearerBuilder,
    request: TokenRequest,
) -> Result<AccessToken, FetchError> {
    let provider = builder.build(hyper()).unwrap();
    let token = provider.fetch_token(FetchContext::new(request)).await;
    token.map_err(|error| *error.downcast::<FetchError>().unwrap())
}

/// The assertion of the only request.
fn arrived(server: &Server) -> (String, Jwt) {
    let form = server.only_request().form;
    let assertion = parameter(&form, "assertion").unwrap();
    let jwt = Jwt::verified(&assertion);
    (form.replace(&assertion, "JWT"), jwt)
}

#[tokio::test]
async fn the_assertion_is_the_grant_and_no_client_is_needed() {
    let server = Server::answering(200, TOKEN).await;
    let claims = JwtAssertion::new().with_issuer("me").with_subject("user");
    let builder = JwtBearer::builder(server.url(), es256(claims)).with_scope("b a");
    let token = fetch(builder, TokenRequest::default()).await.unwrap();

    assert_eq!(token.expose_secret(), "issued");
    assert_eq!(server.only_request().header("authorization"), None);
    let (form, jwt) = arrived(&server);
    assert_eq!(form, format!("{GRANT}&assertion=JWT&scope=a+b"));
    assert_eq!(jwt.names(), ["aud", "exp", "iat", "iss", "jti", "sub"]);
    assert_eq!(jwt.text("iss"), "me");
    assert_eq!(jwt.text("sub"), "user");
    assert_eq!(jwt.text("aud"), server.url());
}

#[tokio::test]
async fn a_client_may_authenticate_itself_beside_the_assertion() {
    let server = Server::answering(200, TOKEN).await;
    let builder = JwtBearer::builder(server.url(), es256(JwtAssertion::new()))
        .with_client("my-service", "secret");
    fetch(builder, TokenRequest::default()).await.unwrap();

    let basic = Some("Basic bXktc2VydmljZTpzZWNyZXQ=");
    assert_eq!(server.only_request().header("authorization"), basic);
    let (form, jwt) = arrived(&server);
    assert_eq!(form, format!("{GRANT}&assertion=JWT"));
    assert_eq!(
        (jwt.text("iss"), jwt.text("sub")),
        ("my-service", "my-service")
    );
}

#[tokio::test]
async fn without_an_issuer_nothing_is_sent_and_the_error_says_what_to_do() {
    let server = Server::answering(200, TOKEN).await;
    let builder = JwtBearer::builder(server.url(), es256(JwtAssertion::new()));
    let error = fetch(builder, TokenRequest::default()).await.unwrap_err();

    assert!(server.received().is_empty());
    assert_eq!(cause(&error).kind(), Kind::Assertion);
    assert!(cause(&error).to_string().contains(&server.url()));
    let why = cause(&error).source().unwrap().to_string();
    assert_eq!(
        why,
        "no issuer: without a client, `with_issuer` has to name one"
    );
}

#[tokio::test]
async fn scopes_in_the_claims_are_no_parameter() {
    let server = Server::answering(200, TOKEN).await;
    let claims = || JwtAssertion::new().with_issuer("me").with_scope_claim();
    let builder = JwtBearer::builder(server.url(), es256(claims())).with_scope("default");
    let wanted = TokenRequest::default().with_scope("b a");
    fetch(builder.clone(), wanted).await.unwrap();
    let (form, jwt) = arrived(&server);
    assert_eq!(form, format!("{GRANT}&assertion=JWT"));
    assert_eq!(jwt.text("scope"), "a b");

    fetch(builder, TokenRequest::default()).await.unwrap();
    let form = &server.received()[1].form;
    assert_eq!(parameter(form, "scope"), None);
    let jwt = Jwt::verified(&parameter(form, "assertion").unwrap());
    assert_eq!(jwt.text("scope"), "default");
}

#[tokio::test]
async fn scopes_in_the_claims_have_to_be_granted_like_others() {
    let body = r#"{"access_token":"issued","token_type":"Bearer","scope":"a"}"#;
    let server = Server::answering(200, body).await;
    let claims = JwtAssertion::new().with_issuer("me").with_scope_claim();
    let builder = JwtBearer::builder(server.url(), es256(claims)).with_scope("a b");
    let error = fetch(builder, TokenRequest::default()).await.unwrap_err();

    assert_eq!(error.kind(), FetchErrorKind::InvalidRequest);
    assert_eq!(cause(&error).kind(), Kind::ScopesNotGranted);
}

#[tokio::test]
async fn a_tenant_is_the_subject_of_its_own_token_and_refused_where_nothing_says_it() {
    let server = Server::start(|request| {
        let jwt = Jwt::verified(&parameter(&request.form, "assertion").unwrap());
        let token = json!({ "access_token": jwt.text("sub"), "token_type": "Bearer" });
        response(200, token.to_string())
    })
    .await;
    let claims = JwtAssertion::new().with_issuer("me");
    let tenants = es256(claims.clone().with_tenant_as_subject());
    let provider = JwtBearer::builder(server.url(), tenants).build(hyper());
    let cache = TokenCache::new(provider.unwrap());
    for user in ["ann", "bob", "ann"] {
        let wanted = TokenRequest::default().with_tenant(user);
        let token = cache.for_request(&wanted).token().await.unwrap();
        assert_eq!(token.expose_secret(), user);
    }
    assert_eq!(cache.token().await.unwrap().expose_secret(), "me");
    assert_eq!(server.received().len(), 3);

    let builder = JwtBearer::builder(server.url(), es256(claims));
    let wanted = TokenRequest::default().with_tenant("ann");
    let error = fetch(builder, wanted).await.unwrap_err();
    assert_eq!(cause(&error).kind(), Kind::NotSent);
    assert_eq!(server.received().len(), 3);
}

#[tokio::test]
async fn the_assertion_is_no_parameter_to_set() {
    let assertion = || es256(JwtAssertion::new().with_issuer("me"));
    let builder = JwtBearer::builder("https://id.example.com/token", assertion());
    let error = builder.with_parameter("assertion", "x").build(hyper());
    assert_eq!(
        error.unwrap_err().kind(),
        InvalidConfigKind::ReservedParameter
    );

    let server = Server::answering(200, TOKEN).await;
    let wanted = TokenRequest::default().with_parameter("assertion", "x");
    let builder = JwtBearer::builder(server.url(), assertion());
    let error = fetch(builder, wanted).await.unwrap_err();
    assert_eq!(cause(&error).kind(), Kind::NotSent);
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn an_assertion_that_a_server_echoes_is_in_no_error() {
    let server = Server::start(|request| {
        let assertion = parameter(&request.form, "assertion").unwrap();
        let body = json!({ "error": "invalid_grant", "error_description": assertion });
        response(400, body.to_string())
    })
    .await;
    let claims = JwtAssertion::new().with_issuer("me");
    let error = fetch(
        JwtBearer::builder(server.url(), es256(claims)),
        TokenRequest::default(),
    )
    .await
    .unwrap_err();

    assert_eq!(error.kind(), FetchErrorKind::Denied);
    let description = cause(&error).error_description();
    assert_eq!(description, Some("[redacted]"));
    let form = server.only_request().form;
    let assertion = parameter(&form, "assertion").unwrap();
    let text = format!("{error} {error:?} {} {:?}", cause(&error), cause(&error));
    assert!(!assertion.split('.').any(|part| text.contains(part)));
}

/// A key file as Google's console makes it.
fn key_file(token_uri: &str) -> Value {
    json!({
        "type": "service_account",
        "project_id": "test",
        "private_key_id": "2026-05",
        "private_key": RSA,
        "client_email": "test@test.iam.gserviceaccount.example",
        "client_id": "1",
        "auth_uri": "https://accounts.google.example/auth",
        "token_uri": token_uri,
        "universe_domain": "example",
    })
}

fn account(file: &Value) -> Result<GoogleServiceAccount, InvalidServiceAccountKind> {
    let account = GoogleServiceAccount::from_json(file.to_string());
    account.map_err(|error| {
        let mut text = format!("{error} {error:?}");
        if let Some(source) = error.source() {
            assert!(source.is::<InvalidSigningKey>());
            text += &format!("{source} {source:?}");
        }
        assert!(!text.contains("hunter2"), "{text}");
        error.kind()
    })
}

#[tokio::test]
async fn a_google_service_account_asks_as_google_documents() {
    let server = Server::answering(200, TOKEN).await;
    let account = account(&key_file(&server.url())).unwrap();
    let builder = account.builder().with_scope("https://scope.example/b a");
    fetch(builder, TokenRequest::default()).await.unwrap();

    let (form, jwt) = arrived(&server);
    assert_eq!(form, format!("{GRANT}&assertion=JWT"));
    let header = json!({ "alg": "RS256", "typ": "JWT", "kid": "2026-05" });
    assert_eq!(jwt.header, header);
    assert_eq!(jwt.names(), ["aud", "exp", "iat", "iss", "jti", "scope"]);
    assert_eq!(jwt.text("iss"), "test@test.iam.gserviceaccount.example");
    assert_eq!(jwt.text("scope"), "a https://scope.example/b");
    assert_eq!(jwt.text("aud"), server.url());
    assert_eq!(jwt.number("exp") - jwt.number("iat"), 3600);
}

#[tokio::test]
async fn a_google_service_account_can_act_for_a_user() {
    let server = Server::answering(200, TOKEN).await;
    let account = account(&key_file(&server.url())).unwrap();
    let fixed = account.clone().with_subject("user@example.com").builder();
    fetch(fixed, TokenRequest::default()).await.unwrap();
    let (_, jwt) = arrived(&server);
    assert_eq!(jwt.text("sub"), "user@example.com");

    let by_request = account.with_tenant_as_subject().builder();
    let wanted = TokenRequest::default().with_tenant("other@example.com");
    fetch(by_request.clone(), wanted).await.unwrap();
    fetch(by_request, TokenRequest::default()).await.unwrap();
    let subjects = server.received().into_iter().skip(1).map(|request| {
        let assertion = parameter(&request.form, "assertion").unwrap();
        Jwt::verified(&assertion).claims["sub"].clone()
    });
    // The account itself is named by no subject.
    let expected = [json!("other@example.com"), Value::Null];
    assert_eq!(subjects.collect::<Vec<_>>(), expected);
}

#[test]
fn a_key_file_that_cannot_be_right_is_refused_for_what_is_wrong() {
    use InvalidServiceAccountKind as Kind;

    let with = |name: &str, value: Value| {
        let mut file = key_file("https://id.example.com/token");
        file[name] = value;
        account(&file).err()
    };
    assert_eq!(with("project_id", json!(7)), None);
    assert_eq!(with("type", json!("authorized_user")), Some(Kind::Type));
    assert_eq!(with("type", Value::Null), Some(Kind::Type));
    assert_eq!(with("client_email", json!("")), Some(Kind::ClientEmail));
    assert_eq!(
        with("client_email", json!(["hunter2"])),
        Some(Kind::ClientEmail)
    );
    assert_eq!(
        with("token_uri", json!({"hunter2": 1})),
        Some(Kind::TokenUri)
    );
    assert_eq!(with("private_key", Value::Null), Some(Kind::PrivateKey));
    assert_eq!(
        with("private_key", json!("hunter2")),
        Some(Kind::PrivateKey)
    );
    assert_eq!(with("private_key", json!(P256)), Some(Kind::PrivateKey));
    for text in ["", "[]", "hunter2", "\"hunter2\"", "{\"type\":"] {
        let error = GoogleServiceAccount::from_json(text).unwrap_err();
        assert_eq!(error.kind(), Kind::NotJson, "{text}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}

#[test]
fn a_key_file_decides_where_to_ask_but_not_over_plain_http() {
    let uri = |file: &Value| account(file).unwrap().token_uri().to_owned();
    let build = |token_uri: &str| {
        let account = account(&key_file(token_uri)).unwrap();
        let provider = account.builder().build(());
        provider.map(drop).map_err(|error| error.kind())
    };
    assert_eq!(uri(&key_file("https://a.example/t")), "https://a.example/t");
    let mut file = key_file("");
    file.as_object_mut().unwrap().remove("token_uri");
    assert_eq!(uri(&file), "https://oauth2.googleapis.com/token");

    assert_eq!(build("https://id.example.com/token"), Ok(()));
    let plain = build("http://id.example.com/token");
    assert_eq!(plain, Err(InvalidConfigKind::InsecureHttp));
    assert_eq!(build("hunter2"), Err(InvalidConfigKind::TokenEndpoint));
}

#[test]
fn debug_shows_no_key() {
    let account = account(&key_file("https://id.example.com/token")).unwrap();
    let builder = account.builder();
    let debug = format!("{account:?} {builder:?} {:?}", builder.clone().build(()));
    let key: Vec<_> = RSA.lines().filter(|line| line.len() == 64).collect();
    assert!(key.len() > 10);
    assert!(!key.iter().any(|line| debug.contains(line)), "{debug}");
}
