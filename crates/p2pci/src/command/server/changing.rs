//! What an operator changes while the index runs: tokens, and who is let in. Read again when its file changes, and on SIGHUP; what
//! cannot be understood is told, and what was there before goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use index::guard::{Guard, Issuer};
use net::lists::{AddressLists, Lists};
use proto::access::ticket::Signer;
use proto::reach::Net;

use crate::cli;
use crate::exit::{Code, Failure};
use crate::server_log::ServerLog;
use crate::ticket_key;
use crate::token_file;

/// The files, and those that are to hear of them.
pub(super) struct Changing {
    /// Who decides by tokens, if there are any.
    pub(super) guard: Option<Arc<Guard>>,
    /// Who decides by addresses.
    pub(super) lists: AddressLists,
    /// From the command line.
    fixed: Lists,
    tokens: Option<Watched>,
    addresses: Option<Watched>,
}

/// A file, and what it looked like when it was read.
struct Watched {
    path: PathBuf,
    seen: Option<(SystemTime, u64)>,
}

impl Watched {
    fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), seen: look(path) }
    }

    /// Whether it is another one than before.
    fn has_changed(&mut self) -> bool {
        let now = look(&self.path);
        std::mem::replace(&mut self.seen, now) != now
    }
}

fn look(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

impl Changing {
    /// Reads everything for the first time.
    pub(super) fn new(args: &cli::Server) -> Result<Self, Failure> {
        let tokens = args.tokens.as_deref();
        let addresses = args.address_list.as_deref();
        // Looked at before it is read: what changes in between is read once more.
        let (tokens_seen, addresses_seen) = (tokens.map(Watched::new), addresses.map(Watched::new));
        let seed = match &args.ticket_key {
            Some(file) => ticket_key::kept(file)?,
            None => token_file::random()?,
        };
        let issuer = Issuer { signer: Signer::new(&seed), time: args.ticket_time };
        let guard = tokens.map(token_file::read).transpose()?;
        let guard = guard.map(|tokens| Guard::new(tokens, args.anyone_can, issuer));
        let changing = Self {
            guard: guard.map(Arc::new),
            lists: AddressLists::default(),
            fixed: Lists { allow: args.allow_from.clone(), deny: args.deny_from.clone() },
            tokens: tokens_seen,
            addresses: addresses_seen,
        };
        changing.read_addresses()?;
        Ok(changing)
    }

    /// Reads again what has changed, or everything.
    pub(super) fn look_again(&mut self, everything: bool, log: &ServerLog) {
        let told = |result: Result<(), Failure>| {
            if let Err(failure) = result {
                log.trouble(format!("{failure}; what was there before goes on"));
            }
        };
        if self.tokens.as_mut().is_some_and(|file| file.has_changed() || everything) {
            told(self.read_tokens());
        }
        if self.addresses.as_mut().is_some_and(|file| file.has_changed() || everything) {
            told(self.read_addresses());
        }
    }

    fn read_tokens(&self) -> Result<(), Failure> {
        if let (Some(guard), Some(file)) = (&self.guard, &self.tokens) {
            guard.replace(token_file::read(&file.path)?);
        }
        Ok(())
    }

    fn read_addresses(&self) -> Result<(), Failure> {
        let mut lists = self.fixed.clone();
        if let Some(file) = &self.addresses {
            let bad =
                |reason: String| Failure::new(Code::Usage, format!("{}: {reason}", file.path.display()));
            let text = fs::read_to_string(&file.path).map_err(|error| bad(error.to_string()))?;
            for (at, line) in text.lines().enumerate() {
                add_line(line, &mut lists).map_err(|reason| bad(format!("line {}: {reason}", at + 1)))?;
            }
        }
        self.lists.replace(lists);
        Ok(())
    }
}

/// `allow NET`, `deny NET`, nothing, or a remark behind a `#`.
fn add_line(line: &str, lists: &mut Lists) -> Result<(), String> {
    let said = line.split('#').next().unwrap_or_default().trim();
    if said.is_empty() {
        return Ok(());
    }
    let (word, net) = said.split_once(char::is_whitespace).unwrap_or((said, ""));
    let list = match word {
        "allow" => &mut lists.allow,
        "deny" => &mut lists.deny,
        _ => return Err(format!("it should begin with allow or deny, not with '{word}'")),
    };
    list.push(net.trim().parse::<Net>().map_err(|error| format!("'{}': {error}", net.trim()))?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_a_line_for_each_network() {
        let mut lists = Lists::default();
        for line in ["allow 10.0.0.0/8", "  deny\t10.0.0.1/32 # a printer", "", "# nothing"] {
            add_line(line, &mut lists).unwrap();
        }
        assert_eq!((lists.allow.len(), lists.deny.len()), (1, 1));
        for bad in ["10.0.0.0/8", "permit 10.0.0.0/8", "allow", "deny 10.0.0.0/99"] {
            assert!(add_line(bad, &mut lists).is_err(), "{bad}");
        }
    }
}
