use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

use super::assertion::{AssertionContext, Inside};
use super::auth::ClientAuth;
use super::credential::Credential;
use super::request::GrantRequest;
use super::wire::Wire;
use crate::error::FetchErrorKind;
use crate::oauth2::answer::response::{self, TokenAnswer};
use crate::oauth2::endpoint::{Endpoint, EndpointSource};
use crate::oauth2::error::{TokenEndpointError, TokenEndpointErrorKind};
use crate::oauth2::invalid_config::{InvalidConfig, InvalidConfigKind};
use crate::oauth2::transport::Transport;
use crate::provider::TokenRequest;

/// Says what a refusal concerns.
pub(crate) type JudgeRefusal =
    Arc<dyn Fn(&TokenEndpointError) -> Option<FetchErrorKind> + Send + Sync>;

/// Who asks, with what defaults, and how its requests are written.
#[derive(Clone)]
pub(crate) struct Client {
    /// Some grants need no client.
    pub(crate) id: Option<Arc<str>>,
    pub(crate) credential: Credential,
    pub(crate) auth: ClientAuth,
    pub(crate) defaults: TokenRequest,
    pub(crate) wire: Wire,
    // Not in `defaults`, since they may be secrets.
    pub(crate) parameters: BTreeMap<String, Zeroizing<String>>,
    pub(crate) accepts_fewer_scopes: bool,
    pub(crate) refusals: Option<JudgeRefusal>,
    /// What need not be a parameter, since the grant's assertion says it.
    pub(crate) inside: Inside,
    /// What the grant sets itself.
    pub(crate) own: &'static [&'static str],
}

/// A client and where it asks, over what.
pub struct TokenClient<T> {
    pub(crate) endpoint: EndpointSource,
    pub(crate) client: Client,
    // A mutex, so that a transport need not be `Sync`. Held to clone it, no longer.
    pub(crate) transport: Mutex<T>,
}

impl<T: Transport> TokenClient<T> {
    /// Where to ask now. Reads the issuer's metadata if that says it, and is not known or too old.
    pub(crate) async fn endpoint(&self) -> Result<Endpoint, TokenEndpointError> {
        match &self.endpoint {
            EndpointSource::Configured(endpoint) => Ok(endpoint.clone()),
            EndpointSource::Discovered(discovery) => {
                let is_certificate = self.client.credential.is_certificate();
                let transport = || self.transport();
                discovery.endpoint(transport, is_certificate).await
            }
        }
    }

    /// Asks `endpoint` by a grant, of which `request` has the parameters of its own.
    pub(crate) async fn fetch(
        &self,
        endpoint: &Endpoint,
        request: GrantRequest,
        wanted: &TokenRequest,
    ) -> Result<TokenAnswer, TokenEndpointError> {
        self.fetch_as(None, endpoint, request, wanted, || {}, drop)
            .await
    }

    /// The same, for a token of the type `requested` (RFC 8693 §2.1), which need not be a bearer token.
    pub(crate) async fn fetch_requested(
        &self,
        requested: &str,
        endpoint: &Endpoint,
        request: GrantRequest,
        wanted: &TokenRequest,
    ) -> Result<TokenAnswer, TokenEndpointError> {
        self.fetch_as(Some(requested), endpoint, request, wanted, || {}, drop)
            .await
    }

    /// [`fetch`](Self::fetch), and calls `sends` right before anything is sent. Gives `keep` the refresh token of the
    /// answer as soon as there is one, whatever is then found wrong with the rest.
    pub(crate) async fn fetch_and_keep(
        &self,
        endpoint: &Endpoint,
        request: GrantRequest,
        wanted: &TokenRequest,
        sends: impl FnOnce() + Send,
        keep: impl FnOnce(Zeroizing<String>) + Send,
    ) -> Result<TokenAnswer, TokenEndpointError> {
        self.fetch_as(None, endpoint, request, wanted, sends, keep)
            .await
    }

    async fn fetch_as(
        &self,
        requested: Option<&str>,
        endpoint: &Endpoint,
        request: GrantRequest,
        wanted: &TokenRequest,
        sends: impl FnOnce() + Send,
        keep: impl FnOnce(Zeroizing<String>) + Send,
    ) -> Result<TokenAnswer, TokenEndpointError> {
        let fetch = async {
            let wanted = self.client.wanted(wanted)?;
            let request = self.client.complete(request, endpoint, &wanted).await?;
            let uri = endpoint.uri().clone();
            let (request, redactor) = request.into_http(uri, &self.client.wire);
            sends();
            let (parts, body) = self.transport().exchange(request).await?.into_parts();
            if let Some(refresh_token) = response::refresh_token(&parts, &body) {
                keep(refresh_token);
            }
            let answer = response::parse_as(requested, &parts, &body, &redactor)?;
            if !self.client.accepts_fewer_scopes {
                let granted = answer.has_scopes(wanted.scopes());
                granted.map_err(|error| error.with_status(parts.status))?;
            }
            Ok(answer)
        };
        let answer: Result<_, TokenEndpointError> = fetch.await;
        answer.map_err(|error| {
            let error = self.client.explain(endpoint.note(error), endpoint);
            let error = self.client.concerns(error, wanted);
            self.client.judge(error.at(endpoint.name()))
        })
    }

    /// The same client, for a request to `endpoint` that outlives the borrow of this one.
    pub(crate) fn detached(&self, endpoint: &Endpoint) -> Self {
        Self {
            endpoint: EndpointSource::Configured(endpoint.clone()),
            client: self.client.clone(),
            transport: Mutex::new(self.transport()),
        }
    }

    /// What the grant's assertion is made for, defaults included.
    pub(crate) fn assertion_context(
        &self,
        endpoint: &Endpoint,
        wanted: &TokenRequest,
    ) -> Result<AssertionContext, TokenEndpointError> {
        let wanted = self.client.wanted(wanted)?;
        Ok(self.client.assertion_context(endpoint, &wanted))
    }

    fn transport(&self) -> T {
        // A clone that panicked has not changed what it was to copy.
        let transport = self.transport.lock();
        transport.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Client {
    pub(crate) fn validate(&self) -> Result<(), InvalidConfig> {
        if let Some(id) = &self.id {
            if id.trim().is_empty() || id.chars().any(char::is_control) {
                return Err(InvalidConfig::new(InvalidConfigKind::ClientId));
            }
            let splits = self.credential.is_secret() && id.contains(':');
            if splits && self.auth == ClientAuth::BasicRaw {
                return Err(InvalidConfig::new(InvalidConfigKind::ColonInClientId));
            }
        }
        self.credential.validate()?;
        let scope = &self.wire.scope_parameter;
        if (scope != "scope" && self.reserves(scope))
            || self.parameters.keys().any(|name| self.sets(name))
        {
            return Err(InvalidConfig::new(InvalidConfigKind::ReservedParameter));
        }
        Ok(())
    }

    fn judge(&self, error: TokenEndpointError) -> TokenEndpointError {
        let refusals = self.refusals.as_ref();
        let refusals = refusals.filter(|_| error.kind() == TokenEndpointErrorKind::Rejected);
        match refusals.and_then(|judge| judge(&error)) {
            Some(concerns) => error.concerning(concerns),
            None => error,
        }
    }

    /// What is asked for: `wanted`, and what it leaves open by default.
    fn wanted(&self, wanted: &TokenRequest) -> Result<TokenRequest, TokenEndpointError> {
        // To leave either out would keep a token under a key that it was not fetched for.
        let is_lost = wanted.tenant().is_some() && !self.inside.tenant;
        if is_lost || wanted.parameters().any(|(name, _)| self.sets(name)) {
            return Err(TokenEndpointError::new(TokenEndpointErrorKind::NotSent));
        }
        let mut wanted = wanted.clone();
        if wanted.scopes().len() == 0 {
            for scope in self.defaults.scopes() {
                wanted = wanted.with_scope(scope);
            }
        }
        if wanted.resources().len() == 0 {
            for resource in self.defaults.resources() {
                wanted = wanted.with_resource(resource);
            }
        }
        if let (None, Some(audience)) = (wanted.audience(), self.defaults.audience()) {
            wanted = wanted.with_audience(audience);
        }
        Ok(wanted)
    }

    /// Adds to a grant's own parameters who asks, and for what.
    async fn complete(
        &self,
        mut request: GrantRequest,
        endpoint: &Endpoint,
        wanted: &TokenRequest,
    ) -> Result<GrantRequest, TokenEndpointError> {
        if self.id.is_some() {
            let cx = self.assertion_context(endpoint, wanted);
            let credential = &self.credential;
            credential.authenticate(self.auth, cx, &mut request).await?;
        }
        if wanted.scopes().len() > 0 && !self.inside.scope {
            let scope: Vec<_> = wanted.scopes().collect();
            request.add(&self.wire.scope_parameter, &scope.join(" "));
        }
        for resource in wanted.resources() {
            request.add("resource", resource);
        }
        if let Some(audience) = wanted.audience() {
            request.add("audience", audience);
        }
        let mut parameters: BTreeMap<&str, (&str, bool)> = BTreeMap::new();
        let configured = self.parameters.iter();
        parameters.extend(configured.map(|(name, value)| (name.as_str(), (value.as_str(), true))));
        let asked = wanted.parameters();
        parameters.extend(asked.map(|(name, value)| (name, (value, false))));
        for (name, (value, is_configured)) in parameters {
            match is_configured {
                true => request.add_configured(name, value),
                false => request.add(name, value),
            }
        }
        Ok(request)
    }

    /// Adds to a refusal what the client can do about it.
    fn explain(&self, error: TokenEndpointError, endpoint: &Endpoint) -> TokenEndpointError {
        let error = match self.id {
            Some(_) => error.with_advice(self.credential.advice()),
            None => error,
        };
        if error.error_code() != Some("invalid_client") || !self.credential.is_secret() {
            return error;
        }
        let method = self.auth.method();
        match endpoint.auth_methods_without(method) {
            Some(methods) => error.with_hint(format!(
                "{method} is not among what the issuer's metadata lists: {}",
                methods.join(", ")
            )),
            None => error,
        }
    }

    /// What a refusal concerns, by what was asked for.
    fn concerns(&self, error: TokenEndpointError, wanted: &TokenRequest) -> TokenEndpointError {
        // The assertion was for a tenant, and whoever names one that is none must not stop all others.
        if wanted.tenant().is_some() && error.error_code() == Some("invalid_grant") {
            error.concerning(FetchErrorKind::InvalidRequest)
        } else {
            error
        }
    }

    fn assertion_context(&self, endpoint: &Endpoint, wanted: &TokenRequest) -> AssertionContext {
        let audience = Arc::clone(endpoint.audience());
        let url = Arc::clone(endpoint.url());
        AssertionContext::new(self.id.clone(), audience, url, wanted.clone())
    }

    /// Whether that parameter is set already. Twice is not allowed (RFC 6749 §3.2).
    fn sets(&self, name: &str) -> bool {
        self.reserves(name) || name == self.wire.scope_parameter
    }

    /// Whether a parameter has a meaning of its own, or no name.
    fn reserves(&self, name: &str) -> bool {
        const ALWAYS: [&str; 7] = [
            "",
            "grant_type",
            "client_id",
            "client_secret",
            "scope",
            "resource",
            "audience",
        ];
        const ASSERTION: [&str; 2] = ["client_assertion", "client_assertion_type"];
        ALWAYS.contains(&name)
            || self.own.contains(&name)
            || (self.credential.is_assertion() && ASSERTION.contains(&name))
    }
}
