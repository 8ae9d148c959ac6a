use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use zeroize::Zeroizing;

use super::error::Why;
use crate::provider::text::LIMIT;

/// Reads the whole file, and one byte more than [`LIMIT`] at most. May block.
pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Why> {
    // Looked at before it is opened, since to open a named pipe may take for ever.
    if !fs::metadata(path)?.is_file() {
        return Err(Why::NotAFile);
    }
    // Made at its full size, so that no growing leaves a copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * LIMIT));
    File::open(path)?
        .take(LIMIT as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}
