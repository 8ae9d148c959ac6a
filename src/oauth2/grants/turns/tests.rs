use std::future::{Ready, pending, ready};
use std::sync::atomic::AtomicUsize;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready};

use super::turn::drive;
use super::*;

fn token(text: &str) -> Outcome {
    Ok(AccessToken::new(text).unwrap())
}

fn at_once(text: &str) -> impl FnOnce(Keep) -> Ready<Outcome> {
    let outcome = token(text);
    |_| ready(outcome)
}

/// A job that is kept, waits to be told to end, and counts that it did.
fn gated(
    ended: &Arc<AtomicUsize>,
) -> (
    oneshot::Sender<()>,
    impl FnOnce(Keep) -> BoxFuture<'static, Outcome> + use<>,
) {
    let (open, gate) = oneshot::channel();
    let ended = Arc::clone(ended);
    let job = |keep: Keep| {
        keep.set(true);
        let job = async move {
            let _ = gate.await;
            ended.fetch_add(1, Ordering::SeqCst);
            token("first")
        };
        job.boxed()
    };
    (open, job)
}

#[test]
fn a_job_begins_when_the_one_before_has_ended() {
    let (turns, ended) = (Turns::default(), Arc::default());
    let (open, job) = gated(&ended);
    let mut first = spawn(turns.run(job));
    let mut second = spawn(turns.run(|_| async { panic!("begins, and is contained") }));
    assert_pending!(first.poll());
    assert_pending!(second.poll());

    open.send(()).unwrap();
    assert!(first.is_woken() && second.is_woken());
    assert_eq!(
        assert_ready!(first.poll()).unwrap().expose_secret(),
        "first"
    );
    let error = assert_ready!(second.poll()).unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::Panicked);
    let third = assert_ready!(spawn(turns.run(at_once("third"))).poll());
    assert_eq!(third.unwrap().expose_secret(), "third");
}

#[test]
fn a_job_that_its_owner_does_not_poll_is_driven_by_who_waits() {
    let (turns, ended) = (Turns::default(), Arc::default());
    let (open, job) = gated(&ended);
    let mut first = spawn(turns.run(job));
    assert_pending!(first.poll());
    let mut second = spawn(turns.run(at_once("second")));
    assert_pending!(second.poll());

    open.send(()).unwrap();
    assert!(second.is_woken());
    let outcome = assert_ready!(second.poll()).unwrap();
    assert_eq!(outcome.expose_secret(), "second");
    // Its outcome is there when it looks.
    assert_eq!(
        assert_ready!(first.poll()).unwrap().expose_secret(),
        "first"
    );
}

#[test]
fn a_job_whose_owner_is_gone_is_ended_by_the_next() {
    let (turns, ended) = (Turns::default(), Arc::default());
    let (open, job) = gated(&ended);
    let mut first = spawn(turns.run(job));
    assert_pending!(first.poll());
    drop(first);
    open.send(()).unwrap();
    assert_eq!(ended.load(Ordering::SeqCst), 0);

    let second = assert_ready!(spawn(turns.run(at_once("second"))).poll());
    assert_eq!(second.unwrap().expose_secret(), "second");
    assert_eq!(ended.load(Ordering::SeqCst), 1);
}

#[test]
fn a_job_that_is_not_kept_goes_with_its_owner() {
    let (turns, ended) = (Turns::default(), Arc::default());
    let (open, job) = gated(&ended);
    let keeps = Arc::new(Mutex::new(None));
    let mut first = spawn(turns.run(|keep| {
        *lock(&keeps) = Some(keep.clone());
        job(keep)
    }));
    let mut second = spawn(turns.run(at_once("second")));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    lock(&keeps).take().unwrap().set(false);

    drop(first);
    assert!(open.is_closed() && second.is_woken());
    let outcome = assert_ready!(second.poll()).unwrap();
    assert_eq!(outcome.expose_secret(), "second");
    assert_eq!(ended.load(Ordering::SeqCst), 0);
}

#[test]
fn an_orphan_is_dropped_once_it_is_no_longer_kept() {
    let turns = Turns::default();
    let (open, gate) = oneshot::channel::<()>();
    let mut first = spawn(turns.run(|keep: Keep| {
        keep.set(true);
        async move {
            let _ = gate.await;
            keep.set(false);
            pending().await
        }
    }));
    assert_pending!(first.poll());
    drop(first);
    let mut second = spawn(turns.run(at_once("second")));
    assert_pending!(second.poll());

    open.send(()).unwrap();
    let outcome = assert_ready!(second.poll()).unwrap();
    assert_eq!(outcome.expose_secret(), "second");
}

#[tokio::test]
async fn where_there_is_a_runtime_a_task_ends_what_its_owner_left() {
    let turns = Turns::default();
    let (open, gate) = oneshot::channel::<()>();
    let (tell, told) = oneshot::channel();
    let mut first = spawn(turns.run(|keep: Keep| {
        keep.set(true);
        async move {
            let _ = gate.await;
            tell.send(()).unwrap();
            token("first")
        }
    }));
    assert_pending!(first.poll());
    drop(first);
    // The task has it, whoever else gives up.
    let mut second = spawn(turns.run(at_once("second")));
    assert_pending!(second.poll());
    drop(second);

    open.send(()).unwrap();
    told.await.unwrap();
}

#[tokio::test]
async fn a_task_gives_up_at_its_time_limit() {
    let (turns, ended) = (Turns::default(), Arc::default());
    let (open, job) = gated(&ended);
    let mut first = spawn(turns.run(job));
    assert_pending!(first.poll());
    let turn = lock(&turns.current).clone().unwrap();
    drop(first);
    assert!(turn.has_task.load(Ordering::SeqCst));

    let task = Wait::new(Arc::clone(&turn), Role::Task);
    drive(task, ready(())).await;
    assert!(turn.is_over() && open.is_closed());
    let second = assert_ready!(spawn(turns.run(at_once("second"))).poll());
    assert_eq!(second.unwrap().expose_secret(), "second");
}

#[test]
fn a_task_whose_runtime_ends_gives_up() {
    let (turns, ended) = (Turns::default(), Arc::default());
    let (open, job) = gated(&ended);
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.unwrap();
    let mut first = spawn(turns.run(job));
    {
        let _entered = runtime.enter();
        assert_pending!(first.poll());
        drop(first);
    }
    assert!(!open.is_closed());

    drop(runtime);
    assert!(open.is_closed());
    let second = assert_ready!(spawn(turns.run(at_once("second"))).poll());
    assert_eq!(second.unwrap().expose_secret(), "second");
}

#[test]
fn a_job_that_was_waited_for_in_vain_twice_is_given_up() {
    let turns = Turns::default();
    let kept = |keep: Keep| {
        keep.set(true);
        pending()
    };
    let mut first = spawn(turns.run(kept));
    let mut second = spawn(turns.run(kept));
    let mut third = spawn(turns.run(at_once("third")));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    // Its owner still waits for it.
    drop(second);
    assert_pending!(third.poll());
    drop(first);
    assert_pending!(third.poll());

    let mut fourth = spawn(turns.run(at_once("fourth")));
    assert_pending!(fourth.poll());
    drop(fourth);
    assert!(third.is_woken());
    assert_eq!(
        assert_ready!(third.poll()).unwrap().expose_secret(),
        "third"
    );
}

#[test]
fn one_who_goes_after_it_was_woken_has_another_look() {
    let (turns, ended) = (Turns::default(), Arc::default());
    let (open, job) = gated(&ended);
    let mut first = spawn(turns.run(job));
    let mut second = spawn(turns.run(at_once("second")));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    open.send(()).unwrap();
    assert!(first.is_woken() && second.is_woken());
    // It looks, and there is nothing to be seen: as if the other polled the job at this moment.
    let turn = lock(&turns.current).clone().unwrap();
    let held = turn.job.lock().unwrap();
    assert_pending!(second.poll());
    drop(held);
    assert!(!second.is_woken());

    drop(first);
    assert!(second.is_woken());
    let outcome = assert_ready!(second.poll()).unwrap();
    assert_eq!(outcome.expose_secret(), "second");
}

#[test]
fn a_job_that_waits_for_itself_blocks_no_thread() {
    let turns = Arc::new(Turns::default());
    let inner = Arc::clone(&turns);
    let job = |keep: Keep| {
        keep.set(true);
        async move { inner.run(at_once("never")).await }
    };
    let mut first = spawn(turns.run(job));
    assert_pending!(first.poll());
    drop(first);
    let mut second = spawn(turns.run(at_once("second")));
    assert_pending!(second.poll());
    drop(second);

    let third = assert_ready!(spawn(turns.run(at_once("third"))).poll());
    assert_eq!(third.unwrap().expose_secret(), "third");
}
