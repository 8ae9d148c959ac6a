use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::error::BoxError;

type BoxFuture = Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send>>;

/// A secret text: fixed, or read by a closure.
#[derive(Clone)]
pub(super) enum Text {
    Fixed(Zeroizing<String>),
    Fn(Arc<dyn Fn() -> BoxFuture + Send + Sync>),
}

/// Why there is no text.
#[derive(Debug)]
pub(super) enum NoText {
    /// The closure failed.
    Failed(BoxError),
    /// What it returned is empty or has control characters.
    Invalid,
}

impl Text {
    pub(super) fn from_fn<F, Fut>(f: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, BoxError>> + Send + 'static,
    {
        Self::Fn(Arc::new(move || Box::pin(f())))
    }

    pub(super) fn is_fixed(&self) -> bool {
        matches!(self, Self::Fixed(_))
    }

    /// Checks what can be checked without reading.
    pub(super) fn is_valid(&self) -> bool {
        match self {
            Self::Fixed(text) => is_valid(text),
            Self::Fn(_) => true,
        }
    }

    pub(super) async fn read(&self) -> Result<Zeroizing<String>, NoText> {
        let text = match self {
            Self::Fixed(text) => text.clone(),
            Self::Fn(f) => Zeroizing::new(f().await.map_err(NoText::Failed)?),
        };
        if is_valid(&text) {
            Ok(text)
        } else {
            Err(NoText::Invalid)
        }
    }
}

fn is_valid(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(char::is_control)
}
