//! The power fails: what a real download did to the disk is done again up to each of its steps, less what nothing had made
//! durable by then, and the real program has to go on from there.
//!
//! The model is harsher than the file systems that there are: of what was written since the last sync any page may be missing, whether
//! or not later ones are there, and of the names that no sync has covered as few as one likes are there, before or after what is in
//! the files. So a missing sync shows, whatever the disk of this machine does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use super::injected;
use super::ops::{self, Op};
use super::scenario::Scenario;
use super::world::World;

/// What of that which is not durable has come to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Nothing,
    Everything,
    /// All names, and nothing that was written to the files.
    Names,
    /// What a seed says.
    Some(u64),
}

const LEFT: [Left; 6] =
    [Left::Nothing, Left::Everything, Left::Names, Left::Some(1), Left::Some(2), Left::Some(3)];
/// What a disk writes as a whole.
const PAGE: u64 = 4096;

/// The folder after the power failed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Disk {
    /// Folders that the command made.
    folders: BTreeSet<String>,
    names: BTreeMap<String, usize>,
    files: BTreeMap<usize, Vec<u8>>,
}

/// What a command did, from its beginning on.
struct Recorded {
    /// Where it ran.
    below: String,
    /// What was there before it.
    before: Disk,
    ops: Vec<Op>,
}

/// Records a download, lets the power fail at each of its steps, and goes on from what is left; how many times, and what was wrong.
pub(super) fn torture(scenario: Scenario, world: &World) -> anyhow::Result<(usize, Vec<String>)> {
    let desk = world.desk()?;
    scenario.prepare(world, desk.path())?;
    let recorded = recorded(scenario, world, desk.path())?;
    fail_at_each_step(scenario, world, &recorded, &recorded.ops)
}

/// The same for one that finds the folders of another one, which was killed before it had made their names durable; `None` where a
/// download makes no folder for what it fetches.
pub(super) fn torture_the_next(
    scenario: Scenario,
    world: &World,
) -> anyhow::Result<Option<(usize, Vec<String>)>> {
    let desk = world.desk()?;
    scenario.prepare(world, desk.path())?;
    let first = recorded(scenario, world, desk.path())?;
    let expected = scenario.expected(world);
    let holds_files =
        |path: &str| expected.iter().any(|(file, _)| file.starts_with(relative(path, &first.below)));
    let made = |op: &Op| matches!(op, Op::Folder { path } if holds_files(path));
    let mut ops: Vec<Op> = first.ops.iter().filter(|op| made(op)).cloned().collect();
    if ops.is_empty() {
        return Ok(None);
    }
    let desk = world.desk()?;
    scenario.prepare(world, desk.path())?;
    for op in &mut ops {
        if let Op::Folder { path } = op {
            let place = desk.path().join(relative(path, &first.below));
            fs::create_dir_all(&place)?;
            *path = place.to_string_lossy().into_owned();
        }
    }
    let next = recorded(scenario, world, desk.path())?;
    ops.extend(next.ops.iter().cloned());
    fail_at_each_step(scenario, world, &next, &ops).map(Some)
}

/// Runs the command to its end.
fn recorded(scenario: Scenario, world: &World, desk: &Path) -> anyhow::Result<Recorded> {
    let log = world.desk()?;
    let before = disk_of(desk)?;
    let trace = record(&scenario.command(world, desk), log.path())?;
    let below = desk.to_str().context("the folder for scratch has a strange name")?.to_owned();
    let ops = ops::read(&trace, &below);
    ensure!(ops.len() > 5, "the trace shows nothing that a download does: {ops:?}");
    Ok(Recorded { below, before, ops })
}

fn fail_at_each_step(
    scenario: Scenario,
    world: &World,
    Recorded { below, before, .. }: &Recorded,
    ops: &[Op],
) -> anyhow::Result<(usize, Vec<String>)> {
    let (mut runs, mut wrong) = (0, Vec::new());
    let mut seen = Vec::new();
    for step in 0..=ops.len() {
        for left in LEFT {
            let disk = after(before, &ops[..step], left, &|at, length| content(scenario, world, at, length));
            let done = step == ops.len();
            if seen.contains(&(done, disk.clone())) {
                continue;
            }
            runs += 1;
            if let Err(error) = go_on(scenario, world, &disk, below, done) {
                wrong.push(format!(
                    "power fails before step {step} of {}, {left:?} is left: {error:#}",
                    ops.len()
                ));
            }
            seen.push((done, disk));
        }
    }
    Ok((runs, wrong))
}

fn relative<'a>(path: &'a str, below: &str) -> &'a str {
    path.strip_prefix(below).unwrap_or(path).trim_start_matches('/')
}

/// Runs it to its end; what it did to files.
fn record(command: &Command, folder: &Path) -> anyhow::Result<String> {
    let shown = ops::SHOWN.to_string();
    let flags = ["-y", "-xx", "-s", &shown].map(String::from);
    injected::traced(command, ops::TRACED, &flags, folder)
}

/// The bytes of the file that is fetched; a trace does not show them all.
fn content(scenario: Scenario, world: &World, at: u64, length: u64) -> Vec<u8> {
    let expected = scenario.expected(world);
    let bytes = expected.first().map(|(_, content)| content.as_slice()).unwrap_or_default();
    let (at, length) = (at as usize, length as usize);
    bytes.get(at..at + length).map(<[u8]>::to_vec).unwrap_or_else(|| vec![0xee; length])
}

/// What is there now, below a folder.
fn disk_of(folder: &Path) -> anyhow::Result<Disk> {
    let mut disk = Disk::default();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_file() {
            // Numbers that no file of a trace has.
            let file = usize::MAX - disk.files.len();
            disk.names.insert(path.to_string_lossy().into_owned(), file);
            disk.files.insert(file, fs::read(path)?);
        }
    }
    Ok(disk)
}

/// The disk when the power fails after these operations.
fn after(before: &Disk, ops: &[Op], left: Left, content: &dyn Fn(u64, u64) -> Vec<u8>) -> Disk {
    let mut random = fastrand::Rng::with_seed(match left {
        Left::Some(seed) => seed ^ ops.len() as u64,
        _ => 0,
    });
    let names = (0..ops.len()).filter(|at| is_name(&ops[*at]));
    let (mut kept, open): (Vec<usize>, Vec<usize>) = names.partition(|at| name_is_durable(ops, *at));
    let more = match left {
        Left::Nothing => 0,
        Left::Everything | Left::Names => open.len(),
        Left::Some(_) => random.usize(..=open.len()),
    };
    kept.extend(&open[..more]);
    let mut disk = before.clone();
    for (at, op) in ops.iter().enumerate() {
        match op {
            Op::Write { file, at: place, beginning, length } => {
                let shown = beginning.len() as u64 == *length;
                let bytes = if shown { beginning.clone() } else { content(*place, *length) };
                let is_durable = is_durable(ops, at, *file);
                write(disk.files.entry(*file).or_default(), *place, &bytes, &mut || match left {
                    _ if is_durable => true,
                    Left::Everything => true,
                    Left::Nothing | Left::Names => false,
                    Left::Some(_) => random.bool(),
                });
            }
            Op::Length { file, length } => {
                let comes = is_durable(ops, at, *file)
                    || left == Left::Everything
                    || (matches!(left, Left::Some(_)) && random.bool());
                if comes {
                    disk.files.entry(*file).or_default().resize(*length as usize, 0);
                }
            }
            name if kept.contains(&at) => rename(&mut disk, name),
            _ => {}
        }
    }
    lose_what_is_nowhere(&mut disk, ops);
    let named: Vec<usize> = disk.names.values().copied().collect();
    disk.files.retain(|file, _| named.contains(file));
    for file in named {
        disk.files.entry(file).or_default();
    }
    disk
}

/// What lies in a folder of which the name was lost is lost as well.
fn lose_what_is_nowhere(disk: &mut Disk, ops: &[Op]) {
    for op in ops {
        if let Op::Folder { path } = op
            && !disk.folders.contains(path)
        {
            disk.names.retain(|name, _| !Path::new(name).starts_with(path));
        }
    }
}

fn is_name(op: &Op) -> bool {
    matches!(op, Op::Folder { .. } | Op::Name { .. } | Op::Unname { .. } | Op::Rename { .. })
}

fn rename(disk: &mut Disk, op: &Op) {
    match op {
        Op::Folder { path } => drop(disk.folders.insert(path.clone())),
        Op::Name { path, file } => drop(disk.names.insert(path.clone(), *file)),
        Op::Unname { path } => drop(disk.names.remove(path)),
        Op::Rename { from, to } => {
            if let Some(file) = disk.names.remove(from) {
                disk.names.insert(to.clone(), file);
            }
        }
        _ => {}
    }
}

fn is_durable(ops: &[Op], at: usize, file: usize) -> bool {
    ops[at..].iter().any(|op| *op == Op::SyncAll || *op == Op::Sync { file })
}

fn name_is_durable(ops: &[Op], at: usize) -> bool {
    let (Op::Folder { path } | Op::Name { path, .. } | Op::Unname { path } | Op::Rename { to: path, .. }) =
        &ops[at]
    else {
        return true;
    };
    let folder = Path::new(path).parent();
    ops[at..].iter().any(|op| match op {
        Op::SyncAll => true,
        Op::SyncFolder { path } => folder == Some(Path::new(path)),
        _ => false,
    })
}

/// Writes the pages that come to the disk.
fn write(file: &mut Vec<u8>, at: u64, bytes: &[u8], comes: &mut dyn FnMut() -> bool) {
    for (page, piece) in bytes.chunks(PAGE as usize).enumerate() {
        if comes() {
            let start = at as usize + page * PAGE as usize;
            let end = start + piece.len();
            if file.len() < end {
                file.resize(end, 0);
            }
            file[start..end].copy_from_slice(piece);
        }
    }
}

/// Puts the disk there, looks at it, and runs the same command. When the command was done, everything must be there before.
fn go_on(scenario: Scenario, world: &World, disk: &Disk, below: &str, done: bool) -> anyhow::Result<()> {
    let desk = world.desk()?;
    for (path, file) in &disk.names {
        let place = desk.path().join(relative(path, below));
        fs::create_dir_all(place.parent().unwrap_or(desk.path()))?;
        fs::write(place, disk.files.get(file).map(Vec::as_slice).unwrap_or_default())?;
    }
    let (whole, all) = scenario.whole(world, desk.path())?;
    ensure!(!done || whole == all, "it was done, and {whole} files of {all} have stayed");
    scenario.again(world, desk.path(), after_a_restart(&scenario.command(world, desk.path()), desk.path())?)
}

/// The command as it runs when the machine was started anew: that has a number, by which a download knows that what it wrote may be
/// lost. For one process that number can be covered by another one.
fn after_a_restart(command: &Command, desk: &Path) -> anyhow::Result<Command> {
    let number = desk.with_extension("boot");
    fs::write(&number, "00000000-0000-4000-8000-000000000001\n")?;
    let mut covered = Command::new("unshare");
    covered.arg(if rustix::process::geteuid().is_root() { "-m" } else { "-rm" });
    covered.args(["--", "sh", "-c", "mount --bind \"$0\" /proc/sys/kernel/random/boot_id && exec \"$@\""]);
    covered.arg(number).arg(command.get_program()).args(command.get_args()).current_dir(desk);
    covered.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Ok(covered)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file is written, made durable or not, and gets its final name.
    fn download(synced: bool) -> Vec<Op> {
        let mut ops = vec![
            Op::Name { path: "/d/a.part".into(), file: 0 },
            Op::Write { file: 0, at: 0, beginning: vec![7; 8192], length: 8192 },
        ];
        ops.extend(synced.then_some(Op::Sync { file: 0 }));
        ops.push(Op::Rename { from: "/d/a.part".into(), to: "/d/a".into() });
        ops
    }

    fn contents(ops: &[Op], left: Left) -> Vec<(String, usize)> {
        let disk = after(&Disk::default(), ops, left, &|_, _| Vec::new());
        disk.names.iter().map(|(path, file)| (path.clone(), disk.files[file].len())).collect()
    }

    #[test]
    fn a_name_without_its_bytes_is_what_a_missing_sync_leaves() {
        assert_eq!(contents(&download(true), Left::Names), [("/d/a".to_owned(), 8192)]);
        assert_eq!(contents(&download(false), Left::Names), [("/d/a".to_owned(), 0)]);
        assert_eq!(contents(&download(true), Left::Nothing), []);
        let mut whole = download(true);
        whole.push(Op::SyncFolder { path: "/d".into() });
        assert_eq!(contents(&whole, Left::Nothing), [("/d/a".to_owned(), 8192)]);
    }

    #[test]
    fn a_folder_whose_name_is_not_durable_is_lost_with_what_is_in_it() {
        let mut ops = vec![
            Op::Folder { path: "/d/new".into() },
            Op::Name { path: "/d/new/a".into(), file: 0 },
            Op::SyncFolder { path: "/d/new".into() },
        ];
        assert_eq!(contents(&ops, Left::Nothing), []);
        assert_eq!(contents(&ops, Left::Names).len(), 1);
        ops.push(Op::SyncFolder { path: "/d".into() });
        assert_eq!(contents(&ops, Left::Nothing).len(), 1);
    }

    #[test]
    fn pages_are_lost_one_by_one() {
        let mut file = Vec::new();
        let mut comes = [false, true].into_iter();
        write(&mut file, 10, &[7; 8192], &mut || comes.next().unwrap());
        assert_eq!(file.len(), 8202);
        assert!(file[..4106].iter().all(|byte| *byte == 0) && file[4106..].iter().all(|byte| *byte == 7));
    }
}
