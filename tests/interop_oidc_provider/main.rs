//! Every grant and client authentication that oidc-provider, a certified server, takes from us.

// Helpers of tests are not tests to clippy.
#![allow(clippy::unwrap_used)]

#[macro_use]
#[path = "../interop_support/mod.rs"]
mod interop_support;

#[cfg(feature = "jwt")]
mod assertions;
mod certificates;
mod client_credentials;
mod discovery;
mod refresh_token;
mod token_exchange;

use serde_json::{Value, json};

use self::interop_support::Server;

/// Whatever means something to a form, to a URL or to HTTP Basic. It takes visible ASCII and spaces only.
const ID: &str = "a:b+c%d/e f%2B";
const SECRET: &str = "s:+%/ *~'!()&=%41-._, and long enough to sign: HS512 wants 64 bytes";

const RESOURCE: &str = "https://orders.example.com/a b?c=d&e";

fn client(auth_method: &str) -> Value {
    json!({
        "client_id": ID,
        "client_secret": SECRET,
        "token_endpoint_auth_method": auth_method,
        "grant_types": ["client_credentials"],
    })
}

fn config(client: Value) -> Value {
    let resources = json!({ RESOURCE: "orders:read" });
    json!({
        "clients": [client],
        "scopes": ["orders:read", "orders:write"],
        "resources": resources,
    })
}

async fn server(client: Value) -> Option<Server> {
    Server::oidc_provider(config(client)).await
}
