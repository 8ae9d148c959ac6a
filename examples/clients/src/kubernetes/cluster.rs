//! A bit of a cluster: its pods.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use kube::Config;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::site::{self, Answer, Received, Site};

const PODS: &str = "/api/v1/namespaces/default/pods";

/// The API server.
pub struct Cluster {
    pub site: Site,
    watches: Watches,
}

type Watches = Arc<Mutex<Vec<mpsc::UnboundedSender<Result<Frame<Bytes>, Infallible>>>>>;

impl Cluster {
    pub async fn start(accepts: impl Fn(&HeaderMap) -> bool + Send + Sync + 'static) -> Self {
        let watches = Watches::default();
        let shared = Arc::clone(&watches);
        let site = Site::start(
            accepts,
            move |request| answer(request, &shared),
            // As API servers do.
            |_| status(StatusCode::UNAUTHORIZED, "Unauthorized"),
        );
        Self {
            site: site.await,
            watches,
        }
    }

    /// How kube gets there.
    pub fn config(&self) -> Config {
        Config::new(self.site.origin().parse().expect("a URI"))
    }

    /// Tells everyone who watches of a pod.
    pub fn emit(&self, event: &str, pod: &str) {
        let event = json!({ "type": event, "object": named(pod) });
        let line = Bytes::from(format!("{event}\n"));
        let watches = self.watches.lock().expect("no panic");
        for watch in &*watches {
            // Some may have gone away.
            let _gone = watch.send(Ok(Frame::data(line.clone())));
        }
    }

    /// Ends all watches.
    pub fn end_watches(&self) {
        self.watches.lock().expect("no panic").clear();
    }
}

fn answer(request: &Received, watches: &Watches) -> Answer {
    let is_watch = request.uri.query().unwrap_or("").contains("watch=true");
    match (&request.method, request.uri.path()) {
        (&Method::GET, PODS) if is_watch => watch(watches),
        (&Method::GET, PODS) => ok(json!({
            "kind": "PodList",
            "apiVersion": "v1",
            "metadata": { "resourceVersion": "1" },
            "items": [named("one")],
        })),
        (&Method::POST, PODS) => match serde_json::from_slice(&request.body) {
            Ok(pod) => ok(pod),
            Err(_) => status(StatusCode::BAD_REQUEST, "BadRequest"),
        },
        (&Method::PATCH, path) if path.starts_with(PODS) => {
            ok(named(&path[PODS.len()..].replace('/', "")))
        }
        _ => status(StatusCode::NOT_FOUND, "NotFound"),
    }
}

fn watch(watches: &Watches) -> Answer {
    let (sender, events) = mpsc::unbounded_channel();
    watches.lock().expect("no panic").push(sender);
    let body = StreamBody::new(UnboundedReceiverStream::new(events));
    Response::new(body.boxed_unsync())
}

fn named(pod: &str) -> Value {
    json!({ "kind": "Pod", "apiVersion": "v1", "metadata": { "name": pod } })
}

fn ok(body: Value) -> Answer {
    site::json(StatusCode::OK, body.to_string())
}

fn status(code: StatusCode, reason: &str) -> Answer {
    let status = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": reason,
        "reason": reason,
        "code": code.as_u16(),
    });
    site::json(code, status.to_string())
}
