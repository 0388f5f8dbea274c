//! Whom a block is asked of, each rule by itself.

use super::super::choose::lot;
use super::swarm::{CALM, COMPLETE, ONE, OTHER, asked, calm, have};
use super::*;

const THIRD: SourceId = SourceId(3);
/// What is chosen among equals differs with the seed; a rule holds with each.
const SEEDS: Range<u64> = 0..24;

fn seeded(blocks: u32, pace: Pace, seed: u64) -> Plan {
    Plan::new(Layout::new(u64::from(blocks) * MIB).unwrap(), Runs::default(), pace, seed)
}

/// A block comes from a source, and is right.
fn brings(plan: &mut Plan, id: SourceId, block: u32, now: Instant) -> Vec<(SourceId, u32)> {
    let mut actions = plan.on(Event::Bytes(id, MIB), now);
    actions.extend(plan.on(Event::Verified(id, block), now));
    asked(actions)
}

fn told(plan: &mut Plan, id: SourceId, has: &[(u32, u32)], now: Instant) -> Vec<(SourceId, u32)> {
    let mut actions = plan.on(Event::JoinedPartial(id), now);
    actions.extend(plan.on(Event::Told(id, have(has, &[])), now));
    asked(actions)
}

#[test]
fn half_of_the_window_is_asked_for_at_once() {
    let now = Instant::now();
    let mut plan = seeded(64, Pace::default(), 1);
    let first = asked(plan.on(Event::Joined(COMPLETE), now));
    assert_eq!(first.len(), 4);
    assert_eq!(brings(&mut plan, COMPLETE, first[0].1, now + SECOND), [], "room for one");
    assert_eq!(brings(&mut plan, COMPLETE, first[1].1, now + SECOND).len(), 2);
}

#[test]
fn the_rarest_is_found_wherever_one_begins_to_look() {
    let now = Instant::now();
    for seed in SEEDS {
        let mut plan = seeded(8, calm(), seed);
        assert_eq!(told(&mut plan, OTHER, &[(0, 7)], now).len(), 1);
        assert_eq!(told(&mut plan, ONE, &[(0, 8)], now), [(ONE, 7)]);
    }
}

#[test]
fn what_only_a_slow_one_has_too_is_as_rare_as_if_it_did_not() {
    let now = Instant::now();
    for (takes, is_slow) in [(4, false), (5, true)] {
        let picks = SEEDS.map(|seed| {
            let mut plan = seeded(12, calm(), seed);
            assert_eq!(told(&mut plan, ONE, &[(0, 1)], now), [(ONE, 0)]);
            let first = told(&mut plan, OTHER, &[(1, 3)], now);
            assert_eq!(told(&mut plan, THIRD, &[(4, 12)], now).len(), 1);
            assert_eq!(brings(&mut plan, ONE, 0, now + SECOND), []);
            let later = now + takes * SECOND;
            assert_eq!(brings(&mut plan, OTHER, first[0].1, later).len(), 1);
            assert_eq!(told(&mut plan, OTHER, &[(3, 4)], later), [], "it owes one");
            told(&mut plan, ONE, &[(3, 12)], later)
        });
        let is_always_that = picks.into_iter().all(|pick| pick == [(ONE, 3)]);
        assert_eq!(is_always_that, is_slow, "{takes} times as long");
    }
}

#[test]
fn what_only_a_stalled_one_has_too_is_as_rare_as_if_it_did_not() {
    let now = Instant::now();
    for seed in SEEDS {
        let mut plan = seeded(12, calm(), seed);
        assert_eq!(told(&mut plan, OTHER, &[(0, 1)], now), [(OTHER, 0)]);
        assert_eq!(told(&mut plan, THIRD, &[(4, 12)], now).len(), 1);
        assert_eq!(plan.on(Event::Bytes(THIRD, MIB / 2), now + CALM - SECOND), []);
        let later = now + CALM;
        assert_eq!(told(&mut plan, OTHER, &[(3, 4)], later), [], "it is not asked for more");
        assert_eq!(told(&mut plan, ONE, &[(3, 12)], later), [(ONE, 3)]);
    }
}

#[test]
fn two_who_have_everything_are_both_asked_for_what_no_other_has() {
    let now = Instant::now();
    let mut plan = seeded(8, calm(), 1);
    assert_eq!(told(&mut plan, ONE, &[], now), []);
    assert_eq!(asked(plan.on(Event::Joined(COMPLETE), now)).len(), 1);
    assert_eq!(asked(plan.on(Event::Joined(OTHER), now)).len(), 1);
}

#[test]
fn lots_are_those_of_splitmix64() {
    // What the generator gives first with the seed 0, as its authors' program prints it.
    assert_eq!(
        [1, 2, 3].map(|block| lot(0, block)),
        [0xE220_A839_7B1D_CDAF, 0x6E78_9E6A_A1B9_65F4, 0x06C4_5D18_8009_454F]
    );
    assert_eq!(lot(0x9E37_79B9_7F4A_7C15, 0), lot(0, 1));
    assert_eq!(lot(0x9E37_79B9_7F4A_7C15, 1), 0);
}

#[test]
fn those_who_look_at_the_same_time_begin_where_each_has_the_highest_lot() {
    let now = Instant::now();
    let first = |own: u64, other: u64| {
        let mut plan = seeded(32, calm(), own);
        assert_eq!(plan.on(Event::JoinedPartial(ONE), now), []);
        assert_eq!(plan.on(Event::Told(ONE, Have { peer: other, ..Have::default() }), now), []);
        let first = asked(plan.on(Event::Joined(COMPLETE), now))[0].1;
        assert!(lot(own, first) > lot(other, first), "block {first} of {own} beside {other}");
        first
    };
    for seed in SEEDS {
        let (own, other) = (seed + 1, seed + 1000);
        assert_ne!(first(own, other), first(other, own));
    }
}

#[test]
fn who_is_new_is_not_asked_for_what_another_one_brings_soon() {
    let now = Instant::now();
    let mut plan = seeded(2, Pace::default(), 1);
    let first = asked(plan.on(Event::Joined(COMPLETE), now));
    assert_eq!(first.len(), 2);
    assert_eq!(brings(&mut plan, COMPLETE, first[0].1, now + SECOND), []);
    assert_eq!(plan.on(Event::Joined(OTHER), now + SECOND), []);
}

#[test]
fn who_is_new_is_tried_only_beside_those_who_have_been_looked_at() {
    let now = Instant::now();
    let mut plan = seeded(2, Pace::default(), 1);
    assert_eq!(asked(plan.on(Event::Joined(COMPLETE), now)).len(), 2);
    let soon = now + SECOND / 10;
    // At this rate it takes 6 s for a block, but the first bytes come slowly from everybody.
    assert_eq!(plan.on(Event::Bytes(COMPLETE, MIB / 64), soon), []);
    assert_eq!(plan.on(Event::Joined(OTHER), soon), []);
}

#[test]
fn a_fast_one_takes_over_what_one_of_usual_pace_owes() {
    let now = Instant::now();
    let mut plan = seeded(8, Pace::default(), 1);
    let mut owed = asked(plan.on(Event::Joined(COMPLETE), now));
    for second in 1..=3 {
        let (_, block) = owed.remove(0);
        owed.extend(brings(&mut plan, COMPLETE, block, now + second * SECOND));
    }
    assert_eq!(owed.len(), 3);
    let fast = asked(plan.on(Event::Joined(OTHER), now + 3 * SECOND));
    let later = now + 3 * SECOND + SECOND / 5;
    // What comes next from there is there sooner.
    let taken = [(OTHER, owed[2].1), (OTHER, owed[1].1)];
    assert_eq!(brings(&mut plan, OTHER, fast[0].1, later), taken);
}

#[test]
fn one_that_nobody_needs_is_asked_for_one_block_after_the_other() {
    let now = Instant::now();
    let mut plan = seeded(8, Pace { spare: SECOND, outstanding: 3, ..calm() }, 1);
    assert_eq!(told(&mut plan, ONE, &[(0, 8)], now).len(), 1);
    assert_eq!(plan.on(Event::Joined(COMPLETE), now), []);
    let later = now + SECOND;
    let first = asked(plan.on(Event::Tick, later));
    assert_eq!(first.len(), 1);
    // It is fast, and would be given three at once; but others have these too, and somebody may need it any time.
    assert_eq!(brings(&mut plan, COMPLETE, first[0].1, later + SECOND / 10).len(), 1);
}

#[test]
fn of_what_a_slower_one_owes_comes_first_what_it_would_bring_last() {
    let now = Instant::now();
    let mut plan = seeded(8, Pace::default(), 1);
    let slow = asked(plan.on(Event::Joined(COMPLETE), now));
    let fast = asked(plan.on(Event::Joined(OTHER), now));
    assert_eq!((slow.len(), fast.len()), (4, 4));
    let soon = now + SECOND / 10;
    assert_eq!(plan.on(Event::Bytes(OTHER, MIB), soon), []);
    assert_eq!(plan.on(Event::Bytes(COMPLETE, MIB / 64), soon), []);
    let mut stolen = Vec::new();
    for (_, block) in fast {
        stolen.extend(brings(&mut plan, OTHER, block, soon));
    }
    let last_first: Vec<_> = slow.iter().rev().map(|(_, block)| (OTHER, *block)).collect();
    assert_eq!(stolen, last_first);
}

#[test]
fn nobody_is_asked_twice_for_a_block_or_for_one_that_it_does_not_have() {
    let now = Instant::now();
    let mut plan = seeded(2, calm(), 1);
    assert_eq!(told(&mut plan, ONE, &[(0, 1)], now), [(ONE, 0)]);
    assert_eq!(asked(plan.on(Event::Joined(COMPLETE), now)), [(COMPLETE, 1)]);
    assert_eq!(brings(&mut plan, ONE, 0, now + SECOND / 10), [], "1 is not its to give");
}

#[test]
fn one_with_a_part_that_is_new_is_taken_for_as_good_as_the_slowest() {
    let now = Instant::now();
    let mut plan = seeded(2, calm(), 1);
    assert_eq!(told(&mut plan, OTHER, &[(0, 1)], now), [(OTHER, 0)]);
    assert_eq!(told(&mut plan, ONE, &[(1, 2)], now), [(ONE, 1)]);
    assert_eq!(told(&mut plan, OTHER, &[(1, 2)], now), [], "it owes one");
    assert_eq!(brings(&mut plan, OTHER, 0, now + SECOND), [], "1 will soon come");
    // But not where another one is faster than that.
    let mut plan = seeded(3, calm(), 1);
    for (id, block) in [(OTHER, 0), (THIRD, 1), (ONE, 2)] {
        assert_eq!(told(&mut plan, id, &[(block, block + 1)], now), [(id, block)]);
    }
    assert_eq!(told(&mut plan, THIRD, &[(2, 3)], now), [], "it owes one");
    assert_eq!(brings(&mut plan, THIRD, 1, now + SECOND / 10), []);
    assert_eq!(brings(&mut plan, OTHER, 0, now + SECOND), [(THIRD, 2)]);
    // Unlike one that has everything, of which everybody wants something.
    let mut plan = seeded(2, calm(), 1);
    assert_eq!(told(&mut plan, OTHER, &[(0, 1)], now), [(OTHER, 0)]);
    assert_eq!(asked(plan.on(Event::Joined(COMPLETE), now)), [(COMPLETE, 1)]);
    assert_eq!(told(&mut plan, OTHER, &[(1, 2)], now), [], "it owes one");
    assert_eq!(brings(&mut plan, OTHER, 0, now + SECOND), [(OTHER, 1)]);
}
