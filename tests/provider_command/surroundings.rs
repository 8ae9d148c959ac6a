//! What a command is run with and in.

use std::cell::Cell;

use tower_bearer::FetchErrorKind;
use tower_bearer::provider::CommandToken;

use super::{fetch, reason, sh};

#[tokio::test]
async fn no_shell_sees_the_arguments() {
    let printf = CommandToken::new("printf")
        .with_arg("%s")
        .with_arg("$(id);`id`|*");
    assert_eq!(fetch(printf).await.unwrap(), "$(id);`id`|*");
}

#[tokio::test]
async fn the_environment_is_that_of_this_process_and_what_is_added() {
    let command = sh(r#"echo "$ADDED:$CARGO_PKG_NAME""#).with_env("ADDED", "yes");
    assert_eq!(fetch(command).await.unwrap(), "yes:tower-bearer");
}

#[tokio::test]
async fn the_environment_can_be_cleared_of_all_but_what_is_added_before_or_after() {
    let command = CommandToken::new("/bin/sh")
        .with_args(["-c", r#"echo "$A:$B:$CARGO_PKG_NAME""#])
        .with_env("A", "a")
        .with_env_cleared()
        .with_env("B", "b");
    assert_eq!(fetch(command).await.unwrap(), "a:b:");
}

#[tokio::test]
async fn a_command_runs_in_the_directory_that_is_set() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token"), "abc").unwrap();
    let command = CommandToken::new("cat").with_arg("token");

    let there = command.clone().with_current_dir(dir.path());
    assert_eq!(fetch(there).await.unwrap(), "abc");
    // The clone is another, and there is no such file where the tests run.
    let error = fetch(command).await.unwrap_err();
    assert_eq!(reason(&error).status().unwrap().code(), Some(1));
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_not_taken_for_a_program_that_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let command = sh("echo abc").with_current_dir(dir.path().join("hunter2"));
    let error = fetch(command).await.unwrap_err();

    assert_eq!(error.kind(), FetchErrorKind::Denied);
    assert_eq!(
        reason(&error).to_string(),
        "token command \"sh\" cannot be run: there is no such directory as `with_current_dir` names, or it \
         may not be entered"
    );
}

// --- Runtimes

thread_local! {
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

#[test]
fn without_a_runtime_it_is_an_error_and_no_panic() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.with(|panics| panics.set(panics.get() + 1));
        default(info);
    }));
    let error = futures_executor::block_on(fetch(sh("echo abc"))).unwrap_err();

    // Also none that was caught.
    assert_eq!(PANICS.with(Cell::get), 0);
    assert_eq!(error.kind(), FetchErrorKind::Other);
    assert_eq!(
        reason(&error).to_string(),
        "token command \"sh\" cannot be run here: it needs a tokio runtime with `enable_io`"
    );
}

#[test]
fn on_a_runtime_without_io_it_is_the_same_error() {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().build().unwrap();
    let error = runtime.block_on(fetch(sh("echo abc"))).unwrap_err();

    assert_eq!(error.kind(), FetchErrorKind::Other);
    assert!(reason(&error).to_string().contains("enable_io"));
}

#[test]
fn a_runtime_without_timers_will_do() {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_io().build().unwrap();

    assert_eq!(runtime.block_on(fetch(sh("echo abc"))).unwrap(), "abc");
}
