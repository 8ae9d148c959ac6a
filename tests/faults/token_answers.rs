//! What a token endpoint answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tower_bearer::FetchErrorKind;
use tower_bearer::oauth2::TokenEndpointErrorKind as Cause;

use crate::layer_support::Gate;
use crate::layer_support::without_hanging;
use crate::scene::{Scene, cause, good, issue};
use crate::socket_support::{Conn, RawServer, answer};

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn a_page_instead_of_json_is_the_endpoints_failure() {
    for (status, expected) in [
        ("200 OK", Cause::NotJson),
        ("502 Bad Gateway", Cause::Rejected),
    ] {
        let scene = Scene::new();
        let page = "<html><body>The cat has eaten it</body></html>";
        scene
            .tokens
            .answers(answer(status, "content-type: text/html\r\n", page));
        let error = scene
            .fails_and_recovers(FetchErrorKind::Unavailable, expected)
            .await;

        // What comes with a status of success may hold a token.
        let quoted = cause(&error).to_string().contains("The cat");
        assert_eq!(quoted, expected == Cause::Rejected);
        assert_eq!(scene.tokens.connections(), 1);
    }
}

#[tokio::test]
async fn ten_mebibytes_are_not_read_on_beyond_the_first() {
    for (status, length, kind, expected) in [
        ("200 OK", true, FetchErrorKind::Unavailable, Cause::TooLarge),
        (
            "200 OK",
            false,
            FetchErrorKind::Unavailable,
            Cause::TooLarge,
        ),
        ("400 No", true, FetchErrorKind::Denied, Cause::Rejected),
        (
            "503 No",
            false,
            FetchErrorKind::Unavailable,
            Cause::Rejected,
        ),
    ] {
        let scene = Scene::new();
        let head = match length {
            true => format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", 10 * MIB),
            false => format!("HTTP/1.1 {status}\r\ntransfer-encoding: chunked\r\n\r\nA00000\r\n"),
        };
        let (written, ended) = (Arc::new(AtomicUsize::new(0)), Gate::new());
        let (count, end) = (Arc::clone(&written), ended.clone());
        scene.tokens.next(async move |mut conn: Conn| {
            conn.request().await?;
            conn.send(head.as_bytes()).await.ok()?;
            let poured = conn.pour(&vec![b' '; 10 * MIB]).await;
            count.store(poured, Ordering::Relaxed);
            end.open();
            None
        });
        scene.fails_and_recovers(kind, expected).await;

        without_hanging(ended.pass()).await;
        // Beside what was read, what hyper and both sockets hold.
        let written = written.load(Ordering::Relaxed);
        assert!(written < 2 * MIB, "{written}");
    }
}

#[tokio::test]
async fn one_mebibyte_exactly_is_taken() {
    let scene = Scene::new();
    let mut body = good("issued-1");
    body.extend(std::iter::repeat_n(' ', MIB - body.len()));
    scene.tokens.answers(answer("200 OK", "", &body));
    scene.takes("issued-1").await;

    let scene = Scene::new();
    body.push(' ');
    scene.tokens.answers(answer("200 OK", "", &body));
    scene
        .fails_and_recovers(FetchErrorKind::Unavailable, Cause::TooLarge)
        .await;
}

#[tokio::test]
async fn good_json_of_the_wrong_content_type_is_taken() {
    for content_type in ["text/html", "application/octet-stream", "no type at all"] {
        let scene = Scene::new();
        let header = format!("content-type: {content_type}\r\n");
        scene
            .tokens
            .answers(answer("200 OK", &header, &good("issued-1")));
        scene.takes("issued-1").await;
    }
}

#[tokio::test]
async fn an_encoding_that_nobody_asked_for_is_named() {
    let scene = Scene::new();
    let mut gzip = answer("200 OK", "content-encoding: gzip\r\n", &"z".repeat(4));
    let length = gzip.len();
    gzip.splice(length - 4.., [0x1f, 0x8b, 0x08, 0x00]);
    scene.tokens.answers(gzip);
    let error = scene
        .fails_and_recovers(FetchErrorKind::Unavailable, Cause::NotJson)
        .await;

    assert!(cause(&error).to_string().contains("gzip"));
}

#[tokio::test]
async fn a_redirect_does_not_take_the_secret_anywhere() {
    for status in [301, 302, 303, 307, 308] {
        let (scene, other) = (Scene::new(), RawServer::start(issue));
        let location = format!("location: {}/oauth\r\n", other.origin());
        scene
            .tokens
            .answers(answer(&format!("{status} There"), &location, ""));
        scene
            .fails_and_recovers(FetchErrorKind::Unavailable, Cause::Redirected)
            .await;

        assert_eq!(other.connections(), 0);
    }
}

#[tokio::test]
async fn a_continue_before_the_answer_is_passed_over() {
    let scene = Scene::new();
    let mut answers = b"HTTP/1.1 100 Continue\r\n\r\n".to_vec();
    answers.extend(issue(1));
    scene.tokens.answers(answers);
    scene.takes("issued-1").await;
    assert_eq!(scene.tokens.connections(), 1);
}

#[tokio::test]
async fn a_body_in_chunks_with_trailers_is_taken() {
    let scene = Scene::new();
    let body = good("issued-1");
    let (one, two) = body.split_at(20);
    scene.tokens.answers(format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
         {:x}\r\n{one}\r\n{:x};ext=1\r\n{two}\r\n0\r\nx-sum: 1\r\n\r\n",
        one.len(),
        two.len(),
    ));
    scene.takes("issued-1").await;
    assert_eq!(scene.tokens.connections(), 1);
}

#[tokio::test]
async fn a_length_that_is_too_great_is_a_failed_transport() {
    let scene = Scene::new();
    let (body, length) = (good("issued-1"), good("issued-1").len() + 1);
    scene.tokens.answers_and_closes(format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}"
    ));
    scene
        .fails_and_recovers(FetchErrorKind::Unavailable, Cause::Transport)
        .await;
}

#[tokio::test]
async fn a_length_that_is_too_small_is_no_json_and_the_rest_no_answer() {
    let scene = Scene::new();
    let (body, length) = (good("issued-1"), good("issued-1").len() - 1);
    scene.tokens.answers(format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}"
    ));
    scene
        .fails_and_recovers(FetchErrorKind::Unavailable, Cause::NotJson)
        .await;
    assert_eq!(scene.tokens.connections(), 2);
}

#[tokio::test]
async fn an_answer_of_http_1_0_is_taken() {
    let scene = Scene::new();
    let body = good("issued-1");
    scene
        .tokens
        .answers_and_closes(format!("HTTP/1.0 200 OK\r\n\r\n{body}"));
    scene.takes("issued-1").await;
    assert_eq!(scene.tokens.connections(), 2);
}

#[tokio::test]
async fn a_head_of_64_kib_is_taken() {
    let scene = Scene::new();
    let header = format!("x-filler: {}\r\n", "x".repeat(64 * 1024));
    scene
        .tokens
        .answers(answer("200 OK", &header, &good("issued-1")));
    scene.takes("issued-1").await;
}

#[tokio::test]
async fn a_head_without_measure_is_a_failed_transport() {
    for header in [
        "x-filler: x\r\n".repeat(1000),
        format!("x: {}", "x".repeat(MIB)),
    ] {
        let scene = Scene::new();
        scene
            .tokens
            .answers(answer("200 OK", &header, &good("issued-1")));
        scene
            .fails_and_recovers(FetchErrorKind::Unavailable, Cause::Transport)
            .await;
    }
}

#[tokio::test]
async fn an_answer_without_a_body_is_no_json() {
    for status in ["200 OK", "204 No Content"] {
        let scene = Scene::new();
        scene.tokens.answers(match status {
            "200 OK" => answer(status, "", ""),
            _ => format!("HTTP/1.1 {status}\r\n\r\n").into_bytes(),
        });
        scene
            .fails_and_recovers(FetchErrorKind::Unavailable, Cause::NotJson)
            .await;
        assert_eq!(scene.tokens.connections(), 1);
    }
}

#[tokio::test]
async fn what_is_not_http_is_a_failed_transport() {
    for bytes in [
        "\r\n\r\n\0\0\0",
        "SSH-2.0-OpenSSH_9.9\r\n",
        "HTTP/1.1 abc\r\n\r\n",
    ] {
        let scene = Scene::new();
        scene.tokens.answers_and_closes(bytes);
        scene
            .fails_and_recovers(FetchErrorKind::Unavailable, Cause::Transport)
            .await;
    }
}
