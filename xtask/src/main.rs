//! The project's own commands, `cargo xtask NAME`: one place that says how the project is tested, in Rust instead of shell
//! so that it is checked like everything else.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool of its own: its output is its purpose"
)]

mod bench;
mod flood;
mod fuzz;
mod parts;
mod process;
mod repository;
mod skips;
mod soak;
mod steps;
mod texts;
mod tidy;
mod torture;

use std::process::ExitCode;

const HELP: &str = "\
usage: cargo xtask NAME

  test [--offline]   everything that must pass: parts, tidy, formatting, clippy, tests, docs, release build,
                     worlds, swarms, fuzz, instructions, crowd, torture, demo
                     (--offline fetches nothing)
  tidy               the house rules that a linter lacks
  sim [--worlds N | --minutes M] [--seed N] [--twice] [--plans] [--swarm]
                     simulated systems from one seed each: index, peers, disks, network and clock; a failure names the seed
                     that shows it again, and a seed alone says what happens in its world (a thousand from seed 0 where
                     nothing is said; --minutes: as many as begin in that time; --twice: each one is played once more, and
                     must be the same; --plans: the plans of downloads alone; --swarm: some of those to look at)
  help               this text
";

fn help() -> String {
    [HELP, fuzz::USAGE, bench::USAGE, flood::USAGE, soak::USAGE, torture::USAGE].concat()
}

/// The exit code for a command line that makes no sense.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    let typed: Vec<String> = std::env::args().skip(1).collect();
    let result = match parse(&typed) {
        Ok(Subcommand::Help) => {
            print!("{}", help());
            Ok(true)
        }
        Ok(Subcommand::Bench(asked)) => bench::command(&asked, &typed),
        Ok(Subcommand::Fuzz(asked)) => fuzz::command(&asked),
        Ok(Subcommand::Flood(flood)) => flood::command(flood),
        Ok(Subcommand::Sim(words)) => sim(&words),
        Ok(Subcommand::Soak(asked)) => soak::command(asked),
        Ok(Subcommand::Tidy) => tidy::command(),
        Ok(Subcommand::Torture(asked)) => torture::command(&asked),
        Ok(Subcommand::Test { offline }) => steps::command(offline),
        Err(reason) => {
            eprint!("xtask: {reason}\n\n{}", help());
            return ExitCode::from(WRONG_USAGE);
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Subcommand {
    Help,
    Bench(bench::Asked),
    Flood(flood::Flood),
    Fuzz(fuzz::Asked),
    Soak(soak::Asked),
    /// The words for the simulator.
    Sim(Vec<String>),
    Tidy,
    Test {
        offline: bool,
    },
    Torture(torture::Asked),
}

/// Runs the simulator as it is released: it is a program of its own, since no room of ours is imported here.
fn sim(words: &[String]) -> anyhow::Result<bool> {
    let status = std::process::Command::new(repository::cargo())
        .args(["run", "--quiet", "--release", "--package", "sim", "--"])
        .args(words)
        .current_dir(repository::root())
        .status()?;
    Ok(status.success())
}

fn parse(typed: &[String]) -> Result<Subcommand, String> {
    let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
    match typed.as_slice() {
        [] => Err("a subcommand is missing".into()),
        ["help" | "--help" | "-h"] => Ok(Subcommand::Help),
        ["bench", rest @ ..] => bench::parse(rest).map(Subcommand::Bench),
        ["fuzz", rest @ ..] => fuzz::parse(rest).map(Subcommand::Fuzz),
        ["flood", name] if let Some(flood) = flood::named(name) => Ok(Subcommand::Flood(flood)),
        ["flood", ..] => Err("flood of what? crowd, deaf, writers, restart, half-open or stop".into()),
        ["sim", rest @ ..] => Ok(Subcommand::Sim(rest.iter().map(ToString::to_string).collect())),
        ["soak", rest @ ..] => soak::parse(rest).map(Subcommand::Soak),
        ["torture", rest @ ..] => torture::parse(rest).map(Subcommand::Torture),
        ["tidy"] => Ok(Subcommand::Tidy),
        ["test"] => Ok(Subcommand::Test { offline: false }),
        ["test", "--offline"] => Ok(Subcommand::Test { offline: true }),
        ["help" | "tidy", extra, ..] | ["test", "--offline", extra, ..] | ["test", extra, ..] => {
            Err(format!("unknown argument '{extra}'"))
        }
        [name, ..] => Err(format!("unknown subcommand '{name}'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Subcommand, String> {
        parse(&line.split_whitespace().map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn each_subcommand_is_understood() {
        assert_eq!(parsed("help"), Ok(Subcommand::Help));
        assert_eq!(parsed("tidy"), Ok(Subcommand::Tidy));
        assert_eq!(parsed("flood crowd"), Ok(Subcommand::Flood(flood::Flood::Crowd)));
        assert_eq!(parsed("flood half-open"), Ok(Subcommand::Flood(flood::Flood::HalfOpen)));
        assert_eq!(parsed("sim --seed 4"), Ok(Subcommand::Sim(vec!["--seed".into(), "4".into()])));
        assert_eq!(parsed("test"), Ok(Subcommand::Test { offline: false }));
        assert_eq!(parsed("test --offline"), Ok(Subcommand::Test { offline: true }));
    }

    #[test]
    fn what_is_unknown_is_named() {
        assert_eq!(parsed("tset"), Err("unknown subcommand 'tset'".into()));
        assert_eq!(parsed("test --online"), Err("unknown argument '--online'".into()));
        assert_eq!(parsed("test --offline now"), Err("unknown argument 'now'".into()));
        assert_eq!(parsed("tidy up"), Err("unknown argument 'up'".into()));
        assert!(parsed("flood").is_err() && parsed("flood out").is_err());
        assert!(parsed("").is_err());
    }
}
