//! Faults of an API, over HTTP/1.1.

use bytes::Bytes;
use hyper_util::client::legacy;
use tower_bearer::rejection::NotRetriedReason;

use crate::layer_support::{Gate, reason, without_hanging};
use crate::scene::{Scene, text};
use crate::socket_support::{Conn, SOCKET_BUFFER, answer};

/// More than the sockets hold.
const LARGE: usize = 8 * 1024 * 1024;

/// A request is rejected by what the script says, and healed by one fetch and one more send.
async fn is_healed(scene: &Scene, payload: impl Into<Bytes>) {
    let payload = payload.into();
    let response = scene.post(payload.clone()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(text(response).await.unwrap(), "welcome");

    assert_eq!(scene.api.requests(), 2);
    let last = scene.api.received().pop().unwrap();
    assert!(last.body == payload, "{} bytes", last.body.len());
    assert_eq!(scene.sent().pop().unwrap(), "issued-2");
    // What was done about it is over.
    scene.works().await;
    assert_eq!(scene.sent().pop().unwrap(), "issued-2");
    assert_eq!(scene.tokens.requests(), 2);
}

/// The token has not been touched by what the script said of the first request.
async fn has_kept_its_token(scene: &Scene) {
    assert_eq!(scene.cache.cached().unwrap().expose_secret(), "issued-1");
    assert_eq!(scene.api.requests(), 1, "sent again");
    scene.works().await;
    assert_eq!(scene.sent().pop().unwrap(), "issued-1");
    assert_eq!(scene.tokens.requests(), 1);
}

#[tokio::test]
async fn a_reset_before_or_within_the_head_is_the_clients_error_and_no_rejection() {
    for bytes in ["", "HTTP/1.1 401 Unauth", "HTTP/1.1 200 OK\r\ncontent-"] {
        let scene = Scene::new();
        scene.api.answers_and_resets(bytes);
        let error = scene.post("payload").await.unwrap_err();

        error.downcast::<legacy::Error>().unwrap();
        has_kept_its_token(&scene).await;
    }
}

#[tokio::test]
async fn a_reset_within_the_body_is_the_bodys_error_and_no_rejection() {
    let scene = Scene::new();
    let read = Gate::new();
    let reset = read.clone();
    scene.api.next(async move |mut conn: Conn| {
        conn.request().await?;
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf";
        conn.send(head.as_bytes()).await.ok()?;
        // Else it could come before the head was read.
        reset.pass().await;
        conn.reset();
        None
    });
    let response = scene.post("payload").await.unwrap();
    assert_eq!(response.status(), 200);
    read.open();

    assert!(text(response).await.is_err());
    has_kept_its_token(&scene).await;
}

#[tokio::test]
async fn no_other_status_touches_the_token() {
    for status in [400, 403, 404, 407, 421, 429, 500, 502, 503, 504] {
        let scene = Scene::new();
        let header = "www-authenticate: Bearer error=\"invalid_token\"\r\nretry-after: 60\r\n";
        let line = format!("{status} No");
        scene.api.answers(answer(&line, header, "no"));
        let response = scene.post("payload").await.unwrap();

        assert_eq!(response.status(), status);
        assert!(reason(&response).is_none());
        assert_eq!(text(response).await.unwrap(), "no");
        has_kept_its_token(&scene).await;
    }
}

#[tokio::test]
async fn a_401_is_healed_whatever_its_challenges() {
    for challenges in [
        "",
        "www-authenticate: Bearer\r\n",
        "www-authenticate: Bearer error=\"invalid_token\"\r\n",
        "www-authenticate: Negotiate, Basic realm=\"a, b\", Bearer error=invalid_token\r\n",
        "www-authenticate: Basic realm=\"a\"\r\nwww-authenticate: Bearer realm=\"b\"\r\n",
        "www-authenticate: \"\\\r\nwww-authenticate: ,,=,\r\nwww-authenticate: \r\n",
    ] {
        let scene = Scene::new();
        scene.api.answers(answer("401 No", challenges, "no"));
        is_healed(&scene, "payload").await;
    }
}

#[tokio::test]
async fn a_401_whose_body_never_ends_is_not_waited_for() {
    for endless in [false, true] {
        let scene = Scene::new();
        let let_go = Gate::new();
        let gone = let_go.clone();
        scene.api.next(async move |mut conn: Conn| {
            conn.request().await?;
            let head = "HTTP/1.1 401 No\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n";
            conn.send(head.as_bytes()).await.ok()?;
            // Or else nothing more comes, and no end.
            while endless && conn.send(b"1\r\nx\r\n").await.is_ok() {}
            conn.closed().await;
            gone.open();
            None
        });
        is_healed(&scene, "payload").await;
        without_hanging(let_go.pass()).await;
    }
}

#[tokio::test]
async fn a_401_of_ten_mebibytes_is_not_read() {
    let scene = Scene::new();
    let (sender, written) = tokio::sync::oneshot::channel();
    scene.api.next(async move |mut conn: Conn| {
        conn.request().await?;
        let head = "HTTP/1.1 401 No\r\ncontent-length: 10485760\r\n\r\n";
        conn.send(head.as_bytes()).await.ok()?;
        let poured = conn.pour(&vec![b'x'; 10 * 1024 * 1024]).await;
        sender.send(poured).unwrap();
        None
    });
    is_healed(&scene, "payload").await;

    let written = without_hanging(written).await.unwrap();
    // What hyper and both sockets hold, which for each the kernel doubles.
    assert!(written < 16 * SOCKET_BUFFER as usize, "{written}");
}

#[tokio::test]
async fn a_401_that_comes_byte_by_byte_is_healed() {
    let scene = Scene::new();
    scene.api.next(async |mut conn: Conn| {
        conn.request().await?;
        for byte in answer("401 No", "www-authenticate: Bearer\r\n", "no") {
            conn.send(&[byte]).await.ok()?;
            tokio::task::yield_now().await;
        }
        Some(conn)
    });
    is_healed(&scene, "payload").await;
}

#[tokio::test]
async fn a_401_after_which_the_connection_is_closed_is_healed_over_another() {
    for header in ["", "connection: close\r\n"] {
        let scene = Scene::new();
        let closed = Gate::new();
        let seen = closed.clone();
        scene.api.next(async move |mut conn: Conn| {
            conn.request().await?;
            conn.send(&answer("401 No", header, "no")).await.ok()?;
            conn.close().await;
            seen.open();
            None
        });
        // The new token comes when the client has closed the connection too.
        scene.tokens.next(Conn::usual);
        scene.tokens.next(async move |conn: Conn| {
            closed.pass().await;
            conn.usual().await
        });
        is_healed(&scene, "payload").await;
        assert_eq!(scene.api.connections(), 2);
    }
}

/// The API sends half of a 401 and resets the connection while the token is fetched, which comes to
/// `answer`.
fn reset_while_the_token_is_fetched(scene: &Scene, answer: Option<Vec<u8>>) {
    let (asked, reset) = (Gate::new(), Gate::new());
    let (is_asked, is_reset) = (asked.clone(), reset.clone());
    scene.api.next(async move |mut conn: Conn| {
        conn.request().await?;
        let head = "HTTP/1.1 401 No\r\ncontent-length: 100\r\n\r\nhalf";
        conn.send(head.as_bytes()).await.ok()?;
        is_asked.pass().await;
        conn.reset();
        is_reset.open();
        None
    });
    scene.tokens.next(Conn::usual);
    scene.tokens.next(async move |mut conn: Conn| {
        asked.open();
        reset.pass().await;
        let Some(answer) = answer else {
            return conn.usual().await;
        };
        conn.request().await?;
        conn.send(&answer).await.ok()?;
        Some(conn)
    });
}

#[tokio::test]
async fn a_401_on_a_connection_that_is_reset_while_the_token_is_fetched_is_healed() {
    let scene = Scene::new();
    reset_while_the_token_is_fetched(&scene, None);
    is_healed(&scene, "payload").await;
    assert_eq!(scene.api.connections(), 2);
}

#[tokio::test]
async fn if_the_fetch_fails_too_the_401_comes_and_its_body_fails() {
    let scene = Scene::new();
    let down = answer("503 Down", "", "");
    reset_while_the_token_is_fetched(&scene, Some(down));
    let response = scene.post("payload").await.unwrap();

    assert_eq!(response.status(), 401);
    assert!(matches!(
        reason(&response),
        Some(NotRetriedReason::FetchFailed(_))
    ));
    assert!(text(response).await.is_err());
    assert_eq!((scene.api.requests(), scene.tokens.requests()), (1, 2));
    // It may have been rejected by one route of many.
    scene.works().await;
    assert_eq!(scene.sent(), ["issued-1", "issued-1"]);
}

#[tokio::test]
async fn a_401_before_the_request_was_read_to_its_end_is_healed_with_all_of_it() {
    let payload: Vec<u8> = (0..LARGE).map(|i| (i % 251) as u8).collect();
    for reads_on in [false, true] {
        let scene = Scene::new();
        let healed = Gate::new();
        let wait = healed.clone();
        scene.api.next(async move |mut conn: Conn| {
            conn.head().await?;
            conn.send(&answer("401 No", "", "no")).await.ok()?;
            if reads_on {
                conn.closed().await;
            } else {
                wait.pass().await;
            }
            None
        });
        is_healed(&scene, payload.clone()).await;
        healed.open();
    }
}

#[tokio::test]
async fn a_reset_of_the_second_send_is_the_clients_error_and_leaves_the_new_token() {
    let scene = Scene::new();
    scene.api.answers(answer("401 No", "", "no"));
    scene.api.answers_and_resets("");
    let error = scene.post("payload").await.unwrap_err();

    error.downcast::<legacy::Error>().unwrap();
    assert_eq!(scene.sent(), ["issued-1", "issued-2"]);
    scene.works().await;
    assert_eq!(scene.sent().pop().unwrap(), "issued-2");
    assert_eq!(scene.tokens.requests(), 2);
}

#[tokio::test]
async fn an_api_that_hangs_holds_up_no_other_request_and_no_token() {
    let scene = Scene::new();
    let asked = Gate::new();
    let is_asked = asked.clone();
    scene.api.next(async move |mut conn: Conn| {
        conn.request().await?;
        is_asked.open();
        conn.closed().await;
        None
    });
    tokio::select! {
        _ = scene.post("payload") => panic!("nobody has answered"),
        () = asked.pass() => {}
    }
    has_kept_its_token(&scene).await;
}
