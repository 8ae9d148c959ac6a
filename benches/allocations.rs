//! What a request for which there is a token at hand allocates, and how large its future is.
//!
//! A bench of its own, since the allocator that counts takes time that `overhead` would measure. The same
//! contenders as there: what is over the bare service is theirs.

// It is how a bench speaks.
#![allow(clippy::print_stdout)]

use allocation_counter::measure;

use self::contenders::{Contender, all};

mod contenders;

fn main() {
    let mut contenders = all();
    let measured: Vec<_> = contenders.iter_mut().map(allocations).collect();
    let bare = |contender: &Contender| {
        let place = contenders
            .iter()
            .position(|it| it.name == contender.sent.bare);
        place.expect("a contender")
    };

    println!("## Allocations and futures\n");
    println!(
        "| contender | allocations (/request) | over bare (/request) | future (B) | future over bare (B) |"
    );
    println!("|---|--:|--:|--:|--:|");
    for (contender, own) in contenders.iter().zip(&measured) {
        let (name, size) = (contender.name, contender.future_size);
        if contender.is_bare() {
            println!("| {name} | {own} | | {size} | |");
            continue;
        }
        let over = own - measured[bare(contender)];
        let larger = size as i64 - contenders[bare(contender)].future_size as i64;
        println!("| {name} | {own} | {over} | {size} | {larger} |");
        if name.starts_with("never") {
            assert_eq!(
                over, 0,
                "{name}: requests that are sent once allocate nothing"
            );
        }
    }
    println!();
}

/// Of a request that is not the first one.
fn allocations(contender: &mut Contender) -> u64 {
    for _ in 0..3 {
        (contender.send)((contender.sent.request)());
    }
    let request = (contender.sent.request)();
    measure(|| (contender.send)(request)).count_total
}
