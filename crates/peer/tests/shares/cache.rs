//! What is known after a restart, and what a cache cannot spoil.

use std::fs::File;
use std::path::Path;

use peer::notice::ShareNotice;
use peer::shares::{CacheFolder, Options};

use crate::world::{World, hash, options, wait_for};

fn cached(world: &World) -> Options {
    Options { cache: CacheFolder::At(world.path("state/cache")), ..options() }
}

fn wait_until_told_hashed(world: &World, files: u64) -> u64 {
    let mut bytes = 0;
    wait_for("the end of hashing", || {
        let (mut told, mut read) = (0, 0);
        for notice in world.told() {
            if let ShareNotice::Hashed { files, bytes } = notice {
                (told, read) = (told + files, read + bytes);
            }
        }
        bytes = read;
        told == files
    });
    bytes
}

/// Another content under the same size and time.
fn forge(path: &Path, content: &[u8]) {
    let time = path.metadata().unwrap().modified().unwrap();
    std::fs::write(path, content).unwrap();
    File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn what_was_hashed_is_not_read_again() {
    let mut world = World::new();
    let small = world.write_old("share/small", "first");
    let large = world.write_old("share/large", vec![1; 3 << 20]);
    let options = cached(&world);
    world.publish(&options);
    assert_eq!(wait_until_told_hashed(&world, 2), (3 << 20) + 5);
    world.restart();
    forge(&small, b"other");
    forge(&large, &vec![2; 3 << 20]);
    world.publish(&options);
    assert_eq!(wait_until_told_hashed(&world, 2), 0, "bytes that were read");
    assert_eq!(world.hash_of("share/small"), Some(hash("first")));
    let root = hash(vec![1; 3 << 20]);
    assert_eq!(world.table.blocks(&root).map(|blocks| blocks.len()), Some(96));
    world.restart();
    crate::world::age(&small);
    std::fs::rename(&large, world.path("share/renamed")).unwrap();
    world.publish(&options);
    assert_eq!(wait_until_told_hashed(&world, 2), 5, "only what has another time");
    assert_eq!(world.hash_of("share/small"), Some(hash("other")));
    assert_eq!(world.hash_of("share/renamed"), Some(root));
}

#[test]
fn a_cache_in_use_is_done_without() {
    let (first, second) = (World::new(), World::new());
    second.write_old("share/a", vec![3; 2 << 20]);
    let options = cached(&first);
    first.publish(&options);
    assert!(first.told().is_empty());
    second.publish(&options);
    assert!(matches!(&second.told()[..], [ShareNotice::NoCache { .. }, ..]), "{:?}", second.told());
    second.wait_until_hashed();
    let root = hash(vec![3; 2 << 20]);
    assert_eq!(second.table.blocks(&root).map(|blocks| blocks.len()), Some(64));
}

#[test]
fn a_cache_that_cannot_be_made_or_is_damaged_harms_nothing() {
    let mut world = World::new();
    world.write_old("share/a", "a");
    let options = cached(&world);
    world.write("state", "no folder");
    world.publish(&options);
    assert!(matches!(&world.told()[..], [ShareNotice::NoCache { .. }, ..]));
    world.wait_until_hashed();
    world.restart();
    std::fs::remove_file(world.path("state")).unwrap();
    world.write("state/cache/hashes.redb", "garbage, more than a header of a database has ".repeat(200));
    world.publish(&options);
    assert!(matches!(&world.told()[..], [ShareNotice::CacheRenewed, ..]), "{:?}", world.told());
    world.wait_until_hashed();
    assert_eq!(world.hash_of("share/a"), Some(hash("a")));
}
