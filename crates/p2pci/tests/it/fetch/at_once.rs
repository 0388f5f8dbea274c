//! Many processes that want the same files in the same folder at once.

use std::fs;
use std::thread;

use crate::places::{empty_folder, everything_in, tree};
use crate::world::{BLOCK, Index, Sharer, noise, run_in};

const PROCESSES: usize = 16;
const RUNS: usize = 3;

/// `fault_d11`: whoever comes second waits, joins, or says that somebody else is at it.
#[test]
fn fault_d11_sixteen_downloads_of_one_file_leave_one_file() {
    let (large, small) = (noise(1, 3 * BLOCK as usize + 5), noise(2, 9000));
    let (_outer, root) = tree("some", &[("large", &large), ("small/a", &small), ("small/b", &large)]);
    let index = Index::start();
    let _sharer = Sharer::start(&root, &index.address());
    index.wait_hashed(3);
    for run in 0..RUNS {
        let here = empty_folder();
        let ended: Vec<_> = thread::scope(|scope| {
            let one = |number: usize| {
                let (here, index) = (&here, &index);
                let target: &[&str] =
                    if number.is_multiple_of(2) { &["some/large"] } else { &["-r", "some/small"] };
                scope.spawn(move || {
                    run_in(here.path(), [&["get", "--server", &index.address()], target].concat())
                })
            };
            let running: Vec<_> = (0..PROCESSES).map(one).collect();
            running.into_iter().map(|running| running.join().unwrap()).collect()
        });
        for ended in &ended {
            let is_busy = ended.code == Some(1) && ended.stderr.contains("already being downloaded");
            assert!(ended.code == Some(0) || is_busy, "run {run}: {:?} {}", ended.code, ended.stderr);
        }
        assert!(ended.iter().filter(|ended| ended.code == Some(0)).count() >= 2, "run {run}: {ended:?}");
        assert_eq!(
            everything_in(here.path()),
            ["large", "some/", "some/small/", "some/small/a", "some/small/b"],
            "run {run}"
        );
        for (path, content) in [("large", &large), ("some/small/a", &small), ("some/small/b", &large)] {
            assert!(fs::read(here.path().join(path)).unwrap() == *content, "run {run}: {path} differs");
        }
    }
}
