//! What happens in a shared tree while it is shared.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use peer::notice::ShareNotice;
use peer::shares::{Change, Changes, Options, SharedFile};

use crate::world::{World, hash, name, options, wait_for};

/// What somebody knows who heard every change.
#[derive(Default)]
struct Heard(BTreeMap<Arc<str>, SharedFile>);

impl Heard {
    fn drain(&mut self, changes: &mut Changes) {
        loop {
            let news = changes.try_next();
            if news.is_empty() {
                return;
            }
            let mut names: Vec<_> = Vec::new();
            for change in news {
                match change {
                    Change::Put(file) => {
                        names.push(Arc::clone(&file.name));
                        self.0.insert(Arc::clone(&file.name), file);
                    }
                    Change::Gone { name } => {
                        self.0.remove(&name);
                        names.push(name);
                    }
                }
            }
            assert!(names.is_sorted() && names.len() <= 1024);
        }
    }
}

#[test]
fn new_changed_renamed_and_deleted_files_are_noticed() {
    let world = World::new();
    world.write_old("share/stays", "1");
    world.write_old("share/changes", "2");
    world.write_old("share/goes", "3");
    world.write_old("share/old/x", "4");
    world.write_old("share/old/deep/y", "5");
    let mut changes = world.table.changes();
    world.publish(&options());
    world.wait_until_hashed();
    world.write("share/new", "6");
    world.write("share/more/and/more/z", "7");
    world.write("share/changes", "2 changed");
    std::fs::remove_file(world.path("share/goes")).unwrap();
    std::fs::rename(world.path("share/old"), world.path("share/moved")).unwrap();
    let expected = [
        ("share/changes", "2 changed"),
        ("share/more/and/more/z", "7"),
        ("share/moved/deep/y", "5"),
        ("share/moved/x", "4"),
        ("share/new", "6"),
        ("share/stays", "1"),
    ];
    let mut heard = Heard::default();
    wait_for("every change", || {
        heard.drain(&mut changes);
        let known: Vec<_> = heard.0.values().map(|file| (file.name.to_string(), file.hash)).collect();
        known == expected.map(|(name, content)| (name.to_owned(), Some(hash(content))))
    });
    // A folder that was moved is watched under its new name only.
    world.write("share/moved/deep/late", "8");
    wait_for("a file in a moved folder", || world.hash_of("share/moved/deep/late") == Some(hash("8")));
    std::fs::remove_dir_all(world.path("share/moved")).unwrap();
    wait_for("an empty folder", || !world.names().iter().any(|name| name.starts_with("share/moved/")));
}

#[test]
fn what_replaces_something_else_is_noticed() {
    let world = World::new();
    world.write_old("share/file", "1");
    world.write_old("share/folder/x", "2");
    let made_elsewhere = world.write_old("ready", "new content");
    world.publish(&options());
    std::fs::rename(made_elsewhere, world.path("share/file")).unwrap();
    wait_for("the new content", || world.hash_of("share/file") == Some(hash("new content")));
    std::fs::remove_dir_all(world.path("share/folder")).unwrap();
    world.write("share/folder", "a file");
    std::fs::remove_file(world.path("share/file")).unwrap();
    world.write("share/file/inner", "a folder");
    wait_for("both", || {
        world.names() == ["share/file/inner", "share/folder"]
            && world.hash_of("share/file/inner") == Some(hash("a folder"))
            && world.hash_of("share/folder") == Some(hash("a file"))
    });
}

#[test]
fn an_ignore_file_counts_from_the_moment_it_is_there() {
    let world = World::new();
    for path in ["share/a.log", "share/b", "share/sub/c.log"] {
        world.write_old(path, "x");
    }
    world.publish(&options());
    assert_eq!(world.names().len(), 3);
    world.write("share/.p2pciignore", "*.log\n");
    wait_for("fewer files", || world.names() == ["share/b"]);
    world.write("share/sub/d.log", "x");
    std::fs::remove_file(world.path("share/.p2pciignore")).unwrap();
    wait_for("all files", || world.names().len() == 4);
    world.write("share/sub/.env", "x");
    world.write("share/sub/e", "x");
    wait_for("the file that is shared", || world.names().contains(&"share/sub/e".to_owned()));
    assert!(!world.names().contains(&"share/sub/.env".to_owned()));
}

#[test]
fn without_a_watcher_changes_are_found_by_looking_again() {
    let world = World::new();
    world.write_old("share/a", "1");
    world.publish(&Options { watch: false, rescan: Duration::from_millis(100), ..options() });
    world.write("share/b", "2");
    std::fs::remove_file(world.path("share/a")).unwrap();
    wait_for("the changes", || world.names() == ["share/b"] && world.hash_of("share/b") == Some(hash("2")));
    std::fs::rename(world.path("share"), world.path("away")).unwrap();
    wait_for("nothing left", || world.names().is_empty());
    std::fs::rename(world.path("away"), world.path("share")).unwrap();
    wait_for("the folder that is back", || world.names() == ["share/b"]);
}

#[test]
fn a_single_file_is_watched_as_well() {
    let world = World::new();
    let path = world.write_old("lone.txt", "1");
    world.publish_roots(&[crate::world::root(&path)], &options());
    world.write("beside.txt", "not shared");
    std::fs::rename(world.write_old("lone.new", "2"), &path).unwrap();
    wait_for("the new content", || world.hash_of("lone.txt") == Some(hash("2")));
    assert_eq!(world.names(), ["lone.txt"]);
}

#[test]
fn a_file_that_grows_is_hashed_when_it_is_quiet() {
    let world = World::new();
    world.publish(&options());
    let mut file = std::fs::File::create(world.path("share/growing")).unwrap();
    let mut content = Vec::new();
    for step in 0..40_u8 {
        let piece = vec![step; 100_000];
        file.write_all(&piece).unwrap();
        content.extend_from_slice(&piece);
        // The writer's own pace is the input.
        std::thread::sleep(Duration::from_millis(10));
        let shown = world.hash_of("share/growing");
        assert!(
            shown.is_none() || shown == Some(hash(&content)),
            "a hash of something that is not there any more"
        );
    }
    wait_for("the final hash", || world.hash_of("share/growing") == Some(hash(&content)));
    assert_eq!(world.table.open_name(name("share/growing")).unwrap().size, content.len() as u64);
}

#[test]
fn five_thousand_files_are_told_exactly() {
    let world = World::new();
    for number in 0..5000 {
        world.write_old(&format!("share/{:02}/{number}", number % 50), number.to_string());
    }
    let mut changes = world.table.changes();
    let published = world.publish(&options());
    assert_eq!(published.files, 5000);
    let mut heard = Heard::default();
    wait_for("every hash", || {
        heard.drain(&mut changes);
        heard.0.len() == 5000 && heard.0.values().all(|file| file.hash.is_some())
    });
    assert!(heard.0.values().eq(world.table.snapshot().iter()));
    assert!(changes.try_next().is_empty(), "nothing changed");
    assert_eq!(heard.0.get("share/07/1007").unwrap().hash, Some(hash("1007")));
    std::fs::rename(world.path("share/07"), world.path("gone")).unwrap();
    wait_for("a hundred files less", || {
        heard.drain(&mut changes);
        heard.0.len() == 4900
    });
    assert!(heard.0.values().eq(world.table.snapshot().iter()));
}

#[test]
fn waiting_for_changes_loses_none_when_it_is_given_up() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let world = World::new();
    let mut changes = world.table.changes();
    runtime.block_on(async {
        let given_up = tokio::time::timeout(Duration::from_millis(20), changes.next()).await;
        assert!(given_up.is_err());
        world.write_old("share/a", "1");
        world.publish(&options());
        let news = tokio::time::timeout(Duration::from_secs(20), changes.next()).await.unwrap();
        assert!(matches!(&news[..], [Change::Put(file)] if &*file.name == "share/a"));
    });
}

/// Set for a process of its own, in which the system watches three folders at most.
const LIMITED: &str = "P2PCI_TEST_LIMITED";

#[test]
fn a_limit_of_the_system_is_told_and_lived_with() {
    if std::env::var_os(LIMITED).is_none() {
        return run_limited();
    }
    let world = World::new();
    for number in 0..10 {
        world.write_old(&format!("share/{number}/x"), "1");
    }
    world.publish(&Options { rescan: Duration::from_millis(200), ..options() });
    let told = world.told();
    let not_watched = told.iter().filter(|notice| matches!(notice, ShareNotice::NotWatched { .. })).count();
    assert_eq!(not_watched, 1, "{told:?}");
    for number in 0..10 {
        world.write_old(&format!("share/{number}/x"), "changed");
    }
    wait_for("every change", || {
        (0..10).all(|number| world.hash_of(&format!("share/{number}/x")) == Some(hash("changed")))
    });
}

/// The limit is that of a user namespace that ends with the process.
fn run_limited() {
    let test = std::env::current_exe().unwrap();
    let limit = "echo 3 > /proc/sys/user/max_inotify_watches && exec \"$0\" --exact changes::a_limit_of_the_system_is_told_and_lived_with";
    let ran = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c", limit])
        .arg(test)
        .env(LIMITED, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
}
