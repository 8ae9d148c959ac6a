//! To hear from processes, and whether they are gone.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::mpsc;

/// A named pipe, and what is heard from it: lines, and `None` once all who hold it open for writing are
/// gone.
pub(crate) struct Line {
    heard: mpsc::UnboundedReceiver<String>,
    pub(crate) path: PathBuf,
    _dir: TempDir,
}

impl Line {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = make_pipe(dir.path());
        let (sender, heard) = mpsc::unbounded_channel();
        let pipe = path.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(File::open(pipe).unwrap()).lines() {
                sender.send(line.unwrap()).unwrap();
            }
        });
        Self {
            heard,
            path,
            _dir: dir,
        }
    }

    pub(crate) async fn next(&mut self) -> Option<String> {
        let heard = tokio::time::timeout(Duration::from_secs(60), self.heard.recv()).await;
        heard.expect("something is heard within a minute")
    }
}

pub(crate) fn make_pipe(dir: &Path) -> PathBuf {
    let path = dir.join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    path
}
