//! All that can be printed or logged, and whether a secret is in it.

use std::error::Error;
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Customer;
pub(crate) use super::error_support::everything as of_error;
use crate::emulators::Vendor;

/// No spelling of the secret is in `text`.
pub fn assert_hides(text: &str, id: &str, secret: &str) {
    let in_form: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let in_json = serde_json::Value::from(secret).to_string();
    let in_basic = STANDARD.encode(format!("{id}:{secret}"));
    let in_debug = format!("{secret:?}");
    for spelling in [
        secret,
        &in_form,
        in_json.trim_matches('"'),
        in_debug.trim_matches('"'),
        in_basic.trim_end_matches('='),
    ] {
        assert!(!text.contains(spelling), "a secret is in: {text}");
    }
}

impl<V: Vendor> Customer<V> {
    /// Neither the client secret nor a token is in anything that can be printed or, with the feature
    /// `tracing`, is logged: of a healed call, of one that cannot be healed, and of a failed fetch.
    pub async fn shows_no_secret(&self, id: &str, secret: &str) {
        let log = Log::default();
        #[cfg(feature = "tracing")]
        let _logging = tracing::subscriber::set_default(log.clone());
        let mut text = String::new();
        let mut tokens = Vec::new();

        self.succeeds().await;
        tokens.push(self.cache().cached().unwrap());
        self.vendor.revoke_all();
        self.succeeds().await;
        tokens.push(self.cache().cached().unwrap());
        write!(text, "{tokens:?} {:?} {:?}", self.client, self.cache()).unwrap();

        self.vendor.revoke_all();
        self.vendor
            .fail_token_requests(http::StatusCode::BAD_GATEWAY);
        let rejected = self.client.clone();
        let response = tower::ServiceExt::oneshot(rejected, (self.call)(&self.vendor)).await;
        let extensions = response.unwrap().extensions().clone();
        let cause = extensions.get::<tower_bearer::rejection::NotRetried>();
        write!(text, "{cause:?} {}", cause.unwrap()).unwrap();

        self.time.advance(V::LIFETIME);
        text += &of_error(&self.failure().await);
        text += &log.text();
        assert_hides(&text, id, secret);
        for token in tokens {
            assert!(
                !text.contains(token.expose_secret()),
                "a token is in: {text}"
            );
        }
        #[cfg(feature = "tracing")]
        assert!(
            log.text().contains("outcome=\"unavailable\""),
            "{}",
            log.text()
        );
    }
}

/// Writes down every field of every event and span, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Log {
    fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

#[cfg(feature = "tracing")]
mod tracing_log {
    use tracing::field::{Field, Visit};
    use tracing::span;

    use super::{Log, Write, fmt};

    impl Visit for Log {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            writeln!(self.0.lock().unwrap(), "{field}={value:?}").unwrap();
        }
    }

    impl tracing::Subscriber for Log {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
            span.record(&mut self.clone());
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, values: &span::Record<'_>) {
            values.record(&mut self.clone());
        }

        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

        fn event(&self, event: &tracing::Event<'_>) {
            event.record(&mut self.clone());
        }

        fn enter(&self, _: &span::Id) {}

        fn exit(&self, _: &span::Id) {}
    }
}
