//! What a token endpoint answers (RFC 6749 §5).

pub(crate) mod lifetime;
pub(crate) mod members;
pub(crate) mod redact;
mod refusal;
pub(crate) mod response;
pub(crate) mod retry_after;
