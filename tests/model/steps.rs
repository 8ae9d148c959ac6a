//! One step each: something happens, all that follows from it, and what must have.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use http::{Request, StatusCode};
use tokio::runtime::Runtime;
use tokio_test::task::spawn;
use tower::ServiceExt;
use tower_bearer::AccessToken;

use crate::ops::{Key, Life, Say, Turn};
use crate::outcome::{Outcome, got, responded};
use crate::spec::{Caller, What};
use crate::system::{System, pick_of};
use crate::token::Identity;
use crate::world::{Answer, SentBy, token_request};

impl System {
    pub(crate) fn call(&mut self, what: What, key: Key) {
        self.model.start_step();
        let before = self.model.before(key);
        let caller = self.callers.len();
        self.callers
            .push(Some(spawn(self.future(what, key, caller))));
        self.model.callers.push(Caller {
            what,
            key,
            sends: Vec::new(),
            found_it_shut: self.model.shut,
            is_done: false,
            is_gone: false,
        });
        match what {
            What::Close => self.model.closed = true,
            What::Refresh => self.model.key(key).refresh_wanted = true,
            What::Request | What::Token => {}
        }
        self.poll(caller);
        if what != What::Close {
            self.model.must_not_wait(caller, &before);
        }
        self.settle();
        let reaches_the_cache = what != What::Request || !self.model.shut;
        if what != What::Close && reaches_the_cache {
            self.model.must_have_begun(what, key, &before);
        }
    }

    /// A request, a 401 to it and a new token.
    pub(crate) fn revoke(&mut self, key: Key, has_worked: bool) {
        if has_worked {
            self.call(What::Request, key);
            self.respond_to_last(StatusCode::OK);
        }
        self.call(What::Request, key);
        self.respond_to_last(StatusCode::UNAUTHORIZED);
        if let Some(&fetch) = self.world.unanswered(key).first() {
            self.answer(fetch, Say::New(Life::Long));
        }
    }

    fn respond_to_last(&mut self, status: StatusCode) {
        if let Some(&send) = self.world.in_flight().last() {
            self.respond(send, status);
        }
    }

    fn future(
        &self,
        what: What,
        key: Key,
        caller: usize,
    ) -> Pin<Box<dyn Future<Output = Outcome>>> {
        let cache = self.cache.for_request(&token_request(key));
        match what {
            What::Request => {
                let mut request =
                    Request::get("https://api.example.com/").extension(SentBy(caller));
                if key != Key::A {
                    request = request.extension(token_request(key));
                }
                let request = request.body(caller.to_string()).expect("a request");
                let response = self.service.clone().oneshot(request);
                Box::pin(async move { responded(response.await) })
            }
            What::Token => Box::pin(async move { got(cache.token().await) }),
            What::Refresh => Box::pin(async move { got(cache.refresh().await) }),
            What::Close => Box::pin(async move {
                cache.close().await;
                Outcome::Closed
            }),
        }
    }

    pub(crate) fn warm_up(&mut self, key: Key) {
        self.model.start_step();
        let before = self.model.before(key);
        {
            let _entered = self.runtime.as_ref().map(Runtime::enter);
            self.cache.for_request(&token_request(key)).warm_up();
        }
        self.settle();
        // Only a task would have done anything yet, and a token that is there is left alone.
        if self.model.driven && !before.has_token() {
            self.model.must_have_begun(What::Token, key, &before);
        }
    }

    pub(crate) fn invalidate(&mut self, key: Key, text: &str) {
        self.model.start_step();
        self.model.rejects(key, text, Identity::Same, None);
        let token = AccessToken::new(text).expect("visible ASCII");
        self.cache
            .for_request(&token_request(key))
            .invalidate(&token);
        self.settle();
    }

    pub(crate) fn reset_backoff(&mut self) {
        self.model.start_step();
        self.cache.reset_backoff();
        self.model.pause = Default::default();
        for keyed in self.model.keys.values_mut() {
            keyed.pause = Default::default();
        }
        self.settle();
    }

    pub(crate) fn respond(&mut self, send: usize, status: StatusCode) {
        self.model.start_step();
        let (key, token) = {
            let sent = &self.model.sends[send];
            (self.model.callers[sent.caller].key, sent.token.clone())
        };
        let now = self.model.now;
        let current = self
            .model
            .key(key)
            .usable(now)
            .map(|current| current.text.clone());
        self.world.respond(send, status);
        self.settle();
        if status == StatusCode::UNAUTHORIZED {
            if let Some(current) = current.filter(|current| *current != token) {
                self.model.must_be_sent_again(send, &current);
            }
        }
    }

    pub(crate) fn answer(&mut self, fetch: usize, say: Say) {
        self.reply(fetch, say);
        self.settle();
    }

    /// The answer is there, and nobody has seen it yet.
    pub(crate) fn reply(&mut self, fetch: usize, say: Say) {
        self.model.start_step();
        let key = self.world.key_of(fetch);
        let issued = &self.model.key(key).issued;
        let again = match say {
            Say::Same(_) => issued.last().cloned(),
            Say::Older(pick, _) => pick_of(issued, pick),
            _ => None,
        };
        let answer = match say {
            Say::Fail(fault, asked) => Answer::Fail(fault, asked),
            Say::Panic => Answer::Panic,
            Say::New(life) | Say::Same(life) | Say::Older(_, life) => {
                self.issued += 1;
                let text = again.unwrap_or_else(|| format!("{key:?}-{}", self.issued));
                Answer::Token(text, life)
            }
        };
        if let Answer::Token(text, _) = &answer {
            self.model.key(key).issued.push(text.clone());
        }
        self.model.fetches[fetch].is_answered = true;
        self.world.answer(fetch, answer);
    }

    pub(crate) fn leave(&mut self, caller: usize) {
        self.model.callers[caller].is_gone = true;
        let _entered = self.runtime.as_ref().map(Runtime::enter);
        self.callers[caller] = None;
    }

    pub(crate) fn advance(&mut self, turn: Turn) {
        self.model.start_step();
        let now = self.model.now;
        let current = |key| self.model.keys.get(&key)?.current.as_ref();
        let by = match turn {
            Turn::Millis(millis) => Duration::from_millis(millis),
            Turn::IntoWindow(key) => current(key)
                .map_or(now, |c| c.stale_from())
                .saturating_sub(now),
            Turn::ToEnd(key) => current(key).map_or(now, |c| c.expires).saturating_sub(now),
            Turn::ToRefill(key, just_before) => {
                let keyed = self.model.keys.get(&key);
                let at = keyed.map_or(now, |keyed| keyed.budget.refilled_at());
                let early = Duration::from_millis(u64::from(just_before));
                at.saturating_sub(now).saturating_sub(early)
            }
            Turn::PastPause(key) => {
                let own = self
                    .model
                    .keys
                    .get(&key)
                    .map_or(now, |keyed| keyed.pause.end());
                own.max(self.model.pause.end()).saturating_sub(now)
            }
        };
        self.model.now += by;
        self.clock.advance(by);
        self.settle();
    }

    pub(crate) fn set_shut(&mut self, shut: bool) {
        self.model.start_step();
        self.model.shut = shut;
        self.world.set_shut(shut);
        self.settle();
    }
}
