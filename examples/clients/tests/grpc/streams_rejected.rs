//! Calls that are rejected while their request is on its way.

use tonic::Code;
use tower_bearer::rejection::NotRetriedReason;

use super::support::{LIMIT, Site, mouth, not_retried, without_hanging, words};

#[tokio::test]
async fn what_was_said_before_the_rejection_is_said_again_and_the_rest_follows() {
    let site = Site::start().await;
    let mut client = site.client_with_revoked_token().await;
    site.server.hold_arrivals();

    let (say, said) = mouth(1);
    let call = tokio::spawn(async move { client.listen(said).await });
    for number in 0..10 {
        without_hanging(say.send(words(format!("{number} "))))
            .await
            .unwrap();
    }
    site.server.has_received(2).await;
    site.server.release_arrivals();
    site.server.has_accepted(2).await;
    for number in 10..20 {
        without_hanging(say.send(words(format!("{number} "))))
            .await
            .unwrap();
    }
    drop(say);

    let heard = without_hanging(call).await.unwrap().unwrap().into_inner();
    let all: String = (0..20).map(|number| format!("{number} ")).collect();
    assert_eq!((heard.messages, heard.text), (20, all));
    assert_eq!(site.counts(), [2, 3, 1]);
}

#[tokio::test]
async fn what_is_said_while_a_token_is_fetched_is_not_lost() {
    let site = Site::start().await;
    let mut client = site.client_with_revoked_token().await;
    site.issuer.hold_answers();

    let (say, said) = mouth(1);
    let call = tokio::spawn(async move { client.listen(said).await });
    site.issuer.has_seen(2).await;
    // More than is kept, so that some has to wait.
    let texts: Vec<_> = (0..100).map(|n| format!("{n:1000}")).collect();
    let all = texts.concat();
    assert!(all.len() > LIMIT);
    let talker = tokio::spawn(async move {
        for text in texts {
            say.send(words(text)).await.unwrap();
        }
    });
    site.issuer.release_answers();

    let heard = without_hanging(call).await.unwrap().unwrap().into_inner();
    assert_eq!((heard.messages, heard.text), (100, all));
    without_hanging(talker).await.unwrap();
    assert_eq!(site.counts(), [2, 3, 1]);
}

#[tokio::test]
async fn a_stream_that_is_over_the_limit_when_it_is_rejected_is_sent_once() {
    let site = Site::start().await;
    let mut client = site.client_with_revoked_token().await;
    site.server.hold_arrivals();

    let (say, said) = mouth(1);
    let mut for_call = client.clone();
    let call = tokio::spawn(async move { for_call.listen(said).await });
    // Twice as much: the last few may not be sent yet.
    for _ in 0..2 * LIMIT / 1000 {
        without_hanging(say.send(words("x".repeat(1000))))
            .await
            .unwrap();
    }
    site.server.release_arrivals();

    let status = without_hanging(call).await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(status.message(), "token revoked");
    let reason = not_retried(&status);
    assert!(matches!(reason, Some(NotRetriedReason::BodyNotReplayable)));
    assert_eq!(site.counts(), [1, 2, 1]);
    // Nobody listens any more.
    without_hanging(say.closed()).await;

    without_hanging(client.say(words("next"))).await.unwrap();
    assert_eq!(site.counts(), [2, 3, 1]);
}

#[tokio::test]
async fn a_conversation_that_is_rejected_before_a_word_was_said_begins_anew() {
    let site = Site::start().await;
    let mut client = site.client_with_revoked_token().await;

    let (say, said) = mouth(1);
    let mut answers = without_hanging(client.talk(said))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(site.counts(), [2, 3, 1]);
    for number in 0..100 {
        say.send(words(number.to_string())).await.unwrap();
        let answer = without_hanging(answers.message()).await.unwrap();
        assert_eq!(answer, Some(words(number.to_string())));
    }
    drop(say);
    assert_eq!(without_hanging(answers.message()).await.unwrap(), None);
}

#[tokio::test]
async fn a_conversation_that_was_begun_by_the_caller_is_repeated_to_the_word() {
    let site = Site::start().await;
    let mut client = site.client_with_revoked_token().await;
    site.server.hold_arrivals();

    let (say, said) = mouth(1);
    let call = tokio::spawn(async move { client.talk(said).await });
    for number in 0..10 {
        without_hanging(say.send(words(number.to_string())))
            .await
            .unwrap();
    }
    site.server.release_arrivals();
    let answers = without_hanging(call).await.unwrap().unwrap();
    let mut answers = answers.into_inner();

    for number in 0..20 {
        let answer = without_hanging(answers.message()).await.unwrap();
        assert_eq!(answer, Some(words(number.to_string())));
        say.send(words((number + 10).to_string())).await.unwrap();
    }
    assert_eq!(site.counts(), [2, 3, 1]);
}

#[tokio::test]
async fn conversations_that_are_rejected_together_share_one_token_request() {
    let site = Site::start().await;
    let client = site.client_with_revoked_token().await;
    site.server.hold_arrivals();

    let calls: Vec<_> = (0..50)
        .map(|number| {
            let mut client = client.clone();
            tokio::spawn(async move {
                let (say, said) = mouth(1);
                say.send(words(number.to_string())).await.unwrap();
                let mut answers = client.talk(said).await.unwrap().into_inner();
                let answer = answers.message().await.unwrap();
                assert_eq!(answer, Some(words(number.to_string())));
            })
        })
        .collect();
    site.server.has_received(51).await;
    site.server.release_arrivals();

    for call in calls {
        without_hanging(call).await.unwrap();
    }
    assert_eq!(site.counts(), [2, 101, 50]);
}
