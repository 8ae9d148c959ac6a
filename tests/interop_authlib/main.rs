//! Every grant and client authentication that a server made of Authlib takes from us.
//!
//! It differs from oidc-provider in what it takes for HTTP Basic: its decoder is one of URLs, to which `+`
//! is no space. It takes any character, and narrows scopes in silence.

// Helpers of tests are not tests to clippy.
#![allow(clippy::unwrap_used)]

#[macro_use]
#[path = "../interop_support/mod.rs"]
mod interop_support;

#[cfg(feature = "jwt")]
mod assertions;
mod client_credentials;
mod discovery;
mod refresh_token;

use serde_json::{Value, json};

use self::interop_support::Server;

/// Whatever means something to a form, to a URL or to HTTP Basic, and some that is no ASCII.
const ID: &str = "ä:b+c%d/e f%2B€";
const SECRET: &str = "ß:+%/ *~'!()&=%41-._🔑, and long enough to sign";

fn client(auth_method: &str) -> Value {
    json!({
        "client_id": ID,
        "client_secret": SECRET,
        "token_endpoint_auth_method": auth_method,
        "grant_types": ["client_credentials"],
        "scope": "orders:read",
    })
}

fn config(client: Value) -> Value {
    json!({ "clients": [client], "scopes": ["orders:read", "orders:write"] })
}

async fn server(client: Value) -> Option<Server> {
    Server::authlib(config(client)).await
}

/// What the API knows of a token that was asked for without a scope, on behalf of nobody.
fn plain() -> Value {
    json!({ "client_id": ID, "sub": null, "scope": "" })
}
