//! Servers that fail on demand, that take long, and that end.

use std::time::Duration;

use http::StatusCode;
use http::header::RETRY_AFTER;
use http_body_util::BodyExt;
use tower_bearer::testing::{Api, Gate, Reply};

use crate::support::{HttpClient, clients, send, try_send, with_token};

#[tokio::test]
async fn a_closed_connection_is_no_answer_and_the_next_request_is_served() {
    for client in clients() {
        let api = Api::start_accepting_any_token().await;
        send(&client, with_token(&api.url("/"), "a")).await;
        api.answer_next([Reply::close()]);

        assert!(
            try_send(&client, with_token(&api.url("/"), "a"))
                .await
                .is_err()
        );

        let answer = send(&client, with_token(&api.url("/"), "a")).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!((api.requests(), api.accepted()), (3, 2));
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_has_its_status_and_half_of_its_body() {
    for client in clients() {
        let api = Api::start_accepting_any_token().await;
        let reply = Reply::text(StatusCode::OK, "0123456789").breaking_off();
        api.answer_next([reply.clone(), reply]);

        let failed = try_send(&client, with_token(&api.url("/"), "a")).await;
        assert!(failed.is_err());

        let (status, read) = broken_off(&client, &api).await;
        assert_eq!(status, StatusCode::OK);
        // Over HTTP/2 the last byte of it may be lost.
        assert!(["01234", "0123"].contains(&read.as_str()), "{read}");
        assert_eq!(api.accepted(), 0, "not in full");
    }
}

/// The head, and what came of the body before it broke off.
async fn broken_off(client: &HttpClient, api: &Api) -> (StatusCode, String) {
    let response = client.request(with_token(&api.url("/"), "a")).await;
    let response = response.expect("the head");
    let status = response.status();
    let (mut body, mut read) = (response.into_body(), Vec::new());
    loop {
        match body.frame().await {
            Some(Ok(frame)) => read.extend_from_slice(&frame.into_data().unwrap()),
            Some(Err(_)) => return (status, String::from_utf8(read).unwrap()),
            None => panic!("complete, with {} bytes", read.len()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_head_of_an_answer_that_breaks_off_arrives_whatever_runs_at_once() {
    for client in clients() {
        let api = Api::start_accepting_any_token().await;
        let reply = Reply::text(StatusCode::OK, "0123456789");
        api.answer_always(reply.breaking_off());
        for _ in 0..30 {
            let all = (0..10).map(|_| broken_off(&client, &api));
            for (status, read) in futures_util::future::join_all(all).await {
                assert_eq!(status, StatusCode::OK);
                assert!(["01234", "0123"].contains(&read.as_str()), "{read}");
            }
        }
    }
}

#[tokio::test]
async fn an_answer_breaks_off_however_short_or_long_it_is() {
    for client in clients() {
        let api = Api::start_accepting_any_token().await;
        for length in [0, 1, 2, 3, 4, 3 << 20] {
            let text = "x".repeat(length);
            api.answer_next([Reply::text(StatusCode::ACCEPTED, text).breaking_off()]);

            let (status, read) = broken_off(&client, &api).await;

            assert_eq!(status, StatusCode::ACCEPTED);
            assert!(!read.is_empty() && read.len() < length.max(3), "{length}");
        }
    }
}

#[tokio::test]
async fn a_body_without_an_end_goes_on_for_as_long_as_it_is_read() {
    for client in clients() {
        let api = Api::start_accepting_any_token().await;
        api.answer_next([Reply::text(StatusCode::OK, "again ").endless()]);

        let response = client
            .request(with_token(&api.url("/"), "a"))
            .await
            .unwrap();
        let mut body = response.into_body();
        let mut read = 0;
        while read < 1 << 20 {
            let frame = body.frame().await.unwrap().unwrap();
            read += frame.into_data().unwrap().len();
        }
    }
}

#[tokio::test]
async fn status_headers_and_text_are_those_of_the_reply() {
    let [client, _] = clients();
    let api = Api::start_accepting_any_token().await;
    api.answer_next([
        Reply::status(StatusCode::TOO_MANY_REQUESTS).with_retry_after(Duration::from_millis(5900)),
        Reply::garbage(),
        http::Response::builder()
            .status(302)
            .header("location", "/x")
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
            .body("moved")
            .unwrap()
            .into(),
    ]);

    let busy = send(&client, with_token(&api.url("/"), "a")).await;
    assert_eq!(busy.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(busy.header(RETRY_AFTER.as_str()), "5");
    let garbage = send(&client, with_token(&api.url("/"), "a")).await;
    assert_eq!(garbage.status, StatusCode::OK);
    assert!(garbage.json().starts_with("<!doctype html>"));
    let moved = send(&client, with_token(&api.url("/"), "a")).await;
    assert_eq!(
        (moved.status.as_u16(), moved.header("location")),
        (302, "/x")
    );
    assert_eq!(moved.json(), "moved");
    let cookies = moved.head.headers().get_all("set-cookie").iter();
    assert!(cookies.eq(["a=1", "b=2"]));
}

#[test]
#[should_panic = "103 Early Hints is no answer"]
fn what_is_informational_is_refused_as_a_reply() {
    let _ = Reply::status(StatusCode::EARLY_HINTS);
}

#[tokio::test]
async fn a_reply_waits_for_its_gate_while_others_pass() {
    for client in clients() {
        let api = Api::start_accepting_any_token().await;
        let gate = Gate::new();
        api.answer_next([Reply::text(StatusCode::OK, "late").after(&gate)]);
        let (other, request) = (client.clone(), with_token(&api.url("/"), "a"));
        let late = tokio::spawn(async move { send(&other, request).await.json() });
        api.wait_for_requests(1).await;

        let early = send(&client, with_token(&api.url("/"), "a")).await;
        assert_eq!(early.json(), "payload");
        assert!(!late.is_finished());

        gate.open();
        assert_eq!(late.await.unwrap(), "late");
    }
}

#[tokio::test]
async fn a_server_that_is_dropped_closes_its_connections_and_its_port() {
    for client in clients() {
        let api = Api::start_accepting_any_token().await;
        api.hold();
        let (other, request) = (client.clone(), with_token(&api.url("/"), "a"));
        let held = tokio::spawn(async move { try_send(&other, request).await.is_err() });
        api.wait_for_requests(1).await;
        let url = api.url("/");

        drop(api);

        assert!(held.await.unwrap(), "the connection was closed");
        assert!(try_send(&client, with_token(&url, "a")).await.is_err());
    }
}

/// On a runtime of its own, to which the client does not belong.
#[test]
fn no_task_of_a_server_outlives_it() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let servers = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    for client in clients() {
        let api = servers.block_on(Api::start_accepting_any_token());
        api.answer_next([Reply::hang(), Reply::hang()]);
        runtime().block_on(async {
            let requests = [(); 2].map(|()| {
                let (client, request) = (client.clone(), with_token(&api.url("/"), "a"));
                tokio::spawn(async move { try_send(&client, request).await.is_err() })
            });
            api.wait_for_requests(2).await;
            assert!(
                servers.metrics().num_alive_tasks() >= 2,
                "accepting and serving"
            );

            drop(api);

            for request in requests {
                assert!(request.await.unwrap());
            }
        });
        servers.block_on(async {
            let ended = async {
                while servers.metrics().num_alive_tasks() > 0 {
                    tokio::task::yield_now().await;
                }
            };
            let limit = Duration::from_secs(60);
            let ended = tokio::time::timeout(limit, ended).await;
            ended.expect("a task outlives its server");
        });
    }
}

#[tokio::test]
async fn a_panic_in_the_answer_ends_its_request_and_not_the_server() {
    for client in clients() {
        let api = Api::start_accepting_any_token().await;
        api.answer_with(|request| match request.path() {
            "/panic" => panic!("as the test wants it"),
            _ => None,
        });

        let failed = try_send(&client, with_token(&api.url("/panic"), "a")).await;
        assert!(failed.is_err());
        let answer = send(&client, with_token(&api.url("/"), "a")).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
}
