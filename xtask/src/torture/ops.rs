//! What a command did to the disk, read from its trace: the operations in their order, for [`super::power`].

use std::collections::HashMap;

/// One operation. Files are named by a number of their own, since names change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Op {
    /// A new folder.
    Folder {
        path: String,
    },
    /// A name for a file, which may be new.
    Name {
        path: String,
        file: usize,
    },
    Unname {
        path: String,
    },
    Rename {
        from: String,
        to: String,
    },
    /// What is written begins like this, and is so long; a trace does not show all of it.
    Write {
        file: usize,
        at: u64,
        beginning: Vec<u8>,
        length: u64,
    },
    Length {
        file: usize,
        length: u64,
    },
    /// Everything of the file is durable, but not its name.
    Sync {
        file: usize,
    },
    /// All names in this folder are durable.
    SyncFolder {
        path: String,
    },
    /// Everything is durable.
    SyncAll,
}

/// What `strace` is asked to show.
pub(super) const TRACED: &str = "openat,openat2,open,pwrite64,splice,ftruncate,fsync,fdatasync,syncfs,\
renameat2,renameat,linkat,unlinkat,mkdir,mkdirat";
/// Bytes of each write that a trace shows: all of a journal's, and all of a small file.
pub(super) const SHOWN: usize = 16 * 1024;

/// The operations below this folder in a trace made with `-f -y -xx`.
pub(super) fn read(trace: &str, below: &str) -> Vec<Op> {
    let mut reader = Reader { below, ..Reader::default() };
    for line in trace.lines() {
        reader.line(line);
    }
    reader.ops
}

#[derive(Debug, Default)]
struct Reader<'a> {
    below: &'a str,
    /// Number of the file that is at a path now; one without a name is at the one that the system shows for it.
    files: HashMap<String, usize>,
    /// Descriptors of files without a name, as their paths in `/proc` and as the system shows them.
    nameless: HashMap<String, String>,
    /// How many files there were.
    count: usize,
    /// Calls of a thread that had not come back when another one's was shown.
    begun: HashMap<&'a str, String>,
    ops: Vec<Op>,
}

impl<'a> Reader<'a> {
    fn line(&mut self, line: &'a str) {
        let Some((thread, rest)) = line.split_once(char::is_whitespace) else { return };
        let rest = rest.trim_start();
        if let Some(begun) = rest.strip_suffix("<unfinished ...>") {
            self.begun.insert(thread, begun.to_owned());
            return;
        }
        let whole = match rest.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
            Some((_, end)) => format!("{}{end}", self.begun.remove(thread).unwrap_or_default()),
            None => rest.to_owned(),
        };
        let Some((call, result)) = whole.rsplit_once(" = ") else { return };
        let Some((name, arguments)) = call.split_once('(') else { return };
        if result.starts_with('-') {
            return;
        }
        let arguments: Vec<Argument> =
            arguments.trim_end().trim_end_matches(')').split(", ").map(argument).collect();
        self.call(name, &arguments, &argument(result));
    }

    fn call(&mut self, name: &str, arguments: &[Argument], result: &Argument) {
        let descriptor = arguments.first().and_then(|argument| argument.path.clone());
        let number = |at: usize| arguments.get(at).and_then(|argument| argument.number);
        match name {
            "open" | "openat" | "openat2" => self.opened(arguments, result),
            "pwrite64" => self.write(descriptor, arguments.get(1), number(2), number(3)),
            "splice" => {
                let to = arguments.get(2).and_then(|argument| argument.path.clone());
                self.write(to, None, result.number, number(3));
            }
            "ftruncate" => {
                let file = self.known(descriptor);
                self.ops.extend(file.zip(number(1)).map(|(file, length)| Op::Length { file, length }));
            }
            "fsync" | "fdatasync" => self.synced(descriptor),
            "syncfs" => self.ops.push(Op::SyncAll),
            "renameat2" | "renameat" => {
                if let (Some(from), Some(to)) = (self.at(arguments, 0), self.at(arguments, 2)) {
                    self.files.remove(&from).map(|file| self.files.insert(to.clone(), file));
                    self.ops.push(Op::Rename { from, to });
                }
            }
            "mkdirat" => self.ops.extend(self.at(arguments, 0).map(|path| Op::Folder { path })),
            "mkdir" => {
                let path = arguments.first().and_then(Argument::text).map(|path| self.absolute(path));
                self.ops.extend(path.map(|path| Op::Folder { path }));
            }
            "linkat" => self.linked(arguments),
            "unlinkat" => {
                if let Some(path) = self.at(arguments, 0) {
                    self.files.remove(&path);
                    self.ops.push(Op::Unname { path });
                }
            }
            _ => {}
        }
    }

    /// A path argument, below the descriptor before it; `None` when it is elsewhere.
    fn at(&self, arguments: &[Argument], at: usize) -> Option<String> {
        let folder = arguments.get(at)?.path.clone()?;
        let name = arguments.get(at + 1)?.text()?;
        let path = if name.starts_with('/') { name } else { format!("{folder}/{name}") };
        path.starts_with(self.below).then_some(path)
    }

    /// The command is at home in the folder that is looked at.
    fn absolute(&self, path: String) -> String {
        if path.starts_with('/') { path } else { format!("{}/{path}", self.below) }
    }

    fn opened(&mut self, arguments: &[Argument], result: &Argument) {
        // A descriptor's number is used again.
        self.nameless.remove(&format!("/proc/self/fd/{}", result.number.unwrap_or_default()));
        let is_new = arguments.iter().any(|argument| argument.raw.contains("O_CREAT"));
        let is_nameless = arguments.iter().any(|argument| argument.raw.contains("O_TMPFILE"));
        let Some(path) = result.path.clone().filter(|path| path.starts_with(self.below)) else { return };
        if !(is_new || is_nameless) || self.files.contains_key(&path) {
            return;
        }
        let file = self.count;
        self.count += 1;
        self.files.insert(path.clone(), file);
        if is_nameless {
            let descriptor = result.number.unwrap_or_default();
            self.nameless.insert(format!("/proc/self/fd/{descriptor}"), path);
        } else {
            self.ops.push(Op::Name { path, file });
        }
    }

    /// A name for a file that had none.
    fn linked(&mut self, arguments: &[Argument]) {
        let from = match arguments.get(1).and_then(Argument::text) {
            Some(descriptor) => self.nameless.remove(&descriptor),
            None => arguments.first().and_then(|argument| argument.path.clone()),
        };
        let (Some(to), Some(file)) = (self.at(arguments, 2), self.known(from)) else { return };
        self.files.insert(to.clone(), file);
        self.ops.push(Op::Name { path: to, file });
    }

    fn write(&mut self, to: Option<String>, bytes: Option<&Argument>, length: Option<u64>, at: Option<u64>) {
        if let (Some(file), Some(length), Some(at)) = (self.known(to), length, at) {
            let beginning = bytes.map(|bytes| bytes.bytes.clone()).unwrap_or_default();
            self.ops.push(Op::Write { file, at, beginning, length });
        }
    }

    fn synced(&mut self, descriptor: Option<String>) {
        let Some(path) = descriptor.filter(|path| path.starts_with(self.below)) else { return };
        match self.files.get(&path) {
            Some(file) => self.ops.push(Op::Sync { file: *file }),
            None => self.ops.push(Op::SyncFolder { path }),
        }
    }

    fn known(&self, path: Option<String>) -> Option<usize> {
        self.files.get(&path?).copied()
    }
}

/// One argument, or a result, in the ways in which it can be meant.
#[derive(Debug, Default)]
struct Argument {
    raw: String,
    /// The path that stands behind a descriptor.
    path: Option<String>,
    /// Between quotes.
    bytes: Vec<u8>,
    number: Option<u64>,
}

impl Argument {
    fn text(&self) -> Option<String> {
        String::from_utf8(self.bytes.clone()).ok().filter(|text| !text.is_empty())
    }
}

fn argument(raw: &str) -> Argument {
    let between = |open: char, close: char| {
        let (_, rest) = raw.split_once(open)?;
        rest.split_once(close).map(|(inner, _)| inner)
    };
    let digits: String = raw.trim_start_matches('[').chars().take_while(char::is_ascii_digit).collect();
    Argument {
        raw: raw.to_owned(),
        path: between('<', '>').and_then(|hex| String::from_utf8(unescaped(hex)).ok()),
        bytes: between('"', '"').map(unescaped).unwrap_or_default(),
        number: digits.parse().ok(),
    }
}

/// The bytes of `\x2f\x74`; what is written otherwise stands for itself.
fn unescaped(text: &str) -> Vec<u8> {
    if !text.starts_with("\\x") {
        return text.as_bytes().to_vec();
    }
    text.split("\\x").filter_map(|digits| u8::from_str_radix(digits.get(..2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> String {
        text.bytes().map(|byte| format!("\\x{byte:02x}")).collect()
    }

    #[test]
    fn what_was_done_is_read_with_its_places() {
        let (folder, part) = (hex("/d"), hex("/d/a.part"));
        let trace = [
            format!(
                "1 openat(9<{folder}>, \"{}\", O_RDWR|O_CREAT|O_CLOEXEC, 0666) = 3<{part}>",
                hex("a.part")
            ),
            format!("1 openat(AT_FDCWD<{folder}>, \"{}\", O_RDONLY) = 4<{}>", hex("/etc/x"), hex("/etc/x")),
            format!("2 pwrite64(3<{part}>, \"{}\"..., 900, 1048576) = 900", hex("ab")),
            format!("2 splice(7<{}>, NULL, 3<{part}>, [5], 65536, SPLICE_F_MOVE) = 70", hex("pipe:[1]")),
            format!("1 fsync(3<{part}> <unfinished ...>"),
            "2 +++ exited with 0 +++".to_owned(),
            "1 <... fsync resumed>) = 0".to_owned(),
            format!(
                "1 renameat2(9<{folder}>, \"{}\", 9<{folder}>, \"{}\", RENAME_NOREPLACE) = 0",
                hex("a.part"),
                hex("a")
            ),
            format!("1 unlinkat(9<{folder}>, \"{}\", 0) = -1 ENOENT (No such file or directory)", hex("b")),
            format!("1 fsync(9<{folder}>) = 0"),
        ];
        let path = |name: &str| format!("/d/{name}");
        let expected = [
            Op::Name { path: path("a.part"), file: 0 },
            Op::Write { file: 0, at: 1_048_576, beginning: b"ab".to_vec(), length: 900 },
            Op::Write { file: 0, at: 5, beginning: Vec::new(), length: 70 },
            Op::Sync { file: 0 },
            Op::Rename { from: path("a.part"), to: path("a") },
            Op::SyncFolder { path: "/d".into() },
        ];
        assert_eq!(read(&trace.join("\n"), "/d"), expected);
    }
}
