//! Requests of other threads than the one that made the service.

use std::thread;

use http::Response;
use tower::{Layer, Service};

use crate::contenders::{HttpRequest, Ready, never, request};
use crate::support::{NOTHING, cost_of_next, measure_next, token};

/// Lets one thread after another send with what `service` makes for it.
fn each_thread<S>(service: impl Fn() -> S + Sync)
where
    S: Service<HttpRequest, Response = Response<()>>,
{
    for _ in 0..20 {
        let cost = || {
            let mut service = service();
            // Makes what is the thread's own, unless another of the same number has.
            let (first, bare) = measure_next(&mut service, request);
            let kept = first.bytes_current - bare.bytes_current;
            // Its nodes, and a copy of the token.
            assert!((0..=token().len() as i64 + 2048).contains(&kept), "{kept}");
            for _ in 0..3 {
                assert_eq!(cost_of_next(&mut service, request), NOTHING);
            }
        };
        thread::scope(|scope| scope.spawn(cost).join()).expect("it did not panic");
    }
}

#[test]
fn the_second_hit_of_a_thread_allocates_nothing() {
    let service = never().layer(Ready);
    each_thread(|| service.clone());
}

#[test]
fn neither_does_it_if_the_service_is_cloned_for_each_request() {
    let service = never().layer(Ready);
    each_thread(|| {
        tower::service_fn(|request: HttpRequest| {
            tower::ServiceExt::oneshot(service.clone(), request)
        })
    });
}

/// A clone by another thread than the one that uses it.
#[test]
fn neither_does_it_if_the_service_came_from_a_third_thread() {
    let service = never().layer(Ready);
    let by_another = || {
        let clone = || service.clone();
        thread::scope(|scope| scope.spawn(clone).join()).expect("it did not panic")
    };
    each_thread(by_another);
    // And once more removed, where all share what there is.
    let twice_removed = || {
        let service = by_another();
        let clone = || service.clone();
        thread::scope(|scope| scope.spawn(clone).join()).expect("it did not panic")
    };
    each_thread(twice_removed);
}
