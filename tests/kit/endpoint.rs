//! The token endpoint: what it issues and refuses, and what it knows of its requests.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, StatusCode, Version};
use http_body_util::Full;
use tower_bearer::testing::{AuthorizationServer, Reply};

use crate::support::{ask, clients, send, token_request};

#[tokio::test]
async fn whatever_the_grant_the_nth_request_gets_the_nth_token_for_an_hour() {
    for client in clients() {
        let endpoint = AuthorizationServer::start().await;
        let forms = ["grant_type=client_credentials", "grant_type=x&scope=a+b"];
        for (form, token) in forms.into_iter().zip(["token-1", "token-2"]) {
            let answer = ask(&client, &endpoint, form).await;

            assert_eq!(answer.status, StatusCode::OK);
            assert_eq!(answer.header("content-type"), "application/json");
            assert_eq!(answer.header("cache-control"), "no-store");
            let json =
                format!(r#"{{"access_token":"{token}","expires_in":3600,"token_type":"Bearer"}}"#);
            assert_eq!(answer.json(), json);
        }
        assert_eq!(endpoint.issued(), ["token-1", "token-2"]);
        assert_eq!((endpoint.requests(), endpoint.connections()), (2, 1));
    }
}

#[tokio::test]
async fn requests_are_kept_as_they_arrived() {
    for (client, version) in clients().iter().zip([Version::HTTP_11, Version::HTTP_2]) {
        let endpoint = AuthorizationServer::start().await;
        ask(client, &endpoint, "grant_type=a&scope=x+y&scope2=%26").await;

        let received = endpoint.received().remove(0);
        assert_eq!(received.method(), Method::POST);
        assert_eq!(received.path(), "/token");
        assert_eq!(received.version(), version);
        let form = "application/x-www-form-urlencoded";
        assert_eq!(received.header("content-type"), Some(form));
        assert_eq!(received.header("x-missing"), None);
        assert_eq!(received.text(), "grant_type=a&scope=x+y&scope2=%26");
        assert_eq!(received.parameter("scope").as_deref(), Some("x y"));
        assert_eq!(received.parameter("scope2").as_deref(), Some("&"));
        assert_eq!(received.parameter("missing"), None);
        assert_eq!(received.bearer_token(), None);

        assert_eq!(endpoint.take_received().len(), 1);
        assert!(endpoint.received().is_empty());
        assert_eq!(endpoint.requests(), 1, "the counts go on");
    }
}

#[tokio::test]
async fn lifetimes_are_told_as_they_were_set_and_left_out_if_there_is_none() {
    let [client, _] = clients();
    let endpoint = AuthorizationServer::start().await;

    endpoint.set_lifetime(Duration::from_millis(1999));
    let answer = ask(&client, &endpoint, "grant_type=a").await;
    assert!(answer.json().contains(r#""expires_in":1,"#));

    endpoint.set_lifetime(None);
    let answer = ask(&client, &endpoint, "grant_type=a").await;
    assert!(!answer.json().contains("expires_in"));
}

#[tokio::test]
async fn what_is_no_token_request_is_refused() {
    let [client, _] = clients();
    let endpoint = AuthorizationServer::start().await;
    let get = Request::get(endpoint.url()).body(Full::default()).unwrap();
    let answer = send(&client, get).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);

    let json = Request::post(endpoint.url())
        .header(CONTENT_TYPE, "application/json")
        .body(Full::from("grant_type=a"))
        .unwrap();
    for answer in [
        send(&client, json).await,
        ask(&client, &endpoint, "scope=a").await,
        ask(&client, &endpoint, "grant_type=a&grant_type=a").await,
    ] {
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert_eq!(answer.json(), r#"{"error":"invalid_request"}"#);
    }
    assert!(endpoint.issued().is_empty());
}

#[tokio::test]
async fn who_is_not_the_required_client_is_refused() {
    let [client, _] = clients();
    let endpoint = AuthorizationServer::start().await;
    endpoint.require_client("a:b c", "h=&+%");

    // "a%3Ab+c:h%3D%26%2B%25", "a%3Ab+c:wrong" and "a:b c:h=&+%"
    for (basic, is_client) in [
        ("Basic YSUzQWIrYzpoJTNEJTI2JTJCJTI1", true),
        ("basic YSUzQWIrYzpoJTNEJTI2JTJCJTI1", true),
        ("Basic YSUzQWIrYzp3cm9uZw==", false),
        ("Basic YTpiIGM6aD0mKyU=", false),
        ("Basic", false),
        ("Bearer YSUzQWIrYzpoJTNEJTI2JTJCJTI1", false),
    ] {
        let request = token_request()
            .uri(endpoint.url())
            .header(AUTHORIZATION, basic)
            .body(Full::from("grant_type=a"));
        let answer = send(&client, request.unwrap()).await;
        assert_eq!(answer.status == StatusCode::OK, is_client, "{basic}");
    }

    let good = "grant_type=a&client_id=a%3Ab+c&client_secret=h%3D%26%2B%25";
    assert_eq!(ask(&client, &endpoint, good).await.status, StatusCode::OK);
    for bad in [
        "grant_type=a",
        "grant_type=a&client_id=a%3Ab+c",
        "grant_type=a&client_id=x&client_secret=h%3D%26%2B%25",
    ] {
        let answer = ask(&client, &endpoint, bad).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{bad}");
        assert_eq!(answer.json(), r#"{"error":"invalid_client"}"#);
        assert!(answer.header("www-authenticate").starts_with("Basic"));
    }
    let shown = format!("{endpoint:?} {:#?}", endpoint.received());
    assert!(!shown.contains("h%3D"), "{shown}");
}

#[tokio::test]
async fn the_next_answers_come_first_then_those_of_the_closure_then_the_usual_ones() {
    let [client, _] = clients();
    let endpoint = AuthorizationServer::start().await;
    endpoint.answer_with(|request| {
        let is_b = request.parameter("scope").as_deref() == Some("b");
        is_b.then(|| Reply::oauth_error(StatusCode::BAD_REQUEST, "invalid_scope"))
    });
    endpoint.answer_next([
        Reply::token("first", None),
        Reply::text(StatusCode::BAD_GATEWAY, "second"),
    ]);

    let mut seen = Vec::new();
    for form in ["grant_type=a&scope=b"; 3] {
        seen.push(ask(&client, &endpoint, form).await.json());
    }
    seen.push(ask(&client, &endpoint, "grant_type=a").await.json());
    endpoint.answer_always(Reply::json(StatusCode::OK, "{}"));
    seen.push(ask(&client, &endpoint, "grant_type=a").await.json());
    endpoint.answer_as_usual();
    seen.push(ask(&client, &endpoint, "grant_type=a").await.json());

    let expected = [
        r#"{"access_token":"first","token_type":"Bearer"}"#,
        "second",
        r#"{"error":"invalid_scope"}"#,
        r#"{"access_token":"token-4","expires_in":3600,"token_type":"Bearer"}"#,
        "{}",
        r#"{"access_token":"token-6","expires_in":3600,"token_type":"Bearer"}"#,
    ];
    assert_eq!(seen, expected);
    assert_eq!(endpoint.issued(), ["first", "token-4", "token-6"]);
}

#[tokio::test]
async fn a_token_in_an_answer_that_is_no_success_was_not_issued() {
    let [client, _] = clients();
    let endpoint = AuthorizationServer::start().await;
    let body = Bytes::from_static(br#"{"access_token":"no"}"#);
    endpoint.answer_always(Reply::json(StatusCode::BAD_REQUEST, body));

    ask(&client, &endpoint, "grant_type=a").await;

    assert!(endpoint.issued().is_empty());
    assert!(!endpoint.accepts("no"));
}

#[tokio::test]
async fn it_can_be_asked_whether_a_token_is_good() {
    let [client, _] = clients();
    let endpoint = AuthorizationServer::start().await;
    ask(&client, &endpoint, "grant_type=a").await;

    assert!(endpoint.accepts("token-1") && !endpoint.accepts("token-2"));
    endpoint.revoke_all();
    assert!(!endpoint.accepts("token-1"));
    assert_eq!(endpoint.issued(), ["token-1"], "it was");
}
