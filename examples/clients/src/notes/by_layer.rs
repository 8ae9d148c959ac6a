//! The SDK that sends through the layer. Its hook is one line.

use tower::util::BoxCloneSyncService;
use tower::{ServiceBuilder, ServiceExt};
use tower_bearer::error::BoxError;
use tower_bearer::{BearerAuthLayer, IntoTokenCache, TokenProvider};

use super::into_reqwest;

/// What the hook sends through, whatever it is made of.
pub type Transport = BoxCloneSyncService<reqwest::Request, reqwest::Response, BoxError>;

progenitor::generate_api!(
    spec = "openapi/notes.json",
    inner_type = crate::notes::by_layer::Transport,
    // Without an `impl ClientHooks for Client` it does not compile, instead of sending no token.
    hooks = Expected,
);

/// A client of the service at `base`, such as `https://notes.example.com/v1`.
pub fn client<P: TokenProvider>(
    base: &str,
    tokens: impl IntoTokenCache<Provider = P>,
) -> Result<Client, BoxError> {
    let (origin, http) = super::service(base)?;
    let auth = BearerAuthLayer::for_origin(tokens, origin)?;
    let transport = ServiceBuilder::new().layer(auth).service(http.clone());
    let transport = BoxCloneSyncService::new(transport);
    Ok(Client::new_with_client(base, http, transport))
}

impl ClientHooks<Transport> for Client {
    async fn exec(
        &self,
        request: reqwest::Request,
        _: &OperationInfo,
    ) -> reqwest::Result<reqwest::Response> {
        match self.inner().clone().oneshot(request).await {
            Ok(response) => Ok(response),
            Err(error) => Err(into_reqwest(error).await),
        }
    }
}
