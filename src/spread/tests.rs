use std::sync::atomic::AtomicU8;
use std::sync::{Barrier, Weak};
use std::thread;

use super::*;

type Local = AtomicU8;

fn root() -> Spread<&'static str, Local> {
    Spread::new("value")
}

/// As it is cloned by the thread of a number.
fn below<T>(above: &Spread<T, Local>, thread: usize) -> Spread<T, Local> {
    Spread {
        node: Arc::clone(above.node.below(thread)),
    }
}

fn is_same<T>(one: &Spread<T, Local>, other: &Spread<T, Local>) -> bool {
    Arc::ptr_eq(&one.node, &other.node)
}

fn count<T>(of: &Spread<T, Local>) -> usize {
    Arc::strong_count(&of.node)
}

/// Runs `f` on a thread whose number is none of `taken`. Those that drew one of them stay meanwhile.
fn on_another_than<T: Send, F: Fn() -> T + Sync>(taken: &[usize], f: &F) -> T {
    let attempt = || match taken.contains(&current_thread()) {
        true => on_another_than(taken, f),
        false => f(),
    };
    thread::scope(|scope| scope.spawn(attempt).join().unwrap())
}

fn on_another<T: Send>(f: impl Fn() -> T + Sync) -> T {
    on_another_than(&[current_thread()], &f)
}

#[test]
fn clones_by_one_thread_share_one_count() {
    let root = root();
    let clones = [(); 3].map(|()| root.clone());

    assert_eq!(count(&root), 4);
    assert!(clones.iter().all(|clone| is_same(clone, &root)));
    assert!(root.node.below.get().is_none());
    let clone_of_a_clone = clones[0].clone();
    assert!(is_same(&clone_of_a_clone, &root));
    drop((clones, clone_of_a_clone));
    assert_eq!(count(&root), 1);
}

#[test]
fn clones_by_another_thread_do_not_touch_the_count_of_the_first() {
    let root = root();
    let value = Arc::strong_count(&root.node.shared);
    let (first, second) = on_another(|| {
        let first = root.clone();
        let values = Arc::strong_count(&root.node.shared);
        let clones = (root.clone(), first.clone());
        assert_eq!(count(&root), 1);
        assert!(is_same(&clones.0, &first) && is_same(&clones.1, &first));
        // The two, those that were cloned of both, and the one by which the root knows of it.
        assert_eq!(count(&first), 4);
        assert_eq!(Arc::strong_count(&root.node.shared), values);
        (first, clones.0)
    });

    assert_eq!(count(&root), 1);
    assert_eq!(
        Arc::strong_count(&root.node.shared),
        value + 1,
        "one more node"
    );
    assert!(!is_same(&first, &root) && is_same(&first, &second));
    assert_eq!((*root, *first), ("value", "value"));
    assert!(Arc::ptr_eq(&root.node.shared, &first.node.shared));
}

#[test]
fn what_another_thread_made_is_cloned_below_it_and_not_beside_it() {
    let root = root();
    let first = on_another(|| root.clone());
    let counts = (count(&root), count(&first));

    let back = first.clone();

    assert!(!is_same(&back, &root) && !is_same(&back, &first));
    assert_eq!((count(&root), count(&first)), counts);
    assert_eq!((back.node.depth, back.node.thread), (2, root.node.thread));
    assert!(is_same(&back, &first.clone()));
}

#[test]
fn the_lowest_level_is_shared_by_all() {
    let mut lowest = root();
    for depth in 1..=DEPTH {
        lowest = on_another_than(&[lowest.node.thread], &|| lowest.clone());
        assert_eq!(lowest.node.depth, depth);
    }
    let before = count(&lowest);

    let mine = lowest.clone();
    let by_others = [(); 2].map(|()| on_another_than(&[lowest.node.thread], &|| mine.clone()));

    assert!(is_same(&mine, &lowest));
    assert!(by_others.iter().all(|other| is_same(other, &lowest)));
    assert_eq!(count(&lowest), before + 3);
    assert!(lowest.node.below.get().is_none());
}

#[test]
fn however_often_it_goes_from_thread_to_thread_there_are_four_levels() {
    let mut last = root();
    let levels: Vec<_> = (0..7)
        .map(|_| {
            last = on_another_than(&[last.node.thread], &|| last.clone());
            last.node.depth
        })
        .collect();
    assert_eq!(levels, [1, 2, 3, 3, 3, 3, 3]);
}

#[test]
fn what_is_local_is_that_of_the_thread_that_cloned() {
    let root = root();
    root.local().store(1, Ordering::Relaxed);
    let theirs = on_another(|| {
        let theirs = root.clone();
        assert_eq!(theirs.local().load(Ordering::Relaxed), 0);
        theirs.local().store(2, Ordering::Relaxed);
        assert_eq!(root.clone().local().load(Ordering::Relaxed), 2);
        theirs
    });

    assert_eq!(root.clone().local().load(Ordering::Relaxed), 1);
    assert_eq!(theirs.local().load(Ordering::Relaxed), 2);
    // Wherever it came from.
    assert!(std::ptr::eq(theirs.clone().local(), root.local()));

    let all = |spread: &Spread<&str, Local>| -> Vec<_> {
        let mut all: Vec<_> = spread
            .locals()
            .map(|local: &Local| local.load(Ordering::Relaxed))
            .collect();
        all.sort_unstable();
        all
    };
    assert_eq!(all(&root), [1, 2]);
    assert_eq!(all(&theirs), [1, 2]);
}

#[test]
fn of_more_threads_than_have_their_own_some_share_and_all_work() {
    const MORE: usize = THREADS + 4;
    let (root, all_are_there) = (root(), Barrier::new(MORE));
    let clone = || {
        let clones = [root.clone(), root.clone()];
        assert!(is_same(&clones[0], &clones[1]));
        // Before any number is given back.
        all_are_there.wait();
        clones
    };

    let clones: Vec<_> = thread::scope(|scope| {
        let threads = [(); MORE].map(|()| scope.spawn(clone));
        let clones = threads.map(|thread| thread.join().unwrap());
        clones.into_iter().flatten().collect()
    });

    assert!(clones.iter().all(|clone| **clone == "value"));
    for clone in &clones {
        let same = clones
            .iter()
            .filter(|other| other.node.thread == clone.node.thread);
        assert!({ same }.all(|other| is_same(other, clone)));
    }
    let mut nodes: Vec<_> = clones
        .iter()
        .map(|clone| Arc::as_ptr(&clone.node))
        .collect();
    nodes.sort_unstable();
    nodes.dedup();
    assert!((2..=THREADS).contains(&nodes.len()), "{}", nodes.len());
}

#[test]
fn a_number_is_the_same_all_a_threads_life_and_one_of_so_many() {
    let mine = current_thread();
    let theirs = on_another(|| [(); 3].map(|()| current_thread()));

    assert_eq!(current_thread(), mine);
    assert!(mine < THREADS && theirs[0] < THREADS && mine != theirs[0]);
    assert!(theirs.iter().all(|number| *number == theirs[0]));
}

/// Whether there is still something that holds the value, or what belongs to a thread.
struct Watch(
    Weak<Shared<&'static str, Local>>,
    Vec<Weak<Node<&'static str, Local>>>,
);

impl Watch {
    fn on<const N: usize>(all: [&Spread<&'static str, Local>; N]) -> Self {
        let nodes = all.iter().map(|one| Arc::downgrade(&one.node));
        Self(Arc::downgrade(&all[0].node.shared), nodes.collect())
    }

    fn assert_all_gone(&self) {
        assert!(self.0.upgrade().is_none());
        assert!(self.1.iter().all(|node| node.upgrade().is_none()));
    }
}

/// A root, two below it, and below the first of these one after another.
fn tree() -> [Spread<&'static str, Local>; 5] {
    let root = root();
    let [one, two] = [1, 2].map(|n| below(&root, (root.node.thread + n) % THREADS));
    let back = below(&one, root.node.thread);
    let on = below(&back, one.node.thread);
    [root, one, two, back, on]
}

#[test]
fn with_the_last_of_them_all_is_freed_in_whatever_order_they_go() {
    // Every way to pick one after another of five.
    for order in 0..120 {
        let all = tree();
        let watch = Watch::on(all.each_ref());
        let mut all = Vec::from(all);
        let mut order = order;
        while !all.is_empty() {
            assert!(watch.0.upgrade().is_some(), "one of them holds it");
            let last = all.swap_remove(order % all.len());
            assert_eq!(*last, "value");
            order /= all.len() + 1;
        }
        watch.assert_all_gone();
    }
}

#[test]
fn what_is_above_goes_with_its_last_clone_and_what_is_below_stays() {
    let [root, one, two, back, on] = tree();
    let watch = Watch::on([&root, &one, &two, &back]);
    let is_there = |n: usize| watch.1[n].upgrade().is_some();

    drop((two, root));
    assert!(!is_there(0) && !is_there(2), "nothing points upwards");
    assert!(is_there(1) && is_there(3));
    drop(one);
    assert!(!is_there(1) && is_there(3));
    assert_eq!((*back, *on), ("value", "value"));
    drop((on, back));
    watch.assert_all_gone();
}

#[test]
fn threads_that_drop_what_others_made_free_it_too() {
    let root = root();
    let one = on_another(|| root.clone());
    let two = on_another(|| (one.clone(), root.clone()));
    let watch = Watch::on([&root, &one, &two.0, &two.1]);

    let start = Barrier::new(3);
    thread::scope(|scope| {
        let start = &start;
        scope.spawn(move || {
            start.wait();
            drop(root);
        });
        scope.spawn(move || {
            start.wait();
            drop(two);
        });
        start.wait();
        drop(one);
    });

    watch.assert_all_gone();
}
