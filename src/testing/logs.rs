use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Keeps what is written to it: what a test had logged.
///
/// Clones are the same collection. A closure that returns a clone is what `tracing-subscriber` calls a
/// `MakeWriter`, so that `tracing_subscriber::fmt().with_writer(move || logs.clone())` logs to it; `env_logger`
/// takes one as `Target::Pipe(Box::new(logs.clone()))`. Give it to [`Secrets`](super::Secrets) to have it
/// searched.
///
/// ```
/// use std::io::Write;
/// use tower_bearer::testing::{Logs, Secrets};
///
/// let logs = Logs::new();
/// let make_writer = {
///     let logs = logs.clone();
///     move || logs.clone()
/// };
///
/// writeln!(make_writer(), "asked for a token, as my-service")?;
///
/// assert!(logs.text().contains("my-service"));
/// Secrets::new(["hunter2"]).assert_absent_from(&logs.text());
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Security
///
/// `Debug` shows how much there is, not what.
#[derive(Clone, Default)]
pub struct Logs {
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Logs {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// All that was written; what is not UTF-8 is replaced by U+FFFD.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// Forgets what was written.
    pub fn clear(&self) {
        self.bytes().clear();
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Write for &Logs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logs")
            .field("bytes", &self.bytes().len())
            .finish()
    }
}
