//! Whatever is read, fed and decided, and in whatever order: the server gets the body that the caller made.

use proptest::collection::vec;
use proptest::prelude::*;

use super::support::{Feeder, Reader, again, fed, rejected, send};

#[derive(Clone, Copy, Debug)]
enum Step {
    Feed(usize),
    Read,
    DropFirst,
    Reject,
    Replay,
    Accept,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop_oneof![0..20_usize, 500..600_usize].prop_map(Step::Feed),
        6 => Just(Step::Read),
        1 => Just(Step::DropFirst),
        1 => Just(Step::Reject),
        1 => Just(Step::Replay),
        1 => Just(Step::Accept),
    ]
}

/// Feeds bytes of which each differs from its neighbours.
fn feed(feeder: &Feeder, fed: &mut Vec<u8>, len: usize) {
    let data: Vec<u8> = (fed.len()..fed.len() + len)
        .map(|n| (n % 251) as u8)
        .collect();
    fed.extend(&data);
    feeder.data(data);
}

/// One frame, if there is one.
fn read(reader: &mut Option<Reader>, all: &mut Vec<u8>) -> bool {
    let Some(reader) = reader else { return false };
    match reader.poll() {
        std::task::Poll::Ready(Some(Ok(frame))) => {
            all.extend(frame.into_data().unwrap());
            true
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_body_is_what_the_caller_made(limit in 0..2000_usize, steps in vec(step(), 0..40)) {
        let (feeder, body) = fed();
        let (first, kept) = send(body, limit);
        let (mut first, mut kept, mut second) = (Some(first), Some(kept), None);
        let (mut fed, mut by_first, mut by_second) = (Vec::new(), Vec::new(), Vec::new());
        let mut offered = false;

        for step in steps {
            match step {
                // Somebody has to be there who can read it.
                Step::Feed(len) if !feeder.is_dropped() => feed(&feeder, &mut fed, len),
                Step::Feed(_) => (),
                Step::Read if second.is_some() => { read(&mut second, &mut by_second); }
                Step::Read => { read(&mut first, &mut by_first); }
                Step::DropFirst => first = None,
                Step::Reject => if let Some(kept) = kept.as_mut().filter(|_| !offered) {
                    // It may have ended, or not been read at all, but never more than the limit.
                    offered = rejected(kept);
                    prop_assert_eq!(offered, by_first.len() <= limit);
                },
                Step::Replay if offered => second = kept.take().map(again).or(second),
                Step::Replay => (),
                Step::Accept => kept = None,
            }
            if offered && kept.is_some() {
                prop_assert!(by_first.len() <= limit, "what was passed on can be sent again");
            }
        }

        if second.is_some() {
            while read(&mut second, &mut by_second) {}
            prop_assert_eq!(&by_second, &fed);
            prop_assert_eq!(&by_first[..], &fed[..by_first.len()]);
        } else if first.is_some() {
            drop(kept);
            while read(&mut first, &mut by_first) {}
            prop_assert_eq!(&by_first, &fed);
        }
    }
}
