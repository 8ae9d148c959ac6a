use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use super::read::NotRead;
use crate::provider::text::NoToken;

/// There is no token in a file.
///
/// It is the [`source`](Error::source) of the [`FetchError`](crate::FetchError) of a
/// [`FileToken`](super::FileToken).
///
/// ```
/// use std::error::Error;
/// use std::io::ErrorKind;
/// use tower_bearer::FetchError;
/// use tower_bearer::provider::FileTokenError;
///
/// fn is_missing(error: &FetchError) -> bool {
///     error
///         .source()
///         .and_then(|source| source.downcast_ref::<FileTokenError>())
///         .is_some_and(|error| error.io_error_kind() == Some(ErrorKind::NotFound))
/// }
/// # assert!(!is_missing(&FetchError::denied("no")));
/// ```
///
/// # Security
///
/// It names the path, and never quotes what is in the file.
pub struct FileTokenError {
    pub(super) path: PathBuf,
    pub(super) why: Why,
}

pub(super) enum Why {
    NotRead(NotRead),
    NoToken(NoToken),
}

impl FileTokenError {
    /// What the system says of why the file cannot be read, if that is why.
    pub fn io_error_kind(&self) -> Option<io::ErrorKind> {
        match &self.why {
            Why::NotRead(NotRead::Io(error)) => Some(error.kind()),
            Why::NotRead(NotRead::NotAFile) | Why::NoToken(_) => None,
        }
    }

    /// What the parser that [`with_content_parsed_by`](super::FileToken::with_content_parsed_by) was given said, if it made no token of the content.
    ///
    /// # Security
    ///
    /// It is no [`source`](Error::source) of this error, and so in no log of a chain of errors, since it may
    /// quote the token, as the errors of `serde_json` do. It is for a person who looks for what is wrong.
    pub fn parser_error(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        match &self.why {
            Why::NoToken(why) => why.parser_error(),
            _ => None,
        }
    }
}

impl fmt::Display for FileTokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "token file {:?} ", self.path)?;
        match &self.why {
            Why::NotRead(NotRead::Io(error)) => {
                write!(f, "cannot be read: {}", error.kind())?;
                f.write_str(match error.kind() {
                    io::ErrorKind::NotFound => "; is it mounted, and has it been written yet?",
                    io::ErrorKind::PermissionDenied => "; may the user of this process read it?",
                    _ => "",
                })
            }
            Why::NotRead(NotRead::NotAFile) => {
                f.write_str("is not a regular file, which could be read again")
            }
            Why::NoToken(why) => why.fmt(f),
        }
    }
}

impl fmt::Debug for FileTokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileTokenError")
            .field("path", &self.path)
            .field("io_error_kind", &self.io_error_kind())
            .finish_non_exhaustive()
    }
}

impl Error for FileTokenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.why {
            Why::NotRead(NotRead::Io(error)) => Some(&**error),
            Why::NotRead(NotRead::NotAFile) => None,
            Why::NoToken(why) => why.source(),
        }
    }
}
