use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::process::ExitStatus;

use zeroize::Zeroizing;

use crate::error::{BoxError, FetchError};
use crate::provider::text::NoToken;

/// A command gave no token.
///
/// It is the [`source`](Error::source) of the [`FetchError`] of a [`CommandToken`](super::CommandToken).
///
/// ```
/// use std::error::Error;
/// use tower_bearer::FetchError;
/// use tower_bearer::provider::CommandTokenError;
///
/// fn exit_code(error: &FetchError) -> Option<i32> {
///     let source = error.source()?.downcast_ref::<CommandTokenError>()?;
///     source.status()?.code()
/// }
/// # assert_eq!(exit_code(&FetchError::denied("no")), None);
/// ```
///
/// # Security
///
/// Its texts name the program and how it ended. They quote neither its arguments nor what it printed.
pub struct CommandTokenError {
    pub(super) program: OsString,
    pub(super) why: Why,
    pub(super) stderr: Zeroizing<String>,
}

pub(super) enum Why {
    NoRuntime,
    NotStarted(io::Error),
    /// The directory to run it in is none.
    NoDirectory,
    /// Its output could not be read, or its end not be awaited.
    Broken(io::Error),
    Failed(ExitStatus),
    NoToken(NoToken),
}

impl CommandTokenError {
    /// How the command ended, if it failed.
    pub fn status(&self) -> Option<ExitStatus> {
        match self.why {
            Why::Failed(status) => Some(status),
            _ => None,
        }
    }

    /// What the command wrote to its standard error: up to 512 bytes, with control characters escaped.
    ///
    /// # Security
    ///
    /// It may hold secrets, which cannot be told from other text: it is for a person who looks for what
    /// is wrong, not for a log.
    pub fn stderr(&self) -> &str {
        &self.stderr
    }

    /// What the parser that [`with_output_parsed_by`](super::CommandToken::with_output_parsed_by) was given said, if it made no token of the output.
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

    /// With the kind that tells how long to stay away.
    pub(super) fn into_box_error(self) -> BoxError {
        match &self.why {
            Why::NotStarted(error) if is_temporary(error) => {
                FetchError::unavailable(self).local().into()
            }
            Why::NotStarted(_) | Why::NoDirectory => FetchError::denied(self).local().into(),
            // The kind is then `Other`.
            _ => self.into(),
        }
    }
}

/// Whether the system may be able to start the same command later: it lacks memory, processes or file
/// descriptors, for some of which the standard library has no name.
fn is_temporary(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory
    )
}

impl fmt::Display for CommandTokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "token command {:?} ", self.program)?;
        match &self.why {
            Why::NoRuntime => {
                f.write_str("cannot be run here: it needs a tokio runtime with `enable_io`")
            }
            Why::NotStarted(error) => {
                write!(f, "cannot be run: {}", error.kind())?;
                f.write_str(match error.kind() {
                    io::ErrorKind::NotFound => "; is it installed, and in `PATH`?",
                    io::ErrorKind::PermissionDenied => "; may the user of this process run it?",
                    _ => "",
                })
            }
            Why::NoDirectory => f.write_str(
                "cannot be run: there is no such directory as `with_current_dir` names, or it may not \
                 be entered",
            ),
            Why::Broken(error) => write!(f, "could not be followed to its end: {}", error.kind()),
            Why::Failed(status) => {
                write!(f, "failed ({status})")?;
                match self.stderr.is_empty() {
                    true => Ok(()),
                    false => f.write_str("; `CommandTokenError::stderr` has what it said of that"),
                }
            }
            Why::NoToken(why) => write!(f, "gave no token: its output {why}"),
        }
    }
}

impl fmt::Debug for CommandTokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandTokenError")
            .field("program", &self.program)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

impl Error for CommandTokenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.why {
            Why::NotStarted(error) | Why::Broken(error) => Some(error),
            Why::NoToken(why) => why.source(),
            Why::NoRuntime | Why::NoDirectory | Why::Failed(_) => None,
        }
    }
}
