//! Engines that turn strange while nodes use them: keys of another type, values without measure, another owner, another address.

use super::{BOUND, listed, node, once, wait_listed, wait_ready};
use crate::places::tree;
use crate::world::{Engine, Index, Raw, Sharer, http_get, run, wait_for};

fn why(index: &Index) -> String {
    String::from_utf8_lossy(&http_get(index.port(), "/readyz").body).into_owned()
}

fn add(raw: &mut Raw, number: u32) {
    let add = format!("ADD RFC {number} P2P-CI/1.0\r\nHost: 127.0.0.1\r\nPort: 5000\r\nTitle: T\r\n\r\n");
    assert!(raw.ask_whole(&add).contains("200 OK"), "RFC {number}");
}

#[test]
fn threat_c5_keys_of_another_type_cost_their_buckets_and_only_as_long_as_they_are_there() {
    let test = "threat_c5_keys_of_another_type_cost_their_buckets_and_only_as_long_as_they_are_there";
    let Some(engine) = Engine::start(test, 0) else { return };
    let (one, other) = (node(&engine), node(&engine));
    let keys = |bucket: u32| format!("pci:{{{bucket}}}:n pci:{{{bucket}}}:q");
    for bucket in 0..128 {
        engine.ask_any(&format!("DEL {}", keys(bucket)));
        engine.ask_any(&format!("SET pci:{{{bucket}}}:n wrong"));
        engine.ask_any(&format!("LPUSH pci:{{{bucket}}}:q wrong"));
    }
    let mut raw = one.raw();
    (1..=500).for_each(|number| add(&mut raw, number));
    // Half of the buckets take nothing; the others are told as ever, and whoever asks here is answered.
    let seen = wait_for(BOUND, "what is in the other buckets", || {
        Some(other.status().records).filter(|seen| *seen >= 150)
    });
    assert!(seen < 400 && one.status().records == 500, "{seen}");
    for bucket in 0..128 {
        engine.ask_any(&format!("DEL {}", keys(bucket)));
    }
    wait_for(BOUND, "all of them", || (other.status().records == 500).then_some(()));
    (501..=600).for_each(|number| add(&mut raw, number));
    wait_for(BOUND, "new ones", || (other.status().records == 600).then_some(()));
    wait_ready(&other);
}

#[test]
fn threat_c5_a_huge_value_is_left_out_and_what_is_beside_it_is_seen() {
    let Some(engine) = Engine::start("threat_c5_a_huge_value_is_left_out_and_what_is_beside_it_is_seen", 0)
    else {
        return;
    };
    let one = node(&engine);
    let mut raw = one.raw();
    (1..=500).for_each(|number| add(&mut raw, number));
    engine.ask_any("HSET pci:{nodes}:h evil \"1|0000000000000001 -\"");
    for bucket in 0..4 {
        engine.ask_any(&format!("HSET pci:{{{bucket}}}:n evil 1"));
        let script = "return redis.call('HSET',KEYS[1],'field',string.rep('x',16777216))";
        let answer = engine.ask_any(&format!("EVAL \"{script}\" 1 pci:{{{bucket}}}:r:evil"));
        assert!(answer.starts_with(":1"), "{answer}");
    }
    let mut other = Index::with(&["--store", &engine.url()]);
    wait_for(BOUND, "what is beside it", || (other.status().records == 500).then_some(()));
    wait_ready(&other);
    let metrics = String::from_utf8(http_get(other.port(), "/metrics").body).unwrap();
    let left_out = metrics.lines().find_map(|line| line.strip_prefix("p2pci_cluster_left_out ")).unwrap();
    assert_ne!(left_out, "0", "what was left out is counted");
    // What was read is thrown away; each of them once at most is there at a time.
    let used = other.process().resident_bytes();
    assert!(used < 512 << 20, "{used} bytes");
}

#[test]
fn threat_c6_an_engine_that_names_a_machine_elsewhere_is_not_spoken_to_there_without_a_password() {
    let test = "threat_c6_an_engine_that_names_a_machine_elsewhere_is_not_spoken_to_there_without_a_password";
    let Some(engine) = Engine::with(test, 1, 0) else { return };
    assert!(engine.ask(0, "CONFIG SET cluster-announce-ip 10.0.0.5").starts_with("+OK"));
    wait_for(BOUND, "the engine to name it", || {
        engine.ask(0, "CLUSTER SLOTS").contains("10.0.0.5").then_some(())
    });
    let index = Index::with(&["--store", &engine.url()]);
    let reason = wait_for(BOUND, "a reason", || Some(why(&index)).filter(|why| why.contains("10.0.0.5")));
    assert!(reason.contains("is off this machine and has no password"), "{reason}");
    assert_eq!(engine.keys(), 0, "nothing was written");
}

#[test]
fn threat_c7_nobody_asks_for_all_keys_and_no_command_crosses_slots() {
    let test = "threat_c7_nobody_asks_for_all_keys_and_no_command_crosses_slots";
    let Some(engine) = Engine::start(test, 0) else { return };
    let (mut one, other) = (node(&engine), node(&engine));
    let mut raw = one.raw();
    (1..=2000).for_each(|number| add(&mut raw, number));
    wait_for(BOUND, "all records", || (other.status().records == 2000).then_some(()));
    assert_eq!(listed(&other).len(), 2000);
    drop(raw);
    wait_for(BOUND, "all of them to go", || (other.status().records == 0).then_some(()));
    one.stop(BOUND);
    let (mut read, mut scripts) = (0, 0);
    for master in 0..3 {
        let commands = engine.ask(master, "INFO commandstats");
        for command in ["keys", "scan", "flushall", "flushdb", "smembers", "eval:"] {
            assert!(!commands.contains(&format!("cmdstat_{command}:")), "{command}: {commands}");
        }
        read += commands.matches("cmdstat_hscan:").count();
        scripts += commands.matches("cmdstat_evalsha:").count();
        let errors = engine.ask(master, "INFO errorstats");
        assert!(!errors.contains("CROSSSLOT"), "{errors}");
    }
    assert!(read > 0 && scripts == 3, "the engine counts its commands");
}

/// Another cluster is there instead, from one moment to the next.
fn change_hands(engine: &Engine) {
    let at = engine.master_of("pci:{meta}");
    for master in (0..3).filter(|master| *master != at) {
        assert!(engine.ask(master, "FLUSHALL").starts_with("+OK"));
    }
    let script = "redis.call('FLUSHALL') return redis.call('HSET',KEYS[1],'cluster','somebody')";
    assert!(engine.ask(at, &format!("EVAL \"{script}\" 1 pci:{{meta}}")).starts_with(":1"));
}

#[test]
fn threat_c8_an_engine_that_has_become_another_cluster_is_not_written_to() {
    let test = "threat_c8_an_engine_that_has_become_another_cluster_is_not_written_to";
    let Some(engine) = Engine::start(test, 0) else { return };
    let index = node(&engine);
    let (_outer, root) = tree("live", &[("a", "a")]);
    let _sharer = Sharer::start(&root, &index.address());
    index.wait_hashed(1);
    change_hands(&engine);
    wait_for(BOUND, "a reason", || why(&index).contains("this is cluster somebody, and not").then_some(()));
    // What was on its way meanwhile is not what is meant.
    change_hands(&engine);
    let mut raw = index.raw();
    (1..=50).for_each(|number| add(&mut raw, number));
    assert_eq!(http_get(index.port(), "/readyz").status, 503);
    // A node that comes to it is told all that is there: nothing of ours.
    let theirs = node(&engine);
    assert_eq!(listed(&theirs), once(&[]));
    assert_eq!(listed(&index).len(), 51, "and here everything is answered as ever");
}

#[test]
fn threat_c9_a_replica_without_its_first_copy_is_named() {
    let Some(engine) = Engine::start("threat_c9_a_replica_without_its_first_copy_is_named", 1) else {
        return;
    };
    for node in 0..6 {
        engine.ask(node, "CONFIG SET maxmemory-policy noeviction");
    }
    let check = || run(["server", "--store", &engine.url(), "--check"]);
    wait_for(BOUND, "the replicas to have their first copy", || (check().code == Some(0)).then_some(()));
    // One goes over to another master, which takes its time.
    engine.ask(1, "CONFIG SET repl-diskless-sync yes");
    engine.ask(1, "CONFIG SET repl-diskless-sync-delay 3600");
    let master = engine.ask(1, "CLUSTER MYID").lines().nth(1).unwrap().to_owned();
    assert!(engine.ask(3, &format!("CLUSTER REPLICATE {master}")).starts_with("+OK"));
    let named = "1 of 2 replicas have not finished their first copy";
    let bad = wait_for(BOUND, "the replica to be named", || {
        Some(check()).filter(|check| check.stderr.contains(named))
    });
    assert_eq!(bad.code, Some(1), "{}", bad.stderr);
    // Nodes go on with masters that are well.
    let (one, other) = (node(&engine), node(&engine));
    let mut raw = one.raw();
    add(&mut raw, 2);
    wait_listed(&other, BOUND, &once(&["rfc2"]));
}
