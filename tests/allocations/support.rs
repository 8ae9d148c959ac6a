//! A request through a service, and what it took.

use allocation_counter::AllocationInfo;
use http::Response;
use tower::Service;

use crate::contenders::{HttpRequest, Ready, send};

pub(crate) const ORIGIN: &str = "https://api.example.com";

/// Of 1,024 bytes.
pub(crate) fn token() -> String {
    "x".repeat(1024)
}

/// What was allocated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) allocations: u64,
    pub(crate) bytes: u64,
}

pub(crate) const NOTHING: Cost = Cost {
    allocations: 0,
    bytes: 0,
};

/// What `service` allocates for a request that is not its first, beyond what the inner service does. All of it
/// must have been freed at the end.
#[track_caller]
pub(crate) fn cost_of<S>(service: &mut S, request: impl Fn() -> HttpRequest) -> Cost
where
    S: Service<HttpRequest, Response = Response<()>>,
{
    send(service, request());
    cost_of_next(service, request)
}

/// The same of the next request.
#[track_caller]
pub(crate) fn cost_of_next<S>(service: &mut S, request: impl Fn() -> HttpRequest) -> Cost
where
    S: Service<HttpRequest, Response = Response<()>>,
{
    let (all, bare) = measure_next(service, request);
    for info in [all, bare] {
        let left = (info.count_current, info.bytes_current);
        assert_eq!(left, (0, 0), "(allocations, bytes) that are not freed");
    }
    cost(all) - cost(bare)
}

/// The next request through `service`, and then through the inner service alone.
pub(crate) fn measure_next<S>(
    service: &mut S,
    request: impl Fn() -> HttpRequest,
) -> (AllocationInfo, AllocationInfo)
where
    S: Service<HttpRequest, Response = Response<()>>,
{
    // What is made once in a process is not counted.
    send(&mut Ready, request());
    let all = allocation_counter::measure(|| send(service, request()));
    let bare = allocation_counter::measure(|| send(&mut Ready, request()));
    (all, bare)
}

/// What `f` allocates.
pub(crate) fn cost_of_call<T>(f: impl FnOnce() -> T) -> Cost {
    cost(allocation_counter::measure(|| {
        std::hint::black_box(f());
    }))
}

fn cost(info: AllocationInfo) -> Cost {
    Cost {
        allocations: info.count_total,
        bytes: info.bytes_total,
    }
}

impl std::ops::Sub for Cost {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            allocations: self.allocations - other.allocations,
            bytes: self.bytes - other.bytes,
        }
    }
}

impl std::ops::Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            allocations: self.allocations + other.allocations,
            bytes: self.bytes + other.bytes,
        }
    }
}
