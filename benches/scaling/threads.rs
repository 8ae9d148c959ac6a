//! Two threads that send requests, alone or at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Instant;

use http::header::AUTHORIZATION;

use super::contenders::{BARE, Contenders, HttpRequest, NAMES, Sending, request};
use super::paired::{Cost, Stopwatch};

/// A contender in a way of use.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) contender: usize,
    pub(crate) way: usize,
}

/// What a thread is to measure.
struct Block {
    case: Case,
    requests: usize,
    /// Both threads measure at the same time.
    together: Option<Arc<Meeting>>,
}

/// What came of a block.
#[derive(Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) began: Instant,
    pub(crate) cost: Cost,
}

impl Measured {
    /// Whether the thread had a processor all the time, as far as can be told.
    pub(crate) fn is_undisturbed(&self) -> bool {
        let Cost { wall, cpu } = self.cost;
        cpu.is_nan() || cpu > wall * 0.95
    }
}

/// One that sends requests, when it is told to.
pub(crate) struct Thread {
    blocks: Sender<Block>,
    measured: Receiver<Measured>,
}

impl Thread {
    pub(crate) fn start(contenders: &Contenders) -> Self {
        let (blocks, to_measure) = mpsc::channel::<Block>();
        let (done, measured) = mpsc::channel();
        let contenders = contenders.clone();
        thread::spawn(move || {
            let _exit = ExitOnPanic;
            // Made here, and so in memory of this thread's own.
            let mut sending = contenders.for_this_thread();
            let mut request = request();
            for block in to_measure {
                let Case { contender, way } = block.case;
                let (back, measured) = block.measure(&mut sending[contender][way], request);
                let has_token = back.headers().contains_key(AUTHORIZATION);
                assert_eq!(has_token, contender != BARE, "{}", NAMES[contender]);
                assert_eq!(back.headers().len(), 3 + usize::from(has_token));
                request = back;
                if done.send(measured).is_err() {
                    return;
                }
            }
        });
        Self { blocks, measured }
    }

    fn begin(&self, block: Block) {
        self.blocks.send(block).expect("the thread runs");
    }

    fn end(&self) -> Measured {
        self.measured.recv().expect("the thread did not panic")
    }
}

/// Else the other thread would wait for this one.
struct ExitOnPanic;

impl Drop for ExitOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            std::process::exit(101);
        }
    }
}

impl Block {
    fn measure(&self, send: &mut Sending, mut request: HttpRequest) -> (HttpRequest, Measured) {
        let few = self.requests / 8 + 1;
        if let Some(meeting) = &self.together {
            meeting.begin();
        }
        request = send(request, few);
        let stopwatch = Stopwatch::start();
        request = send(request, self.requests);
        let measured = Measured {
            began: stopwatch.began(),
            cost: stopwatch.cost_of(self.requests),
        };
        // Whoever is done goes on, so that the other is not alone.
        if let Some(meeting) = &self.together {
            meeting.done.fetch_add(1, Ordering::AcqRel);
            while meeting.done.load(Ordering::Acquire) < 2 {
                request = send(request, few);
            }
        }
        (request, measured)
    }
}

/// Where two threads wait for each other.
#[derive(Default)]
struct Meeting {
    arrived: AtomicUsize,
    done: AtomicUsize,
}

impl Meeting {
    fn begin(&self) {
        self.arrived.fetch_add(1, Ordering::AcqRel);
        while self.arrived.load(Ordering::Acquire) < 2 {
            // Lets the other one in, should there be one core for both.
            thread::yield_now();
        }
    }
}

pub(crate) fn one(thread: &Thread, case: Case, requests: usize) -> Measured {
    thread.begin(Block {
        case,
        requests,
        together: None,
    });
    thread.end()
}

pub(crate) fn two(threads: &[Thread; 2], case: Case, requests: usize) -> [Measured; 2] {
    let meeting = Arc::<Meeting>::default();
    for thread in threads {
        thread.begin(Block {
            case,
            requests,
            together: Some(Arc::clone(&meeting)),
        });
    }
    [threads[0].end(), threads[1].end()]
}
