//! What the scheduler knows of.
//!
//! `arc_swap` and `Notify` are the real ones: each operation is one step, before which others may run.

use std::collections::hash_map::DefaultHasher;
use std::future::Future;
use std::hash::BuildHasherDefault;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::Guard;
use tokio::sync::futures::Notified as RealNotified;

pub(crate) use shuttle::sync::atomic;
pub(crate) use shuttle::sync::{
    Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError,
};
pub(crate) use shuttle::thread_local;

/// In the same order each time: else a schedule could not be repeated.
pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, RandomState>;

/// For the same reason not random at all.
pub(crate) type RandomState = BuildHasherDefault<DefaultHasher>;

/// Lets others run. Not `yield_now`, which tells the scheduler that there is nothing to do here.
pub(crate) fn step() {
    shuttle::thread::sleep(Duration::ZERO);
}

pub(crate) struct ArcSwapOption<T>(arc_swap::ArcSwapOption<T>);

impl<T> ArcSwapOption<T> {
    pub(crate) fn empty() -> Self {
        Self(arc_swap::ArcSwapOption::empty())
    }

    pub(crate) fn load(&self) -> Guard<Option<Arc<T>>> {
        step();
        self.0.load()
    }

    pub(crate) fn load_full(&self) -> Option<Arc<T>> {
        step();
        self.0.load_full()
    }

    pub(crate) fn store(&self, value: Option<Arc<T>>) {
        step();
        self.0.store(value);
    }
}

pub(crate) struct Notify(tokio::sync::Notify);

impl Notify {
    pub(crate) fn new() -> Self {
        Self(tokio::sync::Notify::new())
    }

    pub(crate) fn notified(&self) -> Notified<'_> {
        step();
        Notified(Some(Box::pin(self.0.notified())))
    }

    pub(crate) fn notify_one(&self) {
        step();
        self.0.notify_one();
    }

    pub(crate) fn notify_waiters(&self) {
        step();
        self.0.notify_waiters();
    }
}

/// Dropping it is a step too: it may pass on what it was told.
pub(crate) struct Notified<'a>(Option<Pin<Box<RealNotified<'a>>>>);

impl Notified<'_> {
    pub(crate) fn enable(mut self: Pin<&mut Self>) -> bool {
        step();
        let notified = self.0.as_mut().expect("it is taken out to be dropped");
        notified.as_mut().enable()
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        step();
        let notified = self.0.as_mut().expect("it is taken out to be dropped");
        notified.as_mut().poll(cx)
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        step();
        self.0.take();
    }
}

/// As much of `tokio::runtime` as there is use for: tasks of the scheduler, which end with their
/// runtime.
pub(crate) mod runtime {
    use std::cell::RefCell;
    use std::future::Future;
    use std::marker::PhantomData;
    use std::sync::Arc;

    use futures_util::future::join_all;
    use shuttle::future::JoinHandle;
    use shuttle::sync::Mutex;

    #[derive(Clone)]
    pub(crate) struct Handle(Arc<Runtime>);

    struct Runtime {
        /// `None` once it has ended.
        tasks: Mutex<Option<Vec<JoinHandle<()>>>>,
    }

    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Id(usize);

    pub(crate) struct EnterGuard<'a> {
        before: Option<Handle>,
        _entered: PhantomData<&'a Handle>,
    }

    shuttle::thread_local! {
        static CURRENT: RefCell<Option<Handle>> = RefCell::new(None);
    }

    impl Handle {
        pub(crate) fn new() -> Self {
            Self(Arc::new(Runtime {
                tasks: Mutex::new(Some(Vec::new())),
            }))
        }

        pub(crate) fn try_current() -> Result<Self, ()> {
            CURRENT.with(|current| current.borrow().clone()).ok_or(())
        }

        pub(crate) fn id(&self) -> Id {
            Id(Arc::as_ptr(&self.0).addr())
        }

        pub(crate) fn enter(&self) -> EnterGuard<'_> {
            EnterGuard {
                before: CURRENT.with(|current| current.replace(Some(self.clone()))),
                _entered: PhantomData,
            }
        }

        pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
            let mut tasks = self.0.tasks.lock().expect("nothing panics under this lock");
            let Some(tasks) = tasks.as_mut() else {
                return;
            };
            let runtime = self.clone();
            let task = shuttle::future::spawn(async move {
                CURRENT.with(|current| current.replace(Some(runtime)));
                task.await;
            });
            tasks.push(task);
        }

        /// Drops its tasks, and takes no more.
        pub(crate) async fn end(&self) {
            let tasks = self.take();
            tasks.iter().for_each(JoinHandle::abort);
            join_all(tasks).await;
        }

        /// Waits for its tasks, and takes no more.
        pub(crate) async fn finish(&self) {
            join_all(self.take()).await;
        }

        fn take(&self) -> Vec<JoinHandle<()>> {
            let mut tasks = self.0.tasks.lock().expect("nothing panics under this lock");
            tasks.take().unwrap_or_default()
        }
    }

    impl Drop for EnterGuard<'_> {
        fn drop(&mut self) {
            CURRENT.with(|current| current.replace(self.before.take()));
        }
    }
}
