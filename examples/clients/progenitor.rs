//! Two clients that progenitor generated from an OpenAPI document, with tokens put on by their hooks, and
//! revoked meanwhile. What the author of the SDK writes is in `src/notes`.
//!
//! ```console
//! $ cargo run -p tower-bearer-clients --example progenitor
//! ```

use tower_bearer::error::BoxError;
use tower_bearer::oauth2::ClientCredentials;
use tower_bearer::reqwest::ReqwestTransport;
use tower_bearer::{BoxTokenProvider, TokenCache};
use tower_bearer_clients::loopback::{CLIENT_ID, CLIENT_SECRET, Issuer};
use tower_bearer_clients::notes::{api, by_handle, by_layer};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let issuer = Issuer::start().await;
    let for_site = issuer.clone();
    let site = api::start(move |headers| for_site.accepts(headers)).await;
    let base = format!("{}/v1", site.origin());

    let provider = ClientCredentials::builder(issuer.url(), CLIENT_ID, CLIENT_SECRET)
        .build(ReqwestTransport::new()?)?;
    let tokens = TokenCache::new(BoxTokenProvider::new(provider));

    let client = by_layer::client(&base, tokens.clone())?;
    println!("{} note", client.list_notes().await?.len());
    issuer.revoke_all(); // The caller does not notice.
    let note = by_layer::types::NewNote {
        text: "milk".into(),
    };
    println!("note {}", client.create_note(&note).await?.id);

    // The other SDK shares the tokens.
    let client = by_handle::client(&base, tokens)?;
    issuer.revoke_all();
    let note = by_handle::types::NewNote {
        text: "eggs".into(),
    };
    println!("note {}", client.create_note(&note).await?.id);

    if (issuer.requests(), site.accepted(), site.rejected()) != (3, 3, 2) {
        return Err("not as it should be".into());
    }
    println!("ok");
    Ok(())
}
