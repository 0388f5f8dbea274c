//! Opening what is shared: never anything else, and never under a hash that it has not.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use peer::shares::{CopyError, Opened, Options};
use proto::transfer::blocks::TreeHasher;

use crate::world::{World, hash, name, options, wait_for};

fn text(opened: &Opened) -> String {
    let mut text = String::new();
    (&*opened.file).read_to_string(&mut text).unwrap();
    text
}

/// Nobody looks by himself: whatever is noticed is noticed by opening.
fn blind() -> Options {
    Options { watch: false, rescan: Duration::from_secs(3600), ..options() }
}

#[test]
fn a_file_that_changed_is_not_offered_as_what_it_was() {
    let world = World::new();
    world.write_old("share/a", "before");
    world.write_old("share/b", "before");
    world.publish(&blind());
    world.wait_until_hashed();
    let mut changes = world.table.changes();
    world.write_old("share/a", "after!");
    let opened = world.table.open_hash(&hash("before")).unwrap();
    assert_eq!(
        (&*opened.name, &*text(&opened)),
        ("share/b", "before"),
        "the other one still has that content"
    );
    wait_for("the new hash", || world.hash_of("share/a") == Some(hash("after!")));
    assert_eq!(changes.try_next().len(), 1);
    std::fs::remove_file(world.path("share/b")).unwrap();
    assert!(world.table.open_hash(&hash("before")).is_none());
    assert_eq!(world.names(), ["share/a"], "what is gone is withdrawn when it is asked for");
}

#[test]
fn a_changed_file_is_served_by_name_without_a_hash() {
    let world = World::new();
    world.write_old("share/a", "before");
    world.publish(&blind());
    world.wait_until_hashed();
    world.write("share/a", "and after");
    let opened = world.table.open_name(name("share/a")).unwrap();
    assert_eq!((opened.hash, opened.size, &*text(&opened)), (None, 9, "and after"));
    wait_for("the new hash", || {
        world.table.open_name(name("share/a")).is_some_and(|opened| opened.hash == Some(hash("and after")))
    });
}

#[test]
fn what_became_something_else_is_not_opened() {
    let world = World::new();
    for path in ["share/link", "share/fifo", "share/folder", "share/sub/x"] {
        world.write_old(path, "x");
    }
    let canary = world.write("canary", "canary");
    world.write("away/x", "canary");
    world.publish(&blind());
    for path in ["share/link", "share/fifo", "share/folder"] {
        std::fs::remove_file(world.path(path)).unwrap();
    }
    std::os::unix::fs::symlink(&canary, world.path("share/link")).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, world.path("share/fifo"), rustix::fs::FileType::Fifo, mode, 0)
        .unwrap();
    std::fs::create_dir(world.path("share/folder")).unwrap();
    std::fs::remove_dir_all(world.path("share/sub")).unwrap();
    std::os::unix::fs::symlink(world.path("away"), world.path("share/sub")).unwrap();
    for asked in ["share/link", "share/fifo", "share/folder", "share/sub/x", "canary", "share/none"] {
        assert!(world.table.open_name(name(asked)).is_none(), "{asked}");
    }
    assert!(world.table.is_empty());
}

#[test]
fn a_link_that_comes_and_goes_is_never_followed() {
    let world = World::new();
    let path = world.write_old("share/f", "inside");
    let kept = world.write_old("kept", "inside");
    let canary = world.write("canary", "canary");
    world.publish(&options());
    let over = Arc::new(AtomicBool::new(false));
    let flipping = {
        let (over, path, link, spare) = (Arc::clone(&over), path, world.path("link"), world.path("spare"));
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                std::fs::hard_link(&kept, &spare).unwrap();
                std::os::unix::fs::symlink(&canary, &link).unwrap();
                std::fs::rename(&link, &path).unwrap();
                std::fs::rename(&spare, &path).unwrap();
            }
        })
    };
    let mut opened = 0;
    wait_for("some openings", || {
        while let Some(file) = world.table.open_name(name("share/f")) {
            assert_eq!(text(&file), "inside");
            opened += 1;
        }
        opened >= 3
    });
    over.store(true, Ordering::Relaxed);
    flipping.join().unwrap();
    wait_for("the file itself", || world.hash_of("share/f") == Some(hash("inside")));
}

#[test]
fn a_fetched_file_is_shared_without_being_hashed_again() {
    let world = World::new();
    let content = vec![7; 3 << 20];
    let path = world.write("got/it", &content);
    let mut hasher = TreeHasher::new();
    hasher.update(&content);
    let (root, list) = hasher.finish();
    let blocks: Arc<[u8]> = list.as_bytes().into();
    let mut changes = world.table.changes();
    world.table.add_copy(&path, name("models/it"), root, &blocks).unwrap();
    assert_eq!(changes.try_next().len(), 1);
    let file = world.file("models/it").unwrap();
    assert!(file.copied && file.hash == Some(root) && file.size == 3 << 20);
    assert_eq!(world.table.blocks(&root).as_deref(), Some(&*blocks));
    assert_eq!(world.table.open_hash(&root).unwrap().size, 3 << 20);
    world.write("share/x", "x");
    world.publish(&options());
    let taken = world.table.add_copy(&path, name("share/x"), root, &blocks);
    assert!(matches!(taken, Err(CopyError::SameName)));
    assert!(matches!(
        world.table.add_copy(&world.path("none"), name("y"), root, &blocks),
        Err(CopyError::Io(_))
    ));
    std::fs::write(&path, "other").unwrap();
    assert!(world.table.open_hash(&root).is_none());
}
