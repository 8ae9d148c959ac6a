use std::error::Error;
use std::fmt;

use zeroize::Zeroizing;

use super::encodings::{self, Encoding};

/// Secrets that are to be found nowhere: neither as they are nor as they may have been encoded.
///
/// Each is looked for
///
/// - as it is, form-urlencoded and percent-encoded, in upper and lower case;
/// - each of these as JSON and Rust's `Debug` escape it, once or twice;
/// - as it is and urlencoded, in base64 of either alphabet, wherever it begins within what was encoded: so the `Basic`
///   credentials of RFC 6749 §2.3.1 are found, whatever the client id;
/// - in hexadecimal, and as a list of bytes.
///
/// The last two only if it has six bytes or more: any text holds less. A part of a secret is not looked for.
///
/// A list of secrets is one of that moment. Take [`issued()`](super::AuthorizationServer::issued) at the end of
/// the test, when all tokens are among them.
///
/// ```
/// use tower_bearer::testing::Secrets;
///
/// let secrets = Secrets::new(["hunter2"]).with("the admin's key", "p=1&q\"2");
///
/// secrets.assert_absent_from("POST /token 200");
/// secrets.assert_absent_from_debug(&Some(vec!["GET", "/"]));
///
/// // "my-service:hunter2"
/// let found = secrets.find_in("authorization: Basic bXktc2VydmljZTpodW50ZXIy").unwrap();
/// assert_eq!(found.to_string(), "secret 0 is there, in base64, at byte 36");
/// let found = secrets.find_in("client_secret=p%3d1%26q%222").unwrap();
/// assert_eq!(found.label(), Some("the admin's key"));
/// ```
///
/// # Security
///
/// Neither a panic of its own nor `Debug` shows a secret, or any of the text in which it was found.
#[derive(Default)]
pub struct Secrets {
    secrets: Vec<Secret>,
}

struct Secret {
    label: Option<String>,
    forms: Vec<(Encoding, Zeroizing<String>)>,
}

impl Secrets {
    /// Secrets that are told apart by their position, from zero.
    ///
    /// # Panics
    ///
    /// If one is empty: it would be found in everything.
    #[track_caller]
    pub fn new<S: Into<String>>(secrets: impl IntoIterator<Item = S>) -> Self {
        let mut this = Self::default();
        for secret in secrets {
            this.add(None, secret.into());
        }
        this
    }

    /// Adds a secret that is called `label` when it is found.
    ///
    /// # Panics
    ///
    /// If the secret is empty: it would be found in everything.
    #[must_use]
    #[track_caller]
    pub fn with(mut self, label: impl Into<String>, secret: impl Into<String>) -> Self {
        self.add(Some(label.into()), secret.into());
        self
    }

    /// Where the first of the secrets is that can be found in `text`: nowhere if there are no secrets.
    pub fn find_in(&self, text: &str) -> Option<FoundSecret> {
        self.secrets
            .iter()
            .enumerate()
            .find_map(|(position, secret)| {
                secret.forms.iter().find_map(|(encoding, needle)| {
                    Some(FoundSecret {
                        position,
                        label: secret.label.clone(),
                        encoding: *encoding,
                        offset: encoding.find(needle, text)?,
                    })
                })
            })
    }

    /// Asserts that `text` holds none of the secrets.
    ///
    /// # Panics
    ///
    /// If it does. The message says which and where, and quotes nothing. Also if there are no secrets to look
    /// for: nothing would be asserted. So do the other assertions.
    #[track_caller]
    pub fn assert_absent_from(&self, text: &str) {
        self.assert_not_empty();
        if let Some(found) = self.find_in(text) {
            panic!("{found}");
        }
    }

    /// Asserts that neither `{:?}` nor `{:#?}` shows one of the secrets.
    ///
    /// # Panics
    ///
    /// If one does.
    #[track_caller]
    pub fn assert_absent_from_debug(&self, value: &(impl fmt::Debug + ?Sized)) {
        self.assert_absent_from(&format!("{value:?}"));
        self.assert_absent_from(&format!("{value:#?}"));
    }

    /// Asserts that `{}` shows none of the secrets.
    ///
    /// # Panics
    ///
    /// If it does.
    #[track_caller]
    pub fn assert_absent_from_display(&self, value: &(impl fmt::Display + ?Sized)) {
        self.assert_absent_from(&value.to_string());
    }

    /// Asserts that no secret is in what can be printed of an error and of all its sources.
    ///
    /// # Panics
    ///
    /// If one is. How deep in the chain is said too.
    #[track_caller]
    pub fn assert_absent_from_error(&self, error: &(dyn Error + 'static)) {
        self.assert_not_empty();
        let mut next = Some(error);
        let mut depth = 0;
        while let Some(error) = next {
            for text in [
                error.to_string(),
                format!("{error:?}"),
                format!("{error:#?}"),
            ] {
                if let Some(found) = self.find_in(&text) {
                    panic!("{found} of what is printed of the error at depth {depth} of the chain");
                }
            }
            next = error.source();
            depth += 1;
        }
    }

    #[track_caller]
    fn assert_not_empty(&self) {
        assert!(
            !self.secrets.is_empty(),
            "there are no secrets to look for: were they listed before there were any?"
        );
    }

    #[track_caller]
    fn add(&mut self, label: Option<String>, secret: String) {
        let secret = Zeroizing::new(secret);
        assert!(
            !secret.is_empty(),
            "secret {} is empty, and would be found in everything",
            self.secrets.len()
        );
        let forms = encodings::forms_of(&secret);
        self.secrets.push(Secret { label, forms });
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("secrets", &self.secrets.len())
            .finish()
    }
}

/// A secret that [`Secrets`] has found: which, how it was encoded, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundSecret {
    position: usize,
    label: Option<String>,
    encoding: Encoding,
    offset: usize,
}

impl FoundSecret {
    /// Which one, counted from zero in the order in which they were given.
    pub fn position(&self) -> usize {
        self.position
    }

    /// What it is called, if it was given a name.
    pub fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// At which byte of the text it begins.
    pub fn offset(&self) -> usize {
        self.offset
    }
}

impl fmt::Display for FoundSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "secret {}", self.position)?;
        if let Some(label) = &self.label {
            write!(f, " ({label})")?;
        }
        write!(f, " is there, {}, at byte {}", self.encoding, self.offset)
    }
}
