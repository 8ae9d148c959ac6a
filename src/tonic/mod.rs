//! For clients that [`tonic`](https://docs.rs/tonic) generates.
//!
//! [`into_grpc`](crate::BearerAuthLayer::into_grpc) makes a layer for a channel of a [`BearerAuthLayer`]:
//!
//! ```
//! use tonic::Code;
//! use tower::{Layer, ServiceExt};
//! use tower_bearer::{BearerAuthLayer, FetchError, token_fn};
//! # use http::{Request, Response};
//! # use tonic::body::Body;
//!
//! const API: &str = "https://api.example.com";
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let provider = token_fn(|_| async { Err(FetchError::denied("account disabled").into()) });
//! // Up to 64 KiB of each request are kept for the retry.
//! let auth = BearerAuthLayer::for_origin(provider, API)?.into_grpc(64 * 1024);
//!
//! // let channel = tonic::transport::Channel::from_static(API).connect_lazy();
//! # let channel = tower::service_fn(|_: Request<Body>| async {
//! #     Ok::<_, std::convert::Infallible>(Response::new(Body::empty()))
//! # });
//! let channel = auth.layer(channel);
//! // let mut client = GreeterClient::new(channel);
//! // let status = client.say_hello(HelloRequest::default()).await.unwrap_err();
//! # let status = channel.oneshot(Request::new(Body::empty())).await.unwrap_err();
//! assert_eq!(status.code(), Code::Unauthenticated);
//! # Ok(())
//! # }
//! ```
//!
//! The type of such a client is `GreeterClient<GrpcAuth<Channel, P>>`, with `P` the provider. To hide that, put
//! the channel into a `tower::util::BoxCloneSyncService<Request<Body>, Response<Body>, Status>`.
//!
//! # What is sent again
//!
//! A call that the server ends with `UNAUTHENTICATED` before it says anything else (in gRPC's words,
//! Trailers-Only), and one that a proxy answers with HTTP's 401. Its messages are kept as they are sent, up
//! to the limit that is given to [`into_grpc`](crate::BearerAuthLayer::into_grpc): those of a unary call, and
//! those that a stream has sent until the server answers. No message is delayed by that. A call with more of
//! them is sent once, and its caller gets the `UNAUTHENTICATED`.
//!
//! A server that has begun to answer, with headers or messages, and ends with `UNAUTHENTICATED` in the
//! trailers has accepted the token, as far as can be seen here: such a call is not sent again, and the next
//! one gets the same token.
//!
//! # Where the token goes
//!
//! A [`Channel`] sends every request to its own endpoint, whatever the request's URI. So
//! [`into_grpc`](crate::BearerAuthLayer::into_grpc) allows relative URIs, which is what generated clients make unless
//! they are made by `with_origin`. The origin of a `with_origin` client is checked like that of any other
//! request, and then not used: that says nothing about where the channel goes.
//!
//! Over a client that goes where the URI says, such as hyper-util's, put a plain [`BearerAuthLayer`] with
//! [`Streaming`] and [`grpc_unauthenticated`], and [`into_status`] above, by `tower`'s `map_err`. Make the
//! generated client by `with_origin`: the check is a real one there.
//!
//! # Several tokens
//!
//! A [`TokenRequest`](crate::TokenRequest) goes into the extensions of the `tonic::Request`.
//! [`with_token_chosen_by`](crate::BearerAuthLayer::with_token_chosen_by) sees the path of the call, and `tonic`'s
//! `GrpcMethod` among the extensions.
//!
//! # Deadlines
//!
//! `Request::set_timeout` and `Endpoint::timeout` are counted by the channel, from each send: the wait for a
//! token does not count, and what is sent again has all of its time again. To limit the whole, put
//! `tokio::time::timeout` around the call.
//!
//! # Interceptors
//!
//! One around the layer, as that of a generated client's `with_interceptor`, is called once a call. If it sets
//! `authorization`, the call passes the layer untouched. One between the layer and the channel is called for
//! each send and sees the token.
//!
//! # Security
//!
//! `UNAUTHENTICATED` is about this client, and not about whoever called it. A server that calls another one
//! should not return such a status to its own callers, who would blame their own tokens.
//!
//! [`BearerAuthLayer`]: crate::BearerAuthLayer
//! [`grpc_unauthenticated`]: crate::rejection::grpc_unauthenticated
//! [`Streaming`]: crate::replay::Streaming
//! [`Channel`]: https://docs.rs/tonic/0.14/tonic/transport/struct.Channel.html

mod layer;
mod status;

pub use self::layer::{GrpcAuth, GrpcAuthLayer, GrpcFuture};
pub use self::status::into_status;
