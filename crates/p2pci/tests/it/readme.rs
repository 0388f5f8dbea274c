//! The README shows what the commands of daily life print; here they are typed as they stand there.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::Path;

use crate::places::empty_folder;
use crate::world::{Namespace, PATIENCE, Process, p2pci_behind, wait_for};

const README: &str = include_str!("../../../../README.md");
/// The section with the three commands.
const SECTION: &str = "## Daily life";

/// What is typed, and what it prints.
fn commands() -> Vec<(String, String)> {
    let from = README.find(SECTION).expect("the section is there");
    let mut commands: Vec<(String, String)> = Vec::new();
    let mut is_inside = false;
    for line in README[from..].lines().skip(1).take_while(|line| !line.starts_with("## ")) {
        match (line, is_inside) {
            ("```console", false) => is_inside = true,
            ("```", true) => is_inside = false,
            (line, true) => match line.strip_prefix("$ ") {
                Some(typed) => commands.push((typed.to_owned(), String::new())),
                None => {
                    let (_, shown) = commands.last_mut().expect("a command before its output");
                    *shown += &format!("{line}\n");
                }
            },
            _ => {}
        }
    }
    commands
}

/// Ports are the system's choice: each number of a port is shown as `PORT`.
fn without_ports(text: &str) -> String {
    let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    for at in 1..words.len() {
        if words[at - 1] == "port" && words[at] != "7734," {
            words[at] = words[at].replace(|letter: char| letter.is_ascii_digit(), "");
        }
    }
    words.join(" ")
}

fn models(place: &Path) {
    fs::create_dir_all(place.join("models/tokenizers")).unwrap();
    File::create(place.join("models/llama.gguf")).unwrap().set_len(70 << 20).unwrap();
    fs::write(place.join("models/tokenizers/llama.json"), "12345678").unwrap();
    fs::write(place.join("models/.env"), "KEY=secret").unwrap();
}

#[test]
fn the_three_commands_print_what_the_readme_shows() {
    let test = "the_three_commands_print_what_the_readme_shows";
    let Some(namespace) = Namespace::with(test, &["10.0.0.1/24"]) else { return };
    let (there, here) = (empty_folder(), empty_folder());
    models(there.path());
    let mut commands = VecDeque::from(commands());
    let mut running = Vec::new();
    while let Some((typed, shown)) = commands.pop_front() {
        let words: Vec<&str> = typed.split(' ').collect();
        let ["p2pci", args @ ..] = words.as_slice() else {
            assert_eq!(typed, "export P2PCI_SERVER=10.0.0.1");
            continue;
        };
        let goes_on = matches!(args.first(), Some(&("server" | "share")));
        let mut command = p2pci_behind(&namespace.before(), args);
        command.current_dir(if goes_on { there.path() } else { here.path() });
        if !goes_on {
            command.env("P2PCI_SERVER", "10.0.0.1");
        }
        let mut process = Process::start(command);
        process.end_input();
        let lines = shown.lines().count();
        wait_for(PATIENCE, &format!("what '{typed}' prints"), || {
            (process.has_ended() || (goes_on && process.lines().len() >= lines)).then_some(())
        });
        let printed = String::from_utf8(process.stdout()).unwrap();
        assert_eq!(without_ports(&printed), without_ports(&shown), "$ {typed}\n{}", process.stderr());
        match goes_on {
            true => running.push(process),
            false => assert_eq!(process.exit_code(PATIENCE), Some(0), "$ {typed}"),
        }
        if typed.contains("share") {
            // The reader of the README takes longer to type the next line than this takes to hash.
            wait_hashed(&namespace);
        }
    }
    assert_eq!(running.len(), 2, "server and share are still there");
}

fn wait_hashed(namespace: &Namespace) {
    wait_for(PATIENCE, "two hashes", || {
        let command = p2pci_behind(&namespace.before(), ["list", "--json", "--server", "10.0.0.1"]);
        let listed = crate::world::run_command(command).text();
        (listed.matches("\"hash\":\"").count() == 2).then_some(())
    });
}
