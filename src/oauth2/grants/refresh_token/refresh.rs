use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use zeroize::Zeroizing;

use super::memory::{Memory, Secret};
use super::{InvalidGrant, RefreshTokenGrant, RefreshTokenSource, Save};
use crate::error::{BoxError, FetchError, discard};
use crate::oauth2::client::TokenClient;
use crate::oauth2::client::request::GrantRequest;
use crate::oauth2::endpoint::Endpoint;
use crate::oauth2::error::{TokenEndpointError, TokenEndpointErrorKind};
use crate::oauth2::grants::Grant;
use crate::oauth2::grants::turns::Sent;
use crate::oauth2::transport::Transport;
use crate::provider::TokenRequest;
use crate::telemetry;
use crate::token::AccessToken;

/// One fetch. Its request outlives it.
pub(super) struct Refresh<T> {
    pub(super) source: RefreshTokenSource,
    pub(super) save: Option<Save>,
    pub(super) invalid_grant: InvalidGrant,
    pub(super) falls_back: bool,
    pub(super) memory: Arc<Mutex<Memory>>,
    pub(super) endpoint: Endpoint,
    pub(super) client: TokenClient<T>,
    pub(super) wanted: TokenRequest,
}

impl<T: Transport> Refresh<T> {
    pub(super) async fn run(self, sent: Sent) -> Result<AccessToken, FetchError> {
        // First, since another one there makes it pointless to save the one that is in memory.
        let token = self.read().await?;
        let token = self.memory().choose(token);
        // What is not saved must not be used up.
        self.save().await.map_err(|source| {
            let error = TokenEndpointError::new(TokenEndpointErrorKind::RefreshTokenNotSaved);
            self.at(error.with_source(source))
        })?;
        if self.falls_back {
            if let Some(error) = self.memory().refusal(&token) {
                return Err(error);
            }
        }
        let error = match self.ask(&token, &sent).await {
            Err(error) if self.invalid_grant.is(&error) => error,
            answered => return answered,
        };
        if self.source.is_fixed() {
            return Err(error);
        }
        // Somebody else may have replaced it meanwhile.
        let other = self.read().await?;
        let other = self.memory().choose_other(other, &token);
        match other {
            Some(other) => self.ask(&other, &sent).await,
            None => Err(error),
        }
    }

    async fn ask(&self, token: &Secret, sent: &Sent) -> Result<AccessToken, FetchError> {
        let request = GrantRequest::new(RefreshTokenGrant::TYPE).with("refresh_token", token);
        // To drop it from then on would lose the answer.
        let sends = || sent.set(true);
        let rotate = |new| self.memory().rotate(token, new);
        let client = &self.client;
        let answer = client
            .fetch_and_keep(&self.endpoint, request, &self.wanted, sends, rotate)
            .await;
        // The access token is good all the same. The next fetch tries again, and fails if that does.
        if self.save().await.is_err() {
            telemetry::refresh_token_not_saved();
        }
        sent.set(false);
        match answer {
            Ok(answer) => {
                self.memory().accept();
                Ok(answer.token)
            }
            Err(error) => {
                let error = FetchError::from(error);
                if self.invalid_grant.is(&error) {
                    self.memory().refuse(token, error.clone());
                }
                Err(error)
            }
        }
    }

    async fn read(&self) -> Result<Zeroizing<String>, FetchError> {
        let token = self.source.read().await;
        token.map_err(|error| self.at(error))
    }

    /// Has the new refresh token saved, if there is one that is not.
    async fn save(&self) -> Result<(), BoxError> {
        let unsaved = self.memory().unsaved();
        // Without a closure it is left to the clones that have one.
        let (Some(save), Some(rotation)) = (&self.save, unsaved) else {
            return Ok(());
        };
        let saved = AssertUnwindSafe(async { save(rotation).await });
        match saved.catch_unwind().await {
            Ok(saved) => saved?,
            Err(payload) => {
                discard(payload);
                return Err("the closure that saves refresh tokens panicked".into());
            }
        }
        self.memory().saved();
        Ok(())
    }

    fn at(&self, error: TokenEndpointError) -> FetchError {
        error.at(self.endpoint.name()).into()
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        let memory = self.memory.lock();
        memory.unwrap_or_else(PoisonError::into_inner)
    }
}
