use std::future::{pending, ready};
use std::sync::Barrier;
use std::sync::atomic::AtomicUsize;

use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready};

use super::*;

fn token(text: &str) -> Outcome {
    Ok(AccessToken::new(text).unwrap())
}

fn text(outcome: Outcome) -> String {
    outcome.unwrap().expose_secret().to_owned()
}

async fn at_once(turns: &Arc<Turns>) -> String {
    text(turns.run(|_| ready(token("at-once"))).await)
}

/// A job that waits for a gate, and what opens that. It is closed once the job is gone.
fn gated(is_sent: bool) -> (oneshot::Sender<()>, impl FnOnce(Sent) -> BoxFuture) {
    let (open, gate) = oneshot::channel();
    let job = move |sent: Sent| -> BoxFuture {
        sent.set(is_sent);
        Box::pin(async move {
            gate.await.unwrap();
            token("gated")
        })
    };
    (open, job)
}

type BoxFuture = std::pin::Pin<Box<dyn Future<Output = Outcome> + Send>>;

#[tokio::test]
async fn one_job_runs_at_a_time() {
    let (turns, at_once) = (Arc::<Turns>::default(), Arc::new(AtomicUsize::new(0)));
    let run = || {
        let at_once = Arc::clone(&at_once);
        turns.run(|_| async move {
            let others = at_once.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            at_once.fetch_sub(1, Ordering::SeqCst);
            token(&others.to_string())
        })
    };
    let outcomes = tokio::join!(run(), run(), run());
    let outcomes = [outcomes.0, outcomes.1, outcomes.2].map(text);
    assert_eq!(outcomes, ["0", "0", "0"]);
}

#[tokio::test]
async fn one_who_waits_and_is_not_polled_holds_up_nobody() {
    let turns = Arc::<Turns>::default();
    let (open, job) = gated(false);
    let mut first = spawn(turns.run(job));
    let mut second = spawn(at_once(&turns));
    let mut third = spawn(at_once(&turns));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    assert_pending!(third.poll());

    open.send(()).unwrap();
    assert_eq!(text(first.await), "gated");
    assert_eq!(third.await, "at-once");
    assert_eq!(second.await, "at-once");
}

#[tokio::test]
async fn a_job_with_nothing_on_its_way_ends_with_its_fetch() {
    let turns = Arc::<Turns>::default();
    let (mut open, job) = gated(false);
    let mut first = spawn(turns.run(job));
    assert_pending!(first.poll());
    // Its task gets to run.
    tokio::task::yield_now().await;
    assert!(!open.is_closed());
    drop(first);

    assert_eq!(at_once(&turns).await, "at-once");
    open.closed().await;
}

#[tokio::test]
async fn a_job_whose_fetch_is_gone_before_it_begins_does_not_begin() {
    let turns = Arc::<Turns>::default();
    let begun = Arc::new(AtomicBool::new(false));
    let is_begun = Arc::clone(&begun);
    let mut first = spawn(turns.run(|_| async move {
        is_begun.store(true, Ordering::SeqCst);
        token("first")
    }));
    assert_pending!(first.poll());
    drop(first);

    assert_eq!(at_once(&turns).await, "at-once");
    assert!(!begun.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_job_with_something_on_its_way_goes_on_without_its_fetch() {
    let turns = Arc::<Turns>::default();
    let (open, gate) = oneshot::channel::<()>();
    let (tell, told) = oneshot::channel();
    let mut first = spawn(turns.run(|sent| async move {
        sent.set(true);
        gate.await.unwrap();
        tell.send(()).unwrap();
        token("first")
    }));
    assert_pending!(first.poll());
    tokio::task::yield_now().await;
    drop(first);
    let mut second = spawn(at_once(&turns));
    assert_pending!(second.poll());
    tokio::task::yield_now().await;
    assert_pending!(second.poll());

    open.send(()).unwrap();
    told.await.unwrap();
    assert_eq!(second.await, "at-once");
}

#[test]
fn an_orphan_ends_once_nothing_is_on_its_way_any_more() {
    let (open, gate) = oneshot::channel::<()>();
    let (tell, told) = oneshot::channel();
    let sent = Sent::default();
    sent.set(true);
    let is_sent = sent.clone();
    let job = async move {
        gate.await.unwrap();
        is_sent.set(false);
        pending().await
    };
    drop(told);
    let mut driven = spawn(drive(job, sent, tell, || false, pending::<()>));
    assert_pending!(driven.poll());

    open.send(()).unwrap();
    assert!(driven.is_woken());
    assert_ready!(driven.poll());
}

#[test]
fn an_orphan_ends_at_its_time_limit_and_no_other_job_does() {
    for is_waited_for in [true, false] {
        let (open, job) = gated(true);
        let sent = Sent::default();
        let job = job(sent.clone());
        let (tell, told) = oneshot::channel();
        let told = is_waited_for.then_some(told);
        let mut driven = spawn(drive(job, sent, tell, || false, || ready(())));

        assert_eq!(driven.poll().is_pending(), is_waited_for);
        assert_eq!(open.is_closed(), !is_waited_for);
        drop(told);
    }
}

#[test]
fn a_runtime_that_ends_takes_its_job_along_and_no_other() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
    };
    let (turns, ending) = (Arc::<Turns>::default(), runtime());
    let (open, job) = gated(true);
    let mut first = spawn(turns.run(job));
    {
        let _entered = ending.enter();
        assert_pending!(first.poll());
    }
    let mut second = spawn(at_once(&turns));
    assert_pending!(second.poll());

    drop(ending);
    assert!(open.is_closed());
    let error = assert_ready!(first.poll()).unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::Unavailable);
    assert!(second.is_woken());
    assert_eq!(runtime().block_on(second), "at-once");
}

#[test]
fn an_orphan_on_a_runtime_that_is_not_driven_holds_its_turn_no_longer_than_its_time_limit() {
    let idle = tokio::runtime::Builder::new_current_thread().build();
    let idle = idle.unwrap();
    let turns = Arc::<Turns>::default();
    let (open, job) = gated(true);
    let mut first = spawn(turns.run(job));
    {
        let _entered = idle.enter();
        assert_pending!(first.poll());
    }
    let mut second = spawn(at_once(&turns));
    assert_pending!(second.poll());
    drop(first);
    assert!(second.is_woken());
    assert_pending!(second.poll());
    assert!(turns.take().is_err_and(|rest| rest.is_some()));

    let past = Instant::now().checked_sub(LOST_AFTER);
    turns.state().orphan_since = past;
    let third = turns.run(|_| ready(token("third")));
    // On a runtime, on which the turn is free by the time that the outcome is seen.
    let driven = tokio::runtime::Builder::new_current_thread().build();
    assert_eq!(text(driven.unwrap().block_on(third)), "third");
    // Should it be driven after all, it ends and frees nobody else's turn.
    let turn = turns.take().ok().unwrap();
    assert!(turns.take().is_err_and(|rest| rest.is_none()));
    assert!(!open.is_closed());
    idle.block_on(tokio::task::yield_now());
    assert!(open.is_closed());
    assert!(!turn.is_lost());
}

#[tokio::test]
async fn a_panic_is_an_error_whose_payload_is_dropped() {
    struct Payload(Option<oneshot::Sender<()>>);

    impl Drop for Payload {
        fn drop(&mut self) {
            self.0.take().unwrap().send(()).unwrap();
            panic!("in its destructor too");
        }
    }

    let turns = Arc::<Turns>::default();
    let (tell, told) = oneshot::channel();
    let panicking = turns.run(|_| async {
        let payload = Payload(Some(tell));
        std::panic::resume_unwind(Box::new(payload))
    });
    let error = panicking.await.unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::Panicked);
    told.await.unwrap();
    assert_eq!(at_once(&turns).await, "at-once");
}

#[test]
fn without_a_runtime_a_job_that_nobody_polls_comes_to_its_end() {
    let turns = Arc::<Turns>::default();
    let (open, job) = gated(true);
    let mut first = spawn(turns.run(job));
    let (dropped_open, job) = gated(true);
    let mut dropped = spawn(turns.run(job));
    assert_pending!(first.poll());
    let mut second = spawn(at_once(&turns));
    assert_pending!(second.poll());

    open.send(()).unwrap();
    // It is alive all the while, and not polled.
    futures_executor::block_on(turns.turn());
    assert_pending!(dropped.poll());
    drop(dropped);
    dropped_open.send(()).unwrap();
    assert_eq!(futures_executor::block_on(second), "at-once");
    assert_eq!(text(assert_ready!(first.poll())), "gated");
}

#[test]
fn a_fetch_and_one_who_waits_for_it_may_go_at_the_same_moment() {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let _entered = runtime.as_ref().unwrap().enter();
    for _ in 0..100 {
        let turns = Arc::<Turns>::default();
        let (open, job) = gated(true);
        let mut first = spawn(turns.run(job));
        let mut second = spawn(at_once(&turns));
        assert_pending!(first.poll());
        assert_pending!(second.poll());
        let go = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                go.wait();
                drop(second);
            });
            go.wait();
            drop(first);
        });
        open.send(()).unwrap();
    }
}
