//! Tokens from the output of a command: real ones.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::error::Error;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use tokio_test::assert_pending;
use tokio_test::task::spawn;
use tower_bearer::provider::{CommandToken, CommandTokenError};
use tower_bearer::testing::ManualClock;
use tower_bearer::{
    AccessToken, FetchContext, FetchError, FetchErrorKind, TokenCache, TokenProvider, TokenRequest,
};

use self::line::{Line, make_pipe};

#[path = "provider_command/line.rs"]
mod line;
#[path = "provider_command/surroundings.rs"]
mod surroundings;

fn sh(script: &str) -> CommandToken {
    CommandToken::new("sh").with_args(["-c", script])
}

async fn fetch(command: CommandToken) -> Result<String, FetchError> {
    let token = TokenCache::new(command).token().await?;
    Ok(token.expose_secret().to_owned())
}

#[track_caller]
fn reason(error: &FetchError) -> &CommandTokenError {
    error.source().unwrap().downcast_ref().unwrap()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

// --- What it prints

#[tokio::test]
async fn the_token_is_what_the_command_prints_without_the_line_break() {
    assert_eq!(fetch(sh("echo abc")).await.unwrap(), "abc");
    assert_eq!(fetch(sh("printf ' a\\r\\n\\n'")).await.unwrap(), "a");
}

#[tokio::test]
async fn a_command_that_asks_for_input_gets_none() {
    assert_eq!(fetch(sh("cat; echo abc")).await.unwrap(), "abc");
}

#[tokio::test]
async fn a_command_may_complain_at_length_and_have_a_token_all_the_same() {
    let command = sh("head -c 1000000 /dev/zero >&2; echo abc");
    assert_eq!(fetch(command).await.unwrap(), "abc");
}

#[tokio::test]
async fn each_fetch_runs_the_command_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("calls");
    let command = sh(r#"echo x >> "$0"; wc -l < "$0""#).with_arg(path);
    let cache = TokenCache::new(command);

    assert_eq!(cache.token().await.unwrap().expose_secret(), "1");
    assert_eq!(cache.token().await.unwrap().expose_secret(), "1");
    assert_eq!(cache.refresh().await.unwrap().expose_secret(), "2");
}

#[tokio::test]
async fn a_lifetime_that_the_parser_states_has_precedence_over_the_one_that_is_set() {
    let parsed = |with_end: bool| {
        sh("echo token=abc").with_output_parsed_by(move |text| {
            let token = AccessToken::new(text.strip_prefix("token=").ok_or("no token")?)?;
            Ok(if with_end {
                token.with_expires_in(secs(7))
            } else {
                token
            })
        })
    };
    for (command, lives) in [
        (parsed(false), secs(300)),
        (parsed(false).with_lifetime(secs(20)), secs(20)),
        (parsed(true).with_lifetime(secs(20)), secs(7)),
        (sh("echo abc").with_lifetime(secs(20)), secs(20)),
    ] {
        let clock = ManualClock::new();
        let cache = TokenCache::builder(command)
            .with_clock(clock.clone())
            .build();
        assert_eq!(cache.token().await.unwrap().expose_secret(), "abc");

        clock.advance(lives - Duration::from_nanos(1));
        assert!(cache.cached().is_some(), "{lives:?}");
        clock.advance(Duration::from_nanos(1));
        assert!(cache.cached().is_none(), "{lives:?}");
    }
}

// --- What goes wrong

#[tokio::test]
async fn a_command_that_fails_is_an_error_with_its_status_and_without_its_words() {
    let command = sh("echo hunter2; printf 'hunter\\0332\\n' >&2; exit 3");
    let error = fetch(command).await.unwrap_err();

    assert_eq!(error.kind(), FetchErrorKind::Other);
    let reason = reason(&error);
    assert_eq!(reason.status().unwrap().code(), Some(3));
    assert_eq!(reason.stderr(), "hunter\\u{1b}2");
    assert_eq!(
        reason.to_string(),
        "token command \"sh\" failed (exit status: 3); `CommandTokenError::stderr` has what it \
         said of that"
    );
    assert!(!format!("{reason:?} {error:?} {error}").contains("hunter"));
    assert!(reason.source().is_none());
}

#[tokio::test]
async fn for_a_tenant_nothing_is_run() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ran");
    let cache = TokenCache::new(sh(r#"echo x > "$0"; echo abc"#).with_arg(&path));
    let of_tenant = cache.for_request(&TokenRequest::default().with_tenant("t"));

    let error = of_tenant.token().await.unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::InvalidRequest);
    assert!(!path.exists());
    cache.token().await.unwrap();
    assert!(path.exists());
}

#[tokio::test]
async fn a_command_that_a_signal_ends_has_no_exit_code() {
    let error = fetch(sh("echo abc; kill -9 $$")).await.unwrap_err();

    assert_eq!(reason(&error).status().unwrap().code(), None);
    assert_eq!(
        reason(&error).to_string(),
        "token command \"sh\" failed (signal: 9 (SIGKILL))"
    );
}

#[tokio::test]
async fn a_command_that_is_not_there_or_may_not_be_run_needs_somebody_to_act() {
    let dir = tempfile::tempdir().unwrap();
    let not_executable = dir.path().join("command");
    std::fs::write(&not_executable, "#!/bin/sh\necho abc\n").unwrap();
    std::fs::set_permissions(&not_executable, PermissionsExt::from_mode(0o644)).unwrap();

    for (program, expected) in [
        (
            dir.path().join("nothing"),
            "entity not found; is it installed, and in `PATH`?",
        ),
        (
            not_executable,
            "permission denied; may the user of this process run it?",
        ),
    ] {
        let error = fetch(CommandToken::new(&program)).await.unwrap_err();
        assert_eq!(error.kind(), FetchErrorKind::Denied);
        assert!(!error.to_string().contains("issuer"), "{error}");
        assert_eq!(
            reason(&error).to_string(),
            format!("token command {program:?} cannot be run: {expected}")
        );
    }
}

#[tokio::test]
async fn an_output_that_is_no_token_is_described_and_not_quoted() {
    for (script, expected) in [
        ("true", "is empty"),
        ("echo", "is empty"),
        ("printf 'hunter2\\377'", "is not UTF-8 text"),
        (
            "echo hunter2 hunter3",
            "is not a token that can be sent in a header",
        ),
        // It does not end by itself.
        (
            "exec yes hunter2",
            "has more than 64 KiB; is there anything but a token in it?",
        ),
    ] {
        let error = fetch(sh(script)).await.unwrap_err();
        let reason = reason(&error);
        assert_eq!(
            reason.to_string(),
            format!("token command \"sh\" gave no token: its output {expected}")
        );
        assert_eq!(error.kind(), FetchErrorKind::Other);
        let source = reason.source().map(ToString::to_string);
        assert!(!format!("{reason:?} {source:?}").contains("hunter"));
    }
}

#[tokio::test]
async fn the_words_of_a_parser_are_to_be_asked_for_and_in_no_chain_of_errors() {
    let command =
        sh("echo abc").with_output_parsed_by(|text| Err(format!("hunter2 {text}").into()));
    let error = fetch(command).await.unwrap_err();

    let reason = reason(&error);
    assert!(!format!("{reason} {reason:?}").contains("hunter2"));
    assert!(reason.source().is_none());
    assert_eq!(reason.parser_error().unwrap().to_string(), "hunter2 abc");
}

#[test]
fn debug_shows_the_program_alone() {
    let command = sh("hunter2").with_env("X", "hunter3");
    let shown = format!("{command:?}");

    assert!(shown.contains("sh") && !shown.contains("hunter"), "{shown}");
}

// --- How it ends

/// A command that hangs, as does what it has started, which says so.
fn hangs(line: &Line) -> CommandToken {
    sh(r#"exec 3> "$0"; (echo runs >&3; exec sleep 1000) & wait"#).with_arg(&line.path)
}

#[tokio::test]
async fn a_command_whose_fetch_is_dropped_is_killed_with_all_that_it_started() {
    let mut line = Line::new();
    let command = hangs(&line);
    let mut fetch = spawn(command.fetch_token(FetchContext::default()));
    assert_pending!(fetch.poll());
    assert_eq!(line.next().await.as_deref(), Some("runs"));

    drop(fetch);
    assert_eq!(line.next().await, None);
}

#[tokio::test]
async fn a_command_that_reaches_the_time_limit_is_killed_with_all_that_it_started() {
    let mut line = Line::new();
    let clock = ManualClock::new();
    let cache = TokenCache::builder(hangs(&line))
        .with_clock(clock.clone())
        .build();
    let mut fetch = spawn(cache.token());
    assert_pending!(fetch.poll());
    assert_eq!(line.next().await.as_deref(), Some("runs"));

    clock.advance(secs(30));
    let error = fetch.await.unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::TimedOut);
    assert_eq!(line.next().await, None);
}

#[tokio::test]
async fn a_command_that_prints_without_end_is_killed_with_all_that_it_started() {
    let mut line = Line::new();
    let command = sh(r#"exec 3> "$0"; (echo runs >&3; exec yes) & wait"#).with_arg(&line.path);
    fetch(command).await.unwrap_err();

    assert_eq!(line.next().await.as_deref(), Some("runs"));
    assert_eq!(line.next().await, None);
}

#[tokio::test]
async fn what_a_command_leaves_running_does_not_hold_up_its_token_and_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = make_pipe(dir.path());
    // It keeps the output open until the pipe is written to, and says so there.
    let mut line = Line::new();
    let command = sh(r#"(cat "$0" > "$1") & echo abc"#)
        .with_arg(&pipe)
        .with_arg(&line.path);

    assert_eq!(fetch(command).await.unwrap(), "abc");
    let wrote = tokio::task::spawn_blocking(move || std::fs::write(pipe, "still here\n"));
    wrote.await.unwrap().unwrap();
    assert_eq!(line.next().await.as_deref(), Some("still here"));
}
