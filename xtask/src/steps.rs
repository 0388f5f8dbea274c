//! `cargo xtask test`: everything that must pass before a change counts, in one order, with one line for each step. All steps
//! see the same environment, so that cargo builds nothing twice.

use std::ffi::OsString;
use std::fs;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::process::{Ended, run_live, run_logged};
use crate::skips::{self, Skips};
use crate::{fuzz, parts, repository, texts, tidy};

/// The bound for one step: several times what the slowest takes from a clean checkout on two cores.
const STEP_LIMIT: Duration = Duration::from_secs(30 * 60);
/// The demo is a conversation of a few seconds.
const DEMO_LIMIT: Duration = Duration::from_secs(120);

/// One command of the run. Its text is also what a developer types in order to repeat it alone.
#[derive(Debug)]
struct Step {
    name: &'static str,
    program: &'static str,
    arguments: Vec<OsString>,
    /// A variable for this step only; rustdoc's flags touch nothing that the other steps build.
    variable: Option<(&'static str, &'static str)>,
    limit: Duration,
    /// Tests show their output while they run: it holds the counts, and it tells what hangs.
    live: bool,
}

impl Step {
    fn cargo(name: &'static str, arguments: &str) -> Self {
        let (plain, flags) = arguments.split_once(" -- ").unwrap_or((arguments, ""));
        let mut words: Vec<OsString> = plain.split_whitespace().map(OsString::from).collect();
        if !flags.is_empty() {
            words.push("--".into());
            words.extend(flags.split_whitespace().map(OsString::from));
        }
        Self { name, program: "cargo", arguments: words, variable: None, limit: STEP_LIMIT, live: false }
    }

    fn program(name: &'static str, program: &'static str, words: &str) -> Self {
        let arguments = words.split_whitespace().map(OsString::from).collect();
        Self { name, program, arguments, variable: None, limit: STEP_LIMIT, live: false }
    }

    fn demo(name: &'static str, arguments: Vec<OsString>) -> Self {
        let program = "target/release/p2pci";
        Self { name, program, arguments, variable: None, limit: DEMO_LIMIT, live: false }
    }

    fn text(&self) -> String {
        let mut text = self.variable.map_or_else(String::new, |(name, value)| format!("{name}='{value}' "));
        text.push_str(self.program);
        for argument in &self.arguments {
            text.push(' ');
            text.push_str(&argument.to_string_lossy());
        }
        text
    }
}

/// The steps after tidy, in their order: what is quick to find comes first.
fn plan(texts: Option<&Path>) -> Vec<Step> {
    let mut doc = Step::cargo("docs", "doc --workspace --no-deps");
    doc.variable = Some(("RUSTDOCFLAGS", "-D warnings"));
    let mut tests = Step::cargo("tests", "test --workspace");
    // Most of them wait: for other processes, and for what is over at a certain time.
    tests.variable = Some(("RUST_TEST_THREADS", "8"));
    tests.live = true;
    let mut steps = vec![
        Step::cargo("formatting", "fmt --all --check"),
        Step::cargo("clippy", "clippy --workspace --all-targets -- -D warnings"),
        tests,
        doc,
        Step::cargo("release build", "build --release --package p2pci"),
        // Built by the tests, with optimisation where most of the time goes (`profile.dev.package`), and with the checks of debug builds.
        Step::program("worlds", "target/debug/sim", "--worlds 1000"),
        Step::program("swarms", "target/debug/sim", "--plans --worlds 250"),
        Step::cargo("fuzz", &fuzz::step()),
        Step::cargo("instructions", "run --quiet --package xtask -- bench instructions"),
        Step::cargo("crowd", "run --quiet --package xtask -- flood crowd"),
        Step::cargo("torture", "run --quiet --package xtask -- torture get few power --files"),
        Step::demo("demo", vec!["demo".into()]),
    ];
    if let Some(folder) = texts {
        let arguments = vec!["demo".into(), "--dir".into(), folder.as_os_str().to_owned()];
        steps.push(Step::demo("demo on real texts", arguments));
    }
    steps
}

/// Runs all of it; `false` when something failed, which has then been printed.
pub(crate) fn command(offline: bool) -> anyhow::Result<bool> {
    let started = Instant::now();
    let root = repository::root();
    let mut run = Run::prepare(root, offline)?;
    let texts = texts::find(&run.root)?;
    match &texts {
        Some(folder) => println!("texts: the real ones in {}", folder.display()),
        None => println!("texts: a generated corpus (no {} and none beside the repository)", texts::VARIABLE),
    }
    run.environment.extend(texts.iter().map(|folder| (texts::VARIABLE, folder.as_os_str().to_owned())));
    let failed = match run.fetch_parts(offline)? && run.tidy()? {
        false => Some("cargo xtask tidy".to_owned()),
        true => run.all(&plan(texts.as_deref()))?,
    };
    let reasons = run.skips.reasons()?;
    println!("skipped: {}", reasons.len());
    for reason in &reasons {
        println!("  {reason}");
    }
    let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    let (line, is_ok) = verdict(failed.as_deref(), run.done, reasons.len(), in_ci, started.elapsed());
    println!("{line}");
    Ok(is_ok)
}

/// The last line, and whether all is well.
fn verdict(failed: Option<&str>, steps: u32, skipped: usize, in_ci: bool, took: Duration) -> (String, bool) {
    let time = format!("{} min {} s", took.as_secs() / 60, took.as_secs() % 60);
    match failed {
        Some(again) => {
            (format!("xtask test: failed after {time}; to repeat that step alone: {again}"), false)
        }
        None if in_ci && skipped > 0 => (
            format!("xtask test: failed, {steps} steps, skipped {skipped} where CI allows none, {time}"),
            false,
        ),
        None => (format!("xtask test: ok, {steps} steps, skipped {skipped}, {time}"), true),
    }
}

/// What the steps of one run share.
struct Run {
    root: PathBuf,
    target: PathBuf,
    environment: Vec<(&'static str, OsString)>,
    skips: Skips,
    done: u32,
}

impl Run {
    fn prepare(root: PathBuf, offline: bool) -> anyhow::Result<Self> {
        let target = repository::metadata(&root)?.target_directory;
        fs::create_dir_all(target.join("xtask")).context("cannot make the folder for logs")?;
        let skips = Skips::start(&target)?;
        let mut environment = vec![(skips::VARIABLE, skips.file().as_os_str().to_owned())];
        if offline {
            environment.push(("CARGO_NET_OFFLINE", "true".into()));
        }
        Ok(Self { root, target, environment, skips, done: 0 })
    }

    fn fetch_parts(&mut self, offline: bool) -> anyhow::Result<bool> {
        let started = announce("parts");
        let fetched = parts::fetch(&self.target.join("parts"), offline)?;
        self.environment.extend(fetched.environment);
        Ok(self.report("parts", started, true, &fetched.did))
    }

    fn tidy(&mut self) -> anyhow::Result<bool> {
        let started = announce("tidy");
        let findings = tidy::check(&self.root)?;
        for finding in &findings {
            println!("{finding}");
        }
        Ok(self.report("tidy", started, findings.is_empty(), "cargo xtask tidy"))
    }

    /// The command that failed, after which none was tried.
    fn all(&mut self, steps: &[Step]) -> anyhow::Result<Option<String>> {
        for step in steps {
            if !self.step(step)? {
                return Ok(Some(step.text()));
            }
        }
        Ok(None)
    }

    fn step(&mut self, step: &Step) -> anyhow::Result<bool> {
        let started = announce(step.name);
        let log = self.target.join("xtask").join(format!("{}.log", step.name.replace(' ', "-")));
        let mut command = self.command(step);
        let ended = match step.live {
            true => run_live(&mut command, step.limit),
            false => run_logged(&mut command, &log, step.limit),
        };
        let ended = ended.with_context(|| format!("cannot start: {}", step.text()))?;
        let (is_ok, remark) = match ended {
            Ended::Exited(status) if status.success() => (true, String::new()),
            Ended::Exited(status) => (false, format!(": {status}")),
            Ended::TimedOut => (false, format!(": stopped after {} s", step.limit.as_secs())),
        };
        if !is_ok && !step.live {
            let said = fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?;
            println!("{}", String::from_utf8_lossy(&said).trim_end());
        }
        Ok(self.report(step.name, started, is_ok, &format!("{}{remark}", step.text())))
    }

    fn command(&self, step: &Step) -> Command {
        let program = match step.program {
            "cargo" => repository::cargo(),
            // `target/` is what it is called; where it is, cargo knows.
            other => self.target.join(other.trim_start_matches("target/")),
        };
        let mut command = Command::new(program);
        command.args(&step.arguments).current_dir(&self.root);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.envs(step.variable);
        command
    }

    fn report(&mut self, name: &str, started: Instant, is_ok: bool, did: &str) -> bool {
        self.done += 1;
        let verdict = if is_ok { "ok" } else { "failed" };
        println!("{name}: {verdict}, {:.1} s ({did})", started.elapsed().as_secs_f64());
        is_ok
    }
}

/// Tells someone who watches what runs now; the report overwrites it.
fn announce(name: &str) -> Instant {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        // Without a terminal to write to, there is nobody to tell.
        let _ = write!(stderr, "{name} …\r").and_then(|()| stderr.flush());
    }
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_reads_as_what_one_types_to_repeat_it() {
        let steps = plan(Some(Path::new("/texts")));
        let typed: Vec<String> = steps.iter().map(Step::text).collect();
        let expected = [
            "cargo fmt --all --check",
            "cargo clippy --workspace --all-targets -- -D warnings",
            "RUST_TEST_THREADS='8' cargo test --workspace",
            "RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps",
            "cargo build --release --package p2pci",
            "target/debug/sim --worlds 1000",
            "target/debug/sim --plans --worlds 250",
            "cargo run --release --quiet --package proto --features fuzz --example fuzz -- fuzz/corpus --runs 20000000",
            "cargo run --quiet --package xtask -- bench instructions",
            "cargo run --quiet --package xtask -- flood crowd",
            "cargo run --quiet --package xtask -- torture get few power --files",
            "target/release/p2pci demo",
            "target/release/p2pci demo --dir /texts",
        ];
        assert_eq!(typed, expected);
        assert_eq!(plan(None).len(), expected.len() - 1);
    }

    #[test]
    fn only_a_run_without_failure_and_without_skips_in_ci_is_ok() {
        let took = Duration::from_secs(125);
        let ok = ("xtask test: ok, 9 steps, skipped 1, 2 min 5 s".to_owned(), true);
        assert_eq!(verdict(None, 9, 1, false, took), ok);
        assert!(verdict(None, 9, 0, true, took).1);
        assert!(!verdict(None, 9, 1, true, took).1);
        let (line, is_ok) = verdict(Some("cargo fmt --all --check"), 3, 0, false, took);
        assert!(!is_ok && line.ends_with("alone: cargo fmt --all --check"), "{line}");
    }
}
