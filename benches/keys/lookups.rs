//! What a request costs whose token is looked up by its key.

use std::time::{Duration, Instant};

use crate::{Client, HttpRequest, Ready, median, send};

/// Requests that are timed together.
const BATCH: usize = 128;

/// Measures caches of all sizes in turn, many times over and each time in random order: what happens to the
/// machine meanwhile happens to all of them. Each is compared with the bare service and requests for the same keys.
pub(crate) fn report(clients: &[Client], time: Duration) {
    let mut bare = vec![Vec::new(); clients.len()];
    let mut over = vec![Vec::new(); clients.len()];
    let mut order: Vec<_> = (0..clients.len()).collect();
    let start = Instant::now();
    let mut rounds = 0;
    while rounds == 0 || start.elapsed() < time {
        fastrand::shuffle(&mut order);
        for &i in &order {
            let (service, client) = (&mut clients[i].service.clone(), &clients[i]);
            // Few keys are at hand for the processor, as when nothing else is measured in between.
            nanos(client.requests(BATCH), |request| send(service, request));
            let of_bare = nanos(client.requests(BATCH), |request| send(&mut Ready, request));
            let own = nanos(client.requests(BATCH), |request| send(service, request));
            bare[i].push(of_bare);
            over[i].push(own - of_bare);
        }
        rounds += 1;
    }

    println!("## Time per lookup\n");
    println!("{rounds} rounds of {BATCH} requests each, medians; keys in random order.\n");
    println!("| keys | bare service (ns) | the layer adds (ns) |");
    println!("|--:|--:|--:|");
    for (i, client) in clients.iter().enumerate() {
        let (keys, bare, over) = (client.keys.len(), &bare[i], &over[i]);
        let (bare, over) = (median(bare.clone()), median(over.clone()));
        println!("| {keys} | {bare:.1} | {over:.1} |");
    }
    println!();

    for client in clients {
        let (service, requests) = (&mut client.service.clone(), client.requests(1));
        let info = allocation_counter::measure(|| {
            requests
                .into_iter()
                .for_each(|request| send(service, request));
        });
        assert_eq!(info.count_total, 0, "a lookup allocates");
    }
}

fn nanos(requests: Vec<HttpRequest>, mut send: impl FnMut(HttpRequest)) -> f64 {
    let start = Instant::now();
    for request in requests {
        send(request);
    }
    start.elapsed().as_secs_f64() * 1e9 / BATCH as f64
}
