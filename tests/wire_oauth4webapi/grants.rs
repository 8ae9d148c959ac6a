//! Other grants than client credentials.

use serde_json::json;
use tower_bearer::oauth2::{
    ActorToken, Assertion, ClientAuth, Credential, JwtBearer, RefreshToken, SubjectToken,
    TokenExchange, TokenTypeIdentifier,
};

use super::sent::{TOKEN_ENDPOINT, ours, theirs};
use super::{texts, wish};

#[tokio::test]
async fn the_refresh_token_grant_is_the_same() {
    let texts = texts();
    let wishes = texts.iter().map(|text| {
        let mut wish = wish("none", "me", "unused");
        wish["grant_type"] = json!("refresh_token");
        wish["refresh_token"] = json!(text);
        wish["parameters"] = json!([["scope", "a b"]]);
        wish
    });
    let theirs = or_skip!(theirs(wishes.collect()));

    for (text, theirs) in texts.iter().zip(theirs) {
        let builder = RefreshToken::builder(TOKEN_ENDPOINT, "me", Credential::none(), &**text);
        let ours = ours(builder.with_scope("a b")).await;
        ours.assert_same_as(&theirs);
        assert_eq!(ours.parameter("refresh_token"), *text);
    }
}

#[tokio::test]
async fn token_exchange_is_the_same() {
    let texts = texts();
    let exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
    let wishes = texts.iter().map(|text| {
        let mut wish = wish("client_secret_post", "me", text);
        wish["grant_type"] = json!(exchange);
        wish["parameters"] = json!([
            ["subject_token", text],
            ["subject_token_type", "urn:ietf:params:oauth:token-type:jwt"],
            ["actor_token", format!("{text} of the actor")],
            [
                "actor_token_type",
                "urn:ietf:params:oauth:token-type:access_token"
            ],
            ["requested_token_type", "urn:example:a+b%20c"],
            ["audience", text],
            ["scope", "a b"],
        ]);
        wish
    });
    let theirs = or_skip!(theirs(wishes.collect()));

    for (text, theirs) in texts.iter().zip(theirs) {
        let subject = SubjectToken::new(TokenTypeIdentifier::JWT, text);
        let actor = format!("{text} of the actor");
        let actor = ActorToken::new(TokenTypeIdentifier::ACCESS_TOKEN, actor);
        let builder = TokenExchange::builder(TOKEN_ENDPOINT, subject)
            .with_client("me", text.as_str())
            .with_client_auth(ClientAuth::Post)
            .with_actor_token(actor)
            .with_requested_token_type(TokenTypeIdentifier::from("urn:example:a+b%20c"))
            .with_audience(text)
            .with_scope("a b");
        let ours = ours(builder).await;
        ours.assert_same_as(&theirs);
        assert_eq!(ours.parameter("subject_token"), *text);
    }
}

#[tokio::test]
async fn the_jwt_bearer_grant_is_the_same() {
    let texts = texts();
    let jwt = "eyJhbGciOiJub25lIn0.e30.-_";
    let wishes = texts.iter().map(|text| {
        let mut wish = wish("client_secret_basic", text, "secret");
        wish["grant_type"] = json!("urn:ietf:params:oauth:grant-type:jwt-bearer");
        wish["parameters"] = json!([["assertion", jwt], ["scope", "a b"]]);
        wish
    });
    let theirs = or_skip!(theirs(wishes.collect()));

    for (text, theirs) in texts.iter().zip(theirs) {
        let assertion = Assertion::from_fn(move |_| async move { Ok(jwt.to_owned()) });
        let builder = JwtBearer::builder(TOKEN_ENDPOINT, assertion)
            .with_client(text, "secret")
            .with_scope("a b");
        ours(builder).await.assert_same_as(&theirs);
    }
}
