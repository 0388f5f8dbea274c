//! Where some sources have only a part: each of the rules by which blocks are chosen, and random swarms.

use super::*;

pub(super) const COMPLETE: SourceId = SourceId(0);
pub(super) const ONE: SourceId = SourceId(1);
pub(super) const OTHER: SourceId = SourceId(2);
/// Nobody is given up, or asked for what others have, before this.
pub(super) const CALM: Duration = Duration::from_secs(20);

pub(super) fn calm() -> Pace {
    Pace { stalled: CALM, spare: CALM, outstanding: 1, ..Pace::in_swarm() }
}

fn plan(blocks: u32, there: Runs, pace: Pace) -> Plan {
    Plan::new(Layout::new(u64::from(blocks) * MIB).unwrap(), there, pace, 9)
}

pub(super) fn have(has: &[(u32, u32)], coming: &[u32]) -> Have {
    Have { peer: 5, has: has.to_vec(), coming: coming.to_vec(), ..Have::default() }
}

/// What is asked of whom, block by block.
pub(super) fn asked(actions: Vec<Action>) -> Vec<(SourceId, u32)> {
    let runs = actions.into_iter().map(|action| match action {
        Action::Fetch(id, run) => (id, run),
        other => panic!("{other:?}"),
    });
    runs.flat_map(|(id, run)| run.map(move |block| (id, block))).collect()
}

#[test]
fn of_one_that_has_a_part_comes_the_block_that_the_fewest_have() {
    let now = Instant::now();
    let mut plan = plan(8, [0, 1].into_iter().collect(), calm());
    assert_eq!(plan.on(Event::JoinedPartial(ONE), now), [], "it has nothing");
    assert_eq!(plan.on(Event::JoinedPartial(OTHER), now), []);
    assert_eq!(asked(plan.on(Event::Told(ONE, have(&[(0, 3)], &[])), now)), [(ONE, 2)]);
    // 5 and 6 both have soon, and 7 only the one that is asked now.
    assert_eq!(plan.on(Event::Told(ONE, have(&[(5, 7)], &[])), now), [], "it owes one");
    assert_eq!(asked(plan.on(Event::Told(OTHER, have(&[(5, 99)], &[])), now)), [(OTHER, 7)]);
    assert_eq!(plan.coming().count(), 0, "nobody of them has everything");
}

#[test]
fn of_one_that_has_all_comes_what_nobody_else_has_or_awaits() {
    let now = Instant::now();
    let mut plan = plan(8, Runs::default(), calm());
    assert_eq!(plan.on(Event::JoinedPartial(ONE), now), []);
    assert_eq!(plan.on(Event::Told(ONE, have(&[], &[4, 5, 6, 7, 99])), now), []);
    let first = asked(plan.on(Event::Joined(COMPLETE), now));
    assert!(matches!(first[..], [(COMPLETE, 0..4)]), "{first:?}");
    assert_eq!(plan.coming().collect::<Vec<_>>(), [first[0].1]);
    // What the other one lost can only come from here; what it got comes from there.
    assert_eq!(asked(plan.on(Event::Told(ONE, have(&[(0, 4)], &[])), now)).len(), 1);
    let lost = Have { lost: vec![6], ..have(&[], &[]) };
    assert_eq!(plan.on(Event::Told(ONE, lost), now), [], "both owe one");
    let later = now + SECOND / 10;
    assert_eq!(plan.on(Event::Bytes(COMPLETE, MIB), later), []);
    assert_eq!(asked(plan.on(Event::Verified(COMPLETE, first[0].1), later)), [(COMPLETE, 6)]);
}

#[test]
fn that_something_is_on_its_way_elsewhere_is_believed_for_a_while() {
    let now = Instant::now();
    let pace = Pace { stalled: SECOND, ..calm() };
    let mut plan = plan(1, Runs::default(), pace);
    assert_eq!(plan.on(Event::JoinedPartial(ONE), now), []);
    assert_eq!(plan.on(Event::Told(ONE, have(&[], &[0])), now), []);
    assert_eq!(plan.on(Event::Joined(COMPLETE), now), []);
    assert_eq!(plan.on(Event::Tick, now + 2 * SECOND - SECOND / 10), []);
    assert_eq!(asked(plan.on(Event::Tick, now + 2 * SECOND)), [(COMPLETE, 0)]);
}

#[test]
fn a_whole_state_replaces_what_was_told_before() {
    let now = Instant::now();
    let mut plan = plan(4, Runs::default(), calm());
    assert_eq!(plan.on(Event::JoinedPartial(ONE), now), []);
    assert_eq!(plan.on(Event::Told(ONE, have(&[], &[0, 1, 2, 3])), now), []);
    assert_eq!(plan.on(Event::Joined(COMPLETE), now), [], "all of it is on its way there");
    let whole = Have { whole: true, ..have(&[], &[0, 1, 3]) };
    assert_eq!(asked(plan.on(Event::Told(ONE, whole), now)), [(COMPLETE, 2)]);
}

#[test]
fn one_that_has_all_gives_what_others_have_too_once_nobody_has_needed_it_for_a_while() {
    let now = Instant::now();
    let mut plan = plan(4, Runs::default(), Pace { spare: SECOND, ..calm() });
    assert_eq!(plan.on(Event::JoinedPartial(ONE), now), []);
    assert_eq!(asked(plan.on(Event::Told(ONE, have(&[(0, 4)], &[])), now)).len(), 1);
    assert_eq!(plan.on(Event::Joined(COMPLETE), now), []);
    assert_eq!(plan.on(Event::Tick, now + SECOND - SECOND / 10), []);
    assert!(matches!(asked(plan.on(Event::Tick, now + SECOND))[..], [(COMPLETE, _)]));
}

#[test]
fn a_slow_one_is_asked_for_one_block_at_a_time() {
    let millisecond = Duration::from_millis(1);
    for (takes, more) in [(SWARM_SLOW, 3), (SWARM_SLOW + millisecond, 1)] {
        let now = Instant::now();
        let mut plan = plan(8, Runs::default(), Pace { outstanding: 3, ..calm() });
        assert_eq!(plan.on(Event::JoinedPartial(ONE), now), []);
        let first = asked(plan.on(Event::Told(ONE, have(&[(0, 8)], &[])), now));
        assert_eq!(first.len(), 1, "it has brought nothing yet");
        let mut next = asked(plan.on(Event::Bytes(ONE, MIB), now + takes));
        next.extend(asked(plan.on(Event::Verified(ONE, first[0].1), now + takes)));
        assert_eq!(next.len(), more, "{takes:?}");
    }
}

#[test]
fn blocks_that_nobody_has_for_too_long_are_the_end() {
    let now = Instant::now();
    let mut plan = plan(4, Runs::default(), calm());
    assert_eq!(plan.on(Event::JoinedPartial(ONE), now), []);
    assert_eq!(plan.on(Event::Tick, now + SWARM_STARVED - SECOND), []);
    assert_eq!(plan.on(Event::Tick, now + SWARM_STARVED), [Action::Starved]);
    assert_eq!(plan.on(Event::Told(ONE, have(&[(0, 4)], &[])), now + SWARM_STARVED), [], "it is over");
}

#[test]
fn what_one_owes_that_lets_others_go_first_is_asked_of_others() {
    let now = Instant::now();
    let mut plan = plan(1, Runs::default(), calm());
    assert_eq!(asked(plan.on(Event::Joined(COMPLETE), now)), [(COMPLETE, 0)]);
    assert_eq!(plan.on(Event::JoinedPartial(ONE), now), []);
    assert_eq!(plan.on(Event::Waits(COMPLETE), now), [], "nobody else has it");
    let later = now + CALM;
    assert_eq!(asked(plan.on(Event::Told(ONE, have(&[(0, 1)], &[])), later)), [(ONE, 0)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn a_swarm_in_which_each_block_is_somewhere_ends_whole(
        holdings in proptest::collection::vec(any::<u32>(), 1..6),
        has_seed in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let blocks = 24;
        let mut now = Instant::now();
        let mut plan = Plan::new(Layout::new(blocks * MIB).unwrap(), Runs::default(), Pace::in_swarm(), seed);
        let all = u32::MAX >> 8;
        // What is nowhere else, the last one has.
        let rest = if has_seed { 0 } else { holdings.iter().fold(all, |rest, one| rest & !one) };
        let mut owed: Vec<(SourceId, u32)> = Vec::new();
        let mut events: Vec<Event> = Vec::new();
        for (at, bits) in holdings.iter().chain([&rest]).enumerate() {
            let id = SourceId(at as u32 + 1);
            let has = (0..24).filter(|block| bits >> block & 1 == 1).map(|block| (block, block + 1)).collect();
            events.push(Event::JoinedPartial(id));
            events.push(Event::Told(id, Have { peer: u64::from(id.0), has, ..Have::default() }));
        }
        if has_seed {
            events.push(Event::Joined(COMPLETE));
        }
        events.push(Event::NoMoreSources);
        let mut end = None;
        for _ in 0..10_000 {
            if end.is_some() {
                break;
            }
            now += SECOND / 20;
            // All that were asked bring what they owe at the same pace.
            let bringers: BTreeMap<SourceId, u32> = owed.iter().rev().copied().collect();
            for (id, block) in bringers {
                owed.retain(|one| *one != (id, block));
                events.push(Event::Bytes(id, MIB));
                events.push(Event::Verified(id, block));
            }
            events.push(Event::Tick);
            for event in events.drain(..) {
                for action in plan.on(event, now) {
                    match action {
                        Action::Fetch(id, run) => {
                            for block in run {
                                let holder = (id.0 as usize).checked_sub(1);
                                let bits = holder.map_or(all, |at| holdings.get(at).copied().unwrap_or(rest));
                                prop_assert!(bits >> block & 1 == 1, "{:?} does not have {}", id, block);
                                owed.push((id, block));
                            }
                        }
                        other => end = Some(other),
                    }
                }
            }
        }
        prop_assert_eq!(end, Some(Action::Done));
    }
}
