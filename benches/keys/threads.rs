//! How much more two threads do than one, if each looks up keys of its own choice.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use http::Response;
use tower::Service;

use crate::{Client, HttpRequest, Ready, median, send};

/// Requests of one thread that are timed together.
const BATCH: usize = 2048;

pub(crate) fn report(clients: &[Client], time: Duration) {
    println!("## Two threads\n");
    println!(
        "Rounds of {BATCH} requests a thread, medians; 2.0 is the most that two threads can do."
    );
    println!("The bare service shows what the machine had to give.\n");
    println!("| contender | keys | one thread (ns/request) | two threads to one |");
    println!("|---|--:|--:|--:|");
    for client in clients {
        let mut bare = Vec::new();
        let mut layer = Vec::new();
        let start = Instant::now();
        while bare.is_empty() || start.elapsed() < time / clients.len() as u32 {
            bare.push([1, 2].map(|threads| per_second(client, &Ready, threads)));
            layer.push([1, 2].map(|threads| per_second(client, &client.service, threads)));
        }
        for (name, rounds) in [("bare service", bare), ("BearerAuth, Never", layer)] {
            let one = median(rounds.iter().map(|[one, _]| 1e9 / one));
            let ratio = median(rounds.iter().map(|[one, two]| two / one));
            println!("| {name} | {} | {one:.0} | {ratio:.2} |", client.keys.len());
        }
    }
    println!();
}

/// Requests a second, of all threads together.
fn per_second<S>(client: &Client, service: &S, threads: usize) -> f64
where
    S: Service<HttpRequest, Response = Response<()>> + Clone + Send + Sync,
{
    let arrived = AtomicUsize::new(0);
    let worker = |mut service: S| {
        let requests = client.requests(BATCH);
        arrived.fetch_add(1, Ordering::SeqCst);
        while arrived.load(Ordering::SeqCst) < threads {
            spin_loop();
        }
        let start = Instant::now();
        for request in requests {
            send(&mut service, request);
        }
        (start, Instant::now())
    };
    // From the first start to the last end: they may have run one after the other.
    let time = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| worker(service.clone())))
            .collect();
        let times = workers
            .into_iter()
            .map(|worker| worker.join().expect("no panic"));
        let (starts, ends): (Vec<_>, Vec<_>) = times.unzip();
        *ends.iter().max().expect("a thread") - *starts.iter().min().expect("a thread")
    });
    (threads * BATCH) as f64 / time.as_secs_f64()
}
