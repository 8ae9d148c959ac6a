//! A mounted volume, as far as the token in it goes.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A directory as a kubelet mounts it: `token` leads by way of `..data` to the version of today, and
/// `..data` is what is replaced, at once.
pub(crate) struct Volume {
    dir: TempDir,
    versions: u32,
}

impl Volume {
    pub(crate) fn new() -> Self {
        let volume = Self {
            dir: tempfile::tempdir().unwrap(),
            versions: 0,
        };
        symlink(Path::new("..data/token"), &volume.token());
        volume
    }

    pub(crate) fn with(content: impl AsRef<[u8]>) -> Self {
        let mut volume = Self::new();
        volume.replace(content);
        volume
    }

    pub(crate) fn token(&self) -> PathBuf {
        self.dir.path().join("token")
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("..data")
    }

    /// A new version, without a token in it.
    pub(crate) fn next_version(&mut self) -> PathBuf {
        self.versions += 1;
        let version = self.dir.path().join(format!("..{}", self.versions));
        std::fs::create_dir(&version).unwrap();
        version
    }

    pub(crate) fn switch_to(&self, version: &Path) {
        let link = self.dir.path().join("..data_tmp");
        symlink(version, &link);
        std::fs::rename(link, self.data()).unwrap();
    }

    pub(crate) fn replace(&mut self, content: impl AsRef<[u8]>) {
        let version = self.next_version();
        std::fs::write(version.join("token"), content).unwrap();
        self.switch_to(&version);
    }

    pub(crate) fn remove(&self) {
        std::fs::remove_file(self.data()).unwrap();
    }
}

fn symlink(to: &Path, link: &Path) {
    std::os::unix::fs::symlink(to, link).unwrap();
}
