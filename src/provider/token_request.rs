use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, LazyLock};

/// What token is meant: scopes, resource, audience, tenant and further parameters.
///
/// It is the key under which a token is kept and shared. Two requests for the same scopes in any order
/// are equal; requests that differ in anything never share a token. Put one into the extensions of an
/// HTTP request to choose the token for that request; a request without one gets the default token of its
/// layer, which is that of `TokenRequest::default()` unless the layer was made from
/// [`TokenCache::for_request`](crate::TokenCache::for_request).
///
/// Cloning is cheap. Make one and reuse it, rather than making it anew for every request.
///
/// ```
/// use tower_bearer::TokenRequest;
///
/// let balance = TokenRequest::default().with_scope("RestAPI/GET:balance");
/// let request = http::Request::get("https://api.example.com/balance")
///     .extension(balance)
///     .body(())?;
///
/// let (ab, ba) = (TokenRequest::default().with_scope("a b"), TokenRequest::default().with_scope("b a"));
/// assert_eq!(ab, ba);
/// # Ok::<(), http::Error>(())
/// ```
///
/// # Security
///
/// `Debug` shows how many values there are, not what they are.
#[derive(Clone)]
pub struct TokenRequest {
    // Computed when the request is made, so that a lookup does not read the values.
    hash: u64,
    parts: Arc<Parts>,
}

#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct Parts {
    scopes: BTreeSet<String>,
    resources: BTreeSet<String>,
    audience: Option<String>,
    tenant: Option<String>,
    parameters: BTreeMap<String, String>,
}

impl TokenRequest {
    /// Adds scopes: one, or several separated by spaces (RFC 6749 §3.3).
    #[must_use]
    pub fn with_scope(self, scope: &str) -> Self {
        self.with(|parts| {
            let scopes = scope.split_ascii_whitespace().map(str::to_owned);
            parts.scopes.extend(scopes);
        })
    }

    /// Adds a target resource (RFC 8707 §2). There can be several.
    #[must_use]
    pub fn with_resource(self, resource: impl Into<String>) -> Self {
        self.with(|parts| {
            parts.resources.insert(resource.into());
        })
    }

    /// Sets the audience: who the token is for, where an issuer takes a parameter of that name.
    #[must_use]
    pub fn with_audience(self, audience: impl Into<String>) -> Self {
        self.with(|parts| parts.audience = Some(audience.into()))
    }

    /// Sets the tenant: on whose behalf the token is wanted. What it means is the provider's to say.
    #[must_use]
    pub fn with_tenant(self, tenant: impl Into<String>) -> Self {
        self.with(|parts| parts.tenant = Some(tenant.into()))
    }

    /// Sets a further parameter of the token request.
    #[must_use]
    pub fn with_parameter(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.with(|parts| {
            parts.parameters.insert(name.into(), value.into());
        })
    }

    /// The scopes, each once, sorted.
    pub fn scopes(&self) -> impl ExactSizeIterator<Item = &str> {
        self.parts.scopes.iter().map(String::as_str)
    }

    /// The target resources, each once, sorted.
    pub fn resources(&self) -> impl ExactSizeIterator<Item = &str> {
        self.parts.resources.iter().map(String::as_str)
    }

    /// The audience.
    pub fn audience(&self) -> Option<&str> {
        self.parts.audience.as_deref()
    }

    /// The tenant.
    pub fn tenant(&self) -> Option<&str> {
        self.parts.tenant.as_deref()
    }

    /// The further parameters, sorted by name.
    pub fn parameters(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        let parameters = self.parts.parameters.iter();
        parameters.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn with(mut self, change: impl FnOnce(&mut Parts)) -> Self {
        change(Arc::make_mut(&mut self.parts));
        self.hash = hash(&self.parts);
        self
    }
}

// Keyed at random, once a process: a tenant may be somebody else's to choose.
fn hash(parts: &Parts) -> u64 {
    static STATE: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    STATE.hash_one(parts)
}

impl Default for TokenRequest {
    fn default() -> Self {
        let parts = Arc::<Parts>::default();
        Self {
            hash: hash(&parts),
            parts,
        }
    }
}

impl PartialEq for TokenRequest {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.parts, &other.parts)
            || (self.hash == other.hash && self.parts == other.parts)
    }
}

impl Eq for TokenRequest {}

impl Hash for TokenRequest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRequest")
            .field("scopes", &self.parts.scopes.len())
            .field("resources", &self.parts.resources.len())
            .field("audience", &self.parts.audience.is_some())
            .field("tenant", &self.parts.tenant.is_some())
            .field("parameters", &self.parts.parameters.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_in_any_order_and_any_number_of_times_are_one_key() {
        let ab = TokenRequest::default().with_scope("a b");
        let ba = TokenRequest::default().with_scope("b").with_scope(" a  b ");

        assert_eq!(ab, ba);
        assert_eq!(ab.hash, ba.hash);
        assert_eq!(ba.scopes().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn whatever_differs_makes_another_key() {
        let keys = [
            TokenRequest::default(),
            TokenRequest::default().with_scope("x"),
            TokenRequest::default().with_resource("x"),
            TokenRequest::default().with_audience("x"),
            TokenRequest::default().with_tenant("x"),
            TokenRequest::default().with_parameter("x", "x"),
            TokenRequest::default().with_parameter("x", "y"),
            TokenRequest::default().with_scope("x").with_tenant("x"),
        ];
        for (i, a) in keys.iter().enumerate() {
            for (j, b) in keys.iter().enumerate() {
                assert_eq!(a == b, i == j, "{i} {j}");
            }
        }
    }

    #[test]
    fn debug_hides_the_values() {
        let request = TokenRequest::default()
            .with_scope("hunter2")
            .with_resource("hunter2")
            .with_audience("hunter2")
            .with_tenant("hunter2")
            .with_parameter("hunter2", "hunter2");

        assert!(!format!("{request:?}").contains("hunter2"));
    }
}
