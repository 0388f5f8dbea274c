//! Nodes whose wall clocks differ by years, and jump.

use std::time::Instant;

use super::{BOUND, listed, once, wait_listed, wait_ready};
use crate::clock::{Clock, YEAR};
use crate::places::tree;
use crate::world::{Engine, Index, Sharer, p2pci};

#[test]
fn threat_c4_clocks_that_differ_by_years_and_jump_bury_nobody_and_keep_nobody() {
    let test = "threat_c4_clocks_that_differ_by_years_and_jump_bury_nobody_and_keep_nobody";
    let Some(engine) = Engine::start(test, 0) else { return };
    let clocks: Vec<Clock> = (0..3).map_while(|_| Clock::new(test)).collect();
    let Ok([ahead, behind, jumping]) = <[Clock; 3]>::try_from(clocks) else { return };
    ahead.set(10 * YEAR);
    behind.set(-10 * YEAR);
    let url = engine.url();
    let start = |clock: &Clock| {
        let index = Index::from_command(clock.on(p2pci(Index::args("127.0.0.1:0", &["--store", &url]))));
        wait_ready(&index);
        index
    };
    let (one, mut doomed, third) = (start(&ahead), start(&behind), start(&jumping));
    let (_outer, first) = tree("first", &[("a", "a")]);
    let (_outer, second) = tree("second", &[("b", "b")]);
    let _first = Sharer::start(&first, &one.address());
    let _second = Sharer::start(&second, &doomed.address());
    for index in [&one, &doomed, &third] {
        wait_listed(index, BOUND, &once(&["first/a", "second/b"]));
    }
    doomed.process().kill();
    // Until the dead one is gone, and that is longer than a lease, the clocks jump: the living ones stay, and both see it go.
    let (killed, mut years) = (Instant::now(), 0);
    let only_first = once(&["first/a"]);
    while [&one, &third].iter().any(|index| listed(index) != only_first) {
        assert!(killed.elapsed() < BOUND, "{:?}, {:?}", listed(&one), listed(&third));
        years = (years + 7) % 50;
        jumping.set((years - 25) * YEAR);
        ahead.set((25 - years) * YEAR);
        assert!(listed(&third).contains_key("first/a"), "the living one was taken for gone");
    }
    println!("gone after {:?}", killed.elapsed());
}
