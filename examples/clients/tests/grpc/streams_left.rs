//! Calls whose callers go away.

use tonic::Code;
use tower_bearer_clients::grpc::echo::RepeatRequest;

use super::support::{Site, mouth, without_hanging, words};

#[tokio::test]
async fn a_call_that_is_dropped_while_it_waits_for_a_token_leaves_it_to_the_next() {
    let site = Site::start().await;
    let mut client = site.client();
    site.issuer.hold_answers();

    let mut for_call = client.clone();
    let call = tokio::spawn(async move { for_call.say(words("never mind")).await });
    site.issuer.has_seen(1).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    site.issuer.release_answers();

    without_hanging(client.say(words("hello"))).await.unwrap();
    assert_eq!(site.counts(), [1, 1, 0]);
}

#[tokio::test]
async fn a_call_that_is_dropped_after_its_rejection_leaves_the_new_token_to_the_next() {
    let site = Site::start().await;
    let mut client = site.client_with_revoked_token().await;
    site.issuer.hold_answers();

    let (say, said) = mouth(1);
    let mut for_call = client.clone();
    let call = tokio::spawn(async move { for_call.listen(said).await });
    site.issuer.has_seen(2).await;
    call.abort();
    assert!(call.await.is_err());
    // Its request is gone with it.
    without_hanging(say.closed()).await;
    site.issuer.release_answers();

    without_hanging(client.say(words("hello"))).await.unwrap();
    assert_eq!(site.counts(), [2, 3, 1]);
}

#[tokio::test]
async fn the_server_hears_of_a_call_that_is_dropped() {
    let site = Site::start().await;
    let mut client = site.client();
    site.server.hold_answers();

    let call = tokio::spawn(async move { client.say(words("never mind")).await });
    site.server.has_accepted(1).await;
    call.abort();

    site.server.was_left(1).await;
    assert_eq!(site.counts(), [1, 1, 0]);
}

#[tokio::test]
async fn the_server_hears_of_a_call_that_is_dropped_when_it_was_sent_again() {
    let site = Site::start().await;
    let mut client = site.client_with_revoked_token().await;
    site.server.hold_answers();

    let call = tokio::spawn(async move { client.say(words("never mind")).await });
    site.server.has_accepted(2).await;
    call.abort();

    site.server.was_left(1).await;
    assert_eq!(site.counts(), [2, 3, 1]);
}

#[tokio::test]
async fn nothing_more_is_read_of_a_request_stream_that_was_sent_again_and_dropped() {
    let site = Site::start().await;
    let mut client = site.client_with_revoked_token().await;

    let (say, said) = mouth(1);
    let call = tokio::spawn(async move { client.listen(said).await });
    site.server.has_accepted(2).await;
    call.abort();

    without_hanging(say.closed()).await;
    assert_eq!(site.counts(), [2, 3, 1]);
}

#[tokio::test]
async fn an_endless_answer_ends_when_nobody_listens() {
    let site = Site::start().await;
    let mut client = site.client();

    let request = RepeatRequest {
        text: "for ever".into(),
        times: u64::MAX,
        ends_with: Code::Ok.into(),
    };
    let mut answers = client.repeat(request).await.unwrap().into_inner();
    for _ in 0..10 {
        let answer = without_hanging(answers.message()).await.unwrap();
        assert_eq!(answer, Some(words("for ever")));
    }
    drop(answers);

    site.server.was_left(1).await;
    without_hanging(client.say(words("hello"))).await.unwrap();
    assert_eq!(site.counts(), [1, 2, 0]);
}
