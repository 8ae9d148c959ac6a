use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::mem;
use std::sync::{Arc, LazyLock};

use crate::sync::RandomState;

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

// A cache may hold a million of these: nothing is larger than what is in it. All lists are sorted.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct Parts {
    scopes: Box<[Box<str>]>,
    resources: Box<[Box<str>]>,
    audience: Option<Box<str>>,
    tenant: Option<Box<str>>,
    parameters: Box<[(Box<str>, Box<str>)]>,
}

impl TokenRequest {
    /// Adds scopes: one, or several separated by spaces (RFC 6749 §3.3).
    #[must_use]
    pub fn with_scope(self, scope: &str) -> Self {
        let scopes = scope.split_ascii_whitespace().map(Box::from);
        self.with(|parts| insert(&mut parts.scopes, scopes))
    }

    /// Adds a target resource (RFC 8707 §2). There can be several.
    #[must_use]
    pub fn with_resource(self, resource: impl Into<String>) -> Self {
        let resource = resource.into().into_boxed_str();
        self.with(|parts| insert(&mut parts.resources, [resource]))
    }

    /// Sets the audience: who the token is for, where an issuer takes a parameter of that name.
    #[must_use]
    pub fn with_audience(self, audience: impl Into<String>) -> Self {
        self.with(|parts| parts.audience = Some(audience.into().into()))
    }

    /// Sets the tenant: on whose behalf the token is wanted. What it means is the provider's to say.
    #[must_use]
    pub fn with_tenant(self, tenant: impl Into<String>) -> Self {
        self.with(|parts| parts.tenant = Some(tenant.into().into()))
    }

    /// Sets a further parameter of the token request.
    #[must_use]
    pub fn with_parameter(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into().into_boxed_str(), value.into().into_boxed_str());
        self.with(|parts| {
            let mut parameters = mem::take(&mut parts.parameters).into_vec();
            parameters.retain(|(other, _)| *other != name);
            parts.parameters = parameters.into();
            insert(&mut parts.parameters, [(name, value)]);
        })
    }

    /// The scopes, each once, sorted.
    pub fn scopes(&self) -> impl ExactSizeIterator<Item = &str> {
        self.parts.scopes.iter().map(|scope| &**scope)
    }

    /// The target resources, each once, sorted.
    pub fn resources(&self) -> impl ExactSizeIterator<Item = &str> {
        self.parts.resources.iter().map(|resource| &**resource)
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
        parameters.map(|(name, value)| (&**name, &**value))
    }

    /// The same for equal requests within this process, and of no use elsewhere.
    pub(crate) fn keyed_hash(&self) -> u64 {
        self.hash
    }

    fn with(mut self, change: impl FnOnce(&mut Parts)) -> Self {
        change(Arc::make_mut(&mut self.parts));
        self.hash = hash(&self.parts);
        self
    }
}

/// Puts in order, and keeps each once.
fn insert<T: Ord>(values: &mut Box<[T]>, more: impl IntoIterator<Item = T>) {
    let mut all = mem::take(values).into_vec();
    all.extend(more);
    all.sort_unstable();
    all.dedup();
    *values = all.into_boxed_slice();
}

// Keyed at random, once a process: a tenant may be somebody else's to choose.
fn hash(parts: &Parts) -> u64 {
    static STATE: LazyLock<RandomState> = LazyLock::new(RandomState::default);
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
    fn values_are_kept_sorted_and_each_once() {
        let request = TokenRequest::default()
            .with_scope("c a")
            .with_scope("b a")
            .with_resource("y")
            .with_resource("x")
            .with_resource("y")
            .with_parameter("q", "1")
            .with_parameter("p", "2")
            .with_parameter("q", "0");

        assert_eq!(request.scopes().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(request.resources().collect::<Vec<_>>(), ["x", "y"]);
        // The last value of a name counts.
        let parameters: Vec<_> = request.parameters().collect();
        assert_eq!(parameters, [("p", "2"), ("q", "0")]);
        let same = TokenRequest::default()
            .with_parameter("q", "0")
            .with_parameter("p", "2")
            .with_resource("x")
            .with_resource("y")
            .with_scope("b c a");
        assert_eq!(request, same);
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
