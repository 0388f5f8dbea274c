//! What of a tree is shared, and under which names.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use peer::shares::{Options, Prefix, PublishError, Root, Skip, preview};
use proto::transfer::blocks::{BlockList, Layout};
use proto::value::number::RfcNumber;

use crate::world::{World, hash, name, options, root};

fn fifo(path: &Path) {
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

#[test]
fn several_roots_share_one_space_of_names() {
    let world = World::new();
    world.write("share/a/x.txt", "1");
    world.write("share/top.txt", "2");
    world.write("other/share/top.txt", "3");
    world.write("other/share/more.txt", "4");
    world.write("single.bin", "5");
    let bare = Root { path: world.path("other/share"), prefix: Prefix::typed("/") };
    let moved = Root { path: world.path("single.bin"), prefix: Prefix::typed("bin/") };
    let roots = [
        root(&world.path("share")),
        root(&world.path("other/share")),
        root(&world.path("single.bin")),
        bare,
        moved,
    ];
    let published = world.publish_roots(&roots, &options());
    let names = [
        "bin/single.bin",
        "more.txt",
        "share/a/x.txt",
        "share/more.txt",
        "share/top.txt",
        "single.bin",
        "top.txt",
    ];
    assert_eq!(world.names(), names);
    assert_eq!((published.files, published.skipped.get(&Skip::SameName)), (7, Some(&1)));
    world.wait_until_hashed();
    assert_eq!(world.hash_of("share/top.txt"), Some(hash("2")), "the first root has the name");
    assert_eq!(world.hash_of("bin/single.bin"), Some(hash("5")));
}

#[test]
fn what_is_left_out_is_counted_by_reason() {
    let world = World::new();
    world.write("share/fine.txt", "x");
    world.write("share/sub/.hidden", "x");
    world.write("share/.git/config", "x");
    world.write("share/id_rsa", "x");
    world.write("share/sub/.env", "x");
    world.write("share/film.part", "x");
    world.write("share/sub/a.log", "x");
    world.write("share/build/out", "x");
    world.write("share/a\nb", "x");
    world.write("share/x.tmp", "x");
    std::fs::write(world.path("share").join(std::ffi::OsStr::from_bytes(b"bad\xff")), "x").unwrap();
    world.write("share/.p2pciignore", "*.log\n/build/\n");
    world.write("secret", "x");
    std::os::unix::fs::symlink(world.path("secret"), world.path("share/link")).unwrap();
    fifo(&world.path("share/fifo"));
    let before = world.disk();
    let published = world.publish(&Options { globs: vec!["!*.tmp".to_owned()], ..options() });
    assert_eq!(world.names(), ["share/fine.txt"]);
    let counts = [
        (Skip::Hidden, 3),
        (Skip::Key, 2),
        (Skip::Unfinished, 1),
        (Skip::Glob, 1),
        (Skip::Ignored, 2),
        (Skip::Link, 1),
        (Skip::Special, 1),
        (Skip::Name, 2),
    ];
    assert_eq!(published.skipped, counts.into());
    world.wait_until_hashed();
    assert_eq!(world.disk(), before, "nothing is written into a shared folder");
}

#[test]
fn hidden_files_and_keys_are_shared_when_asked_for() {
    let world = World::new();
    for path in ["share/.a/b", "share/c.pem", "share/d"] {
        world.write(path, "x");
    }
    world.publish(&Options { hidden: true, ..options() });
    assert_eq!(world.names(), ["share/.a/b", "share/d"]);
    let asked = World::new();
    asked.write("share/c.pem", "x");
    asked.write("share/sub/d.pem", "x");
    asked.write("share/e", "x");
    asked.publish(&Options { globs: vec!["*.pem".to_owned()], ..options() });
    assert_eq!(asked.names(), ["share/c.pem", "share/sub/d.pem"]);
}

#[test]
fn links_are_followed_only_when_asked_and_only_beneath_the_root() {
    let world = World::new();
    world.write("share/real/x", "in");
    world.write("secret/y", "out");
    let link = |to: &str, at: &str| std::os::unix::fs::symlink(to, world.path(at)).unwrap();
    link("real", "share/folder");
    link("real/x", "share/file");
    link("../secret", "share/out");
    link("../secret/y", "share/out.txt");
    link("..", "share/real/up");
    link("nothing", "share/broken");
    link("share", "linked");
    world.publish_roots(&[root(&world.path("linked"))], &options());
    assert_eq!(world.names(), ["linked/real/x"], "a root may be a link");
    let following = World::new();
    let roots = [root(&world.path("share"))];
    following.publish_roots(&roots, &Options { follow_links: true, ..options() });
    assert_eq!(following.names(), ["share/file", "share/folder/x", "share/real/x"]);
    following.wait_until_hashed();
    assert_eq!(following.hash_of("share/file"), Some(hash("in")));
}

#[test]
fn a_root_that_is_refused_shares_nothing() {
    let world = World::new();
    world.write("share/x", "x");
    let told: std::sync::Arc<dyn peer::notice::Observer> = std::sync::Arc::new(crate::world::Told::default());
    let publish = |path: &str, options: &Options| {
        world.table.publish(&[root(&world.path("share")), root(&world.path(path))], options, &told)
    };
    assert!(matches!(publish("none", &options()), Err(PublishError::NotThere(_))));
    fifo(&world.path("fifo"));
    assert!(matches!(publish("fifo", &options()), Err(PublishError::NotShareable(_))));
    let home = Options { home: Some(world.path("share")), ..options() };
    assert!(matches!(publish("share", &home), Err(PublishError::TooMuch(_))));
    assert!(matches!(preview(&[root(Path::new("/"))], &options()), Err(PublishError::TooMuch(_))));
    let glob = Options { globs: vec!["a[".to_owned()], ..options() };
    assert!(matches!(publish("share", &glob), Err(PublishError::Glob(_))));
    assert!(world.table.is_empty());
}

#[test]
fn texts_of_the_top_folder_have_numbers() {
    let world = World::new();
    world.write("share/rfc5.txt", "Network Working Group\n\n\n          Five\n");
    world.write("share/sub/rfc6.txt", "x");
    world.write("other/rfc5.txt", "y");
    world.write("other/rfc7.txt", "z");
    world.publish_roots(&[root(&world.path("share")), root(&world.path("other"))], &options());
    let numbered = world.table.list();
    let told: Vec<_> = numbered.iter().map(|s| (s.number.get(), &*s.title, s.length)).collect();
    assert_eq!(told, [(5, "Five", 39), (7, "RFC 7", 1)]);
    assert_eq!(world.file("other/rfc5.txt").unwrap().rfc, None);
    let opened = world.table.open_number(RfcNumber::new(5).unwrap()).unwrap();
    assert_eq!(&*opened.name, "share/rfc5.txt");
    assert!(world.table.open_number(RfcNumber::new(6).unwrap()).is_none());
}

#[test]
fn every_size_gets_its_hash_and_its_blocks() {
    const MIB: usize = 1 << 20;
    let world = World::new();
    let sizes = [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB, 3 * MIB + 5, 9 * MIB - 1];
    let content = |size: usize| -> Vec<u8> { (0..size).map(|at| (at * 31 / 7 % 251) as u8).collect() };
    for size in sizes {
        world.write_old(&format!("share/{size}"), content(size));
    }
    world.publish(&options());
    world.wait_until_hashed();
    for size in sizes {
        let root = hash(content(size));
        assert_eq!(world.hash_of(&format!("share/{size}")), Some(root), "{size}");
        let blocks = world.table.blocks(&root).unwrap();
        let layout = Layout::new(size as u64).unwrap();
        assert!(BlockList::check(root, layout, &blocks).is_ok(), "{size}");
        let opened = world.table.open_hash(&root).unwrap();
        assert_eq!((opened.size, opened.hash), (size as u64, Some(root)));
    }
    assert!(world.table.blocks(&hash("something else")).is_none());
    assert!(!world.table.demand(name("share/0")) && !world.table.demand(name("share/none")));
}

#[test]
fn a_preview_tells_without_sharing() {
    let world = World::new();
    world.write_old("share/large", vec![0; 5000]);
    world.write("share/sub/new", "x");
    world.write("share/.env", "x");
    let roots = [root(&world.path("share")), root(&world.path("share"))];
    let seen = preview(&roots, &options()).unwrap();
    assert_eq!((seen.files, seen.bytes), (2, 5001));
    assert_eq!(seen.largest, Some(("share/large".to_owned(), 5000)));
    assert_eq!(seen.newest.unwrap().0, "share/sub/new");
    assert_eq!(seen.skipped, [(Skip::Key, 2), (Skip::SameName, 2)].into());
}
