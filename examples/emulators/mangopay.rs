//! Mangopay: HTTP Basic, and accounts that are blocked when they ask too often.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;

use super::{Issued, Reply, Site, Vendor, Wire};

pub const CLIENT_ID: &str = "ExampleClientId";
/// HTTP Basic has it as it is, so it tells whether somebody encodes it first.
pub const API_KEY: &str = "PEB0VDhFENfEhWTUyorTYj6h+CVm/q2L0HRbw4g5N17ruiPjmQn%=";

/// The document says that asking too often blocks the account, and not how often that is. A token lives
/// for 20 minutes at least, so 70 token requests in an hour are more than any honest need.
pub const BLOCK_LIMIT: usize = 70;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// How long tokens live in the sandbox. In production it is an hour.
pub const SANDBOX_LIFETIME: Duration = Duration::from_secs(1200);

#[derive(Default)]
pub struct Mangopay {
    asked: Mutex<VecDeque<Duration>>,
    was_blocked: AtomicBool,
    most_in_an_hour: Mutex<usize>,
}

impl Mangopay {
    /// Whether the account has ever been blocked.
    pub fn was_blocked(&self) -> bool {
        self.was_blocked.load(Ordering::Relaxed)
    }

    /// The most token requests that there were within one hour.
    pub fn most_in_an_hour(&self) -> usize {
        *self.most_in_an_hour.lock().expect("no panic")
    }

    /// Every token request counts, also those that are refused.
    fn is_blocked(&self, now: Duration) -> bool {
        let mut asked = self.asked.lock().expect("no panic");
        asked.push_back(now);
        while asked.front().is_some_and(|&first| first + HOUR <= now) {
            asked.pop_front();
        }
        let mut most = self.most_in_an_hour.lock().expect("no panic");
        *most = asked.len().max(*most);
        let is_blocked = asked.len() > BLOCK_LIMIT;
        self.was_blocked.fetch_or(is_blocked, Ordering::Relaxed);
        is_blocked
    }
}

impl Vendor for Mangopay {
    const TOKEN_PATH: &'static str = "/v2.01/oauth/token";
    const LIFETIME: Duration = Duration::from_secs(3600);

    fn token(&self, request: &Wire, site: &Site) -> Result<Reply, Reply> {
        let refuse = |message| error(StatusCode::BAD_REQUEST, message);
        if self.is_blocked(site.now()) {
            return Err(refuse("Account temporarily blocked"));
        }
        if request.method != Method::POST {
            return Err(error(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"));
        }
        let credentials = (CLIENT_ID.to_owned(), API_KEY.to_owned());
        if request.basic() != Some(credentials) {
            return Err(self.unauthorized());
        }
        let form = request.form().ok_or_else(|| refuse("Not a form"))?;
        let grant = form.get("grant_type").map(String::as_str);
        if form.len() != 1 || grant != Some("client_credentials") {
            return Err(refuse("The body is grant_type=client_credentials"));
        }
        let token = site.issue([""; 0], |token| {
            format!("094696b3724d4aa5{:016x}", token.number)
        });
        Ok(Reply::json(
            StatusCode::OK,
            &json!({
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": site.lifetime().as_secs(),
            }),
        ))
    }

    fn unauthorized(&self) -> Reply {
        error(
            StatusCode::UNAUTHORIZED,
            "Authorization credentials not valid",
        )
    }

    fn call(&self, request: &Wire, _: &Issued) -> Result<Reply, Reply> {
        let prefix = format!("/v2.01/{CLIENT_ID}/");
        let Some(resource) = request.path.strip_prefix(&prefix) else {
            return Err(error(StatusCode::NOT_FOUND, "Not found"));
        };
        if request.method != Method::GET {
            return Err(error(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"));
        }
        Ok(Reply::json(
            StatusCode::OK,
            &json!({ "Resource": resource }),
        ))
    }
}

/// The document has a message for each status; this is the shape of the API's other errors.
fn error(status: StatusCode, message: &str) -> Reply {
    Reply::json(status, &json!({ "Message": message }))
}
