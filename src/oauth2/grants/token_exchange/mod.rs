use std::fmt;

use super::{Grant, GrantBuilder, GrantProvider, refusal_code};
use crate::error::FetchError;
use crate::oauth2::client::request::GrantRequest;
use crate::oauth2::client::{Credential, TokenClient};
use crate::oauth2::endpoint::TokenEndpoint;
use crate::oauth2::invalid_config::InvalidConfig;
use crate::oauth2::transport::Transport;
use crate::provider::FetchContext;
use crate::token::AccessToken;

mod subject_token;
mod token_type;

pub use self::subject_token::{ActorToken, SubjectToken};
pub use self::token_type::TokenTypeIdentifier;

use self::subject_token::Read;

/// Token exchange (RFC 8693), as a [`TokenProvider`](crate::TokenProvider): one token is given for another.
///
/// ```
/// use tower_bearer::oauth2::{SubjectToken, TokenExchange, TokenTypeIdentifier};
/// use tower_bearer::provider::FileToken;
///
/// let file = FileToken::new("/var/run/secrets/tokens/sts");
/// let subject = SubjectToken::of(TokenTypeIdentifier::JWT, file);
/// let builder = TokenExchange::builder("https://sts.example.com/token", subject)
///     .with_client("my-service", "s3cret")
///     .with_audience("https://api.example.com");
/// # let _ = builder;
/// ```
///
/// The subject token is read anew for every fetch, or taken from a cache: see [`SubjectToken`]. Several
/// resources can be asked for (RFC 8707 §2), and one audience, although RFC 8693 §2.1 has several.
///
/// # Errors
///
/// As of every [`GrantProvider`]. An answer whose `token_type` is `N_A` (RFC 8693 §2.2.1) brings no access
/// token and is
/// [`UnsupportedTokenType`](crate::oauth2::TokenEndpointErrorKind::UnsupportedTokenType), unless its
/// `issued_token_type` is what was [requested](TokenExchangeBuilder::with_requested_token_type). Otherwise that is
/// not looked at, since some servers leave it out. A refresh token that comes along is dropped.
pub type TokenExchange<T> = GrantProvider<TokenExchangeGrant, T>;

/// Configures [`TokenExchange`].
pub type TokenExchangeBuilder = GrantBuilder<TokenExchangeGrant>;

/// Marks token exchange: see [`TokenExchange`].
#[derive(Clone)]
pub struct TokenExchangeGrant {
    subject: SubjectToken,
    actor: Option<ActorToken>,
    requested: Option<TokenTypeIdentifier>,
}

impl TokenExchange<()> {
    /// Starts with where to ask, and what to give for a token.
    ///
    /// All of it is checked by [`build`](GrantBuilder::build).
    pub fn builder(
        token_endpoint: impl Into<TokenEndpoint>,
        subject_token: SubjectToken,
    ) -> TokenExchangeBuilder {
        let grant = TokenExchangeGrant {
            subject: subject_token,
            actor: None,
            requested: None,
        };
        GrantBuilder::new(token_endpoint, grant)
    }
}

impl TokenExchangeBuilder {
    /// Asks as a client, for servers that want to know (RFC 8693 §2.1). Nobody in particular asks unless
    /// this is set.
    #[must_use]
    pub fn with_client(
        self,
        client_id: impl Into<String>,
        credential: impl Into<Credential>,
    ) -> Self {
        self.for_client(client_id, credential)
    }

    /// Sends an `actor_token`: that of who acts for the subject (RFC 8693 §1.1).
    ///
    /// It is read after the subject token.
    #[must_use]
    pub fn with_actor_token(mut self, actor_token: ActorToken) -> Self {
        self.grant_mut().actor = Some(actor_token);
        self
    }

    /// Sends a `requested_token_type`. Unless set, the server decides (RFC 8693 §2.1).
    ///
    /// If that is another than [`TokenTypeIdentifier::ACCESS_TOKEN`], such as an ID token, an answer that has it
    /// as its `issued_token_type` may have the `token_type` `N_A` (§2.2.1).
    ///
    /// # Security
    ///
    /// A [`BearerAuthLayer`](crate::BearerAuthLayer) sends it as a bearer token, whatever it is.
    #[must_use]
    pub fn with_requested_token_type(mut self, token_type: TokenTypeIdentifier) -> Self {
        self.grant_mut().requested = Some(token_type);
        self
    }
}

impl Grant for TokenExchangeGrant {
    const TYPE: &'static str = "urn:ietf:params:oauth:grant-type:token-exchange";
    const PARAMETERS: &'static [&'static str] = &[
        "subject_token",
        "subject_token_type",
        "actor_token",
        "actor_token_type",
        "requested_token_type",
    ];

    fn validate(&self) -> Result<(), InvalidConfig> {
        self.subject.validate()?;
        self.actor.as_ref().map_or(Ok(()), ActorToken::validate)?;
        let requested = self.requested.as_ref();
        requested.map_or(Ok(()), TokenTypeIdentifier::validate)
    }

    async fn fetch<T: Transport>(
        &self,
        client: &TokenClient<T>,
        cx: FetchContext,
    ) -> Result<AccessToken, FetchError> {
        let endpoint = client.endpoint().await?;
        let subject = self.subject.read(&endpoint).await?;
        let mut request = GrantRequest::new(Self::TYPE)
            .with("subject_token", subject.text())
            .with("subject_token_type", self.subject.token_type().as_str());
        let mut read = vec![subject];
        if let Some(actor) = &self.actor {
            let token = actor.read(&endpoint).await?;
            request.add("actor_token", token.text());
            request.add("actor_token_type", actor.token_type().as_str());
            read.push(token);
        }
        if let Some(requested) = &self.requested {
            request.add("requested_token_type", requested.as_str());
        }
        let wanted = cx.token_request();
        let other = self.requested.as_ref().map(TokenTypeIdentifier::as_str);
        let answer = match other.filter(|it| *it != TokenTypeIdentifier::ACCESS_TOKEN.as_str()) {
            Some(other) => {
                client
                    .fetch_requested(other, &endpoint, request, wanted)
                    .await
            }
            None => client.fetch(&endpoint, request, wanted).await,
        };
        let answer = answer.map_err(FetchError::from);
        let code = answer.as_ref().err().and_then(refusal_code);
        if let Some("invalid_request" | "invalid_grant") = code {
            // Which of them it does not accept, the server does not say (RFC 8693 §2.2.2).
            read.iter().for_each(Read::refused);
        }
        Ok(answer?.token)
    }
}

impl fmt::Debug for TokenExchangeGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenExchangeGrant").finish_non_exhaustive()
    }
}
