use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::future::{self, Future};

use zeroize::Zeroizing;

use super::text::{self, NoToken};
use super::{FetchContext, TokenProvider, refuse_tenant};
use crate::error::{BoxError, FetchError};
use crate::token::AccessToken;

/// A provider that takes the token from an environment variable.
///
/// White space at either end is trimmed. The token is taken not to expire; the variable is read again
/// after a 401, and by [`TokenCache::refresh`](crate::TokenCache::refresh). If it has not changed, the
/// request is not sent again, since the token would be the same. Whatever scopes or audience a
/// [`TokenRequest`](crate::TokenRequest) asks for, it is this token.
///
/// ```
/// use tower_bearer::TokenCache;
/// use tower_bearer::provider::EnvToken;
///
/// let tokens = TokenCache::new(EnvToken::new("API_TOKEN"));
/// ```
///
/// # Errors
///
/// A fetch fails with an [`EnvTokenError`], of the kind [`Denied`](crate::FetchErrorKind::Denied): the
/// environment of a process hardly gets better by itself. One that asks for a tenant's token fails with the
/// kind [`InvalidRequest`](crate::FetchErrorKind::InvalidRequest), and nothing is read:
/// [`map_request`](super::TokenProviderExt::map_request) can leave the tenant out.
#[derive(Clone, Debug)]
pub struct EnvToken {
    name: String,
}

impl EnvToken {
    /// Takes the token from the variable `name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }

    fn parse(&self, value: Option<OsString>) -> Result<AccessToken, EnvTokenError> {
        let error = |why| EnvTokenError {
            name: self.name.clone(),
            why,
        };
        let value = value.ok_or_else(|| error(None))?;
        let value = Zeroizing::new(value.into_encoded_bytes());
        let token = text::parse(&value, None).map_err(|why| error(Some(why)))?;
        Ok(token.with_unlimited_lifetime())
    }
}

impl TokenProvider for EnvToken {
    fn fetch_token(
        &self,
        cx: FetchContext,
    ) -> impl Future<Output = Result<AccessToken, BoxError>> + Send {
        let token = refuse_tenant(&cx).and_then(|()| {
            let token = self.parse(std::env::var_os(&self.name));
            token.map_err(|error| FetchError::denied(error).local())
        });
        future::ready(token.map_err(Into::into))
    }
}

/// There is no token in an environment variable.
///
/// It is the [`source`](Error::source) of the [`FetchError`] of an [`EnvToken`].
///
/// ```
/// use std::error::Error;
/// use tower_bearer::provider::EnvToken;
/// use tower_bearer::{FetchContext, TokenProvider};
///
/// # futures_executor::block_on(async {
/// let provider = EnvToken::new("NOT_SET");
/// let error = provider.fetch_token(FetchContext::default()).await.unwrap_err();
/// let source = error.source().expect("an EnvTokenError");
/// assert_eq!(source.to_string(), r#"environment variable "NOT_SET" is not set"#);
/// # });
/// ```
///
/// # Security
///
/// It names the variable, and never quotes its value.
pub struct EnvTokenError {
    name: String,
    /// `None` if the variable is not set.
    why: Option<NoToken>,
}

impl fmt::Display for EnvTokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "environment variable {:?} ", self.name)?;
        match &self.why {
            None => f.write_str("is not set"),
            Some(why) => why.fmt(f),
        }
    }
}

impl fmt::Debug for EnvTokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvTokenError")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Error for EnvTokenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.why.as_ref()?.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Lifetime;

    #[test]
    fn a_value_is_trimmed_and_does_not_expire() {
        let token = EnvToken::new("X").parse(Some(" abc\n".into())).unwrap();

        assert_eq!(token.expose_secret(), "abc");
        assert_eq!(token.lifetime(), Lifetime::Unlimited);
    }

    #[test]
    fn an_empty_value_is_as_clear_an_error_as_none_and_no_error_quotes_the_value() {
        for (value, expected) in [
            (None, r#"environment variable "X" is not set"#),
            (Some(""), r#"environment variable "X" is empty"#),
            (Some(" "), r#"environment variable "X" is empty"#),
            (
                Some("hunter2 hunter3"),
                r#"environment variable "X" is not a token that can be sent in a header"#,
            ),
        ] {
            let error = EnvToken::new("X")
                .parse(value.map(OsString::from))
                .unwrap_err();
            assert_eq!(error.to_string(), expected);
            let source = error.source().map(ToString::to_string);
            assert!(!format!("{error:?} {source:?}").contains("hunter"));
        }
    }
}
