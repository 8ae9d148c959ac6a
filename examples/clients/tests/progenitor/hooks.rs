use http::{HeaderValue, Method};
use progenitor_client::{ClientHooks, ClientInfo, OperationInfo};
use tower_bearer::error::BoxError;
use tower_bearer::{BoxTokenProvider, FetchError, TokenCache, token_fn};
use tower_bearer_clients::notes::api;

use super::sdk;

/// As generated operations call them.
#[tokio::test]
async fn none_of_the_hooks_needs_a_token_for_an_authorization_of_the_callers_own() {
    let site = api::start(|_| true).await;
    let provider = token_fn(|_| async { Err::<_, BoxError>(FetchError::denied("no").into()) });
    let tokens = TokenCache::new(BoxTokenProvider::new(provider));
    let client = sdk::client(&format!("{}/v1", site.origin()), tokens).unwrap();
    let info = OperationInfo {
        operation_id: "by_hand",
    };

    let url = format!("{}/v1/notes", site.origin()).parse().unwrap();
    let mut request = reqwest::Request::new(Method::GET, url);
    assert!(sdk::sign_in(client.inner(), &mut request).await.is_err());

    let own = HeaderValue::from_static("Basic abc");
    request.headers_mut().insert("authorization", own);
    sdk::sign_in(client.inner(), &mut request).await.unwrap();
    let response = client.exec(request, &info).await.unwrap();

    assert_eq!(response.status(), 200);
    let all = site.received();
    let sent: Vec<_> = all
        .iter()
        .map(|request| request.header("authorization"))
        .collect();
    assert_eq!(sent, ["Basic abc"]);
}
