use std::io;
use std::pin::pin;
use std::process::ExitStatus;
use std::time::Duration;

use futures_timer::Delay;
use futures_util::future::{Either, select, try_join};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;
use zeroize::Zeroizing;

use crate::provider::text::LIMIT;

/// What is kept of standard error.
const STDERR_LIMIT: usize = 512;

/// How long to wait for the rest of the output of a command that has ended: what it wrote is in the pipe
/// already, and something that it started may never close it.
const GRACE: Duration = Duration::from_secs(1);

/// A command that runs. It is killed when this is dropped.
pub(super) struct Running {
    child: Child,
}

/// How a command ended.
pub(super) enum Ended {
    With(ExitStatus, Zeroizing<Vec<u8>>),
    /// It has printed more than anybody would call a token, and is killed.
    TooMuch,
}

/// Why nobody waits for more of the output.
enum Stop {
    TooMuch,
    Broken(io::Error),
}

impl Running {
    pub(super) fn new(child: Child) -> Self {
        Self { child }
    }

    /// Waits for its end. Also returns what it wrote to standard error, fit to be shown.
    pub(super) async fn output(mut self) -> (io::Result<Ended>, Zeroizing<String>) {
        // Made at their full size, so that no growing leaves a copy behind.
        let mut stdout = Zeroizing::new(Vec::with_capacity(2 * LIMIT));
        let mut stderr = Zeroizing::new(Vec::with_capacity(STDERR_LIMIT));
        let status = self.wait(&mut stdout, &mut stderr).await;
        let ended = match status {
            Ok(status) => Ok(Ended::With(status, stdout)),
            Err(Stop::TooMuch) => Ok(Ended::TooMuch),
            Err(Stop::Broken(error)) => Err(error),
        };
        (ended, clean(&stderr))
    }

    async fn wait(
        &mut self,
        stdout: &mut Vec<u8>,
        stderr: &mut Vec<u8>,
    ) -> Result<ExitStatus, Stop> {
        let (out, err) = (self.child.stdout.take(), self.child.stderr.take());
        let mut reading = pin!(try_join(read_all(out, stdout), drain(err, stderr)));
        let waiting = pin!(self.child.wait());
        match select(waiting, &mut reading).await {
            Either::Left((status, _)) => {
                // What failed is the reading, if it has.
                if let Either::Left((Err(stop), _)) = select(reading, Delay::new(GRACE)).await {
                    return Err(stop);
                }
                status.map_err(Stop::Broken)
            }
            Either::Right((read, waiting)) => {
                read?;
                waiting.await.map_err(Stop::Broken)
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Tokio kills the command itself. Not what it started, if that is how it does its work: many
        // are shell scripts.
        #[cfg(unix)]
        kill_group(&self.child);
    }
}

#[cfg(unix)]
fn kill_group(child: &Child) {
    use rustix::process::{Pid, Signal, kill_process_group};

    // There is a number as long as nobody has been told of its end; till then no other process can have it.
    let number = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(group) = number.and_then(Pid::from_raw) {
        // It fails if all have ended.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

async fn read_all(from: Option<impl AsyncRead + Unpin>, to: &mut Vec<u8>) -> Result<(), Stop> {
    let Some(mut from) = from else {
        return Ok(());
    };
    while from.read_buf(to).await.map_err(Stop::Broken)? > 0 {
        if to.len() > LIMIT {
            return Err(Stop::TooMuch);
        }
    }
    Ok(())
}

/// Reads to the end, and keeps the beginning. Who writes must not have to wait.
async fn drain(from: Option<impl AsyncRead + Unpin>, to: &mut Vec<u8>) -> Result<(), Stop> {
    let Some(mut from) = from else {
        return Ok(());
    };
    let mut buffer = Zeroizing::new([0; STDERR_LIMIT]);
    loop {
        let read = from.read(&mut *buffer).await.map_err(Stop::Broken)?;
        if read == 0 {
            return Ok(());
        }
        let wanted = read.min(STDERR_LIMIT - to.len());
        to.extend_from_slice(&buffer[..wanted]);
    }
}

/// Escapes what does not print, and keeps 512 bytes.
fn clean(text: &[u8]) -> Zeroizing<String> {
    let mut clean = Zeroizing::new(String::with_capacity(2 * STDERR_LIMIT));
    for chunk in text.trim_ascii_end().utf8_chunks() {
        let invalid = (!chunk.invalid().is_empty()).then_some(char::REPLACEMENT_CHARACTER);
        for c in chunk.valid().chars().chain(invalid) {
            let before = clean.len();
            match c {
                // These print, and `escape_debug` is for literals.
                '"' | '\'' | '\\' => clean.push(c),
                // Control characters, and those that turn the text around.
                _ => clean.extend(c.escape_debug()),
            }
            if clean.len() > STDERR_LIMIT {
                clean.truncate(before);
                return clean;
            }
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_command_complains_about_prints_on_one_line_of_512_bytes() {
        let clean = |text: &[u8]| clean(text).to_string();

        assert_eq!(clean(b"ERROR: it's \"no\"\n"), "ERROR: it's \"no\"");
        assert_eq!(clean(b"a\nb\x1b[2Jc\xffd"), "a\\nb\\u{1b}[2Jc\u{fffd}d");
        assert_eq!(clean(&[b'a'; 600]), "a".repeat(512));
        // An escape is kept whole or not at all.
        let text = [vec![b'a'; 510], vec![0x1b]].concat();
        assert_eq!(clean(&text), "a".repeat(510));
    }

    #[tokio::test]
    async fn of_an_output_without_end_no_more_is_read_than_there_is_room_for() {
        let mut stdout = Vec::with_capacity(2 * LIMIT);
        let room = stdout.capacity();

        let stop = read_all(Some(tokio::io::repeat(b'a')), &mut stdout).await;
        assert!(matches!(stop, Err(Stop::TooMuch)));
        assert_eq!(stdout.capacity(), room);
    }

    #[tokio::test]
    async fn complaints_are_read_to_their_end_and_only_their_beginning_is_kept() {
        let rest = tokio::io::repeat(b'a').take(5000);
        let mut complaints = AsyncReadExt::chain(&b"begins"[..], rest);
        let mut stderr = Vec::with_capacity(STDERR_LIMIT);

        assert!(drain(Some(&mut complaints), &mut stderr).await.is_ok());
        assert_eq!(complaints.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(stderr, [&b"begins"[..], &[b'a'; 506]].concat());
    }
}
