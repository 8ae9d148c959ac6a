//! Servers that others wrote, as child processes: see tests/servers/README.md.

// Each test binary uses a part of it, and a panic here is a failed test.
#![allow(dead_code, clippy::unwrap_used)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use ring::digest::{Context, SHA256};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

/// What starts, or ends the test, which has been told of then.
macro_rules! or_skip {
    ($server:expr) => {
        match $server.await {
            Some(server) => server,
            None => return,
        }
    };
}

pub(crate) mod calls;
#[cfg(feature = "jwt")]
pub(crate) mod keys;
pub(crate) mod tls;

/// Far longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) type HttpClient = Client<HttpConnector, Full<Bytes>>;

pub(crate) fn http_client() -> HttpClient {
    let mut connector = HttpConnector::new();
    // Head and body are written one after the other.
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).build(connector)
}

/// What runs a program, the program, and what shows what has been installed for it.
struct Program {
    interpreter: PathBuf,
    script: PathBuf,
    mark: PathBuf,
    /// What says what to install, beside the program.
    wanted: &'static [&'static str],
}

impl Program {
    fn node(directory: &str, script: &str) -> Self {
        let directory = servers().join(directory);
        Self {
            interpreter: "node".into(),
            script: directory.join(script),
            mark: directory.join("node_modules/.installed"),
            wanted: &["package.json", "package-lock.json"],
        }
    }

    fn python(directory: &str, script: &str) -> Self {
        let directory = servers().join(directory);
        Self {
            interpreter: directory.join("venv/bin/python"),
            script: directory.join(script),
            mark: directory.join("venv/.installed"),
            wanted: &["requirements.txt"],
        }
    }

    /// Whether what is there is what is wanted, as tests/servers/install has it.
    fn is_up_to_date(&self) -> bool {
        let mut digest = Context::new(&SHA256);
        for name in self.wanted {
            digest.update(&std::fs::read(self.script.with_file_name(name)).unwrap());
        }
        let digest = digest.finish();
        let hex = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
        // As `sha256sum` prints what it reads from standard input.
        let wanted = hex.collect::<String>() + "  -";
        std::fs::read_to_string(&self.mark).is_ok_and(|mark| mark.trim_end() == wanted)
    }

    /// Whether it is there; if not, says so, even where the output of tests is captured.
    fn is_installed(&self) -> bool {
        if self.is_up_to_date() {
            return true;
        }
        let script = self.script.display();
        let what = match self.mark.exists() {
            true => "outdated",
            false => "not installed",
        };
        let advice = format!("{script} is {what}: run tests/servers/install");
        if std::env::var_os("REQUIRE_SERVERS").is_some_and(|value| value == "1") {
            panic!("{advice}");
        }
        let test = std::thread::current();
        let test = test.name().unwrap_or("a test");
        let notice = format!("\n!!! SKIPPED {test}: {advice}\n");
        std::io::stderr().write_all(notice.as_bytes()).unwrap();
        false
    }

    fn spawn(&self) -> Child {
        Command::new(&self.interpreter)
            .arg(&self.script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {}: {error}", self.interpreter.display()))
    }
}

fn servers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers")
}

/// Gives `input` to a program in tests/servers that ends by itself, and returns what it prints. `None` if
/// it is not installed.
pub(crate) async fn run_node(directory: &str, script: &str, input: &Value) -> Option<Value> {
    let program = Program::node(directory, script);
    if !program.is_installed() {
        return None;
    }
    let mut child = program.spawn();
    let mut stdin = child.stdin.take().unwrap();
    // Read while it is written, lest both wait for the other.
    let write = async move {
        stdin
            .write_all(input.to_string().as_bytes())
            .await
            .expect("it reads all");
    };
    let (output, ()) = in_time(async { tokio::join!(child.wait_with_output(), write) }).await;
    let output = output.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script} failed: {errors}");
    Some(serde_json::from_slice(&output.stdout).expect("it prints JSON"))
}

/// A running server, which ends when this is dropped, and when the test is killed.
pub(crate) struct Server {
    ready: Value,
    http: HttpClient,
    errors: Arc<Mutex<Vec<u8>>>,
    // It ends when this is closed.
    _stdin: ChildStdin,
    _child: Child,
}

impl Server {
    /// `None` if it is not installed.
    pub(crate) async fn oidc_provider(config: Value) -> Option<Self> {
        Self::start(&Program::node("oidc-provider", "server.mjs"), config).await
    }

    /// `None` if it is not installed.
    pub(crate) async fn authlib(config: Value) -> Option<Self> {
        Self::start(&Program::python("authlib", "server.py"), config).await
    }

    async fn start(program: &Program, config: Value) -> Option<Self> {
        if !program.is_installed() {
            return None;
        }
        let mut child = program.spawn();
        let errors = collect(child.stderr.take().unwrap());
        let mut stdin = child.stdin.take().unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        in_time(async {
            // If it has ended already, what it said of why is told below.
            let _broken = stdin.write_all(format!("{config}\n").as_bytes()).await;
            stdout.read_line(&mut line).await.unwrap();
        })
        .await;
        let Ok(ready) = serde_json::from_str(&line) else {
            let _ended = in_time(child.wait()).await;
            let errors = errors.lock().unwrap();
            let errors = String::from_utf8_lossy(&errors);
            panic!(
                "{} does not start: {line}{errors}",
                program.script.display()
            );
        };
        Some(Self {
            ready,
            http: http_client(),
            errors,
            _stdin: stdin,
            _child: child,
        })
    }

    pub(crate) fn issuer(&self) -> &str {
        self.text("issuer")
    }

    pub(crate) fn token_endpoint(&self) -> &str {
        self.text("token_endpoint")
    }

    /// Where clients are asked for their certificate, for everything.
    pub(crate) fn tls_origin(&self) -> &str {
        self.text("tls_origin")
    }

    pub(crate) async fn counters(&self) -> Counters {
        let counters = self.admin("GET", "counters", Value::Null).await;
        let counter = |name: &str| usize::try_from(counters[name].as_u64().unwrap()).unwrap();
        Counters {
            token_requests: counter("token_requests"),
            issued: counter("issued"),
            accepted: counter("accepted"),
            rejected: counter("rejected"),
            forbidden: counter("forbidden"),
        }
    }

    pub(crate) async fn revoke(&self, token: &str) {
        let answer = self
            .admin("POST", "revoke", json!({ "token": token }))
            .await;
        assert_eq!(answer, json!({ "revoked": 1 }));
    }

    /// Keeps token requests waiting, once they are counted.
    pub(crate) async fn hold_token_requests(&self) {
        self.admin("POST", "hold", json!({})).await;
    }

    pub(crate) async fn release_token_requests(&self) {
        self.admin("POST", "release", json!({})).await;
    }

    pub(crate) async fn has_token_requests(&self, number: usize) {
        in_time(async { while self.counters().await.token_requests < number {} }).await;
    }

    /// What a user would have got by logging in and consenting.
    pub(crate) async fn mint(&self, client_id: &str, user: &str, scope: &str) -> Minted {
        let wish = json!({ "client_id": client_id, "sub": user, "scope": scope });
        let answer = self.admin("POST", "mint", wish).await;
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        Minted {
            access_token: text("access_token"),
            refresh_token: text("refresh_token"),
        }
    }

    fn text(&self, name: &str) -> &str {
        let value = self.ready[name].as_str();
        value.unwrap_or_else(|| panic!("the server has no {name}"))
    }

    async fn admin(&self, method: &str, what: &str, body: Value) -> Value {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/admin/{what}", self.issuer()))
            .header("content-type", "application/json")
            .body(Full::from(body.to_string()))
            .unwrap();
        let response = in_time(self.http.request(request)).await.unwrap();
        assert_eq!(response.status(), 200, "{what}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&body).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let errors = self.errors.lock().unwrap();
            eprintln!("the server said: {}", String::from_utf8_lossy(&errors));
        }
    }
}

/// What a server has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) token_requests: usize,
    /// Token requests that were granted.
    pub(crate) issued: usize,
    pub(crate) accepted: usize,
    /// API calls that got a 401.
    pub(crate) rejected: usize,
    /// API calls that got a 403.
    pub(crate) forbidden: usize,
}

pub(crate) struct Minted {
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
}

/// Reads all that comes, while the runtime runs.
fn collect(mut from: impl AsyncReadExt + Send + Unpin + 'static) -> Arc<Mutex<Vec<u8>>> {
    let all = Arc::<Mutex<Vec<u8>>>::default();
    let into = Arc::clone(&all);
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            into.lock().unwrap().extend_from_slice(&buffer[..read]);
        }
    });
    all
}

/// Fails instead of waiting for ever.
pub(crate) async fn in_time<F: Future>(future: F) -> F::Output {
    let result = tokio::time::timeout(PATIENCE, future).await;
    result.expect("waited in vain")
}
