//! Random worlds of sources; the promises hold in each one.

use super::*;
use proptest::prelude::*;

mod choose;
mod swarm;

const SECOND: Duration = Duration::from_secs(1);
const MIB: u64 = 1024 * 1024;

/// How a source behaves.
#[derive(Debug, Clone, Copy)]
enum Nature {
    /// Brings what it is asked for, at this many KiB a second.
    Good(u64),
    /// One block in this many is wrong.
    Lying(u32),
    /// Never brings anything.
    Silent,
    /// Leaves after this many blocks.
    Dying(u32),
    /// Brings this many bytes a second.
    Dripping(u64),
}

struct Simulated {
    nature: Nature,
    owes: Vec<u32>,
    /// Bytes of the block that comes.
    filled: u64,
    sent: u32,
    here: bool,
}

struct World {
    plan: Plan,
    layout: Layout,
    sources: Vec<Simulated>,
    now: Instant,
    wrong: u32,
    bytes: u64,
    end: Option<Action>,
}

impl World {
    fn new(natures: &[Nature], blocks: u32, there: &[u32], seed: u64) -> Self {
        let layout = Layout::new(u64::from(blocks) * MIB - MIB / 2).unwrap();
        let there = there.iter().map(|block| block % blocks).collect();
        let sources = natures.iter().map(|nature| Simulated {
            nature: *nature,
            owes: Vec::new(),
            filled: 0,
            sent: 0,
            here: true,
        });
        Self {
            plan: Plan::new(layout, there, Pace::default(), seed),
            layout,
            sources: sources.collect(),
            now: Instant::now(),
            wrong: 0,
            bytes: 0,
            end: None,
        }
    }

    fn on(&mut self, event: Event) {
        for action in self.plan.on(event, self.now) {
            assert!(self.end.is_none(), "{action:?} after the end");
            match action {
                Action::Fetch(SourceId(id), run) => {
                    let source = &mut self.sources[id as usize];
                    assert!(source.here, "asked after it left");
                    source.owes.extend(run);
                    assert!(source.owes.len() <= SOURCE_BLOCKS_OUTSTANDING as usize);
                }
                Action::Ban(SourceId(id)) => {
                    let source = &mut self.sources[id as usize];
                    assert!(matches!(source.nature, Nature::Lying(_)), "banned: {:?}", source.nature);
                    source.here = false;
                }
                Action::Drop(SourceId(id)) => {
                    let source = &mut self.sources[id as usize];
                    assert!(
                        matches!(source.nature, Nature::Silent | Nature::Dripping(_)),
                        "dropped: {:?}",
                        source.nature
                    );
                    source.here = false;
                }
                end => self.end = Some(end),
            }
        }
    }

    /// A tenth of a second of one source.
    fn step(&mut self, id: usize) {
        let rate = match self.sources[id].nature {
            Nature::Good(rate) => rate * 1024,
            Nature::Lying(_) | Nature::Dying(_) => 5 * MIB,
            Nature::Silent => 0,
            Nature::Dripping(rate) => rate,
        };
        let mut bytes = rate.div_ceil(10);
        while bytes > 0 && self.end.is_none() && self.sources[id].here && !self.sources[id].owes.is_empty() {
            let source = &mut self.sources[id];
            let block = source.owes[0];
            let taken = bytes.min(self.layout.block_len(block) - source.filled);
            (source.filled, bytes) = (source.filled + taken, bytes - taken);
            self.bytes += taken;
            let whole = source.filled == self.layout.block_len(block);
            self.on(Event::Bytes(SourceId(id as u32), taken));
            if whole && self.end.is_none() {
                self.deliver(id, block);
            }
        }
    }

    fn deliver(&mut self, id: usize, block: u32) {
        let source = &mut self.sources[id];
        source.owes.remove(0);
        (source.filled, source.sent) = (0, source.sent + 1);
        let (sent, id) = (source.sent, SourceId(id as u32));
        match source.nature {
            Nature::Lying(one_in) if sent % one_in == 0 => {
                self.wrong += 1;
                self.on(Event::Wrong(id, block));
            }
            Nature::Dying(after) if sent > after => {
                source.here = false;
                self.on(Event::Left(id));
            }
            _ => self.on(Event::Verified(id, block)),
        }
    }

    fn run(&mut self) -> Action {
        for id in 0..self.sources.len() {
            self.on(Event::Joined(SourceId(id as u32)));
        }
        self.on(Event::NoMoreSources);
        for _ in 0..100_000 {
            if let Some(end) = self.end.take() {
                return end;
            }
            self.now += SECOND / 10;
            for id in 0..self.sources.len() {
                self.step(id);
            }
            if self.end.is_none() {
                self.on(Event::Tick);
            }
        }
        panic!("it never ends");
    }
}

fn nature() -> impl Strategy<Value = Nature> {
    prop_oneof![
        (20_u64..20_000).prop_map(Nature::Good),
        (1_u32..5).prop_map(Nature::Lying),
        Just(Nature::Silent),
        (0_u32..5).prop_map(Nature::Dying),
        (1_u64..900).prop_map(Nature::Dripping),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn a_transfer_ends_whole_if_one_source_is_good(
        natures in proptest::collection::vec(nature(), 0..8),
        blocks in 1_u32..30,
        there in proptest::collection::vec(any::<u32>(), 0..10),
        seed in any::<u64>(),
    ) {
        let mut world = World::new(&natures, blocks, &there, seed);
        let end = world.run();
        if natures.iter().any(|nature| matches!(nature, Nature::Good(_))) {
            prop_assert_eq!(&end, &Action::Done);
        }
        prop_assert_eq!(end == Action::Done, world.plan.verified().count() == blocks);
        let liars = natures.iter().filter(|nature| matches!(nature, Nature::Lying(_))).count();
        prop_assert!(world.wrong as usize <= liars, "a liar costs one block");
    }

    #[test]
    fn a_single_source_brings_each_block_once(blocks in 1_u32..60, rate in 100_u64..50_000, seed in any::<u64>()) {
        let mut world = World::new(&[Nature::Good(rate)], blocks, &[], seed);
        prop_assert_eq!(world.run(), Action::Done);
        prop_assert_eq!(world.bytes, world.layout.size());
    }

    #[test]
    fn equal_sources_share_the_work_and_waste_little(count in 2_usize..6, seed in any::<u64>()) {
        let mut world = World::new(&vec![Nature::Good(2048); count], 100, &[], seed);
        let start = world.now;
        prop_assert_eq!(world.run(), Action::Done);
        let fair = Duration::from_secs_f64(100.0 / 2.0 / count as f64);
        prop_assert!(world.now - start < fair * 2, "{:?} for {:?}", world.now - start, fair);
        prop_assert!(world.bytes <= world.layout.size() + 2 * count as u64 * MIB, "{} bytes", world.bytes);
    }
}

#[test]
fn a_fast_source_does_not_wait_for_a_slow_one_at_the_end() {
    let mut world = World::new(&[Nature::Good(20 * 1024), Nature::Good(20)], 40, &[], 1);
    let start = world.now;
    assert_eq!(world.run(), Action::Done);
    // The slow one alone takes 50 s for one block.
    assert!(world.now - start < 8 * SECOND, "{:?}", world.now - start);
}

#[test]
fn a_silent_source_holds_nothing_up() {
    let mut world = World::new(&[Nature::Silent, Nature::Good(20 * 1024), Nature::Silent], 10, &[], 1);
    let start = world.now;
    assert_eq!(world.run(), Action::Done);
    assert!(world.now - start < 5 * SECOND, "{:?}", world.now - start);
}

#[test]
fn one_that_was_never_asked_is_tried_where_all_others_drip() {
    let mut natures = vec![Nature::Dripping(50); 7];
    natures.push(Nature::Good(20 * 1024));
    for blocks in [1, 3, 6, 30] {
        let mut world = World::new(&natures, blocks, &[], 1);
        let start = world.now;
        assert_eq!(world.run(), Action::Done);
        // Their rate is found too low after a minute.
        assert!(world.now - start < 20 * SECOND, "{blocks} blocks: {:?}", world.now - start);
    }
}

#[test]
fn nothing_to_fetch_is_done_and_nobody_to_ask_is_failed() {
    let now = Instant::now();
    let layout = Layout::new(3 * MIB).unwrap();
    let mut plan = Plan::new(layout, Runs::below(3), Pace::default(), 0);
    assert_eq!(plan.on(Event::Tick, now), [Action::Done]);
    assert_eq!(plan.on(Event::Joined(SourceId(0)), now), []);
    let mut plan = Plan::new(layout, Runs::default(), Pace::default(), 0);
    assert_eq!(plan.on(Event::Tick, now), []);
    assert_eq!(plan.on(Event::NoMoreSources, now), [Action::Failed]);
}

#[test]
fn where_others_may_begin_too_a_source_is_asked_for_one_block_until_it_has_brought_something() {
    let asked = |actions: Vec<Action>| {
        let lengths = actions.into_iter().map(|action| match action {
            Action::Fetch(_, run) => run.len(),
            _ => 0,
        });
        lengths.sum::<usize>()
    };
    for (pace, first, then) in [(Pace::in_swarm(), 1, 3), (Pace::default(), 4, 0)] {
        let (start, layout) = (Instant::now(), Layout::new(64 * MIB).unwrap());
        let mut plan = Plan::new(layout, Runs::default(), pace, 1);
        assert_eq!(asked(plan.on(Event::Joined(SourceId(0)), start)), first);
        let later = start + SECOND / 20;
        assert_eq!(asked(plan.on(Event::Bytes(SourceId(0), MIB / 4), later)), then);
    }
}

#[test]
fn what_a_banned_source_still_sends_changes_nothing() {
    let now = Instant::now();
    let layout = Layout::new(3 * MIB).unwrap();
    let mut plan = Plan::new(layout, Runs::default(), Pace::default(), 0);
    let (liar, good) = (SourceId(0), SourceId(1));
    assert!(matches!(plan.on(Event::Joined(liar), now)[..], [Action::Fetch(..), ..]));
    assert_eq!(plan.on(Event::Wrong(liar, 0), now), [Action::Ban(liar)]);
    for event in [Event::Wrong(liar, 1), Event::Bytes(liar, 5), Event::Left(liar), Event::Verified(good, 99)]
    {
        assert_eq!(plan.on(event, now), []);
    }
    let asked = plan.on(Event::Joined(good), now);
    let blocks: u32 = asked
        .iter()
        .map(|one| match one {
            Action::Fetch(_, run) => run.len() as u32,
            other => panic!("{other:?}"),
        })
        .sum();
    assert_eq!(blocks, 3);
}

/// Where the first run begins that each of many downloads asks a source for, `joins` as it is told.
fn beginnings(joins: &[Event]) -> std::collections::BTreeSet<u32> {
    let now = Instant::now();
    let layout = Layout::new(1000 * MIB).unwrap();
    let first = |seed: u64| {
        let mut plan = Plan::new(layout, Runs::default(), Pace::default(), seed);
        let actions = joins.iter().flat_map(|event| plan.on(event.clone(), now)).collect::<Vec<_>>();
        match actions.first() {
            Some(Action::Fetch(_, run)) => run.start,
            other => panic!("{other:?}"),
        }
    };
    (0..16).map(first).collect()
}

#[test]
fn downloads_that_begin_together_begin_at_places_that_differ() {
    let id = SourceId(7);
    let all = Have { has: vec![(0, 1000)], ..Have::default() };
    let joins: [&[Event]; 2] = [&[Event::Joined(id)], &[Event::JoinedPartial(id), Event::Told(id, all)]];
    for joins in joins {
        let places = beginnings(joins);
        assert!(places.len() >= 12, "16 draws among 1000 places: {places:?}");
        assert!(places.iter().max() > Some(&500) && places.iter().min() < Some(&500), "{places:?}");
    }
}

#[test]
fn a_block_in_no_state_or_in_two_is_noticed() {
    let now = Instant::now();
    let whole = || {
        let mut plan =
            Plan::new(Layout::new(9 * MIB).unwrap(), [8].into_iter().collect(), Pace::default(), 1);
        assert!(matches!(plan.on(Event::Joined(SourceId(0)), now)[..], [Action::Fetch(..), ..]));
        assert!(plan.is_partition());
        let asked = *plan.asked.keys().next().unwrap();
        let missing = plan.missing.iter().next().unwrap();
        (plan, asked, missing)
    };
    let (mut plan, _, missing) = whole();
    plan.missing.remove(missing);
    assert!(!plan.is_partition(), "in no state");
    // As many as there should be, but one of them twice.
    let (mut plan, asked, missing) = whole();
    plan.missing.remove(missing);
    plan.missing.insert(asked);
    assert!(!plan.is_partition(), "asked and missing");
    let (mut plan, asked, missing) = whole();
    plan.missing.remove(missing);
    plan.verified.insert(asked);
    assert!(!plan.is_partition(), "asked and verified");
}
