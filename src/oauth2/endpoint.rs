use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use tower_service::Service;

use super::error::{TokenEndpointError, TokenEndpointErrorKind};
use super::invalid_config::{InvalidConfig, InvalidConfigKind};
use super::request::GrantRequest;
use super::response;
use super::wire::Wire;
use crate::error::BoxError;
use crate::origin::is_loopback;
use crate::token::AccessToken;

/// An answer is read up to here. Real ones have a few KiB.
const LIMIT: usize = 1024 * 1024;

/// Where tokens are asked for.
#[derive(Clone)]
pub(super) struct TokenEndpoint {
    uri: Uri,
    name: Arc<str>,
}

impl TokenEndpoint {
    pub(super) fn parse(url: &str, insecure_http: bool) -> Result<Self, InvalidConfig> {
        let invalid = || InvalidConfig::new(InvalidConfigKind::TokenEndpoint);
        // `Uri` drops a fragment without a word.
        if !url.is_ascii() || url.contains('#') {
            return Err(invalid());
        }
        let uri: Uri = url.parse().map_err(|_| invalid())?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(invalid());
        };
        // What remains beside the host would be a port that is none, which clients take for the default.
        let is_host_and_port = match authority.port() {
            Some(port) => {
                authority.as_str().len() == authority.host().len() + 1 + port.as_str().len()
            }
            None => authority.as_str() == authority.host(),
        };
        if authority.host().is_empty() || !is_host_and_port {
            return Err(invalid());
        }
        if *scheme == Scheme::HTTP {
            if !insecure_http && !is_loopback(authority.host()) {
                return Err(InvalidConfig::new(InvalidConfigKind::InsecureHttp));
            }
        } else if *scheme != Scheme::HTTPS {
            return Err(invalid());
        }

        // Without the query, which may hold a key.
        let name = format!("{scheme}://{authority}{}", uri.path()).into();
        Ok(Self { uri, name })
    }

    /// Scheme, host, port and path.
    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) async fn send<T, B>(
        &self,
        transport: T,
        request: GrantRequest,
        wire: &Wire,
    ) -> Result<AccessToken, TokenEndpointError>
    where
        T: Service<Request<Full<Bytes>>, Response = Response<B>>,
        T::Error: Into<BoxError>,
        B: Body,
        B::Error: Into<BoxError>,
    {
        let (request, redactor) = request.into_http(self.uri.clone(), wire);
        let response = call(transport, request)
            .await
            .map_err(|error| transport_error(error.into()))?;

        let (parts, body) = response.into_parts();
        if parts.status.is_redirection() {
            return Err(response::redirected(&parts));
        }
        let body = match read(body, parts.status).await {
            Ok(body) => body,
            // That we are refused, and for how long, is known without the text.
            Err(_) if !parts.status.is_success() => Bytes::new(),
            Err(error) => return Err(error),
        };
        response::parse(&parts, &body, &redactor)
    }
}

/// Calls the instance that was polled ready, and drops it before waiting for the answer.
async fn call<T, R>(mut transport: T, request: R) -> Result<T::Response, T::Error>
where
    T: Service<R>,
{
    poll_fn(|cx| transport.poll_ready(cx)).await?;
    let answer = transport.call(request);
    drop(transport);
    answer.await
}

async fn read<B>(body: B, status: StatusCode) -> Result<Bytes, TokenEndpointError>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    match Limited::new(body, LIMIT).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(TokenEndpointError::new(TokenEndpointErrorKind::TooLarge).with_status(status))
        }
        Err(error) => Err(transport_error(error).with_status(status)),
    }
}

fn transport_error(source: BoxError) -> TokenEndpointError {
    TokenEndpointError::new(TokenEndpointErrorKind::Transport).with_source(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<String, InvalidConfigKind> {
        let endpoint = TokenEndpoint::parse(url, false).map_err(|error| error.kind())?;
        Ok(endpoint.name().to_string())
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        for url in [
            "http://localhost/token",
            "http://LOCALHOST:80/token",
            "http://127.0.0.1:8080/token",
            "http://127.255.0.9/token",
            "http://[::1]:8080/token",
        ] {
            assert!(parse(url).is_ok(), "{url}");
        }
        for url in [
            "http://id.example.com/token",
            "http://localhost.example.com/token",
            "http://127.0.0.1.example.com/token",
            "http://10.0.0.1/token",
            "http://[::2]/token",
        ] {
            assert_eq!(parse(url), Err(InvalidConfigKind::InsecureHttp), "{url}");
            assert!(TokenEndpoint::parse(url, true).is_ok(), "{url}");
        }
    }

    #[test]
    fn what_is_no_url_of_a_token_endpoint_is_refused() {
        for url in [
            "",
            "/token",
            "id.example.com/token",
            "id.example.com:443",
            "https://",
            "https:///token",
            "https://:443/token",
            "https://id.example.com/token#part",
            "https://id.example.com#",
            "https://me:pass@id.example.com/token",
            "https://id.example.com@evil.example/token",
            "https://id.example.com:99999/token",
            "https://id.example.com:/token",
            "https://id.example.com/tökén",
            "https://id.example.com/to ken",
            "ftp://id.example.com/token",
        ] {
            assert_eq!(parse(url), Err(InvalidConfigKind::TokenEndpoint), "{url}");
        }
    }

    #[test]
    fn the_name_of_an_endpoint_is_without_its_query() {
        let name = parse("https://id.example.com:8443/a/token?key=hunter2");
        assert_eq!(name.as_deref(), Ok("https://id.example.com:8443/a/token"));
    }
}
