//! The real thing, and how a sequence is played on it under the eyes of the model.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use http::StatusCode;
use tokio::runtime::{Builder, Runtime};
use tokio_test::task::Spawn;
use tower::Layer;
use tower_bearer::testing::ManualClock;
use tower_bearer::{BearerAuth, BearerAuthLayer, TokenCache};

use crate::ops::{End, Key, Life, Op, Say, Sequence, Turn};
use crate::outcome::Outcome;
use crate::spec::{GRACE, LIMIT, Model, What};
use crate::tally::Tally;
use crate::world::{Answer, Api, Issuer, World, token_request};

/// Plays one sequence.
///
/// # Panics
///
/// If anything is not as it should be.
pub(crate) fn play(sequence: &Sequence) -> Tally {
    fastrand::seed(sequence.seed);
    System::new(Model::new(sequence.driven)).play_all(sequence)
}

pub(crate) type Pending = Spawn<Pin<Box<dyn Future<Output = Outcome>>>>;

pub(crate) struct System {
    pub(crate) model: Model,
    pub(crate) world: Arc<World>,
    pub(crate) clock: ManualClock,
    pub(crate) cache: TokenCache<Issuer>,
    pub(crate) service: BearerAuth<Api, Issuer>,
    /// By the number of the model's caller.
    pub(crate) callers: Vec<Option<Pending>>,
    pub(crate) issued: usize,
    // Dropped at last.
    pub(crate) runtime: Option<Runtime>,
}

impl System {
    fn new(model: Model) -> Self {
        let world = Arc::<World>::default();
        let clock = ManualClock::new();
        let issuer = Issuer {
            world: Arc::clone(&world),
        };
        let cache = TokenCache::builder(issuer)
            .with_clock(clock.clone())
            .build();
        let keys = [Key::A, Key::B];
        world.watch(
            keys.map(|key| cache.for_request(&token_request(key)))
                .into(),
        );
        let layer = BearerAuthLayer::for_origin(cache.clone(), "https://api.example.com");
        let service = layer
            .expect("an origin")
            .layer(Api::new(Arc::clone(&world)));
        let runtime = model
            .driven
            .then(|| Builder::new_current_thread().build().expect("a runtime"));
        Self {
            model,
            world,
            clock,
            cache,
            service,
            callers: Vec::new(),
            issued: 0,
            runtime,
        }
    }

    fn play_all(mut self, sequence: &Sequence) -> Tally {
        for op in &sequence.ops {
            self.play(op);
        }
        self.end(sequence.end)
    }

    fn play(&mut self, op: &Op) {
        self.model.tally.add(op.name());
        match *op {
            Op::Request(key) => self.call(What::Request, key),
            Op::Token(key) => self.call(What::Token, key),
            Op::Refresh(key) => self.call(What::Refresh, key),
            Op::Close => self.call(What::Close, Key::A),
            Op::Crowd(n) => (0..n).for_each(|i| self.call(What::Token, Key::Crowd(i))),
            Op::Passers(n) => {
                for i in 0..n {
                    self.call(What::Token, Key::Crowd(i));
                    self.model.start_step();
                    self.leave(self.callers.len() - 1);
                    self.settle();
                }
            }
            Op::WarmUp(key) => self.warm_up(key),
            Op::InvalidateCurrent(key) => {
                if let Some(text) = self.model.key(key).text().map(str::to_owned) {
                    self.invalidate(key, &text);
                }
            }
            Op::InvalidateAny(key, pick) => {
                if let Some(text) = pick_of(&self.model.key(key).issued, pick) {
                    self.invalidate(key, &text);
                }
            }
            Op::ResetBackoff => self.reset_backoff(),
            Op::Respond(pick, status) => {
                if let Some(send) = pick_of(&self.world.in_flight(), pick) {
                    self.respond(send, status);
                }
            }
            Op::Answer(pick, say) => {
                if let Some(fetch) = pick_of(&self.unanswered(), pick) {
                    self.answer(fetch, say);
                }
            }
            Op::AnswerAndDrop(pick, say, caller) => {
                if let Some(fetch) = pick_of(&self.unanswered(), pick) {
                    self.reply(fetch, say);
                    if let Some(caller) = pick_of(&self.waiting(), caller) {
                        self.leave(caller);
                    }
                    self.settle();
                }
            }
            Op::AnswerCrowd(pick, say) => {
                if let Some(fetch) = pick_of(&self.world.unanswered(Key::Crowd(0)), pick) {
                    self.answer(fetch, say);
                }
            }
            Op::ServeCrowd(n) => {
                for _ in 0..n {
                    if let Some(&fetch) = self.world.unanswered(Key::Crowd(0)).first() {
                        self.answer(fetch, Say::New(Life::Long));
                    }
                }
            }
            Op::Revoke(key, has_worked, n) => (0..n).for_each(|_| self.revoke(key, has_worked)),
            Op::Drop(pick) => {
                if let Some(caller) = pick_of(&self.waiting(), pick) {
                    self.model.start_step();
                    self.leave(caller);
                    self.settle();
                }
            }
            Op::Advance(turn) => self.advance(turn),
            Op::Shut => self.set_shut(true),
            Op::Open => self.set_shut(false),
        }
    }

    /// Fetches of A and B.
    fn unanswered(&self) -> Vec<usize> {
        [Key::A, Key::B]
            .map(|key| self.world.unanswered(key))
            .concat()
    }

    fn waiting(&self) -> Vec<usize> {
        let callers = self.callers.iter().enumerate();
        let waiting = callers.filter(|(_, pending)| pending.is_some());
        waiting.map(|(caller, _)| caller).collect()
    }

    /// Polls those who were woken, and tasks, until nobody has anything to do.
    pub(crate) fn settle(&mut self) {
        loop {
            run_tasks(self.runtime.as_ref());
            let woken: Vec<_> = (0..self.callers.len())
                .filter(|&i| self.callers[i].as_ref().is_some_and(Spawn::is_woken))
                .collect();
            if woken.is_empty() {
                break;
            }
            woken.into_iter().for_each(|caller| self.poll(caller));
        }
        self.observe();
        self.model.at_rest();
        let reserved = self.world.reserved();
        assert_eq!(reserved, 0, "who waits holds a place of the service");
    }

    pub(crate) fn poll(&mut self, caller: usize) {
        let polled = {
            let _entered = self.runtime.as_ref().map(Runtime::enter);
            let pending = self.callers[caller].as_mut();
            pending.expect("only those who wait are woken").poll()
        };
        self.observe();
        if let Poll::Ready(outcome) = polled {
            self.callers[caller] = None;
            self.model.finishes(caller, &outcome);
        }
    }

    fn observe(&mut self) {
        for seen in self.world.take_log() {
            self.model.see(seen);
        }
        self.model.look(&self.world.usable());
    }

    fn end(mut self, end: End) -> Tally {
        if end == End::Drained {
            self.drain();
        }
        self.abandon()
    }

    /// Answers everything: nobody may be left waiting.
    fn drain(&mut self) {
        self.set_shut(false);
        for _ in 0..self.callers.len() + 2 {
            for send in self.world.in_flight() {
                self.respond(send, StatusCode::OK);
            }
            for key in [Key::A, Key::B, Key::Crowd(0)] {
                for fetch in self.world.unanswered(key) {
                    self.answer(fetch, Say::New(Life::Long));
                }
            }
            if !self.model.driven {
                // Fetches that nobody drives keep their places until then.
                self.advance(Turn::Millis((LIMIT + GRACE).as_millis() as u64));
            }
        }
        let waiting = self
            .model
            .callers
            .iter()
            .filter(|caller| caller.is_waiting());
        assert_eq!(waiting.count(), 0, "callers wait for ever");
    }

    /// The last handle goes: what has begun runs to its end, nothing else begins, and nothing is left.
    fn abandon(self) -> Tally {
        let Self {
            mut model,
            world,
            cache,
            service,
            callers,
            runtime,
            ..
        } = self;
        model.start_step();
        model.abandoned = true;
        world.watch(Vec::new());
        {
            let _entered = runtime.as_ref().map(Runtime::enter);
            drop((callers, service, cache));
        }
        run_tasks(runtime.as_ref());
        let mut log = world.take_log();
        let unanswered: Vec<_> = [Key::A, Key::B, Key::Crowd(0)]
            .into_iter()
            .flat_map(|key| world.unanswered(key))
            .collect();
        model.tally.add_if(
            !unanswered.is_empty(),
            "last handle dropped with a fetch under way",
        );
        for fetch in unanswered {
            world.answer(fetch, Answer::Token("late".to_owned(), Life::Long));
        }
        run_tasks(runtime.as_ref());
        log.append(&mut world.take_log());
        for seen in log {
            model.see_without_handles(seen);
        }
        assert!(
            model.fetches.iter().all(|fetch| fetch.is_over),
            "a fetch never ends"
        );
        assert_eq!(Arc::strong_count(&world), 1, "something holds the provider");
        mem::take(&mut model.tally)
    }
}

/// Lets tasks run until they wait.
fn run_tasks(runtime: Option<&Runtime>) {
    if let Some(runtime) = runtime {
        runtime.block_on(async {
            // In each turn all run that can, up to some sixty.
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
        });
    }
}

pub(crate) fn pick_of<T: Clone>(all: &[T], pick: u8) -> Option<T> {
    let pick = usize::from(pick).checked_rem(all.len())?;
    Some(all[pick].clone())
}
