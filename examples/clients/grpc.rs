//! A generated gRPC client over a `tonic` channel: healed when its token is revoked, streams included.
//!
//! ```console
//! $ cargo run -p tower-bearer-clients --example grpc
//! ```
//!
//! Starts a token endpoint and a gRPC server on loopback, and tells what the two saw. Ends with `ok`, or says
//! what differed and exits with 1.

use std::process::ExitCode;

use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use tower::Layer;
use tower_bearer::BearerAuthLayer;
use tower_bearer::error::BoxError;
use tower_bearer::oauth2::ClientCredentials;
use tower_bearer::rejection::NotRetried;
use tower_bearer::tonic::GrpcAuth;
use tower_bearer_clients::grpc::Server;
use tower_bearer_clients::grpc::echo::Words;
use tower_bearer_clients::grpc::echo::echo_client::EchoClient;
use tower_bearer_clients::loopback::{CLIENT_ID, CLIENT_SECRET, HttpClient, Issuer, http1_client};

type AuthClient = EchoClient<GrpcAuth<Channel, ClientCredentials<HttpClient>>>;

/// So much of each request is kept for the retry, in bytes.
const REPLAY_UP_TO: usize = 64 * 1024;

/// How many calls are under way when the token is revoked.
const STORM: usize = 100;

#[tokio::main]
async fn main() -> ExitCode {
    match story().await {
        Ok(()) => {
            println!("ok");
            ExitCode::SUCCESS
        }
        Err(difference) => {
            println!("not as it should be: {difference}");
            ExitCode::FAILURE
        }
    }
}

async fn story() -> Result<(), BoxError> {
    let issuer = Issuer::start().await;
    let for_server = issuer.clone();
    let server = Server::start(move |headers| for_server.accepts(headers)).await;

    // All that it takes:
    let provider =
        ClientCredentials::builder(issuer.url(), CLIENT_ID, CLIENT_SECRET).build(http1_client())?;
    let auth = BearerAuthLayer::for_origin(provider, &*server.origin())?.into_grpc(REPLAY_UP_TO);
    let channel = Endpoint::from_shared(server.origin())?.connect_lazy();
    let mut client: AuthClient = EchoClient::new(auth.layer(channel));

    println!("1. The first call fetches a token, the second reuses it.");
    say(&mut client, "one").await?;
    say(&mut client, "two").await?;
    expect(&issuer, &server, [1, 2, 0])?;

    println!(
        "2. It is revoked while {STORM} calls are under way: one token request, and no call fails."
    );
    server.hold_arrivals();
    let calls: Vec<_> = (0..STORM)
        .map(|number| {
            let mut client = client.clone();
            tokio::spawn(async move { say(&mut client, &number.to_string()).await })
        })
        .collect();
    server.has_received(2 + STORM).await;
    issuer.revoke_all();
    server.release_arrivals();
    for call in calls {
        call.await??;
    }
    expect(&issuer, &server, [2, 2 + 2 * STORM, STORM])?;

    println!("3. A conversation whose token was revoked begins anew, unseen.");
    issuer.revoke_all();
    let (mouth, said) = mpsc::channel(1);
    let mut answers = client.talk(ReceiverStream::new(said)).await?.into_inner();
    for number in 0..1000 {
        mouth.send(words(&number.to_string())).await?;
        if answers.message().await? != Some(words(&number.to_string())) {
            return Err(format!("no answer to {number}").into());
        }
    }
    drop(mouth);
    expect(&issuer, &server, [3, 4 + 2 * STORM, STORM + 1])?;

    println!("4. A stream of which more was sent than is kept fails once, and says why.");
    server.hold_arrivals();
    let (mouth, said) = mpsc::channel(1);
    let mut for_call = client.clone();
    let call = tokio::spawn(async move { for_call.listen(ReceiverStream::new(said)).await });
    let kibibyte = "x".repeat(1024);
    // Twice as much: some of it may not be sent yet.
    for _ in 0..2 * REPLAY_UP_TO / 1024 {
        mouth.send(words(&kibibyte)).await?;
    }
    issuer.revoke_all();
    server.release_arrivals();
    let Err(status) = call.await? else {
        return Err("a revoked token was accepted".into());
    };
    let reason = std::error::Error::source(&status).and_then(|source| source.downcast_ref());
    let Some(reason) = reason.map(NotRetried::to_string) else {
        return Err(status.into());
    };
    println!("   {:?}: {}; {reason}", status.code(), status.message());
    if status.code() != Code::Unauthenticated {
        return Err(status.into());
    }
    expect(&issuer, &server, [3, 5 + 2 * STORM, STORM + 2])?;

    println!("5. The next one has a new token.");
    let said = tokio_stream::iter(0..1000).map(move |_| words(&kibibyte));
    let heard = client.listen(said).await?.into_inner();
    if heard.messages != 1000 {
        return Err(format!("{} of 1000 messages were heard", heard.messages).into());
    }
    expect(&issuer, &server, [4, 6 + 2 * STORM, STORM + 2])
}

async fn say(client: &mut AuthClient, text: &str) -> Result<(), BoxError> {
    let answer = client.say(words(text)).await?.into_inner();
    if answer == words(text) {
        Ok(())
    } else {
        Err(format!("{answer:?} is not the answer to {text}").into())
    }
}

fn words(text: &str) -> Words {
    Words { text: text.into() }
}

/// Token requests, calls that the server received, and calls that it rejected.
fn expect(issuer: &Issuer, server: &Server, expected: [usize; 3]) -> Result<(), BoxError> {
    let seen = [issuer.requests(), server.received(), server.rejected()];
    let [tokens, received, rejected] = seen;
    println!("   {tokens} token requests, {received} calls received, {rejected} rejected.");
    if seen == expected {
        Ok(())
    } else {
        Err(format!("{seen:?} instead of {expected:?}").into())
    }
}
