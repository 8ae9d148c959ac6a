use std::collections::VecDeque;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::error::FetchError;

/// How many refresh tokens are remembered to have been replaced.
const REPLACED: usize = 64;

/// A text that is zeroed when its last clone is dropped.
pub(super) type Secret = Arc<Zeroizing<String>>;

/// A refresh token and the one that it replaces (RFC 6749 §6), for who stores them.
///
/// See [`with_rotation_saved_by`](super::RefreshTokenBuilder::with_rotation_saved_by).
///
/// ```
/// use std::fs::{self, File, OpenOptions};
/// use std::io::{self, Write};
/// use std::path::Path;
/// use tower_bearer::oauth2::RefreshTokenBuilder;
///
/// fn save(refresh_token: &str, path: &Path) -> io::Result<()> {
///     // One may be left, half written or readable for others.
///     let new = path.with_extension("new");
///     let _none = fs::remove_file(&new);
///
///     let mut options = OpenOptions::new();
///     options.write(true).create_new(true);
///     #[cfg(unix)]
///     std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
///     let mut file = options.open(&new)?;
///     file.write_all(refresh_token.as_bytes())?;
///     file.sync_all()?;
///
///     // Once it is whole, so that there is one or the other at any time, be there a power cut.
///     fs::rename(&new, path)?;
///     #[cfg(unix)]
///     File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
///     Ok(())
/// }
///
/// fn saved_in_a_file(builder: RefreshTokenBuilder) -> RefreshTokenBuilder {
///     builder.with_rotation_saved_by(|rotation| async move {
///         let path = Path::new("/var/lib/my-service/refresh-token");
///         Ok(tokio::task::spawn_blocking(move || save(rotation.expose_new(), path)).await??)
///     })
/// }
/// # let _ = saved_in_a_file;
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("refresh-token");
/// # fs::write(path.with_extension("new"), "left")?;
/// # for text in ["r1", "r2"] {
/// #     save(text, &path)?;
/// #     assert_eq!(fs::read_to_string(&path)?, text);
/// #     assert!(!path.with_extension("new").exists());
/// # }
/// # #[cfg(unix)]
/// # assert_eq!(std::os::unix::fs::MetadataExt::mode(&fs::metadata(&path)?) & 0o777, 0o600);
/// # Ok::<(), io::Error>(())
/// ```
///
/// # Security
///
/// Zeroed when the last clone is dropped. `Debug` shows neither.
#[derive(Clone)]
pub struct RefreshTokenRotation {
    new: Secret,
    old: Secret,
}

impl RefreshTokenRotation {
    /// The refresh token to store.
    pub fn expose_new(&self) -> &str {
        &self.new
    }

    /// The one that it replaces, so that a store which several processes share can compare and swap.
    pub fn expose_old(&self) -> &str {
        &self.old
    }
}

impl fmt::Debug for RefreshTokenRotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshTokenRotation")
            .finish_non_exhaustive()
    }
}

/// What is known of a refresh token. The texts that it had are remembered by a keyed hash.
#[derive(Default)]
pub(super) struct Memory {
    current: Option<Secret>,
    unsaved: Option<RefreshTokenRotation>,
    /// What the source gave last.
    read: Option<u64>,
    /// What was replaced here, the oldest first.
    replaced: VecDeque<u64>,
    /// What was refused last, and how.
    refused: Option<(u64, FetchError)>,
    key: RandomState,
}

impl Memory {
    /// The refresh token to use, given what the source says.
    pub(super) fn choose(&mut self, read: Zeroizing<String>) -> Secret {
        let is_news = self.is_news(&read);
        self.read = Some(self.hash(&read));
        match &self.current {
            Some(current) if !is_news => Arc::clone(current),
            _ => self.take_up(read),
        }
    }

    /// The refresh token to use after `refused` was, if the source has another one.
    pub(super) fn choose_other(
        &mut self,
        read: Zeroizing<String>,
        refused: &Secret,
    ) -> Option<Secret> {
        if *read == ***refused || !self.is_news(&read) {
            return None;
        }
        self.read = Some(self.hash(&read));
        Some(self.take_up(read))
    }

    /// Uses what somebody else has put where the source reads it, who was faster than what is unsaved.
    fn take_up(&mut self, read: Zeroizing<String>) -> Secret {
        self.unsaved = None;
        Arc::clone(self.current.insert(Arc::new(read)))
    }

    /// Keeps what an answer to a request with `old` has brought. The same text again is no rotation.
    pub(super) fn rotate(&mut self, old: &Secret, new: Zeroizing<String>) {
        if *new == ***old {
            return;
        }
        let (old_hash, new_hash) = (self.hash(old), self.hash(&new));
        // A server may come back to one.
        self.replaced.retain(|hash| *hash != new_hash);
        self.replaced.push_back(old_hash);
        if self.replaced.len() > REPLACED {
            self.replaced.pop_front();
        }
        let new = Arc::new(new);
        self.current = Some(Arc::clone(&new));
        // What a store has is the first that was replaced since it was told, be it by a clone that tells none.
        let unsaved = self.unsaved.take();
        self.unsaved = Some(RefreshTokenRotation {
            new,
            old: unsaved.map_or_else(|| Arc::clone(old), |unsaved| unsaved.old),
        });
    }

    pub(super) fn unsaved(&self) -> Option<RefreshTokenRotation> {
        self.unsaved.clone()
    }

    pub(super) fn saved(&mut self) {
        self.unsaved = None;
    }

    pub(super) fn refuse(&mut self, token: &Secret, error: FetchError) {
        self.refused = Some((self.hash(token), error));
    }

    /// How `token` was refused, if it was.
    pub(super) fn refusal(&self, token: &Secret) -> Option<FetchError> {
        let (refused, error) = self.refused.as_ref()?;
        (*refused == self.hash(token)).then(|| error.clone())
    }

    pub(super) fn accept(&mut self) {
        self.refused = None;
    }

    /// Whether what the source says is neither what it said before nor what was replaced here, the use of
    /// which would be taken for theft (RFC 9700 §4.14.2).
    fn is_news(&self, read: &str) -> bool {
        let hash = self.hash(read);
        self.read != Some(hash) && !self.replaced.contains(&hash)
    }

    fn hash(&self, text: &str) -> u64 {
        self.key.hash_one(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    fn rotate(memory: &mut Memory, old: &str, new: &str) {
        memory.rotate(&Arc::new(text(old)), text(new));
    }

    #[test]
    fn a_source_that_repeats_itself_never_brings_back_what_was_replaced() {
        let mut memory = Memory::default();
        assert_eq!(**memory.choose(text("r0")), "r0");
        for n in 0..3 * REPLACED {
            rotate(&mut memory, &format!("r{n}"), &format!("r{}", n + 1));
            assert_eq!(**memory.choose(text("r0")), format!("r{}", n + 1));
        }
        assert_eq!(memory.replaced.len(), REPLACED);
    }

    #[test]
    fn a_store_that_lags_behind_does_not_bring_back_what_was_replaced() {
        let mut memory = Memory::default();
        memory.choose(text("r0"));
        rotate(&mut memory, "r0", "r1");
        rotate(&mut memory, "r1", "r2");

        assert_eq!(**memory.choose(text("r1")), "r2");
        assert_eq!(**memory.choose(text("r2")), "r2");
        assert_eq!(**memory.choose(text("from elsewhere")), "from elsewhere");
    }

    #[test]
    fn a_token_that_a_server_comes_back_to_is_taken_from_the_source_again() {
        let mut memory = Memory::default();
        rotate(&mut memory, "a", "b");
        rotate(&mut memory, "b", "a");
        rotate(&mut memory, "a", "a");

        assert_eq!(**memory.current.as_ref().unwrap(), text("a"));
        assert_eq!(memory.replaced.len(), 1);
        memory.choose(text("c"));
        assert_eq!(**memory.choose(text("a")), "a");
    }
}
