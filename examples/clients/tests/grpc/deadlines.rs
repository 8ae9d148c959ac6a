use std::time::Duration;

use tonic::{Code, Request};
use tower_bearer_clients::grpc::echo::Words;

use super::support::{Site, without_hanging, words};

/// Long enough for what is to happen before it.
const DEADLINE: Duration = Duration::from_secs(1);

fn with_deadline(text: &str) -> Request<Words> {
    let mut request = Request::new(words(text));
    request.set_timeout(DEADLINE);
    request
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_and_keeps_its_token() {
    let site = Site::start().await;
    let mut client = site.client();
    client.say(words("first")).await.unwrap();
    site.server.hold_answers();

    let status = without_hanging(client.say(with_deadline("second"))).await;
    assert_eq!(status.unwrap_err().code(), Code::Cancelled);
    site.server.release_answers();

    without_hanging(client.say(words("third"))).await.unwrap();
    assert_eq!(site.counts(), [1, 3, 0]);
}

#[tokio::test]
async fn what_is_sent_again_has_the_deadline_too() {
    let site = Site::start().await;
    let mut client = site.client_with_revoked_token().await;
    site.server.hold_answers();

    let status = without_hanging(client.say(with_deadline("second"))).await;
    assert_eq!(status.unwrap_err().code(), Code::Cancelled);

    assert_eq!(site.counts(), [2, 3, 1]);
    let heads = site.server.heads();
    let timeouts: Vec<_> = heads.iter().map(|head| head.get("grpc-timeout")).collect();
    assert_eq!(timeouts[0], None);
    assert!(timeouts[1].is_some());
    assert_eq!(timeouts[1], timeouts[2]);
}

#[tokio::test]
async fn a_limit_around_the_call_covers_the_wait_for_a_token() {
    let site = Site::start().await;
    let mut client = site.client();
    site.issuer.hold_answers();

    let soon = Duration::from_millis(50);
    let call = tokio::time::timeout(soon, client.say(words("first"))).await;
    assert!(call.is_err());
    // As it was not sent.
    assert_eq!(site.server.received(), 0);
    site.issuer.release_answers();

    without_hanging(client.say(words("second"))).await.unwrap();
    assert_eq!(site.counts(), [1, 1, 0]);
}
