//! A refresh token that others replace too.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tower_bearer::FetchErrorKind;
use tower_bearer::oauth2::{RefreshTokenSource, TokenEndpointErrorKind};

use crate::server::{Server, response};
use crate::support::*;

#[tokio::test]
async fn what_another_process_put_into_the_store_is_used() {
    let (family, store) = (Family::new(), Store::holding("r0"));
    let server = family.serve().await;
    let builder = store.saves(client(&server, store.source()));
    let provider = builder.build(hyper()).unwrap();

    assert_eq!(fetch_text(&provider).await, "a1");
    store.put(&family.use_up("r1").unwrap());
    assert_eq!(fetch_text(&provider).await, "a3");
    assert_eq!(fetch_text(&provider).await, "a4");
    assert_eq!(refresh_tokens(&server), ["r0", "r2", "r3"]);
    assert_eq!(store.text(), "r4");
}

#[tokio::test]
async fn a_source_that_goes_on_returning_the_first_one_does_no_harm() {
    let family = Family::new();
    let server = family.serve().await;
    let source = RefreshTokenSource::from_fn(|| async { Ok("r0".to_owned()) });
    let provider = client(&server, source).build(hyper()).unwrap();

    for n in 1..=3 {
        assert_eq!(fetch_text(&provider).await, format!("a{n}"));
    }
    assert_eq!(refresh_tokens(&server), ["r0", "r1", "r2"]);
    // Nor when all of them have been revoked.
    family.use_up("r0");
    assert_eq!(failure(&provider).await.kind(), FetchErrorKind::Denied);
    assert_eq!(refresh_tokens(&server)[3..], ["r3"]);
}

#[tokio::test]
async fn after_invalid_grant_the_source_is_read_again_and_another_one_tried_once() {
    for (second, expected) in [("good", Some("a")), ("old", None), ("bad", None)] {
        let server =
            Server::start(
                |request| match &*parameter(&request.form, "refresh_token").unwrap() {
                    "good" => response(200, r#"{"access_token":"a"}"#),
                    _ => response(400, INVALID_GRANT),
                },
            )
            .await;
        let reads = AtomicUsize::new(0);
        let source = RefreshTokenSource::from_fn(move || {
            let text = match reads.fetch_add(1, Ordering::SeqCst) {
                0 => "old".to_owned(),
                1 => second.to_owned(),
                n => format!("read {n}"),
            };
            async { Ok(text) }
        });
        let provider = client(&server, source).build(hyper()).unwrap();
        let token = fetch(&provider).await;

        assert_eq!(token.as_ref().ok().map(|it| it.expose_secret()), expected);
        let sent = refresh_tokens(&server);
        if second == "old" {
            assert_eq!(sent, ["old"]);
        } else {
            assert_eq!(sent, ["old", second]);
        }
    }
}

#[tokio::test]
async fn a_source_that_fails_is_not_bypassed() {
    let (family, store) = (Family::new(), Store::holding("r0"));
    let server = family.serve().await;
    let provider = client(&server, store.source()).build(hyper()).unwrap();
    assert_eq!(fetch_text(&provider).await, "a1");

    store.go_down(true);
    let error = failure(&provider).await;
    assert_eq!(error.kind(), FetchErrorKind::Unavailable);
    assert_eq!(cause(&error).kind(), TokenEndpointErrorKind::RefreshToken);
    assert!(!format!("{error} {} {error:?}", cause(&error)).contains("hunter2"));
    assert_eq!(refresh_tokens(&server), ["r0"]);

    store.go_down(false);
    assert_eq!(fetch_text(&provider).await, "a2");
}

#[tokio::test]
async fn a_store_that_fails_within_the_fetch_is_not_taken_for_a_refusal() {
    let server = Server::answering(400, INVALID_GRANT).await;
    let reads = AtomicUsize::new(0);
    let source = RefreshTokenSource::from_fn(move || {
        let read = reads.fetch_add(1, Ordering::SeqCst);
        async move {
            if read == 0 {
                Ok("r0".into())
            } else {
                Err("down".into())
            }
        }
    });
    let fallback = tower_bearer::token_fn(|_| async { panic!("not asked") });
    let builder = client(&server, source).with_fallback(fallback);
    let error = failure(&builder.build(hyper()).unwrap()).await;

    assert_eq!(error.kind(), FetchErrorKind::Unavailable);
    assert_eq!(cause(&error).kind(), TokenEndpointErrorKind::RefreshToken);
}

#[tokio::test]
async fn a_store_that_another_process_has_swapped_is_read_and_not_told_for_ever() {
    let (family, store) = (Family::new(), Store::holding("r0"));
    let server = family.serve().await;
    let (shared, faster) = (store.clone(), AtomicBool::new(true));
    let swaps = client(&server, store.source()).with_rotation_saved_by(move |rotation| {
        if faster.swap(false, Ordering::SeqCst) {
            shared.put("of another process");
        }
        let is_swapped = shared.text() == rotation.expose_old();
        if is_swapped {
            shared.put(rotation.expose_new());
        }
        async move {
            let error = "somebody else was faster";
            is_swapped.then_some(()).ok_or_else(|| error.into())
        }
    });
    let provider = swaps.build(hyper()).unwrap();

    assert_eq!(fetch_text(&provider).await, "a1");
    assert_eq!(store.text(), "of another process");
    family.log_in("r7");
    store.put("r7");
    assert_eq!(fetch_text(&provider).await, "a8");
    assert_eq!(refresh_tokens(&server), ["r0", "r7"]);
    assert_eq!(store.text(), "r8");
}

#[tokio::test]
async fn a_store_that_has_nothing_new_is_told_before_anything_is_asked() {
    let (family, store) = (Family::new(), Store::default());
    let server = family.serve().await;
    let source = RefreshTokenSource::from_fn(|| async { Ok("r0".to_owned()) });
    let builder = store.saves(client(&server, source));
    let provider = builder.build(hyper()).unwrap();

    store.go_down(true);
    assert_eq!(fetch_text(&provider).await, "a1");
    let kind = cause(&failure(&provider).await).kind();
    assert_eq!(kind, TokenEndpointErrorKind::RefreshTokenNotSaved);
    assert_eq!(refresh_tokens(&server), ["r0"]);
    store.go_down(false);
    assert_eq!(fetch_text(&provider).await, "a2");
    let told = store.told();
    assert!(
        told[..3]
            .iter()
            .all(|(old, new)| old == "r0" && new == "r1")
    );
}
