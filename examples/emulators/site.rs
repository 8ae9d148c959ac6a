//! What a vendor's token endpoint and its API share.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::Wire;

/// The time since 1970. A function, so that a test can turn it.
pub type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// An address, a clock and the tokens that were issued.
pub struct Site {
    origin: String,
    clock: Clock,
    tokens: Mutex<Tokens>,
}

struct Tokens {
    lifetime: Duration,
    count: u64,
    valid: HashMap<String, Issued>,
}

/// A token that is valid, or was when it was looked up.
#[derive(Clone)]
pub struct Issued {
    pub number: u64,
    pub issued_at: Duration,
    pub lifetime: Duration,
    pub scopes: BTreeSet<String>,
}

impl Site {
    pub fn new(origin: String, clock: Clock, lifetime: Duration) -> Self {
        Self {
            origin,
            clock,
            tokens: Mutex::new(Tokens {
                lifetime,
                count: 0,
                valid: HashMap::new(),
            }),
        }
    }

    pub fn origin(&self) -> &str {
        &self.origin
    }

    pub fn now(&self) -> Duration {
        (self.clock)()
    }

    pub fn lifetime(&self) -> Duration {
        self.tokens().lifetime
    }

    pub fn set_lifetime(&self, lifetime: Duration) {
        self.tokens().lifetime = lifetime;
    }

    /// Issues a token, which `write` gives its text.
    pub fn issue<I>(&self, scopes: I, write: impl FnOnce(&Issued) -> String) -> String
    where
        I: IntoIterator<Item: Into<String>>,
    {
        let issued_at = self.now();
        let mut tokens = self.tokens();
        tokens.count += 1;
        let issued = Issued {
            number: tokens.count,
            issued_at,
            lifetime: tokens.lifetime,
            scopes: scopes.into_iter().map(Into::into).collect(),
        };
        let text = write(&issued);
        tokens.valid.insert(text.clone(), issued);
        text
    }

    /// The token of a request, if it is one of ours, has not expired and was not revoked.
    pub fn token_of(&self, request: &Wire) -> Option<Issued> {
        let now = self.now();
        let tokens = self.tokens();
        let issued = tokens.valid.get(request.bearer()?)?;
        (now < issued.issued_at + issued.lifetime).then(|| issued.clone())
    }

    pub fn revoke_all(&self) {
        self.tokens().valid.clear();
    }

    fn tokens(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().expect("no panic")
    }
}
