//! Token caches as one writes them by hand, with care: the lock is held while the token is fetched, so
//! that there is one fetch, a fetch has a time limit, and a rejection drops no token but the one that was
//! rejected.

// Each bench uses a part.
#![allow(dead_code)]

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response, StatusCode};
use tokio::sync::{Mutex, Semaphore};
use tower::{Service, ServiceExt};
use tower_bearer::TokenRequest;
use tower_bearer::error::BoxError;

use crate::issuer::Issuer;

/// Where tokens come from.
pub struct Source {
    issuer: Issuer,
    /// A fetch may take no longer.
    limit: Duration,
    /// So many may run at once.
    places: Semaphore,
}

impl Source {
    fn new(issuer: &Issuer, limit: Duration, places: usize) -> Self {
        Self {
            issuer: issuer.clone(),
            limit,
            places: Semaphore::new(places),
        }
    }

    async fn fetch(&self) -> Result<(HeaderValue, Duration), BoxError> {
        let _place = self.places.acquire().await?;
        let token = tokio::time::timeout(self.limit, self.issuer.clone().issue()).await??;
        Ok((token.header_value().clone(), self.issuer.life()))
    }
}

/// How a token is kept.
pub trait Keep: Default + Send + Sync + 'static {
    /// The token that is kept, or else the next one.
    fn get(&self, source: &Source) -> impl Future<Output = Result<HeaderValue, BoxError>> + Send;

    /// Drops the token, unless it has been replaced already.
    fn forget(&self, rejected: &HeaderValue) -> impl Future<Output = ()> + Send;
}

/// The token and when it expires, behind the lock.
#[derive(Default)]
pub struct Locked {
    kept: Mutex<Option<(HeaderValue, Instant)>>,
}

impl Keep for Locked {
    async fn get(&self, source: &Source) -> Result<HeaderValue, BoxError> {
        let mut kept = self.kept.lock().await;
        if let Some((bearer, expires_at)) = &*kept {
            if Instant::now() < *expires_at {
                return Ok(bearer.clone());
            }
        }
        let asked_at = Instant::now();
        let (bearer, life) = source.fetch().await?;
        *kept = Some((bearer.clone(), asked_at + life));
        Ok(bearer)
    }

    async fn forget(&self, rejected: &HeaderValue) {
        let mut kept = self.kept.lock().await;
        kept.take_if(|(bearer, _)| bearer == rejected);
    }
}

/// The same, and while the token is good nobody takes the lock.
#[derive(Default)]
pub struct ReadFirst {
    kept: ArcSwapOption<(HeaderValue, Instant)>,
    fetching: Mutex<()>,
}

impl ReadFirst {
    fn kept(&self) -> Option<HeaderValue> {
        let kept = self.kept.load();
        let (bearer, expires_at) = kept.as_deref()?;
        (Instant::now() < *expires_at).then(|| bearer.clone())
    }
}

impl Keep for ReadFirst {
    async fn get(&self, source: &Source) -> Result<HeaderValue, BoxError> {
        if let Some(bearer) = self.kept() {
            return Ok(bearer);
        }
        let _fetching = self.fetching.lock().await;
        // Somebody else may have fetched it meanwhile.
        if let Some(bearer) = self.kept() {
            return Ok(bearer);
        }
        let asked_at = Instant::now();
        let (bearer, life) = source.fetch().await?;
        let kept = Arc::new((bearer.clone(), asked_at + life));
        self.kept.store(Some(kept));
        Ok(bearer)
    }

    async fn forget(&self, rejected: &HeaderValue) {
        let _fetching = self.fetching.lock().await;
        if self
            .kept
            .load()
            .as_deref()
            .is_some_and(|kept| kept.0 == *rejected)
        {
            self.kept.store(None);
        }
    }
}

/// A client with such a cache. Clones share it.
pub struct Client<K, S> {
    shared: Arc<(K, Source)>,
    service: S,
}

impl<K, S: Clone> Clone for Client<K, S> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            service: self.service.clone(),
        }
    }
}

impl<K: Keep, S> Client<K, S> {
    /// A fetch may take no longer than `limit`.
    pub fn new(issuer: &Issuer, limit: Duration, service: S) -> Self {
        let source = Source::new(issuer, limit, Semaphore::MAX_PERMITS);
        Self {
            shared: Arc::new((K::default(), source)),
            service,
        }
    }

    pub async fn token(&self) -> Result<HeaderValue, BoxError> {
        let (keep, source) = &*self.shared;
        keep.get(source).await
    }

    /// Sends a request, and after a 401 once more.
    pub async fn send<B, Answer>(self, request: Request<B>) -> Result<Response<Answer>, BoxError>
    where
        B: Clone,
        S: Service<Request<B>, Response = Response<Answer>, Error = BoxError> + Clone,
    {
        let bearer = self.token().await?;
        let response = self.send_with(&bearer, request.clone()).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        self.shared.0.forget(&bearer).await;
        let bearer = self.token().await?;
        self.send_with(&bearer, request).await
    }

    async fn send_with<B, Answer>(
        &self,
        bearer: &HeaderValue,
        mut request: Request<B>,
    ) -> Result<Response<Answer>, BoxError>
    where
        S: Service<Request<B>, Response = Response<Answer>, Error = BoxError> + Clone,
    {
        request.headers_mut().insert(AUTHORIZATION, bearer.clone());
        self.service.clone().oneshot(request).await
    }
}

/// A lock a key, and at most so many fetches of all keys at once.
pub struct Keyed {
    kept: std::sync::Mutex<HashMap<TokenRequest, Arc<Locked>>>,
    source: Source,
}

impl Keyed {
    pub fn new(issuer: &Issuer, limit: Duration, places: usize) -> Self {
        Self {
            kept: std::sync::Mutex::default(),
            source: Source::new(issuer, limit, places),
        }
    }

    pub async fn token(&self, key: &TokenRequest) -> Result<HeaderValue, BoxError> {
        let locked = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(kept.entry(key.clone()).or_default())
        };
        locked.get(&self.source).await
    }
}
