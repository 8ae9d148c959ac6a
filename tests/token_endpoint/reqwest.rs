//! reqwest as the transport.

use ::reqwest::{ClientBuilder, redirect};
use tower_bearer::reqwest::ReqwestTransport;

use http::header::LOCATION;
use http::{HeaderValue, Method};
use tower_bearer::error::BoxError;
use tower_bearer::oauth2::{
    ClientAuth, ClientCredentials, ClientCredentialsBuilder, TokenEndpointErrorKind as Kind,
};
use tower_bearer::{AccessToken, FetchContext, TokenProvider};

use super::server::{Server, response};
use super::support::{SECRET, TOKEN, cause, client, fetch_error};

async fn fetch(
    builder: ClientCredentialsBuilder,
    transport: ReqwestTransport,
) -> Result<AccessToken, BoxError> {
    let provider = builder.build(transport).unwrap();
    provider.fetch_token(FetchContext::default()).await
}

async fn redirecting_to(other: &Server) -> Server {
    let location: HeaderValue = other.url().parse().unwrap();
    Server::start(move |_| {
        let mut response = response(307, "");
        response.headers_mut().insert(LOCATION, location.clone());
        response
    })
    .await
}

#[tokio::test]
async fn reqwest_carries_a_token_request() {
    let server = Server::answering(200, TOKEN).await;
    let builder = client(&server).with_client_auth(ClientAuth::Post);
    let token = fetch(builder, ReqwestTransport::new().unwrap()).await;

    assert_eq!(token.unwrap().expose_secret(), "issued");
    let request = server.only_request();
    assert_eq!(request.method, Method::POST);
    let length = request.form.len().to_string();
    assert_eq!(request.header("content-length"), Some(&*length));
    assert!(
        request
            .form
            .starts_with("grant_type=client_credentials&client_id=my-service")
    );
}

#[tokio::test]
async fn reqwest_follows_no_redirect_even_if_its_builder_says_so() {
    let other = Server::answering(200, TOKEN).await;
    let server = redirecting_to(&other).await;
    let builder = ClientBuilder::new().redirect(redirect::Policy::limited(5));
    let transport = ReqwestTransport::from_builder(builder).unwrap();
    let error = fetch_error(fetch(client(&server), transport).await);

    assert_eq!(cause(&error).kind(), Kind::Redirected);
    assert_eq!((server.received().len(), other.received().len()), (1, 0));
}

#[tokio::test]
async fn a_client_that_follows_redirects_is_taken_by_a_name_that_says_so() {
    let other = Server::answering(200, TOKEN).await;
    let server = redirecting_to(&other).await;
    let finished = ::reqwest::Client::new();
    let transport = ReqwestTransport::from_client_that_may_follow_redirects(finished);
    let builder = client(&server).with_client_auth(ClientAuth::Post);

    assert!(fetch(builder, transport).await.is_ok());
    assert!(other.only_request().form.contains("hunter2"));
}

#[tokio::test]
async fn an_error_of_reqwest_does_not_show_the_query() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "http://{}/token?key=hunter2",
        listener.local_addr().unwrap()
    );
    drop(listener);
    let builder = ClientCredentials::builder(&url, "me", SECRET);
    let error = fetch_error(fetch(builder, ReqwestTransport::new().unwrap()).await);

    assert_eq!(cause(&error).kind(), Kind::Transport);
    assert!(cause(&error).to_string().contains("connection refused"));
}

/// Where the test below asks when it is run within itself.
const TARGET: &str = "TOWER_BEARER_TEST_TARGET";

#[tokio::test]
async fn plain_http_goes_past_the_proxies_of_the_environment() {
    if let Ok(url) = std::env::var(TARGET) {
        let builder = ClientCredentials::builder(url, "me", SECRET);
        let transport = ReqwestTransport::new().unwrap();
        assert!(fetch(builder, transport).await.is_ok());
        return;
    }

    let proxy = Server::answering(200, TOKEN).await;
    let server = Server::answering(200, TOKEN).await;
    // An environment cannot be changed safely but for another process.
    let name = "reqwest::plain_http_goes_past_the_proxies_of_the_environment";
    let mut this = tokio::process::Command::new(std::env::current_exe().unwrap());
    this.args([name, "--exact"])
        .env(TARGET, server.url())
        .env("HTTP_PROXY", proxy.url())
        .env("http_proxy", proxy.url())
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .kill_on_drop(true);
    let output = this.output().await.unwrap();

    assert!(output.status.success(), "{output:?}");
    assert_eq!((proxy.received().len(), server.received().len()), (0, 1));
}
