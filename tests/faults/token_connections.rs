//! What happens to the connection to a token endpoint.

use http::StatusCode;
use tower_bearer::FetchErrorKind;
use tower_bearer::oauth2::TokenEndpointErrorKind as Cause;

use crate::layer_support::{Gate, without_hanging};
use crate::scene::{LIMIT, PAUSE, Scene, cache, cause, everything, fetch_error, good, issue};
use crate::socket_support::{Conn, RawServer, answer, unheard};

const HALF: &str = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"access_token\":\"issued-half";

#[tokio::test]
async fn an_endpoint_that_hangs_is_given_up_at_the_time_limit() {
    for before in ["", "HTTP/1.1 200 OK\r\ncontent-le", HALF] {
        let scene = Scene::new();
        scene.tokens.next(async move |mut conn: Conn| {
            conn.request().await?;
            conn.send(before.as_bytes()).await.ok()?;
            conn.closed().await;
            None
        });
        let waiting = async {
            scene.tokens.asked(1).await;
            scene.clock.advance(LIMIT);
        };
        let (error, other, ()) = tokio::join!(scene.fails(), scene.fails(), waiting);

        for error in [&error, &other] {
            assert_eq!(error.kind(), FetchErrorKind::TimedOut);
        }
        scene.recovers(&error, 2).await;
    }
}

#[tokio::test]
async fn an_endpoint_that_refuses_the_connection_is_asked_again_once_it_listens() {
    let socket = unheard();
    let origin = format!("http://{}", socket.local_addr().unwrap());
    let (cache, clock) = cache(&origin);

    for _ in 0..2 {
        let error = fetch_error(cache.token().await.unwrap_err().into());
        assert_eq!(error.kind(), FetchErrorKind::Unavailable);
        assert_eq!(cause(&error).kind(), Cause::Transport);
        assert!(cause(&error).to_string().contains("connection refused"));
    }
    let server = RawServer::on(socket, issue);
    clock.advance(PAUSE);
    let token = without_hanging(cache.token()).await.unwrap();
    assert_eq!(token.expose_secret(), "issued-1");
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_reset_before_the_request_is_read_is_a_failed_transport() {
    let scene = Scene::new();
    scene.tokens.next(async |conn: Conn| {
        conn.reset();
        None
    });
    scene
        .fails_and_recovers(FetchErrorKind::Unavailable, Cause::Transport)
        .await;
}

#[tokio::test]
async fn a_reset_within_the_answer_is_a_failed_transport() {
    for (bytes, status) in [
        ("", None),
        ("HTTP/1.1 200 OK\r\ncontent-le", None),
        (HALF, Some(StatusCode::OK)),
    ] {
        let scene = Scene::new();
        // Only what was sent before the reset may be seen, and need not be.
        scene.tokens.answers_and_resets(bytes);
        let error = scene
            .fails_and_recovers(FetchErrorKind::Unavailable, Cause::Transport)
            .await;

        let seen = cause(&error).status();
        assert!(seen.is_none() || seen == status, "{seen:?}");
    }
}

#[tokio::test]
async fn a_connection_closed_within_the_answer_is_a_failed_transport() {
    for (bytes, status) in [
        ("", None),
        ("HTTP/1.1 200 OK\r\ncontent-le", None),
        (HALF, Some(StatusCode::OK)),
    ] {
        let scene = Scene::new();
        scene.tokens.answers_and_closes(bytes);
        let error = scene
            .fails_and_recovers(FetchErrorKind::Unavailable, Cause::Transport)
            .await;

        assert_eq!(cause(&error).status(), status);
    }
}

#[tokio::test]
async fn a_refusal_whose_body_is_cut_off_is_still_a_refusal() {
    let scene = Scene::new();
    scene
        .tokens
        .answers_and_closes("HTTP/1.1 401 No\r\ncontent-length: 100\r\n\r\n{\"error\":\"inv");
    scene
        .fails_and_recovers(FetchErrorKind::Denied, Cause::Rejected)
        .await;
}

#[tokio::test]
async fn an_answer_that_comes_byte_by_byte_is_taken() {
    let scene = Scene::new();
    scene.tokens.next(async |mut conn: Conn| {
        conn.request().await?;
        for byte in issue(1) {
            conn.send(&[byte]).await.ok()?;
            tokio::task::yield_now().await;
        }
        Some(conn)
    });
    scene.takes("issued-1").await;
}

#[tokio::test]
async fn an_endpoint_that_closes_the_connection_after_each_answer_is_asked_over_a_new_one() {
    let scene = Scene::new();
    for number in 1..=3 {
        scene.tokens.answers_and_closes(issue(number));
    }
    scene.takes("issued-1").await;
    scene.renews(3).await;
    assert_eq!(scene.tokens.connections(), 3);
}

#[tokio::test]
async fn an_idle_connection_that_was_closed_is_not_used_again() {
    let scene = Scene::new();
    let closed = Gate::new();
    let seen = closed.clone();
    scene.tokens.next(async move |mut conn: Conn| {
        conn.request().await?;
        conn.send(&issue(1)).await.ok()?;
        conn.close().await;
        seen.open();
        None
    });
    scene.works().await;
    without_hanging(closed.pass()).await;
    scene.renews(2).await;
    assert_eq!(scene.tokens.connections(), 2);
}

#[tokio::test]
async fn a_connection_that_is_closed_just_as_it_is_used_again_is_one_failure() {
    for with_reset in [false, true] {
        let scene = Scene::new();
        scene.tokens.answers(issue(1));
        scene.tokens.next(async move |mut conn: Conn| {
            conn.request().await?;
            if with_reset {
                conn.reset();
            }
            None
        });
        scene.works().await;
        scene.clock.advance(std::time::Duration::from_secs(3600));

        let error = scene.fails().await;
        assert_eq!(error.kind(), FetchErrorKind::Unavailable);
        assert_eq!(cause(&error).kind(), Cause::Transport);
        scene.recovers(&error, 3).await;
        assert_eq!(scene.tokens.connections(), 2);
    }
}

/// The system tells the client of the end of an idle connection some time after it has come: either the
/// client has heard of it when it wants to use the connection, or the fetch fails.
#[tokio::test]
async fn a_race_between_the_end_of_an_idle_connection_and_its_use_is_at_worst_one_failure() {
    for _ in 0..50 {
        let scene = Scene::new();
        scene.tokens.answers_and_closes(issue(1));
        scene.works().await;
        scene.clock.advance(std::time::Duration::from_secs(3600));

        match scene.post("payload").await {
            Ok(response) => assert_eq!(response.status(), 200),
            Err(error) => {
                let error = fetch_error(error);
                assert_eq!(error.kind(), FetchErrorKind::Unavailable);
                scene.clock.advance(PAUSE);
                scene.works().await;
            }
        }
        // What is written to a closed connection never arrives.
        assert_eq!(scene.tokens.requests(), 2);
        assert_eq!(scene.sent().pop().unwrap(), "issued-2");
    }
}

#[tokio::test]
async fn a_second_answer_on_the_line_is_the_answer_to_nothing() {
    let scene = Scene::new();
    let mut two = issue(1);
    two.extend(answer("200 OK", "", &good("issued-by-nobody")));
    scene.tokens.answers(two);
    scene.takes("issued-1").await;
    assert_eq!(scene.tokens.connections(), 2);
}

#[tokio::test]
async fn an_answer_before_the_request_was_read_is_taken() {
    let scene = Scene::new();
    scene.tokens.next(async |mut conn: Conn| {
        conn.send(&issue(1)).await.ok()?;
        conn.request().await?;
        Some(conn)
    });
    scene.takes("issued-1").await;
}

#[tokio::test]
async fn an_answer_before_anything_was_asked_is_at_worst_one_failure() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        let (mut first, _) = listener.accept().await.unwrap();
        first.write_all(&issue(1)).await.unwrap();
        loop {
            let (mut next, _) = listener.accept().await.unwrap();
            next.readable().await.unwrap();
            next.write_all(&issue(2)).await.unwrap();
            tokio::spawn(async move { tokio::io::copy(&mut next, &mut tokio::io::sink()).await });
        }
    });
    let (cache, clock) = cache(&origin);

    if let Err(error) = without_hanging(cache.token()).await {
        assert_eq!(
            error.kind(),
            FetchErrorKind::Unavailable,
            "{}",
            everything(&error)
        );
        clock.advance(PAUSE);
        without_hanging(cache.token()).await.unwrap();
    }
    server.abort();
}
