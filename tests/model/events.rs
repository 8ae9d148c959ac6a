//! What each event means to the model.

use std::time::Duration;

use http::StatusCode;

use crate::ops::{Key, RetryAfter};
use crate::spec::{Fetch, Kind, LIMIT, MOST_FETCHES, MOST_ON_TRUST, Model, Sent};
use crate::token::{Current, Identity, Standing};
use crate::world::{Answer, Event, Seen};

impl Model {
    pub(crate) fn see(&mut self, seen: Seen) {
        self.look(&seen.usable);
        self.events += 1;
        match seen.event {
            Event::Began {
                fetch,
                key,
                rejected,
            } => self.begins(fetch, key, rejected.as_deref()),
            Event::Ended { fetch, answer } => self.ends(fetch, answer),
            Event::Sent {
                send,
                caller,
                token,
            } => self.sends(send, caller, token.expect("no send without a token")),
            Event::Replied { send, status } => self.replies(send, status),
        }
    }

    /// As [`see`](Self::see), once there is nobody to look.
    pub(crate) fn see_without_handles(&mut self, seen: Seen) {
        match seen.event {
            Event::Began { key, .. } => panic!("{key:?}: a fetch begins without a handle"),
            Event::Ended { fetch, answer } => self.ends(fetch, answer),
            other => panic!("{other:?} without a handle"),
        }
    }

    fn begins(&mut self, fetch: usize, key: Key, rejected: Option<&str>) {
        let now = self.now;
        assert!(!self.closed, "{key:?}: a fetch begins after `close`");
        assert!(!self.abandoned, "{key:?}: a fetch begins without a handle");
        assert!(!self.is_paused(key), "{key:?}: a fetch begins in a pause");
        assert!(self.running(key).is_none(), "{key:?}: two fetches at once");
        let others = self.running_within_limit();
        assert!(others < MOST_FETCHES, "more than sixteen fetches at once");
        assert!(
            self.answered || others < MOST_ON_TRUST,
            "five fetches, none answered yet"
        );
        assert!(
            !self.distrusted || others == 0,
            "two fetches at once after a failure"
        );
        if others + 1 == MOST_FETCHES {
            self.tally.add("sixteen fetches at once");
        }

        let driven = self.driven;
        let keyed = self.keys.entry(key).or_default();
        if let Some(current) = keyed.usable(now) {
            let stale = driven && current.may_be_stale(now);
            let needed = stale || current.was_rejected() || keyed.refresh_wanted;
            assert!(needed, "{key:?}: a fetch that nobody needs");
            if stale {
                self.tally.add("fetch in the background");
            }
        }
        keyed.refresh_wanted = false;
        if !keyed.budget.is_blurred {
            assert_eq!(
                rejected,
                keyed.rejected_text(),
                "{key:?}: the provider is misinformed"
            );
        }
        self.fetches.push(Fetch {
            key,
            began: now,
            began_after: self.events,
            is_answered: false,
            is_over: false,
        });
        assert_eq!(self.fetches.len(), fetch + 1);
        self.began.push(key);
    }

    fn ends(&mut self, fetch: usize, answer: Option<Answer>) {
        let now = self.now;
        let ended = &mut self.fetches[fetch];
        ended.is_over = true;
        let (key, began, began_after) = (ended.key, ended.began, ended.began_after);
        match answer {
            Some(Answer::Token(text, life)) if now < began + life.duration() => {
                self.is_answered(began);
                let keyed = self.key(key);
                keyed.pause.succeed(began);
                let condemned_since = keyed.current.as_ref().is_some_and(|current| {
                    matches!(current.standing, Standing::Condemned(at) if at >= began_after)
                });
                if condemned_since && keyed.text() == Some(&text) {
                    keyed.superseded += 1;
                    self.tally.add("superseded fetch");
                    return;
                }
                keyed.install(Current::new(text, began, life));
                let waited_for = self.callers.iter().any(|c| c.key == key && c.is_waiting());
                if !waited_for {
                    self.tally.add("fetch that nobody waits for any more");
                }
            }
            Some(Answer::Token(..)) => self.fails(key, began, Kind::Expired, None),
            Some(Answer::Fail(fault, asked)) => self.fails(key, began, fault.kind(), asked),
            Some(Answer::Panic) => self.fails(key, began, Kind::Panicked, None),
            None if self.abandoned && !self.driven => {}
            None => {
                assert!(
                    now >= began + LIMIT,
                    "{key:?}: a fetch is dropped before its time"
                );
                self.fails(key, began, Kind::TimedOut, None);
            }
        }
    }

    fn is_answered(&mut self, began: Duration) {
        self.answered = true;
        self.pause.succeed(began);
        if self.pause.is_forgotten() {
            self.distrusted = false;
        }
    }

    fn fails(&mut self, key: Key, began: Duration, kind: Kind, asked: Option<RetryAfter>) {
        self.tally.add(kind.name());
        self.tally.add_if(asked.is_some(), "failed: Retry-After");
        let of_one_key = matches!(kind, Kind::InvalidRequest | Kind::Expired) && asked.is_none();
        let asked = Duration::from_secs(asked.unwrap_or(0));
        let now = self.now;
        if of_one_key {
            self.is_answered(began);
            self.key(key).pause.fail(kind, asked, began, now);
        } else {
            self.distrusted = true;
            self.has_failed = true;
            self.pause.fail(kind, asked, began, now);
        }
        self.failed.push((key, kind));
        if let Some(current) = &mut self.key(key).current {
            if current.is_condemned() && now < current.expires {
                current.standing = Standing::PutBack;
                self.tally.add("put back");
            }
        }
    }

    fn sends(&mut self, send: usize, caller: usize, token: String) {
        let now = self.now;
        let key = self.callers[caller].key;
        let generation = self.key(key).generation;
        let first = self.callers[caller]
            .sends
            .first()
            .map(|&first| &self.sends[first]);
        if let Some(first) = first {
            assert_eq!(self.callers[caller].sends.len(), 1, "a third send");
            assert_eq!(
                first.reply,
                Some(StatusCode::UNAUTHORIZED),
                "sent again, but why?"
            );
            // There was another, and it came back while the service was not ready: the first 401 has gone.
            let was_shut = self.callers[caller].found_it_shut;
            assert!(
                first.token != token || was_shut,
                "sent again with the token that was rejected"
            );
            self.tally.add("retry with another token");
        }
        let keyed = self.keys.entry(key).or_default();
        let usable = keyed.usable(now);
        assert_eq!(
            Some(&token),
            usable.map(|current| &current.text),
            "{key:?}: sent with another token than the one that can be used"
        );
        if usable.is_some_and(|current| current.standing == Standing::PutBack) {
            self.tally.add("sent with a token that was put back");
        } else if usable.is_some_and(|current| now >= current.stale_from()) {
            self.tally.add("sent with a stale token");
        }
        self.callers[caller].sends.push(send);
        self.sends.push(Sent {
            caller,
            token,
            generation,
            reply: None,
        });
        assert_eq!(self.sends.len(), send + 1);
    }

    fn replies(&mut self, send: usize, status: StatusCode) {
        let now = self.now;
        let sent = &mut self.sends[send];
        sent.reply = Some(status);
        let key = self.callers[sent.caller].key;
        let keyed = self.keys.entry(key).or_default();
        if status == StatusCode::OK {
            keyed.budget.accepted(sent.generation, now);
            return;
        }
        let identity = match sent.generation == keyed.generation {
            true => Identity::Same,
            false => Identity::SameText,
        };
        let (token, generation) = (sent.token.clone(), sent.generation);
        self.rejects(key, &token, identity, Some(generation));
    }

    /// A server rejected a token, or a caller says so.
    pub(crate) fn rejects(
        &mut self,
        key: Key,
        token: &str,
        identity: Identity,
        generation: Option<u64>,
    ) {
        let now = self.now;
        let keyed = self.key(key);
        keyed.budget.rejected(generation, now);
        match keyed.usable(now) {
            Some(current) if current.text == token => keyed.rejected = Some(identity),
            Some(_) => self
                .tally
                .add("late rejection of a token that was replaced"),
            None => self.tally.add("rejection of a token that went already"),
        }
    }
}
