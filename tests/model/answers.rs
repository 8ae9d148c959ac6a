//! What callers may be told, and when they must not have to wait.

use http::StatusCode;

use crate::ops::Key;
use crate::outcome::{Outcome, Reason};
use crate::spec::{Kind, Model, What};

/// How things stood before a caller came.
pub(crate) struct Before {
    usable: Option<String>,
    /// The token is condemned, and would do if there is no other.
    could_be_put_back: bool,
    must_be_replaced: bool,
    has_fetch: bool,
    is_paused: bool,
    may_be_paused: bool,
}

impl Before {
    pub(crate) fn has_token(&self) -> bool {
        self.usable.is_some()
    }
}

impl Model {
    /// A caller has an answer: it must be one that follows from what has happened.
    pub(crate) fn finishes(&mut self, caller: usize, outcome: &Outcome) {
        let now = self.now;
        let this = &mut self.callers[caller];
        this.is_done = true;
        let (what, key, found_it_shut) = (this.what, this.key, this.found_it_shut);
        let sends = this.sends.clone();
        let keyed = self.keys.entry(key).or_default();
        let usable = keyed.usable(now).map(|current| current.text.clone());
        let issued_again = keyed.current.as_ref().is_some_and(|c| !c.was_rejected());
        match outcome {
            Outcome::Closed => {
                assert_eq!(what, What::Close);
                let running = self.fetches.iter().filter(|fetch| !fetch.is_over).count();
                assert_eq!(running, 0, "`close` does not wait for a fetch");
            }
            Outcome::Token(text) => {
                assert!(matches!(what, What::Token | What::Refresh));
                assert_eq!(Some(text), usable.as_ref(), "{key:?}: not the token to use");
            }
            Outcome::Response {
                status,
                send,
                not_retried,
            } => {
                assert_eq!(
                    sends.last(),
                    Some(send),
                    "not the response to what was sent last"
                );
                let sent = &self.sends[*send];
                assert_eq!(sent.reply, Some(*status), "not the response that was given");
                let rejected_once = *status == StatusCode::UNAUTHORIZED && sends.len() == 1;
                assert_eq!(rejected_once, not_retried.is_some(), "{not_retried:?}");
                let token = Some(sent.token.clone());
                match not_retried {
                    None => {}
                    Some(Reason::NotReplayable) => panic!("a `String` can be sent again"),
                    Some(Reason::SameToken) => {
                        assert_eq!(usable, token, "another token is to be had");
                        assert!(issued_again, "the issuer did not say so");
                        self.tally.add("the same token again");
                    }
                    Some(Reason::BudgetSpent) => {
                        assert_eq!(usable, token, "another token is to be had");
                        assert!(keyed.budget.has_been_spent(), "the budget cannot be spent");
                        self.tally.add("budget spent");
                    }
                    Some(Reason::FetchFailed(kind)) => {
                        self.tally.add("401 for want of another token");
                        self.assert_explained(key, *kind);
                    }
                }
            }
            // While the service was not ready, tokens may have come and gone.
            Outcome::Failed(Kind::Expired) if found_it_shut => {}
            Outcome::Failed(Kind::Expired) if what == What::Refresh && keyed.superseded >= 3 => {}
            Outcome::Failed(kind) => {
                assert!(
                    sends.is_empty() || found_it_shut,
                    "an error in place of the 401"
                );
                if what != What::Refresh && sends.is_empty() {
                    let would_do = keyed.current.as_ref().filter(|c| now < c.expires);
                    let would_do = would_do.map(|current| &current.text);
                    assert_eq!(would_do, None, "{key:?}: an error though there is a token");
                }
                self.assert_explained(key, *kind);
            }
        }
    }

    fn assert_explained(&self, key: Key, kind: Kind) {
        let explained = self.failed.contains(&(key, kind))
            || (self.closed && kind == Kind::Closed)
            || self.pause.told(self.now) == Some(kind)
            || self.keys[&key].pause.told(self.now) == Some(kind);
        assert!(explained, "{key:?}: {kind:?}, but nothing failed so");
    }

    pub(crate) fn before(&mut self, key: Key) -> Before {
        let now = self.now;
        let is_paused = self.is_paused(key) || self.closed;
        let may_be_paused = self.is_paused_perhaps(key) || self.closed;
        let has_fetch = self.running(key).is_some();
        let driven = self.driven;
        let current = self.key(key).current.as_ref();
        let usable = current.filter(|current| current.is_usable(now));
        Before {
            usable: usable.map(|current| current.text.clone()),
            could_be_put_back: current.is_some_and(|c| c.is_condemned() && now < c.expires),
            must_be_replaced: driven
                && usable.is_some_and(|c| c.was_rejected() || now >= c.stale_from()),
            has_fetch,
            is_paused,
            may_be_paused,
        }
    }

    /// What must be true once a caller has been polled for the first time.
    pub(crate) fn must_not_wait(&mut self, caller: usize, before: &Before) {
        let this = &self.callers[caller];
        let (key, what) = (this.key, this.what);
        if what == What::Refresh {
            if before.is_paused && !before.has_fetch {
                assert!(this.is_done, "{key:?}: a refresh waits in a pause");
            }
            return;
        }
        if this.found_it_shut {
            return;
        }
        let is_served = this.is_done || !this.sends.is_empty();
        if before.usable.is_some() {
            assert!(is_served, "{key:?}: waits though there is a token");
            self.tally.add("hit");
        } else if before.is_paused && !before.has_fetch {
            assert!(is_served, "{key:?}: waits in a pause");
            if before.could_be_put_back {
                let failed = this.is_done && this.sends.is_empty() && what == What::Request;
                assert!(
                    !failed,
                    "{key:?}: an error though a token could be put back"
                );
            } else {
                self.tally.add("refused at once in a pause");
            }
        }
    }

    /// What must be true once everything has come to rest after that.
    pub(crate) fn must_have_begun(&mut self, what: What, key: Key, before: &Before) {
        let is_needed = match what {
            What::Refresh => true,
            _ => before.usable.is_none() || before.must_be_replaced,
        };
        if !is_needed || before.has_fetch || before.may_be_paused {
            return;
        }
        let has_begun = self.began.contains(&key);
        assert!(has_begun || self.has_to_queue(), "{key:?}: no fetch begins");
        self.tally.add_if(!has_begun, "fetch in the queue");
        self.tally
            .add_if(has_begun && self.has_failed, "fetch after a failure");
    }

    /// At rest, nobody waits for nothing.
    pub(crate) fn at_rest(&self) {
        for fetch in self
            .fetches
            .iter()
            .filter(|fetch| !fetch.is_over && self.driven)
        {
            assert!(
                !fetch.is_answered,
                "{:?}: an answer is not taken",
                fetch.key
            );
            assert!(
                self.now < fetch.began + crate::spec::LIMIT,
                "{:?}: a fetch outlives its time limit",
                fetch.key
            );
        }
        for caller in self.callers.iter().filter(|caller| caller.is_waiting()) {
            let sent = caller.sends.last().map(|&sent| &self.sends[sent]);
            if sent.is_some_and(|sent| sent.reply.is_none()) {
                continue;
            }
            match caller.what {
                What::Request if self.shut => {}
                What::Close => {
                    let runs = self.fetches.iter().any(|fetch| !fetch.is_over);
                    assert!(runs, "`close` waits for nothing");
                }
                _ => {
                    let fetch = self.running(caller.key);
                    let runs = fetch.is_some_and(|fetch| !fetch.is_answered);
                    assert!(
                        runs || self.has_to_queue(),
                        "{:?}: {:?} waits for nothing",
                        caller.key,
                        caller.what
                    );
                }
            }
        }
    }

    /// The response to a first send was a 401 for a token that has been replaced: it must have been sent
    /// again, and nothing fetched.
    pub(crate) fn must_be_sent_again(&mut self, send: usize, current: &str) {
        let caller = &self.callers[self.sends[send].caller];
        if caller.sends[0] != send || self.shut || caller.found_it_shut {
            return;
        }
        assert_eq!(caller.sends.len(), 2, "a late 401 is not healed");
        assert_eq!(self.sends[caller.sends[1]].token, current);
        assert!(self.began.is_empty(), "a late 401 causes a fetch");
        self.tally.add("late 401 healed without a fetch");
    }
}
