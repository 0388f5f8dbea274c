//! Chromium, led by the script beside the tests, with a page that is watched for what it should never do.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::{Process, skip};

/// Where `cargo xtask test` puts the scripts from npm.
fn modules() -> PathBuf {
    target().join("parts/npm/node_modules")
}

fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a target folder")
}

/// A folder for what people may want to look at after the tests.
pub(crate) fn screenshots() -> PathBuf {
    let folder = target().join("screenshots");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A running browser with one page.
#[derive(Debug)]
pub(crate) struct Browser {
    process: Process,
    answers: usize,
}

impl Browser {
    /// Starts one; `None`, and `test` is counted as skipped, where the machine has none.
    pub(crate) fn start(test: &str) -> Option<Self> {
        let found = |names: &[&str]| {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path)
                .flat_map(|folder| names.iter().map(move |name| folder.join(name)).collect::<Vec<_>>())
                .find(|program| program.is_file())
        };
        let (node, chromium) = (found(&["node", "nodejs"]), found(&["chromium", "chromium-browser"]));
        let (Some(node), Some(chromium), true) = (node, chromium, modules().join("playwright-core").is_dir())
        else {
            skip(test, "no node, no chromium or no playwright-core");
            return None;
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/driver.mjs");
        let mut command = Command::new(node);
        command.arg(script).arg(modules()).arg(chromium);
        Some(Self { process: Process::start(command), answers: 0 })
    }

    /// Has a command of the script done.
    ///
    /// # Panics
    /// When it fails.
    pub(crate) fn run(&mut self, command: &str, options: &Value) -> Value {
        let mut line = options.clone();
        line["command"] = command.into();
        self.process.type_in(format!("{line}\n").as_bytes());
        let at = self.answers;
        self.answers += 1;
        let answer = self.process.wait_in_lines(&format!("{line}"), |lines| lines.get(at).cloned());
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert!(answer["error"].is_null(), "{line}: {}", answer["error"].as_str().unwrap_or_default());
        answer["value"].clone()
    }

    /// Opens a page.
    pub(crate) fn open(&mut self, url: &str, options: &Value) {
        let mut options = options.clone();
        options["url"] = url.into();
        self.run("open", &options);
    }

    /// Waits until an element shows a text.
    pub(crate) fn wait(&mut self, selector: &str, text: &str) {
        self.run("wait", &json!({"selector": selector, "text": text}));
    }

    /// Waits until no such element shows a text any more.
    pub(crate) fn gone(&mut self, selector: &str, text: &str) {
        self.run("gone", &json!({"selector": selector, "text": text}));
    }

    /// The texts of all visible matches.
    pub(crate) fn texts(&mut self, selector: &str) -> Vec<String> {
        let texts = self.run("texts", &json!({"selector": selector}));
        texts.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    }

    /// Presses a key.
    pub(crate) fn press(&mut self, key: &str) {
        self.run("press", &json!({"key": key}));
    }

    /// The value of an expression in the page.
    pub(crate) fn evaluate(&mut self, script: &str) -> Value {
        self.run("evaluate", &json!({"script": script}))
    }

    /// Keeps a picture, looks for what people without eyes or mouse would stumble over, and for what a page never does.
    pub(crate) fn inspect(&mut self, name: &str) {
        let path = screenshots().join(format!("{name}.png"));
        self.run("shot", &json!({"path": path}));
        assert_eq!(self.run("axe", &json!({})), json!([]), "{name}: serious in the eyes of axe");
        self.assert_harmless();
    }

    /// Nothing has happened in any page so far that must not.
    pub(crate) fn assert_harmless(&mut self) {
        assert_eq!(self.run("faults", &json!({})), json!([]));
    }
}
