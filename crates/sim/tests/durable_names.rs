//! Found by `cargo xtask sim` in worlds 160, 266, 382 and 409 of the day on which it was new: a download is killed after it gave the file its name and
//! before it made that name durable; the next one finds the file and says that it is there; then the power fails, and it is not.

use std::time::Duration;

use sim::system::network::Link;
use sim::system::scenario::{Does, Fault, Host, Scenario};
use sim::system::world;

/// The folder is the second thing that a download makes durable.
const BEFORE_THE_FOLDER: Option<u32> = Some(1);
/// Whether a name that is not durable is lost is a coin's to say.
const WORLDS: u64 = 8;

#[test]
fn what_a_killed_download_has_named_is_durable_before_the_next_one_says_that_it_is_there() {
    let link = Link { up: 1e8, down: 1e8, delay: Duration::from_millis(1), loss: 0 };
    let host = |does| Host { does, link, slowest_disk: Duration::ZERO };
    let fetches = 2;
    for seed in 0..WORLDS {
        let scenario = Scenario {
            seed,
            contents: vec![3 << 20],
            hosts: vec![
                host(Does::Index),
                host(Does::Shares { contents: vec![0], lies: false }),
                host(Does::Fetches { content: 0, starts: Duration::from_secs(2) }),
            ],
            faults: vec![
                (
                    Duration::from_secs(1),
                    Fault::Kill { host: fetches, at_sync: BEFORE_THE_FOLDER, away: Duration::ZERO },
                ),
                (
                    Duration::from_secs(15),
                    Fault::PowerLoss { host: fetches, at_sync: None, away: Duration::from_secs(1) },
                ),
            ],
            calm_at: Duration::from_secs(20),
        };
        let folder = tempfile::tempdir().unwrap();
        let report = world::run(&scenario, folder.path()).unwrap();
        assert!(report.faults.is_empty(), "{seed}: {:#?}\n{}", report.faults, report.log.join("\n"));
        let ends = report.log.iter().filter(|line| line.ends_with("end 2")).count();
        assert_eq!(ends, 2, "it was killed, and lost its power:\n{}", report.log.join("\n"));
    }
}
