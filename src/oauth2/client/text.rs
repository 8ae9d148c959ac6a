use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::error::BoxError;
use crate::oauth2::invalid_config::{InvalidConfig, InvalidConfigKind};

type BoxFuture = Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send>>;

/// A secret text: fixed, or read by a closure.
#[derive(Clone)]
pub(crate) enum Text {
    Fixed(Zeroizing<String>),
    Fn(Arc<dyn Fn() -> BoxFuture + Send + Sync>),
}

impl Text {
    pub(crate) fn from_fn<F, Fut>(f: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, BoxError>> + Send + 'static,
    {
        Self::Fn(Arc::new(move || Box::pin(f())))
    }

    /// The text, unless it has to be read.
    pub(crate) fn fixed(&self) -> Option<&str> {
        match self {
            Self::Fixed(text) => Some(text),
            Self::Fn(_) => None,
        }
    }

    /// Checks what can be checked without reading. `kind` is what it is an error of.
    pub(crate) fn validate(&self, kind: InvalidConfigKind) -> Result<(), InvalidConfig> {
        match self.fixed() {
            Some(text) => check(text, kind),
            None => Ok(()),
        }
    }

    /// Reads it. The error is the closure's, or says that it cannot be right.
    pub(crate) async fn read(
        &self,
        kind: InvalidConfigKind,
    ) -> Result<Zeroizing<String>, BoxError> {
        let text = match self {
            Self::Fixed(text) => text.clone(),
            Self::Fn(f) => Zeroizing::new(f().await?),
        };
        check(&text, kind)?;
        Ok(text)
    }
}

fn check(text: &str, kind: InvalidConfigKind) -> Result<(), InvalidConfig> {
    if text.is_empty() || text.chars().any(char::is_control) {
        Err(InvalidConfig::new(kind))
    } else {
        Ok(())
    }
}

/// Has a type be made of a text, which its `Debug` does not show. It has one field: `text`.
macro_rules! made_of_text {
    ($name:ident) => {
        impl From<Zeroizing<String>> for $name {
            fn from(text: Zeroizing<String>) -> Self {
                Self {
                    text: Text::Fixed(text),
                }
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Zeroizing::new(text).into()
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                text.to_owned().into()
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

pub(crate) use made_of_text;
