//! The API: what it accepts and rejects, and what it knows of its requests.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::Frame;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower_bearer::testing::{Api, AuthorizationServer, Reply};

use crate::support::{ask, clients, send, with_token};

const INVALID: &str = "Bearer error=\"invalid_token\"";

#[tokio::test]
async fn what_the_endpoint_issued_is_accepted_until_it_is_revoked() {
    for client in clients() {
        let endpoint = AuthorizationServer::start().await;
        let (api, other) = (Api::start(&endpoint).await, Api::start(&endpoint).await);
        for _ in 0..3 {
            ask(&client, &endpoint, "grant_type=a").await;
        }
        let status_of = async |api: &Api, token| {
            let answer = send(&client, with_token(&api.url("/x"), token)).await;
            if answer.status == StatusCode::UNAUTHORIZED {
                assert_eq!(answer.header("www-authenticate"), INVALID);
            }
            answer.status.as_u16()
        };

        assert_eq!(status_of(&api, "token-1").await, 200);
        assert_eq!(status_of(&api, "token-9").await, 401);
        endpoint.revoke("token-1");
        assert_eq!(status_of(&api, "token-1").await, 401);
        assert_eq!(status_of(&other, "token-1").await, 401);
        api.revoke("token-2");
        assert_eq!(status_of(&other, "token-2").await, 401);
        assert_eq!(status_of(&api, "token-3").await, 200);
        api.revoke_all();
        assert_eq!(status_of(&api, "token-3").await, 401);
        ask(&client, &endpoint, "grant_type=a").await;
        assert_eq!(status_of(&api, "token-4").await, 200);

        assert_eq!((api.requests(), api.accepted(), api.rejected()), (6, 3, 3));
    }
}

#[tokio::test]
async fn any_token_is_accepted_until_it_is_revoked_if_so_started() {
    let [client, _] = clients();
    let api = Api::start_accepting_any_token().await;
    let is_accepted = async |token| {
        let answer = send(&client, with_token(&api.url("/"), token)).await;
        answer.status == StatusCode::OK
    };

    assert!(is_accepted("a").await && is_accepted("a").await);
    api.revoke("b");
    assert!(!is_accepted("b").await, "although it was not seen before");
    api.revoke_all();
    assert!(!is_accepted("a").await);
    assert!(is_accepted("c").await, "it was not seen before");
}

#[tokio::test]
async fn an_accepted_request_gets_its_body_back_and_is_kept_as_it_arrived() {
    for client in clients() {
        let api = Api::start_accepting_any_token().await;
        let mut request = with_token(&api.url("/items?x=1"), "abc");
        let text = HeaderValue::from_static("text/x-test");
        request.headers_mut().insert("content-type", text);

        let answer = send(&client, request).await;

        assert_eq!(answer.body, "payload");
        assert_eq!(answer.header("content-type"), "text/x-test");
        let received = api.received().remove(0);
        assert_eq!((received.path(), received.text()), ("/items", "payload"));
        assert_eq!(received.uri().query(), Some("x=1"));
        assert_eq!(received.bearer_token(), Some("abc"));
        assert!(!format!("{received:?} {api:?}").contains("abc"));
    }
}

#[tokio::test]
async fn a_request_without_a_token_is_told_no_error_and_one_with_two_is_malformed() {
    let [client, _] = clients();
    let api = Api::start_accepting_any_token().await;
    let mut request = with_token(&api.url("/"), "a");
    request.headers_mut().remove(AUTHORIZATION);
    let answer = send(&client, request).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.header("www-authenticate"), "Bearer");

    let mut request = with_token(&api.url("/"), "a");
    let basic = HeaderValue::from_static("Basic YTpi");
    request.headers_mut().insert(AUTHORIZATION, basic);
    let answer = send(&client, request).await;
    assert_eq!(answer.header("www-authenticate"), "Bearer");

    let mut request = with_token(&api.url("/"), "a");
    let second = HeaderValue::from_static("Bearer a");
    request.headers_mut().append(AUTHORIZATION, second);
    let answer = send(&client, request).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!((api.accepted(), api.rejected()), (0, 2));
}

#[tokio::test]
async fn good_tokens_are_rejected_on_demand_and_stay_good() {
    let [client, _] = clients();
    let api = Api::start_accepting_any_token().await;
    let statuses = async |n| {
        let mut statuses = Vec::new();
        for _ in 0..n {
            let answer = send(&client, with_token(&api.url("/"), "a")).await;
            statuses.push(answer.status.as_u16());
        }
        statuses
    };

    api.reject_next(2);
    assert_eq!(statuses(3).await, [401, 401, 200]);
    api.reject_everything();
    assert_eq!(statuses(3).await, [401, 401, 401]);
    api.answer_always(Reply::status(StatusCode::FORBIDDEN));
    api.answer_next([Reply::status(StatusCode::ACCEPTED)]);
    assert_eq!(statuses(2).await, [202, 403]);
    api.answer_as_usual();
    assert_eq!(statuses(1).await, [200]);
    assert_eq!((api.requests(), api.accepted(), api.rejected()), (9, 3, 5));
}

#[tokio::test]
async fn the_token_is_looked_at_when_a_held_request_is_let_go() {
    for client in clients() {
        let api = Api::start_accepting_any_token().await;
        api.hold();
        let requests: Vec<_> = (0..10)
            .map(|_| {
                let client = client.clone();
                let request = with_token(&api.url("/"), "a");
                tokio::spawn(async move { send(&client, request).await.status })
            })
            .collect();
        api.wait_for_requests(10).await;
        assert_eq!((api.accepted(), api.rejected()), (0, 0));

        api.revoke("a");
        api.release();

        for request in requests {
            assert_eq!(request.await.unwrap(), StatusCode::UNAUTHORIZED);
        }
        api.wait_for_rejected(10).await;
        send(&client, with_token(&api.url("/"), "b")).await;
        api.wait_for_accepted(1).await;
    }
}

#[tokio::test]
async fn a_request_says_which_connection_it_came_by() {
    let [http1, http2] = clients();
    let api = Api::start_accepting_any_token().await;
    for client in [&http1, &http1, &http2, &http2] {
        send(client, with_token(&api.url("/"), "a")).await;
    }

    let received = api.received();
    let connections: Vec<_> = received.iter().map(|one| one.connection()).collect();
    assert_eq!(connections, [0, 0, 1, 1]);
    assert_eq!(api.connections(), 2);
}

/// Of a request whose body never ends.
async fn status_of_endless(http2: bool, api: &Api, token: &str) -> u16 {
    let client = Client::builder(TokioExecutor::new())
        .http2_only(http2)
        .build_http();
    let body = futures_util::stream::pending::<Result<Frame<Bytes>, Infallible>>();
    let request = Request::post(api.url("/"))
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .body(StreamBody::new(body))
        .unwrap();
    let response = tokio::time::timeout(Duration::from_secs(60), client.request(request)).await;
    response.expect("hangs").unwrap().status().as_u16()
}

#[tokio::test]
async fn a_bad_token_can_be_rejected_before_the_body_has_come() {
    for http2 in [false, true] {
        let api = Api::start_accepting_any_token().await;
        api.revoke("bad");
        api.reject_before_body();

        assert_eq!(status_of_endless(http2, &api, "bad").await, 401);
        assert_eq!(api.received()[0].body(), "");

        let good = send(&clients()[0], with_token(&api.url("/"), "good")).await;
        assert_eq!(good.body, "payload");
    }
}

#[tokio::test]
async fn bodies_of_any_length_arrive() {
    let api = Api::start_accepting_any_token().await;
    let large = vec![b'x'; 3 * 1024 * 1024];
    for client in clients() {
        let mut request = with_token(&api.url("/"), "a");
        *request.body_mut() = large.clone().into();
        assert_eq!(send(&client, request).await.body, large);
    }
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::get(api.url("/")).header(AUTHORIZATION, "Bearer a");
    let response = client.request(request.body(Empty::new()).unwrap()).await;
    let body = response.unwrap().into_body().collect().await.unwrap();
    assert!(body.to_bytes().is_empty());
}

#[tokio::test]
async fn good_tokens_that_are_rejected_can_be_so_before_the_body_has_come() {
    for http2 in [false, true] {
        let api = Api::start_accepting_any_token().await;
        api.reject_before_body();
        api.reject_next(1);

        assert_eq!(status_of_endless(http2, &api, "good").await, 401);
        assert_eq!(api.received()[0].body(), "");
        let good = send(&clients()[0], with_token(&api.url("/"), "good")).await;
        assert_eq!(good.body, "payload", "only the next one was to be rejected");
    }
}

#[tokio::test]
async fn the_next_reply_is_taken_on_arrival_and_all_others_when_let_go() {
    for client in clients() {
        let api = Api::start_accepting_any_token().await;
        api.answer_always(Reply::text(StatusCode::OK, "before"));
        api.answer_next([Reply::text(StatusCode::OK, "first")]);
        api.hold();
        let mut held = Vec::new();
        for arrived in 1..=2 {
            let (client, request) = (client.clone(), with_token(&api.url("/"), "a"));
            held.push(tokio::spawn(
                async move { send(&client, request).await.body },
            ));
            api.wait_for_requests(arrived).await;
        }

        api.answer_next([Reply::text(StatusCode::OK, "next")]);
        api.answer_always(Reply::text(StatusCode::OK, "now"));
        api.release();

        let [first, second] = held.try_into().unwrap();
        assert_eq!(first.await.unwrap(), "first");
        assert_eq!(second.await.unwrap(), "now");
        let third = send(&client, with_token(&api.url("/"), "a")).await;
        assert_eq!(third.body, "next");
    }
}
