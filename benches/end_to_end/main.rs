//! What is left to see of the layer where requests go over a socket.
//!
//! `hyper_util`'s client sends small requests over loopback, by HTTP/1.1 and HTTP/2, one at a time and 32 at
//! a time, to a server of hyper's that reads them and answers at once. The client has one thread and the
//! server another. Each request has three headers, a small body and a token of 1,024 bytes.
//!
//! Contenders are the client with the layer above it, and the client to whose requests the same header is
//! added by hand. Those differ in nothing else: the same connections, the same bytes.
//!
//! # How the figures are made
//!
//! A *block* is a fixed number of requests by one contender, about 50 ms: what else the machine does hardly
//! changes meanwhile. A *round* is a block of each contender, in random order. In each round, a contender's
//! requests a second are divided by those of the static header; the figure is the median of these ratios, with
//! its interval of 95 % by the sign test. The static header also takes part a second time, as if it were a
//! contender of its own: how far two that do the same are apart is the noise. How far a contender's interval is
//! above that one's, or below as a negative number, is in a column of its own: 0 if they overlap. So a loss of
//! requests a second is negative.
//!
//! To show what could be seen, the static header takes part a third time, and does nothing for a microsecond
//! before each request.
//!
//! The same is made of the processor's time that the client's thread uses, of which more is a loss. It does not
//! change while the thread waits for the server, or for a processor that others use. It shows differences that
//! cannot be seen otherwise, and not only what a contender does itself: most of the time is the kernel's, and
//! whether it has to wake the server depends on how soon the next request comes. One request at a time over
//! HTTP/1.1, 400 ns of nothing took 900 ns on one machine, and 800 ns of nothing took 400. There is no such
//! figure but on Linux and macOS.
//!
//! Requests are copied from a prepared one within the time, by all contenders alike.
//!
//! What must hold is asserted in each run: every request arrives with the token and the body, requests of all
//! contenders have the same headers, and the provider is called once.
//!
//! `cargo bench --bench end_to_end -- --seconds 20` is done sooner, and less sure of its figures.

// It is how a bench speaks.
#![allow(clippy::print_stdout)]

use std::iter::zip;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::Version;
use tower_bearer::{AccessToken, BearerAuthLayer};

use self::client::{
    Contender, HttpRequest, Load, STATIC, STATIC_AGAIN, contenders, provider, request,
};
use self::paired::{Cost, Median, Run};
use self::parts::{HttpClient, http1_client, http2_client};
use self::server::Server;

mod client;
#[path = "../paired/mod.rs"]
mod paired;
#[allow(dead_code)] // The examples use the other part.
#[path = "../../examples/loopback/parts.rs"]
mod parts;
mod server;

const BODY: &[u8] = b"{\"page\":1}";
const ANSWER: &[u8] = b"{\"accounts\":[]}";

/// Where the server keeps the head of a request.
const HEAD: &str = "/head";

const USUAL: Duration = Duration::from_secs(80);
const BLOCK: Duration = Duration::from_millis(50);

/// Two protocols, one request at a time and many.
const SCENARIOS: u32 = 4;

fn main() {
    let run = Run::from_args(USUAL);
    if let Run::Test = run {
        paired::check();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(all(run));
}

async fn all(run: Run) {
    let token = AccessToken::new(&"x".repeat(1024)).expect("a token");
    let bearer = token.header_value().clone();
    let server = Server::start(bearer.clone());
    let provider_calls = Arc::<AtomicUsize>::default();
    let provider = provider(token, &provider_calls);
    let layer = BearerAuthLayer::for_origin(provider, &*server.origin()).expect("an origin");

    let clients = [
        (
            "HTTP/1.1",
            Version::HTTP_11,
            http1_client as fn() -> HttpClient,
        ),
        ("HTTP/2", Version::HTTP_2, http2_client),
    ];
    let mut measured = Vec::new();
    for (protocol, version, client) in clients {
        for at_a_time in [1, 32] {
            let scenario = Scenario {
                at_a_time,
                server: &server,
                contenders: contenders(&client(), &bearer, &layer),
            };
            scenario.check_heads(version).await;
            let name = format!("{protocol}, {at_a_time} at a time");
            measured.push((name, scenario.measure(&run).await));
        }
    }
    assert_eq!(provider_calls.load(Ordering::Relaxed), 1);

    if let Run::Bench(_) = run {
        let names = contenders(&http1_client(), &bearer, &layer);
        let names: Vec<_> = names.iter().map(|contender| contender.name).collect();
        report(&names, &measured);
    }
}

/// What was measured of each contender, round by round.
type Costs = Vec<Vec<Cost>>;

struct Scenario<'a> {
    at_a_time: usize,
    server: &'a Server,
    contenders: Vec<Contender>,
}

impl Scenario<'_> {
    /// That all contenders send the same.
    async fn check_heads(&self, version: Version) {
        let request = request(&format!("{}{HEAD}", self.server.origin()));
        let one = Load {
            requests: 1,
            at_a_time: 1,
        };
        for contender in &self.contenders {
            contender.send(&request, one).await;
        }
        let heads = self.server.take_heads();
        assert_eq!(heads.len(), self.contenders.len());
        for (head, contender) in zip(&heads, &self.contenders) {
            assert_eq!(head.0, version);
            assert_eq!(head, &heads[STATIC], "{}", contender.name);
        }
        self.check_counts(heads.len());
    }

    fn check_counts(&self, sent: usize) {
        let (received, as_expected) = self.server.take_counts();
        assert_eq!(received, sent);
        assert_eq!(as_expected, sent, "with the token, once, and with the body");
    }

    async fn measure(&self, run: &Run) -> Costs {
        let request = request(&format!("{}/v1/accounts", self.server.origin()));
        let load = |requests| Load {
            requests,
            at_a_time: self.at_a_time,
        };
        // Opens the connections, too.
        let few = load(self.at_a_time * 2);
        for contender in &self.contenders {
            contender.send(&request, few).await;
        }
        let warm_up = self.contenders.len() * few.requests;
        self.check_counts(warm_up);

        let (load, until, rounds) = match run {
            Run::Test => (few, Instant::now(), 2),
            Run::Bench(time) => {
                let until = Instant::now() + *time / SCENARIOS;
                (load(self.requests_for(BLOCK, &request).await), until, 6)
            }
        };
        let mut costs = vec![Vec::new(); self.contenders.len()];
        while costs[STATIC].len() < rounds || Instant::now() < until {
            let mut order: Vec<_> = (0..costs.len()).collect();
            fastrand::shuffle(&mut order);
            for i in order {
                costs[i].push(self.contenders[i].send(&request, load).await);
            }
        }
        self.check_counts(load.requests * costs.iter().map(Vec::len).sum::<usize>());
        costs
    }

    /// How many requests take so long.
    async fn requests_for(&self, time: Duration, request: &HttpRequest) -> usize {
        let mut load = Load {
            requests: self.at_a_time * 8,
            at_a_time: self.at_a_time,
        };
        loop {
            let began = Instant::now();
            let cost = self.contenders[STATIC].send(request, load).await;
            self.check_counts(load.requests);
            if began.elapsed() * 4 > time {
                let each = time.as_secs_f64() / cost.wall / self.at_a_time as f64;
                return self.at_a_time * each.ceil() as usize;
            }
            load.requests *= 2;
        }
    }
}

fn report(names: &[&str], measured: &[(String, Costs)]) {
    for (scenario, costs) in measured {
        println!("{scenario}: {} rounds", costs[STATIC].len());
    }

    println!("\n## End to end, requests a second\n");
    let per_second = |cost: &Cost| cost.wall.recip();
    table("requests/s", 0, names, measured, per_second);

    println!("## End to end, processor time of the client\n");
    let cpu_micros = |cost: &Cost| cost.cpu * 1e6;
    table("us/request", 3, names, measured, cpu_micros);
}

fn table(
    unit: &str,
    decimals: usize,
    names: &[&str],
    measured: &[(String, Costs)],
    figure: impl Fn(&Cost) -> f64,
) {
    println!(
        "| contender | {unit} | ratio to static header | from (95 %) | to (95 %) | beyond the noise (%) |"
    );
    println!("|---|--:|--:|--:|--:|--:|");
    for (scenario, costs) in measured {
        let ratio = |i: usize| {
            let pairs = zip(&costs[i], &costs[STATIC]);
            Median::of(pairs.map(|(own, other)| figure(own) / figure(other)))
        };
        for (i, name) in names.iter().enumerate() {
            let own = Median::of(costs[i].iter().map(&figure)).value;
            print!("| {scenario}: {name} | {own:.decimals$} |");
            if i == STATIC {
                println!(" | | | |");
                continue;
            }
            let Median { value, low, high } = ratio(i);
            let beyond = ratio(i).beyond(&ratio(STATIC_AGAIN)) * 100.0;
            println!(" {value:.4} | {low:.4} | {high:.4} | {beyond:.2} |");
        }
    }
    println!();
}
