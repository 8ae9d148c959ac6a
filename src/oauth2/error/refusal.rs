use std::fmt;

/// What a server says of why it refuses (RFC 6749 §5.2), fit to be shown.
#[derive(Clone, Default)]
pub(crate) struct Refusal {
    pub(crate) error: Option<String>,
    pub(crate) error_description: Option<String>,
    pub(crate) error_uri: Option<String>,
    /// A piece of the body, if it is not what RFC 6749 says.
    pub(crate) text: Option<String>,
}

impl Refusal {
    pub(super) fn is_silent(&self) -> bool {
        self.error.is_none() && self.text.is_none()
    }

    /// What to do about it, at a token endpoint that believes the client.
    pub(super) fn hint(&self) -> &'static str {
        match self.error.as_deref() {
            Some("unauthorized_client" | "unsupported_grant_type") => {
                "; this grant must be enabled for this client"
            }
            Some("invalid_grant") => {
                "; what the token was asked for by (a refresh token, an assertion) has ended, was \
                 revoked or used before, or is not this client's"
            }
            Some("invalid_scope") => "; check which scopes this client may ask for",
            Some("invalid_target") => "; check the resource and the audience",
            _ => "",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = [&self.error, &self.error_description, &self.text];
        for text in texts.into_iter().flatten() {
            write!(f, ": {text}")?;
        }
        if let Some(uri) = &self.error_uri {
            write!(f, " (see {uri})")?;
        }
        Ok(())
    }
}
