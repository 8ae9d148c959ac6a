//! Calls that are not rejected, or only before anything was said.

use tokio_stream::StreamExt;
use tonic::Code;
use tower_bearer_clients::grpc::echo::RepeatRequest;

use super::support::{LIMIT, Site, mouth, without_hanging, words};

#[tokio::test]
async fn a_thousand_words_are_answered_one_by_one_while_the_request_goes_on() {
    let site = Site::start().await;
    let mut client = site.client();

    let (say, said) = mouth(1);
    let mut answers = without_hanging(client.talk(said))
        .await
        .unwrap()
        .into_inner();
    for number in 0..1000 {
        say.send(words(number.to_string())).await.unwrap();
        let answer = without_hanging(answers.message()).await.unwrap();
        assert_eq!(answer, Some(words(number.to_string())));
    }
    drop(say);

    assert_eq!(without_hanging(answers.message()).await.unwrap(), None);
    assert_eq!(site.counts(), [1, 1, 0]);
}

#[tokio::test]
async fn a_request_stream_longer_than_the_limit_arrives_as_it_is() {
    let site = Site::start().await;
    let mut client = site.client();

    let texts: Vec<_> = (0..100).map(|n| format!("{n:1000}")).collect();
    assert!(texts.concat().len() > LIMIT);
    let said = tokio_stream::iter(texts.clone()).map(words);
    let heard = without_hanging(client.listen(said))
        .await
        .unwrap()
        .into_inner();

    assert_eq!((heard.messages, heard.text), (100, texts.concat()));
    assert_eq!(site.counts(), [1, 1, 0]);
}

#[tokio::test]
async fn a_request_for_a_stream_is_sent_again_and_all_of_it_comes() {
    let site = Site::start().await;
    let mut client = site.client_with_revoked_token().await;

    let request = RepeatRequest {
        text: "again".into(),
        times: 1000,
        ends_with: Code::Ok.into(),
    };
    let answers = without_hanging(client.repeat(request)).await.unwrap();
    let answers = answers.into_inner().map(Result::unwrap);
    let answers: Vec<_> = without_hanging(answers.collect()).await;

    assert_eq!(answers, vec![words("again"); 1000]);
    assert_eq!(site.counts(), [2, 3, 1]);
}

#[tokio::test]
async fn a_rejection_after_the_server_has_begun_to_answer_is_the_callers() {
    let site = Site::start().await;
    let mut client = site.client();

    let request = RepeatRequest {
        text: "once".into(),
        times: 1,
        ends_with: Code::Unauthenticated.into(),
    };
    let answers = without_hanging(client.repeat(request)).await.unwrap();
    let mut answers = answers.into_inner();
    let first = without_hanging(answers.message()).await.unwrap();
    assert_eq!(first, Some(words("once")));
    let status = without_hanging(answers.message()).await.unwrap_err();

    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(status.message(), "that was all");
    // Nor is the token dropped.
    without_hanging(client.say(words("next"))).await.unwrap();
    assert_eq!(site.counts(), [1, 2, 0]);
}
