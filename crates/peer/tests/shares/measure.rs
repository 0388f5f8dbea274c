//! Figures, for whoever asks for them: `cargo test --release -p peer --test shares -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use peer::notice::ShareNotice;
use peer::shares::{CacheFolder, Options};

use crate::world::{World, hash, options, wait_for};

/// Anonymous memory of this process in bytes.
fn anonymous_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[test]
#[ignore = "makes 100,000 files"]
fn a_hundred_thousand_small_files() {
    let world = World::new();
    for number in 0..100_000 {
        world.write(&format!("share/{:03}/some-name-{number}.txt", number % 1000), number.to_string());
    }
    // What was written just now waits before it is hashed, and this is about hashing.
    std::thread::sleep(Duration::from_millis(200));
    let before = anonymous_memory();
    let began = Instant::now();
    let mut changes = world.table.changes();
    let published = world.publish(&Options { cache: CacheFolder::At(world.path("state")), ..options() });
    let walked = began.elapsed();
    assert_eq!(published.files, 100_000);
    let mut put = 0;
    wait_for("every hash", || {
        while let count @ 1.. = changes.try_next().len() {
            put += count;
        }
        world.told().iter().any(|notice| matches!(notice, ShareNotice::Hashed { .. }))
    });
    let hashed = began.elapsed();
    let memory = anonymous_memory() - before;
    println!(
        "walked in {walked:.2?}, hashed in {hashed:.2?}, {put} changes, {} KiB of memory",
        memory / 1024
    );
    assert!(memory <= 100 << 20 && hashed < Duration::from_secs(25));
}

#[test]
#[ignore = "makes a file of 1 GiB"]
fn one_large_file_against_the_hash_alone() {
    const SIZE: usize = 1 << 30;
    let world = World::new();
    let content = vec![0x5a; SIZE];
    world.write_old("share/large", &content);
    let mut best = [Duration::MAX; 2];
    for _ in 0..5 {
        let began = Instant::now();
        // The same bytes from memory by as many threads, without reading and without a tree above them.
        let half = content.len() / 2;
        std::thread::scope(|scope| {
            let (left, right) = content.split_at(half);
            scope.spawn(move || std::hint::black_box(blake3::hash(left)));
            std::hint::black_box(blake3::hash(right));
        });
        best[0] = best[0].min(began.elapsed());
        let fresh = World::new();
        let began = Instant::now();
        fresh.publish_roots(&[crate::world::root(&world.path("share"))], &options());
        wait_for("the hash", || fresh.hash_of("share/large").is_some());
        best[1] = best[1].min(began.elapsed());
    }
    let rate = |time: Duration| SIZE as f64 / time.as_secs_f64() / f64::from(1 << 20);
    println!("hash alone {:.0} MiB/s, published {:.0} MiB/s", rate(best[0]), rate(best[1]));
    assert_eq!(hash(&content), world_hash(&world));
}

fn world_hash(world: &World) -> proto::value::digest::Digest {
    world.publish(&options());
    world.wait_until_hashed();
    world.hash_of("share/large").unwrap()
}
