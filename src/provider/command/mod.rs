use std::ffi::OsString;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;
use tokio::runtime::Handle;
use zeroize::Zeroizing;

pub use self::error::CommandTokenError;
use self::error::Why;
use self::running::{Ended, Running};
use super::text::{self, NoToken, Parser};
use super::{FetchContext, TokenProvider, refuse_tenant};
use crate::error::{BoxError, discard};
use crate::token::{AccessToken, Lifetime};

mod error;
mod running;

/// A provider that runs a command and takes the token from its standard output, such as
/// `gcloud auth print-access-token`.
///
/// The command is run at every fetch, without a shell, with the environment of this process, unless
/// [cleared](Self::with_env_cleared), and what [`with_env`](Self::with_env) adds; its standard input is empty. White space at either end of the output is
/// trimmed. Up to 64 KiB are read. Once the command has ended, an output that something it started keeps open
/// is waited for no longer than a second.
///
/// A command that has printed its token may do so again until that token ends. After a 401, if it prints
/// the same, the request is not sent again. Whatever scopes or audience a
/// [`TokenRequest`](crate::TokenRequest) asks for, it is this token.
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::TokenCache;
/// use tower_bearer::provider::CommandToken;
///
/// let gcloud = CommandToken::new("gcloud")
///     .with_args(["auth", "print-access-token"])
///     .with_env("CLOUDSDK_CORE_DISABLE_PROMPTS", "1")
///     .with_lifetime(Duration::from_secs(300));
/// let tokens = TokenCache::new(gcloud);
/// ```
///
/// # Nobody to ask
///
/// It is for commands that ask nobody. On Unix the command has a process group of its own, in the background of
/// a terminal: one that asks for a password on `/dev/tty` is stopped by the system and hangs until the time
/// limit, and Ctrl-C at that terminal ends this process and not the command, which goes when its fetch is dropped.
/// Many commands have an option or a variable that makes them fail instead of asking.
///
/// On Windows, a command that is a script is to be named in full, such as `gcloud.cmd`.
///
/// # Errors
///
/// A fetch fails with a [`CommandTokenError`]. Its kind is [`Denied`](crate::FetchErrorKind::Denied) if there
/// is no such command or it may not be run, [`Unavailable`](crate::FetchErrorKind::Unavailable) if the system
/// cannot run any now, and else [`Other`](crate::FetchErrorKind::Other), since a command does not say
/// why it fails. A fetch that asks for a tenant's token fails with the kind
/// [`InvalidRequest`](crate::FetchErrorKind::InvalidRequest), and nothing is run:
/// [`map_request`](super::TokenProviderExt::map_request) can leave the tenant out.
///
/// It needs a tokio runtime with `enable_io`. Without a runtime a fetch fails. On one without I/O it fails too, but
/// the command has been started then and is left to itself.
///
/// # Cancel safety
///
/// A command is killed when its fetch is dropped, as it is at the time limit, and on Unix with all that it
/// started and that has not left its process group.
///
/// # Security
///
/// Arguments can be seen by every user of the machine: what is secret goes into the environment. Only the
/// program appears in texts of ours, and what the command prints appears in none.
#[derive(Clone)]
pub struct CommandToken {
    program: OsString,
    args: Vec<OsString>,
    env_cleared: bool,
    env: Vec<(OsString, Zeroizing<String>)>,
    current_dir: Option<PathBuf>,
    lifetime: Option<Duration>,
    parser: Option<Parser>,
}

impl CommandToken {
    /// Runs `program`: a path, or a name to be found in `PATH`.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env_cleared: false,
            env: Vec::new(),
            current_dir: None,
            lifetime: None,
            parser: None,
        }
    }

    /// Adds an argument, which is passed on as it is.
    #[must_use]
    pub fn with_arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments, which are passed on as they are.
    #[must_use]
    pub fn with_args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of the command's environment.
    #[must_use]
    pub fn with_env(mut self, name: impl Into<OsString>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), Zeroizing::new(value.into())));
        self
    }

    /// Keeps the environment of this process from the command, which then has what
    /// [`with_env`](Self::with_env) sets, before or after, and nothing else.
    ///
    /// Many commands need `HOME`, or `PATH` to find others. The `PATH` in which `program` itself is found
    /// is then the one that is set, if any; a full path is best.
    ///
    /// # Security
    ///
    /// The environment often holds secrets that are none of the command's business.
    ///
    /// ```
    /// use tower_bearer::provider::CommandToken;
    ///
    /// let helper = CommandToken::new("/usr/local/bin/print-token")
    ///     .with_env_cleared()
    ///     .with_env("HOME", "/var/lib/app")
    ///     .with_current_dir("/var/lib/app");
    /// # let _ = helper;
    /// ```
    #[must_use]
    pub fn with_env_cleared(mut self) -> Self {
        self.env_cleared = true;
        self
    }

    /// Runs the command in the directory `path`; in that of this process unless set.
    ///
    /// A `program` that is a relative path is best made an absolute one, since systems differ in which of the two
    /// directories it is taken to be in.
    #[must_use]
    pub fn with_current_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.current_dir = Some(path.into());
        self
    }

    /// States how long the token lives that the command prints, at least, counted from when it is run.
    ///
    /// Many commands print a token that they have had for a while. Unless set, it is the cache's
    /// [default](crate::cache::TokenCacheBuilder::with_default_lifetime): five minutes. What a
    /// [parser](Self::with_output_parsed_by) says has precedence.
    #[must_use]
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Has `parser` make a token of what the command prints, trimmed, if that is not the token itself.
    ///
    /// A parser that panics is one that fails.
    ///
    /// # Security
    ///
    /// An error of `parser` is part of none of our texts and no [`source`](std::error::Error::source) of our
    /// error: it is to be had from [`CommandTokenError::parser_error`] alone. It had better not quote what it
    /// was given all the same, as `serde_json` does in its errors.
    ///
    #[cfg_attr(feature = "oauth2", doc = "```")]
    #[cfg_attr(not(feature = "oauth2"), doc = "```ignore")]
    /// use serde_json::Value;
    /// use tower_bearer::AccessToken;
    /// use tower_bearer::provider::CommandToken;
    ///
    /// let provider = CommandToken::new("print-token").with_arg("--json").with_output_parsed_by(|text| {
    ///     // Without serde's error, which may quote the token.
    ///     let json: Value = serde_json::from_str(text).map_err(|_| "no JSON")?;
    ///     let token = json["access_token"].as_str().ok_or("no access_token")?;
    ///     Ok(AccessToken::new(token)?)
    /// });
    /// # let _ = provider;
    /// ```
    #[must_use]
    pub fn with_output_parsed_by(
        mut self,
        parser: impl Fn(&str) -> Result<AccessToken, BoxError> + Send + Sync + 'static,
    ) -> Self {
        self.parser = Some(Arc::new(parser));
        self
    }

    fn start(&self) -> Result<Running, Why> {
        Handle::try_current().map_err(|_| Why::NoRuntime)?;
        let mut command = Command::new(&self.program);
        if self.env_cleared {
            command.env_clear();
        }
        if let Some(path) = &self.current_dir {
            command.current_dir(path);
        }
        command
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value.as_str())))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        // It panics on a runtime without I/O, and there is no other way to ask.
        match catch_unwind(AssertUnwindSafe(|| command.spawn())) {
            Ok(Ok(child)) => Ok(Running::new(child)),
            // The system's error is the same as for a program that is not there.
            Ok(Err(_)) if self.current_dir.as_ref().is_some_and(|dir| !dir.is_dir()) => {
                Err(Why::NoDirectory)
            }
            Ok(Err(error)) => Err(Why::NotStarted(error)),
            Err(payload) => {
                discard(payload);
                Err(Why::NoRuntime)
            }
        }
    }

    async fn run(&self) -> Result<AccessToken, CommandTokenError> {
        let error = |why, stderr| CommandTokenError {
            program: self.program.clone(),
            why,
            stderr,
        };
        let running = self
            .start()
            .map_err(|why| error(why, Zeroizing::default()))?;
        let (ended, stderr) = running.output().await;
        let token = match ended {
            Ok(Ended::TooMuch) => Err(Why::NoToken(NoToken::TooLarge)),
            Ok(Ended::With(status, _)) if !status.success() => Err(Why::Failed(status)),
            Ok(Ended::With(_, stdout)) => {
                text::parse(&stdout, self.parser.as_ref()).map_err(Why::NoToken)
            }
            Err(broken) => Err(Why::Broken(broken)),
        };
        let token = token.map_err(|why| error(why, stderr))?;
        Ok(match (token.lifetime(), self.lifetime) {
            (Lifetime::Unknown, Some(lifetime)) => token.with_expires_in(lifetime),
            _ => token,
        })
    }
}

impl TokenProvider for CommandToken {
    async fn fetch_token(&self, cx: FetchContext) -> Result<AccessToken, BoxError> {
        refuse_tenant(&cx)?;
        self.run().await.map_err(CommandTokenError::into_box_error)
    }
}

impl fmt::Debug for CommandToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandToken")
            .field("program", &self.program)
            .field("args", &self.args.len())
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}
