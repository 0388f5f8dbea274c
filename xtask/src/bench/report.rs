//! The table: one row a figure, with what it must reach.

use std::fs;
use std::process::Command;

use crate::repository;

/// What a figure must be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// For comparison only.
    None,
}

/// One line.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) reached: f64,
    pub(crate) unit: &'static str,
    pub(crate) target: Target,
    /// The figures behind it, or what limits it.
    pub(crate) remark: String,
}

impl Row {
    fn line(&self) -> String {
        let Self { name, reached, unit, target, remark } = self;
        let (wanted, verdict) = match *target {
            Target::AtLeast(least) => (format!("at least {least}"), verdict(*reached >= least)),
            Target::AtMost(most) => (format!("at most {most}"), verdict(*reached <= most)),
            Target::None => (String::new(), ""),
        };
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        format!("| {name} | {}{unit} | {wanted} | {verdict} | {remark} |", figure(*reached))
    }
}

fn verdict(is_reached: bool) -> &'static str {
    if is_reached { "yes" } else { "**no**" }
}

/// Three digits that mean something.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Says what is measured, where and under which load; the table's head.
pub(crate) fn begin(quick: bool) {
    let commit = output("git", &["describe", "--always", "--dirty", "--abbrev=12"]);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("commit {commit}; {}; load before: {}", machine(), load.trim());
    if quick {
        println!("--quick: one short round, good for nothing but seeing that it works");
    }
    println!("\n| figure | reached | target | met | behind it |\n|---|---|---|---|---|");
}

/// One line of the table, printed as soon as it is known.
pub(crate) fn row(row: &Row) {
    println!("{}", row.line());
}

fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let model = model.trim_start_matches(['\t', ' ', ':']);
    format!("{model}, {cores} cores, Linux {}", output("uname", &["-r"]))
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(repository::root()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_whether_its_target_is_met() {
        let row = |target| Row { name: "a".into(), reached: 0.5, unit: "s", target, remark: "b".into() };
        assert_eq!(row(Target::AtLeast(0.4)).line(), "| a | 0.50 s | at least 0.4 | yes | b |");
        assert_eq!(row(Target::AtMost(0.4)).line(), "| a | 0.50 s | at most 0.4 | **no** | b |");
        assert_eq!(row(Target::None).line(), "| a | 0.50 s |  |  | b |");
        assert_eq!((figure(1234.5), figure(12.34)), ("1234".into(), "12.3".into()));
    }
}
