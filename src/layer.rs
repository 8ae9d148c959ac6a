use std::fmt;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tower_layer::Layer;

use crate::cache::TokenCache;
use crate::config::{Config, Settings};
use crate::origin::{InvalidOrigin, Origin, Origins};
use crate::provider::{TokenProvider, TokenRequest};
use crate::replay::InMemory;
use crate::service::BearerAuth;
use crate::spread::Spread;

/// Puts access tokens on outbound requests, and heals a 401 by one retry with a new token.
///
/// Every service that the layer makes, and every clone of one, shares one [`TokenCache`].
///
/// There is no way to make a layer without saying where tokens may go: to
/// [one origin](Self::for_origin) and [others](Self::allow_origin), or to
/// [every `https` origin](Self::for_every_https_origin).
///
/// ```
/// use tower::ServiceBuilder;
/// use tower_bearer::{AccessToken, BearerAuthLayer, token_fn};
/// # use tower_bearer::error::BoxError;
/// # use http::{Request, Response};
/// # async fn send(_: Request<String>) -> Result<Response<String>, BoxError> { Ok(Response::default()) }
///
/// let provider = token_fn(|_| async { Ok(AccessToken::new("abc")?) });
/// let layer = BearerAuthLayer::for_origin(provider, "https://api.example.com")?
///     .allow_origin("https://files.example.com")?;
/// let client = ServiceBuilder::new().layer(layer).service_fn(send);
/// # let _ = client;
/// # Ok::<(), BoxError>(())
/// ```
///
/// # Among other layers
///
/// To what is *above* it, which [`ServiceBuilder`](https://docs.rs/tower/0.5/tower/struct.ServiceBuilder.html)
/// names first, a request that is healed is one. What is *below* sees both sends, with their tokens.
///
/// | layer of tower or tower-http | above | below |
/// |---|---|---|
/// | `FollowRedirect` | **here**: each hop is a request of its own, another origin gets nothing, and its 401 concerns no token | its requests are out of our sight: at another origin it removes `Authorization` and keeps the extra headers, and that origin's 401 costs the token |
/// | `Retry` | each of its attempts can be healed | its attempts carry the same token, and are counted anew for the retry with another |
/// | `Timeout` | of all together, the wait for a token included; the fetch goes on for others | of each send |
/// | `ConcurrencyLimit` | a request holds its slot while it waits for a token; if token requests need one of the same slots, they wait for each other up to the fetch's time limit | each send takes a slot; who waits for a token holds none |
/// | `RateLimit`, `LoadShed` | a retry is not counted | a retry counts, and may be refused: that is an error |
/// | `Buffer` | either | also makes a service `Clone` that is not: see [`InnerService`] |
/// | `Balance` | if each of its services has this layer, they share the tokens | under a `Buffer`; relative URIs need [`with_relative_uris`](Self::with_relative_uris) |
/// | `Trace` | one span, without the token | a span for each send; the token is logged as `Sensitive`, an extra header as its value is marked |
/// | `SetSensitiveRequestHeaders` | marks what the caller sets | marks the extra headers too; the token is marked always |
/// | `SetSensitiveResponseHeaders` | either | either |
/// | `Decompression` | either | either; the response is then of its type |
/// | `AddAuthorization`, `SetRequestHeader` | their `Authorization` is the caller's own, and wins | what replaces the token is rejected in its stead: never |
/// | [`ReadAheadLayer`](crate::read_ahead::ReadAheadLayer) | of no use | directly above the client |
///
/// # Security
///
/// A request to any other origin is sent without the token and without the extra headers, so that a
/// redirect which is followed *above* this layer leaks nothing. What happens *below* it is out of its
/// sight: switch off redirects in the client below, and put `tower_http::follow_redirect` above instead.
pub struct BearerAuthLayer<P, R = InMemory> {
    pub(crate) config: Settings<P>,
    replay: R,
}

impl<P: TokenProvider> BearerAuthLayer<P> {
    /// A layer that sends tokens to `origin`, such as `https://api.example.com`.
    ///
    /// `tokens` is a [provider](TokenProvider), or a [`TokenCache`] to share. The token of a handle that
    /// was made by [`TokenCache::for_request`] is the layer's default.
    ///
    /// # Errors
    ///
    /// If `origin` is not one, or is plain `http` and not on the loopback interface. To allow that, pass
    /// [`Origin::new_insecure_http`].
    pub fn for_origin<C, O>(tokens: C, origin: O) -> Result<Self, InvalidOrigin>
    where
        C: IntoTokenCache<Provider = P>,
        O: TryInto<Origin, Error: Into<InvalidOrigin>>,
    {
        Self::new(tokens, Origins::none()).allow_origin(origin)
    }

    /// A layer that sends tokens to every origin whose scheme is `https`.
    ///
    /// # Security
    ///
    /// Whoever can choose the host of a request, or answer one with a redirect, gets the token. Use it
    /// only where all requests come from trusted code and redirects are not followed.
    pub fn for_every_https_origin<C>(tokens: C) -> Self
    where
        C: IntoTokenCache<Provider = P>,
    {
        Self::new(tokens, Origins::every_https())
    }

    fn new(tokens: impl IntoTokenCache<Provider = P>, origins: Origins) -> Self {
        Self {
            config: Spread::new(Config {
                cache: tokens.into_token_cache(),
                origins,
                headers: Vec::new(),
                refuse_other_origins: false,
                require_token_request: false,
                choose_token: None,
                is_rejection: None,
                replace_authorization: false,
            }),
            replay: InMemory,
        }
    }
}

impl<P, R> BearerAuthLayer<P, R> {
    /// Also sends tokens to `origin`.
    ///
    /// # Errors
    ///
    /// As those of [`for_origin`](Self::for_origin).
    pub fn allow_origin<O>(self, origin: O) -> Result<Self, InvalidOrigin>
    where
        O: TryInto<Origin, Error: Into<InvalidOrigin>>,
    {
        let origin = origin.try_into().map_err(Into::into)?;
        Ok(self.with(|config| config.origins.push(origin)))
    }

    /// Also sends tokens with requests whose URI is only a path.
    ///
    /// Such requests go wherever the service below sends them: a `tonic` channel or a layer that sets the
    /// host. Nothing here can check where that is.
    #[must_use]
    pub fn with_relative_uris(self) -> Self {
        self.with(|config| config.origins.relative = true)
    }

    /// Makes a request to another origin an [error](crate::error::OriginNotAllowed), instead of sending
    /// it without the token.
    #[must_use]
    pub fn with_other_origins_refused(self) -> Self {
        self.with(|config| config.refuse_other_origins = true)
    }

    /// Chooses the token by what a request is, if it has no [`TokenRequest`] in its extensions.
    ///
    /// `None` is the layer's default token. Return a clone of a request made once, rather than a new one each
    /// time.
    ///
    /// ```
    /// use http::Method;
    /// use tower_bearer::{BearerAuthLayer, TokenRequest};
    ///
    /// # let provider = tower_bearer::token_fn(|_| async { Err("none".into()) });
    /// let read = TokenRequest::default().with_scope("orders:read");
    /// let layer = BearerAuthLayer::for_origin(provider, "https://api.example.com")?
    ///     .with_token_chosen_by(move |request| (request.method == Method::GET).then(|| read.clone()));
    /// # Ok::<(), tower_bearer::origin::InvalidOrigin>(())
    /// ```
    #[must_use]
    pub fn with_token_chosen_by<F>(self, choose: F) -> Self
    where
        F: Fn(&Parts) -> Option<TokenRequest> + Send + Sync + 'static,
    {
        self.with(|config| config.choose_token = Some(Arc::new(choose)))
    }

    /// Makes a request for which no [`TokenRequest`] is given an
    /// [error](crate::error::MissingTokenRequest), instead of giving it the default token.
    ///
    /// For stacks in which an extension may get lost, such as across a redirect that
    /// `tower_http::follow_redirect` follows with `preserve_extensions(false)`, and where the default token
    /// may do more than the one that was asked for.
    #[must_use]
    pub fn with_token_request_required(self) -> Self {
        self.with(|config| config.require_token_request = true)
    }

    /// Replaces an `Authorization` header that a request brings along.
    ///
    /// Without this such a request is passed on as it is, is never retried and its 401 concerns no token.
    /// Set it in a proxy whose inbound credentials must not reach the upstream. They are then also removed
    /// from requests to other origins.
    #[must_use]
    pub fn with_authorization_replaced(self) -> Self {
        self.with(|config| config.replace_authorization = true)
    }

    /// Sets a header that goes wherever the token goes, such as a client id or an app id.
    ///
    /// A value that the request brings along wins, and one that comes [with the token]. `Authorization` is
    /// the token's and cannot be set.
    ///
    /// [with the token]: crate::AccessToken::with_header
    #[must_use]
    pub fn with_header(self, name: HeaderName, value: HeaderValue) -> Self {
        self.with(|config| {
            config.headers.retain(|(other, _)| *other != name);
            config.headers.push((name, value));
        })
    }

    /// Says which responses reject the token, by their status and headers. Unless set, those with the
    /// status 401 whose challenge does not say that a new token would not help: see
    /// [`unauthorized`](crate::rejection::unauthorized).
    ///
    /// Whoever sets this asserts that a server which answers so did nothing with the request: it is sent
    /// again, whatever its method.
    ///
    /// ```
    /// use tower_bearer::{BearerAuthLayer, rejection};
    ///
    /// # let provider = tower_bearer::token_fn(|_| async { Err("none".into()) });
    /// let layer = BearerAuthLayer::for_origin(provider, "https://api.example.com")?
    ///     .with_rejection(|status, headers| {
    ///         // This API's word for a token that has ended.
    ///         status == 419 || rejection::unauthorized(status, headers)
    ///     });
    /// # Ok::<(), tower_bearer::origin::InvalidOrigin>(())
    /// ```
    #[must_use]
    pub fn with_rejection<F>(self, is_rejection: F) -> Self
    where
        F: Fn(StatusCode, &HeaderMap) -> bool + Send + Sync + 'static,
    {
        self.with(|config| config.is_rejection = Some(Arc::new(is_rejection)))
    }

    /// Sets how requests are kept for the retry. See [`replay`](crate::replay).
    #[must_use]
    pub fn with_replay<R2>(self, replay: R2) -> BearerAuthLayer<P, R2> {
        BearerAuthLayer {
            config: self.config,
            replay,
        }
    }

    /// The cache that the services of this layer share.
    pub fn cache(&self) -> &TokenCache<P> {
        &self.config.cache
    }

    fn with(mut self, change: impl FnOnce(&mut Config<P>)) -> Self {
        let mut config = Config::clone(&self.config);
        change(&mut config);
        self.config = Spread::new(config);
        self
    }
}

impl<S: InnerService, P, R: Clone> Layer<S> for BearerAuthLayer<P, R> {
    type Service = BearerAuth<S, P, R>;

    fn layer(&self, inner: S) -> Self::Service {
        BearerAuth::new(inner, self.config.clone(), self.replay.clone())
    }
}

impl<P, R: Clone> Clone for BearerAuthLayer<P, R> {
    fn clone(&self) -> Self {
        Self {
            config: self.config.clone(),
            replay: self.replay.clone(),
        }
    }
}

impl<P, R> fmt::Debug for BearerAuthLayer<P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuthLayer")
            .field("origins", &self.config.origins)
            .finish_non_exhaustive()
    }
}

/// What a layer can be put around: any service that is `Clone`, since it is needed twice when a request has to
/// be sent again.
///
/// For one that is not, such as `tower::util::BoxService`, `tower::limit::RateLimit` or
/// `tower::balance::p2c::Balance`, put a `tower::buffer::Buffer` around that:
///
/// ```
/// use http::{Request, Response};
/// use tower::ServiceBuilder;
/// use tower::util::BoxService;
/// use tower_bearer::error::BoxError;
/// use tower_bearer::{BearerAuthLayer, TokenProvider};
///
/// type Http = BoxService<Request<String>, Response<String>, BoxError>;
///
/// fn client<P: TokenProvider>(auth: BearerAuthLayer<P>, http: Http) {
///     let client = ServiceBuilder::new().layer(auth).buffer(64).service(http);
/// #   let _ = client;
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not `Clone`, and so no `BearerAuthLayer` can be put around it",
    label = "not `Clone`",
    note = "a request that has to be sent again needs the service twice",
    note = "put a `tower::buffer::Buffer` around it: `ServiceBuilder::new().layer(auth).buffer(64).service(..)`",
    note = "if it is a `tower::util::BoxService`, make it a `tower::util::BoxCloneSyncService`"
)]
pub trait InnerService: Clone {}

impl<S: Clone> InnerService for S {}

/// What a layer can take its tokens from: a [`TokenProvider`] or a [`TokenCache`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a provider of access tokens nor a `TokenCache`",
    label = "not a `TokenProvider`",
    note = "for a closure, use `tower_bearer::token_fn(|cx| async move {{ .. }})`",
    note = "for a fixed token, use `tower_bearer::provider::StaticToken`"
)]
pub trait IntoTokenCache: sealed::Sealed {
    /// The provider of the cache.
    type Provider;

    /// The cache.
    fn into_token_cache(self) -> TokenCache<Self::Provider>;
}

impl<P: TokenProvider> IntoTokenCache for P {
    type Provider = P;

    fn into_token_cache(self) -> TokenCache<P> {
        TokenCache::new(self)
    }
}

impl<P> IntoTokenCache for TokenCache<P> {
    type Provider = P;

    fn into_token_cache(self) -> Self {
        self
    }
}

mod sealed {
    use crate::cache::TokenCache;
    use crate::provider::TokenProvider;

    pub trait Sealed {}

    impl<P: TokenProvider> Sealed for P {}
    impl<P> Sealed for TokenCache<P> {}
}
