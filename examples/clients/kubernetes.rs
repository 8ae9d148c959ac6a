//! kube, with tokens of one's own on its requests: lists, creates and watches pods of a cluster whose
//! tokens are revoked meanwhile. How the client is made is in `src/kubernetes/mod.rs`.
//!
//! ```console
//! $ cargo run -p tower-bearer-clients --example kubernetes
//! ```

use std::pin::pin;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, ResourceExt};
use tokio_stream::StreamExt;
use tower_bearer::error::BoxError;
use tower_bearer::oauth2::ClientCredentials;
use tower_bearer::reqwest::ReqwestTransport;
use tower_bearer_clients::kubernetes::cluster::Cluster;
use tower_bearer_clients::kubernetes::{client, client_of_default_stack};
use tower_bearer_clients::loopback::{CLIENT_ID, CLIENT_SECRET, Issuer};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let issuer = Issuer::start().await;
    let for_cluster = issuer.clone();
    let cluster = Cluster::start(move |headers| for_cluster.accepts(headers)).await;

    let provider = ClientCredentials::builder(issuer.url(), CLIENT_ID, CLIENT_SECRET)
        .build(ReqwestTransport::new()?)?;
    let tokens = tower_bearer::TokenCache::new(provider);

    let pods: Api<Pod> = Api::default_namespaced(client(&cluster.config(), tokens.clone())?);
    for pod in pods.list(&ListParams::default()).await? {
        println!("pod {}", pod.name_any());
    }

    issuer.revoke_all(); // The caller does not notice: the pod is sent once more.
    let mut pod = Pod::default();
    pod.metadata.name = Some("two".into());
    let created = pods.create(&PostParams::default(), &pod).await?;
    println!("created {}", created.name_any());

    // The other stack shares the tokens.
    let client = client_of_default_stack(cluster.config(), tokens)?;
    let pods: Api<Pod> = Api::default_namespaced(client);
    issuer.revoke_all();
    let mut events = pin!(pods.watch(&WatchParams::default(), "0").await?);
    cluster.emit("ADDED", "three");
    if let Some(WatchEvent::Added(pod)) = events.try_next().await? {
        println!("added {}", pod.name_any());
    }

    let counts = (
        issuer.requests(),
        cluster.site.accepted(),
        cluster.site.rejected(),
    );
    if counts != (3, 3, 2) {
        return Err("not as it should be".into());
    }
    println!("ok");
    Ok(())
}
