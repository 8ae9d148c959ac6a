//! Tokens from a file that somebody else keeps up to date.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::error::Error;
use std::io;
use std::time::{Duration, SystemTime};

use tower_bearer::provider::{FileToken, FileTokenError};
use tower_bearer::testing::ManualClock;
use tower_bearer::{
    AccessToken, FetchContext, FetchError, FetchErrorKind, TokenCache, TokenProvider, TokenRequest,
};

use self::volume::Volume;

#[path = "provider_file/rejected.rs"]
mod rejected;
#[path = "provider_file/volume.rs"]
mod volume;

fn cache(file: FileToken) -> (TokenCache<FileToken>, ManualClock) {
    let clock = ManualClock::new();
    let cache = TokenCache::builder(file).with_clock(clock.clone()).build();
    (cache, clock)
}

fn mounted(volume: &Volume) -> (TokenCache<FileToken>, ManualClock) {
    cache(FileToken::new(volume.token()))
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn text(cache: &TokenCache<FileToken>) -> String {
    cache.token().await.unwrap().expose_secret().to_owned()
}

fn reason(error: &FetchError) -> &FileTokenError {
    error.source().unwrap().downcast_ref().unwrap()
}

// --- Read again

#[tokio::test]
async fn a_token_that_is_replaced_on_disk_is_used_after_a_minute_at_the_latest() {
    let mut volume = Volume::with("one\n");
    let (cache, clock) = mounted(&volume);
    assert_eq!(text(&cache).await, "one");

    volume.replace("two\n");
    clock.advance(secs(41));
    assert_eq!(text(&cache).await, "one");
    // It is still fresh then: nothing was read. At the end of the minute it is waited for.
    clock.advance(secs(19));
    assert!(cache.cached().is_none());
    assert_eq!(text(&cache).await, "two");
}

#[tokio::test]
async fn the_file_is_read_in_the_background_before_the_minute_is_over() {
    let mut volume = Volume::with("one");
    let (cache, clock) = mounted(&volume);
    assert_eq!(text(&cache).await, "one");

    volume.replace("two");
    clock.advance(secs(46));
    assert_eq!(text(&cache).await, "one");
    let replaced = async {
        while cache.cached().unwrap().expose_secret() != "two" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(secs(60), replaced).await.unwrap();
}

#[tokio::test]
async fn the_interval_can_be_set_and_is_a_second_at_least() {
    for (set, lives) in [(secs(3600), secs(3600)), (Duration::ZERO, secs(1))] {
        let volume = Volume::with("one");
        let (cache, clock) = cache(FileToken::new(volume.token()).with_reread_after(set));
        assert_eq!(text(&cache).await, "one");

        clock.advance(lives - Duration::from_nanos(1));
        assert!(cache.cached().is_some(), "{set:?}");
        clock.advance(Duration::from_nanos(1));
        assert!(cache.cached().is_none(), "{set:?}");
    }
}

#[tokio::test]
async fn a_token_whose_end_is_known_is_not_used_beyond_it() {
    let volume = Volume::with(r#"{"token":"one"}"#);
    let file = || {
        FileToken::new(volume.token()).with_content_parsed_by(|text| {
            let text = text.strip_prefix(r#"{"token":""#).ok_or("no token")?;
            let end = SystemTime::now() + secs(30);
            Ok(AccessToken::new(text.trim_end_matches(r#""}"#))?.with_expires_at(end))
        })
    };

    let (ends_first, clock) = cache(file());
    assert_eq!(text(&ends_first).await, "one");
    // Of the two wall clocks, this one was read first.
    clock.advance(secs(31));
    assert!(ends_first.cached().is_none());

    let (read_first, clock) = cache(file().with_reread_after(secs(10)));
    assert_eq!(text(&read_first).await, "one");
    clock.advance(secs(10));
    assert!(read_first.cached().is_none());
}

// --- What cannot be read

#[tokio::test]
async fn while_the_file_cannot_be_read_the_last_token_is_used() {
    type Break = fn(&mut Volume);
    let breaks: [Break; 6] = [
        |volume| volume.remove(),
        |volume| {
            let version = volume.next_version();
            volume.switch_to(&version);
        },
        |volume| volume.replace(""),
        |volume| volume.replace("\n"),
        |volume| volume.replace(b"tw\xffo"),
        |volume| volume.replace("tw\0o"),
    ];
    for (index, break_it) in breaks.into_iter().enumerate() {
        let mut volume = Volume::with("one");
        let (cache, clock) = mounted(&volume);
        assert_eq!(text(&cache).await, "one", "{index}");

        break_it(&mut volume);
        for _ in 0..3 {
            clock.advance(secs(60));
            assert_eq!(text(&cache).await, "one", "{index}");
        }
        volume.replace("two");
        clock.advance(secs(60));
        assert_eq!(text(&cache).await, "two", "{index}");
    }
}

#[tokio::test]
async fn how_long_the_last_token_is_used_can_be_set_to_not_at_all() {
    let volume = Volume::with("one");
    let (cache, clock) = cache(FileToken::new(volume.token()).with_last_kept_for(Duration::ZERO));
    assert_eq!(text(&cache).await, "one");

    volume.remove();
    clock.advance(secs(60));
    let error = cache.token().await.unwrap_err();
    assert_eq!(
        reason(&error).io_error_kind(),
        Some(io::ErrorKind::NotFound)
    );
}

#[tokio::test]
async fn a_file_that_is_not_there_yet_is_looked_for_again_a_second_later() {
    let mut volume = Volume::new();
    let (cache, clock) = mounted(&volume);

    let error = cache.token().await.unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::Unavailable);
    assert_eq!(
        error.to_string(),
        "no access token: it cannot be had now from where it is kept on this machine"
    );
    assert_eq!(
        reason(&error).io_error_kind(),
        Some(io::ErrorKind::NotFound)
    );
    assert_eq!(
        reason(&error).to_string(),
        format!(
            "token file {:?} cannot be read: entity not found; is it mounted, and has it been \
             written yet?",
            volume.token()
        )
    );

    volume.replace("one");
    clock.advance(secs(1));
    assert_eq!(text(&cache).await, "one");
}

#[tokio::test]
async fn what_is_in_the_file_is_never_quoted() {
    let huge = "hunter2".repeat(10_000);
    let cases: [(&[u8], &str); 5] = [
        (b"", "is empty"),
        (b" \r\n", "is empty"),
        (b"hunter2\xff", "is not UTF-8 text"),
        (
            b"hunter2\nX: y",
            "is not a token that can be sent in a header",
        ),
        (
            huge.as_bytes(),
            "has more than 64 KiB; is there anything but a token in it?",
        ),
    ];
    for (content, expected) in cases {
        let volume = Volume::with(content);
        let error = mounted(&volume).0.token().await.unwrap_err();

        assert_eq!(error.kind(), FetchErrorKind::Unavailable);
        let path = volume.token();
        let error = reason(&error);
        assert_eq!(error.to_string(), format!("token file {path:?} {expected}"));
        assert_eq!(error.io_error_kind(), None);
        let source = error.source().map(ToString::to_string);
        assert!(!format!("{error:?} {source:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn the_words_of_a_parser_are_to_be_asked_for_and_in_no_chain_of_errors() {
    let volume = Volume::with("abc");
    let file = FileToken::new(volume.token())
        .with_content_parsed_by(|text| Err(format!("hunter2 {text}").into()));
    let error = cache(file).0.token().await.unwrap_err();

    let reason = reason(&error);
    assert!(!format!("{reason} {reason:?}").contains("hunter2"));
    assert!(reason.source().is_none());
    assert_eq!(reason.parser_error().unwrap().to_string(), "hunter2 abc");
}

#[tokio::test]
async fn a_parser_that_panics_at_half_a_file_leaves_the_last_token_in_use() {
    let mut volume = Volume::with("token=one");
    let file = FileToken::new(volume.token()).with_content_parsed_by(|text| {
        let (_, token) = text.split_once('=').expect("hunter2");
        Ok(AccessToken::new(token)?)
    });
    let (cache, clock) = cache(file);
    assert_eq!(text(&cache).await, "one");

    volume.replace("tok");
    clock.advance(secs(60));
    assert_eq!(text(&cache).await, "one");
    volume.replace("token=two");
    clock.advance(secs(60));
    assert_eq!(text(&cache).await, "two");
}

#[tokio::test]
async fn a_directory_is_an_error_and_so_is_a_pipe_that_nobody_writes_to() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());

    for path in [dir.path(), &pipe] {
        let error = cache(FileToken::new(path)).0.token().await.unwrap_err();
        assert_eq!(
            reason(&error).to_string(),
            format!("token file {path:?} is not a regular file, which could be read again")
        );
    }
}

#[tokio::test]
async fn the_token_in_a_file_is_no_tenants() {
    let volume = Volume::with("one");
    let (cache, _) = mounted(&volume);
    let of_tenant = cache.for_request(&TokenRequest::default().with_tenant("t"));

    let error = of_tenant.token().await.unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::InvalidRequest);
    // It pauses nobody else.
    assert_eq!(text(&cache).await, "one");
}

#[tokio::test]
async fn debug_shows_the_path_and_no_token() {
    let volume = Volume::with("hunter2");
    let file = FileToken::new(volume.token());
    file.fetch_token(FetchContext::default()).await.unwrap();

    let shown = format!("{file:?}");
    let path = format!("{:?}", volume.token());
    assert!(shown.contains(&path), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

// --- Runtimes

#[test]
fn neither_a_runtime_nor_its_timers_are_needed() {
    let volume = Volume::with("one");

    let got = futures_executor::block_on(text(&mounted(&volume).0));
    assert_eq!(got, "one");
    let bare = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    assert_eq!(bare.block_on(text(&mounted(&volume).0)), "one");
}

#[test]
fn a_runtime_that_is_shut_down_does_not_keep_the_file_from_being_read() {
    let volume = Volume::with("one");
    let file = FileToken::new(volume.token());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let handle = runtime.handle().clone();
    runtime.shutdown_background();

    let _inside = handle.enter();
    let token = futures_executor::block_on(file.fetch_token(FetchContext::default()));
    assert_eq!(token.unwrap().expose_secret(), "one");
}
