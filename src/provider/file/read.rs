use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use futures_timer::Delay;
use futures_util::FutureExt;
use futures_util::future::{Either, Shared, select};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::error::Why;
use crate::provider::text::LIMIT;

/// A read that takes longer has failed.
const READ_LIMIT: Duration = Duration::from_secs(10);

/// What is in a file, or why that is not known. Cheap to clone.
type Content = Result<Arc<Zeroizing<Vec<u8>>>, NotRead>;

/// What reads it, and may block.
type Read = dyn Fn(&Path) -> Result<Zeroizing<Vec<u8>>, NotRead> + Send + Sync;

#[derive(Clone)]
pub(super) enum NotRead {
    Io(Arc<io::Error>),
    NotAFile,
}

/// Reads one file: on a thread of its own, one read at a time.
///
/// On a network file system a read may hang for as long as its server does. Then there is one such thread,
/// however often somebody asks, and no runtime waits for it when it is shut down, as it would for one of its
/// own.
pub(super) struct Reader {
    path: PathBuf,
    read: Box<Read>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many reads have begun.
    begun: u64,
    /// The last one, until it ends.
    running: Option<Shared<oneshot::Receiver<Content>>>,
}

/// Ends a read, also one whose thread panics or is never spawned.
struct Running(Arc<Reader>);

impl Reader {
    pub(super) fn new(path: PathBuf) -> Self {
        Self::reading_by(path, read)
    }

    fn reading_by(
        path: PathBuf,
        read: impl Fn(&Path) -> Result<Zeroizing<Vec<u8>>, NotRead> + Send + Sync + 'static,
    ) -> Self {
        Self {
            path,
            read: Box::new(read),
            state: Mutex::default(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What is in the file now, or within the time limit. Needs no runtime.
    pub(super) async fn content(self: &Arc<Self>) -> Content {
        match select(pin!(self.read_from_now()), Delay::new(READ_LIMIT)).await {
            Either::Left((content, _)) => content,
            Either::Right(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        }
    }

    /// Joins no read that began earlier: the file may have been replaced since. It waits for the end of one,
    /// and then all who do so share the next.
    async fn read_from_now(self: &Arc<Self>) -> Content {
        let earlier = self.lock().begun;
        loop {
            let (begun, running) = self.running_or_new()?;
            let ended = running.await;
            if begun > earlier {
                return ended
                    .unwrap_or_else(|_| Err(io::Error::other("its thread has ended").into()));
            }
        }
    }

    /// The read that is under way, or else a new one, and which one it is, from one.
    fn running_or_new(
        self: &Arc<Self>,
    ) -> Result<(u64, Shared<oneshot::Receiver<Content>>), NotRead> {
        let (sender, begun, running) = {
            let mut state = self.lock();
            if let Some(running) = &state.running {
                return Ok((state.begun, running.clone()));
            }
            let (sender, receiver) = oneshot::channel();
            let receiver = receiver.shared();
            state.begun += 1;
            state.running = Some(receiver.clone());
            (sender, state.begun, receiver)
        };
        // Outside of the lock, which it takes if the thread cannot be spawned.
        let reading = Running(Arc::clone(self));
        thread::Builder::new()
            .name("token file".to_owned())
            .spawn(move || {
                let content = (reading.0.read)(&reading.0.path).map(Arc::new);
                // First, so that whoever hears of the end does not find this read again.
                drop(reading);
                // Nobody may wait any more.
                let _ = sender.send(content);
            })?;
        Ok((begun, running))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.0.lock().running.take();
    }
}

impl From<io::Error> for NotRead {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

impl From<NotRead> for Why {
    fn from(not_read: NotRead) -> Self {
        Self::NotRead(not_read)
    }
}

/// Reads the whole file, and one byte more than [`LIMIT`] at most. May block.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, NotRead> {
    // Looked at before it is opened, since to open a named pipe may take for ever.
    if !fs::metadata(path)?.is_file() {
        return Err(NotRead::NotAFile);
    }
    // Made at its full size, so that no growing leaves a copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * LIMIT));
    File::open(path)?
        .take(LIMIT as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_executor::block_on;
    use tokio_test::task::spawn;

    use super::*;

    /// Reads that begin when they say so, and end when they are told what is in the file.
    struct Disk {
        begun: mpsc::Receiver<thread::ThreadId>,
        content: mpsc::Sender<&'static str>,
    }

    fn disk() -> (Arc<Reader>, Disk) {
        let (sender, begun) = mpsc::channel();
        let (content, receiver) = mpsc::channel::<&str>();
        let receiver = Mutex::new(receiver);
        let reader = Reader::reading_by(PathBuf::new(), move |_| {
            sender.send(thread::current().id()).unwrap();
            let content = receiver.lock().unwrap().recv().unwrap_or_default();
            Ok(Zeroizing::new(content.as_bytes().to_vec()))
        });
        (Arc::new(reader), Disk { begun, content })
    }

    impl Disk {
        fn await_read(&self) -> thread::ThreadId {
            self.begun
                .recv_timeout(Duration::from_secs(60))
                .expect("a read begins")
        }

        fn answer(&self, content: &'static str) {
            self.content.send(content).unwrap();
        }
    }

    fn text(content: Content) -> String {
        let bytes = content.map_err(|_| ()).expect("it was read");
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn while_a_read_hangs_no_other_begins_and_all_who_came_meanwhile_share_the_next() {
        let (reader, disk) = disk();
        let mut first = spawn(reader.content());
        assert!(first.poll().is_pending());
        disk.await_read();
        let mut late = [(); 3].map(|()| spawn(reader.content()));
        for late in &mut late {
            assert!(late.poll().is_pending());
        }
        assert!(disk.begun.try_recv().is_err());

        // What it reads may be older than they are.
        disk.answer("old");
        assert_eq!(text(block_on(first)), "old");
        for late in &mut late {
            assert!(late.poll().is_pending());
        }
        disk.await_read();
        disk.answer("new");
        for late in late {
            assert_eq!(text(block_on(late)), "new");
        }
        assert!(disk.begun.try_recv().is_err());
    }

    #[test]
    fn a_read_whose_fetch_is_dropped_runs_on_and_is_still_the_only_one() {
        let (reader, disk) = disk();
        for _ in 0..3 {
            assert!(spawn(reader.content()).poll().is_pending());
        }
        disk.await_read();
        assert!(disk.begun.try_recv().is_err());
    }

    #[test]
    fn no_read_takes_place_on_the_thread_that_asks() {
        let (reader, disk) = disk();
        disk.answer("abc");
        assert_eq!(text(block_on(reader.content())), "abc");
        assert_ne!(disk.await_read(), thread::current().id());
    }

    #[test]
    fn a_runtime_that_is_shut_down_does_not_wait_for_a_read() {
        let (reader, disk) = disk();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let mut content = spawn(reader.content());
        runtime.block_on(async { assert!(content.poll().is_pending()) });
        disk.await_read();

        // It would wait for ever for a task that blocks.
        drop(runtime);
        disk.answer("abc");
        assert_eq!(text(block_on(content)), "abc");
    }

    #[test]
    fn a_read_that_panics_has_failed_and_the_next_takes_place() {
        let panics = Mutex::new(true);
        let reader = Arc::new(Reader::reading_by(PathBuf::new(), move |_| {
            let is_first = std::mem::take(&mut *panics.lock().unwrap());
            assert!(!is_first, "the disk is gone");
            Ok(Zeroizing::new(b"abc".to_vec()))
        }));

        assert!(block_on(reader.content()).is_err());
        assert_eq!(text(block_on(reader.content())), "abc");
    }

    #[test]
    fn a_read_that_has_ended_is_kept_by_nobody() {
        let (reader, disk) = disk();
        disk.answer("abc");
        let content = block_on(reader.content()).map_err(|_| ()).unwrap();

        assert!(reader.lock().running.is_none());
        drop(reader);
        assert_eq!(Arc::strong_count(&content), 1);
    }
}
