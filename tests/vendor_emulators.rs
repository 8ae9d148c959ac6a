//! The emulators of the five vendors refuse what the vendors' documents say is refused.
//!
//! Requests are made by hand here: nothing of this crate has a part in it.

#[path = "../examples/emulators/mod.rs"]
mod emulators;
mod vendor_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;

use self::emulators::azupay::{self, Azupay};
use self::emulators::buckaroo::{self, Buckaroo};
use self::emulators::mangopay::{self, Mangopay};
use self::emulators::mazooma::{self, Mazooma};
use self::emulators::partner_api::{self, PartnerApi};
use self::emulators::{Clock, Emulator};
use self::vendor_support::by_hand::{
    ACCEPT, FORM, GRANT, JSON, basic, claims, form, refuses, send, token,
};

/// Seconds to turn, and the clock that shows them.
fn clock_by_hand() -> (Arc<AtomicU64>, Clock) {
    let time = Arc::new(AtomicU64::new(1_700_000_000));
    let shown = Arc::clone(&time);
    let clock = Arc::new(move || Duration::from_secs(shown.load(Ordering::Relaxed)));
    (time, clock)
}

#[tokio::test]
async fn mazooma_wants_a_form_with_its_credentials_and_its_headers_on_every_call() {
    let vendor = Emulator::start(Mazooma::default()).await;
    let at = "/register/oauth/token";
    let credentials = |secret| {
        let id = form(&[("client_id", mazooma::CLIENT_ID)]);
        format!("{GRANT}&{id}&{}", form(&[("client_secret", secret)]))
    };
    let right = credentials(mazooma::CLIENT_SECRET);
    let wrong_grant = right.replace("client_credentials", "password");
    let (twice, more) = (format!("{right}&{GRANT}"), format!("{right}&scope=report"));
    let authorization = ("authorization", "Basic eDp5");
    refuses(
        &vendor,
        &[
            (405, "GET", at, &[FORM], &right),
            (401, "POST", "/oauth/token", &[FORM], &right),
            (400, "POST", at, &[JSON], &right),
            (400, "POST", at, &[], &right),
            (400, "POST", at, &[FORM], &wrong_grant),
            (400, "POST", at, &[FORM], GRANT),
            (400, "POST", at, &[FORM], &twice),
            (400, "POST", at, &[FORM], &more),
            (400, "POST", at, &[FORM, authorization], &right),
            (401, "POST", at, &[FORM], &credentials("wrong")),
        ],
    )
    .await;

    let token = format!("Bearer {}", token(&vendor, "POST", &[FORM], &right).await);
    let token = ("authorization", token.as_str());
    let id = ("x-pgw-client-id", mazooma::CLIENT_ID);
    let app = ("x-pgw-app-id", mazooma::APP_ID);
    refuses(
        &vendor,
        &[
            (200, "GET", "/report", &[token, id, app, JSON], ""),
            (401, "GET", "/report", &[id, app, JSON], ""),
            (400, "GET", "/report", &[token, app, JSON], ""),
            (400, "GET", "/report", &[token, id, JSON], ""),
            (400, "GET", "/report", &[token, id, app], ""),
            (
                400,
                "GET",
                "/report",
                &[token, id, ("x-pgw-app-id", "x"), JSON],
                "",
            ),
            (405, "PUT", "/report", &[token, id, app, JSON], ""),
            (404, "GET", "/other", &[token, id, app, JSON], ""),
        ],
    )
    .await;
    assert_eq!((vendor.accepted(), vendor.token_requests()), (1, 10));
    vendor.revoke_all();
    refuses(
        &vendor,
        &[(401, "GET", "/report", &[token, id, app, JSON], "")],
    )
    .await;
}

#[tokio::test]
async fn mangopay_wants_http_basic_and_knows_when_a_token_ends() {
    let (time, clock) = clock_by_hand();
    let vendor = Emulator::start_with_clock(Mangopay::default(), clock).await;
    let at = "/v2.01/oauth/token";
    let right = basic(mangopay::CLIENT_ID, mangopay::API_KEY);
    let wrong = basic(mangopay::CLIENT_ID, "wrong");
    let (right, wrong) = (
        ("authorization", right.as_str()),
        ("authorization", wrong.as_str()),
    );
    let more = format!("{GRANT}&scope=x");
    refuses(
        &vendor,
        &[
            (405, "GET", at, &[FORM, right], GRANT),
            (401, "POST", "/oauth/token", &[FORM, right], GRANT),
            (400, "POST", at, &[JSON, right], GRANT),
            (400, "POST", at, &[FORM, right], "grant_type=password"),
            (400, "POST", at, &[FORM, right], &more),
            (401, "POST", at, &[FORM, wrong], GRANT),
            (401, "POST", at, &[FORM], GRANT),
        ],
    )
    .await;

    let token = token(&vendor, "POST", &[FORM, right], GRANT).await;
    let token = format!("Bearer {token}");
    let token = ("authorization", token.as_str());
    let users = "/v2.01/ExampleClientId/users";
    refuses(
        &vendor,
        &[
            (200, "GET", users, &[token], ""),
            (404, "GET", "/v2.01/Other/users", &[token], ""),
            (401, "GET", users, &[right], ""),
        ],
    )
    .await;
    time.fetch_add(3600, Ordering::Relaxed);
    let (status, answer) = send(&vendor, "GET", users, &[token], "").await;
    assert_eq!(status, 401);
    assert!(answer.contains("Authorization credentials not valid"));
}

#[tokio::test]
async fn mangopay_blocks_an_account_that_asks_too_often_until_it_has_kept_quiet() {
    let (time, clock) = clock_by_hand();
    let vendor = Emulator::start_with_clock(Mangopay::default(), clock).await;
    let right = basic(mangopay::CLIENT_ID, mangopay::API_KEY);
    let headers = [FORM, ("authorization", right.as_str())];

    for _ in 0..mangopay::BLOCK_LIMIT {
        token(&vendor, "POST", &headers, GRANT).await;
    }
    assert!(!vendor.vendor().was_blocked());
    let (status, answer) = send(&vendor, "POST", "/v2.01/oauth/token", &headers, GRANT).await;
    assert_eq!(status, 400);
    assert!(answer.contains("Account temporarily blocked"));
    assert!(vendor.vendor().was_blocked());

    time.fetch_add(3600, Ordering::Relaxed);
    token(&vendor, "POST", &headers, GRANT).await;
}

#[tokio::test]
async fn buckaroo_wants_a_get_with_a_body_and_linked_scopes() {
    let vendor = Emulator::start(Buckaroo::with_scope_parameter("Scopes")).await;
    let at = "/oauth/token";
    let right = basic(buckaroo::CLIENT_ID, buckaroo::CLIENT_SECRET);
    let wrong = basic(buckaroo::CLIENT_ID, "wrong");
    let (right, wrong) = (
        ("authorization", right.as_str()),
        ("authorization", wrong.as_str()),
    );
    let body = format!("{GRANT}&Scopes=payments:read");
    refuses(
        &vendor,
        &[
            (405, "POST", at, &[FORM, right], &body),
            (400, "GET", at, &[JSON, right], &body),
            (401, "GET", at, &[FORM, wrong], &body),
            (401, "GET", at, &[FORM], &body),
            (400, "GET", at, &[FORM, right], "Scopes=payments:read"),
            (400, "GET", at, &[FORM, right], GRANT),
            (
                400,
                "GET",
                at,
                &[FORM, right],
                &format!("{GRANT}&scope=payments:read"),
            ),
            (
                400,
                "GET",
                at,
                &[FORM, right],
                &format!("{body}+payments:write"),
            ),
            (400, "GET", at, &[FORM, right], &format!("{body}&x=y")),
        ],
    )
    .await;

    let token = token(&vendor, "GET", &[FORM, right], &body).await;
    let claims = claims(&token);
    let lifetime = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    assert_eq!(lifetime, 24 * 60 * 60);
    let token = format!("Bearer {token}");
    let token = ("authorization", token.as_str());
    refuses(
        &vendor,
        &[
            (200, "GET", "/payments", &[token, JSON], ""),
            (400, "GET", "/payments", &[token], ""),
            (403, "POST", "/payments/refund", &[token, JSON], ""),
        ],
    )
    .await;
}

#[tokio::test]
async fn the_partner_api_wants_json_and_answers_with_a_long_token_and_fractions() {
    let vendor = Emulator::start(PartnerApi::default()).await;
    let at = "/api/oauth/token";
    let body = |grant: &str, secret: &str| {
        serde_json::json!({
            "grant_type": grant,
            "client_id": partner_api::CLIENT_ID,
            "client_secret": secret,
        })
        .to_string()
    };
    let right = body("client_credentials", partner_api::CLIENT_SECRET);
    let with_more = right.replace('}', r#","scope":""}"#);
    let with_number = right.replace('}', r#","x":1}"#);
    refuses(
        &vendor,
        &[
            (405, "GET", at, &[ACCEPT, JSON], &right),
            (406, "POST", at, &[JSON], &right),
            (400, "POST", at, &[ACCEPT], &right),
            (400, "POST", at, &[ACCEPT, FORM], GRANT),
            (400, "POST", at, &[ACCEPT, JSON], &with_more),
            (400, "POST", at, &[ACCEPT, JSON], &with_number),
            (400, "POST", at, &[ACCEPT, JSON], &body("password", "x")),
            (
                401,
                "POST",
                at,
                &[ACCEPT, JSON],
                &body("client_credentials", "x"),
            ),
        ],
    )
    .await;

    let token = token(&vendor, "POST", &[ACCEPT, JSON], &right).await;
    assert_eq!(token.len(), partner_api::TOKEN_LENGTH);
    let claims = claims(&token);
    let lifetime = claims["exp"].as_f64().unwrap() - claims["iat"].as_f64().unwrap();
    assert!(
        (lifetime - 3600.0 + partner_api::SHORT_BY).abs() < 1e-4,
        "{lifetime}"
    );
    assert!(lifetime.fract() > 0.9);
}

#[tokio::test]
async fn azupay_hands_out_the_secret_once_and_against_the_api_key_and_its_signature() {
    let sign: azupay::Sign = Arc::new(|method, path, body| format!("{method}{path}{}", body.len()));
    let vendor = Emulator::start(Azupay::with_signature_required(sign)).await;
    let at = azupay::BOOTSTRAP_PATH;
    let key = ("authorization", azupay::API_KEY);
    let signature = format!("POST{at}2");
    let signature = (azupay::SIGNATURE_HEADER, signature.as_str());
    refuses(
        &vendor,
        &[
            (404, "GET", at, &[key], ""),
            (401, "POST", at, &[JSON, signature], "{}"),
            (401, "POST", at, &[key, JSON], "{}"),
            (401, "POST", at, &[key, JSON, signature], "{ }"),
            (400, "POST", at, &[key, signature], "{}"),
            (405, "PUT", at, &[key], ""),
        ],
    )
    .await;

    for (method, has_secret) in [("POST", true), ("GET", false), ("POST", false)] {
        let (status, answer) = send(&vendor, method, at, &[key, JSON, signature], "{}").await;
        assert_eq!(status, 200);
        let details: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(details.get("oauth2ClientSecret").is_some(), has_secret);
        assert_eq!(details["oauth2ClientId"], azupay::CLIENT_ID);
    }
}

#[tokio::test]
async fn azupay_leaves_out_scopes_that_are_not_allowed_and_checks_the_others_by_route() {
    let vendor = Emulator::start(Azupay::default()).await;
    let at = "/oauth2/token";
    let key = ("authorization", azupay::API_KEY);
    let credentials = |scope| {
        let (id, secret) = (azupay::CLIENT_ID, azupay::CLIENT_SECRET);
        let scope = form(&[("scope", scope)]);
        format!("{GRANT}&client_id={id}&client_secret={secret}&{scope}")
    };
    let right = credentials("RestAPI/GET:balance RestAPI/GET:secrets");
    refuses(
        &vendor,
        &[
            (400, "POST", at, &[FORM], &right), // Not enabled yet.
            (200, "POST", azupay::BOOTSTRAP_PATH, &[key, JSON], "{}"),
            (405, "GET", at, &[FORM], &right),
            (400, "POST", at, &[JSON], &right),
            (400, "POST", at, &[FORM, key], &right),
            (
                400,
                "POST",
                at,
                &[FORM],
                &credentials("RestAPI/GET:secrets"),
            ),
            (
                400,
                "POST",
                at,
                &[FORM],
                &right.replace(azupay::CLIENT_ID, azupay::AZUPAY_CLIENT_ID),
            ),
            (400, "POST", at, &[FORM], &format!("{right}&x=y")),
        ],
    )
    .await;

    let token = token(&vendor, "POST", &[FORM], &right).await;
    assert_eq!(claims(&token)["scope"], "RestAPI/GET:balance");
    let token = format!("Bearer {token}");
    let token = ("authorization", token.as_str());
    refuses(
        &vendor,
        &[
            (200, "GET", "/v1/balance", &[token, ACCEPT], ""),
            (406, "GET", "/v1/balance", &[token], ""),
            (403, "GET", "/v1/payment", &[token, ACCEPT], ""),
            (403, "POST", "/v1/payment/search", &[token, ACCEPT], ""),
            (404, "GET", "/v1/secrets", &[token, ACCEPT], ""),
            (401, "GET", "/v1/balance", &[ACCEPT], ""),
        ],
    )
    .await;
}
