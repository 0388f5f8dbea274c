//! What must hold in each world.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use net::limits::PRESENCE;

use super::host::{Known, Listed, Told};
use super::network::{HostId, Network, address_of, host_of};
use super::scenario::{Does, INDEX, Scenario};
use crate::ground;

/// How long the records of a connection may be there after its end was said: 100 ms, and the way through a network that loses and delays.
const SAID: Duration = Duration::from_secs(15);
/// The same where nobody could say it.
const UNSAID: Duration = PRESENCE.saturating_add(Duration::from_secs(15));

/// Watches a world.
#[derive(Debug)]
pub(super) struct Judge {
    contents: Arc<[Known]>,
    does: Vec<Does>,
    /// Connections at the index.
    sessions: BTreeMap<u64, SocketAddr>,
    /// Whoever has said that it has its file: it is there for ever.
    fetched: BTreeSet<HostId>,
    /// What the index said last, where that is not what it should be.
    listed: Option<String>,
    failed: u32,
    faults: Vec<String>,
}

impl Judge {
    pub(super) fn new(scenario: &Scenario, contents: Arc<[Known]>) -> Self {
        Self {
            contents,
            does: scenario.hosts.iter().map(|host| host.does.clone()).collect(),
            sessions: BTreeMap::new(),
            fetched: BTreeSet::new(),
            listed: None,
            failed: 0,
            faults: Vec::new(),
        }
    }

    pub(super) fn complain(&mut self, fault: String) {
        self.faults.push(fault);
    }

    pub(super) fn has_complaints(&self) -> bool {
        !self.faults.is_empty()
    }

    pub(super) fn into_faults(self) -> Vec<String> {
        self.faults
    }

    pub(super) fn failed(&self) -> u32 {
        self.failed
    }

    /// A machine has told something.
    pub(super) fn hear(&mut self, host: HostId, told: &Told, folder: &Path) -> io::Result<()> {
        match told {
            Told::Joined { session, source } => drop(self.sessions.insert(*session, *source)),
            Told::Left { session } => drop(self.sessions.remove(session)),
            Told::Failed { .. } => self.failed += 1,
            Told::Banned { who } => self.banned(host, who),
            Told::Fetched { .. } => {
                self.fetched.insert(host);
                self.look_at_disk(host, folder)?;
            }
        }
        Ok(())
    }

    fn banned(&mut self, host: HostId, who: &str) {
        let banned = who.parse().ok().and_then(host_of);
        let is_liar = |host: HostId| matches!(self.does.get(host), Some(Does::Shares { lies: true, .. }));
        if !banned.is_some_and(is_liar) {
            self.complain(format!("{host} banned {who}, which does not lie"));
        }
    }

    /// A process has ended, however.
    pub(super) fn ended(&mut self, host: HostId, folder: &Path) -> io::Result<()> {
        if host == INDEX {
            self.sessions.clear();
        }
        self.look_at_disk(host, folder)
    }

    /// No wrong file has its final name, and what was fetched is there.
    pub(super) fn look_at_disk(&mut self, host: HostId, folder: &Path) -> io::Result<()> {
        let Some(Does::Fetches { content, .. }) = self.does.get(host) else { return Ok(()) };
        let known = &self.contents[*content];
        let fault = match fs::read(folder.join(&known.name)) {
            Ok(bytes) if bytes == known.bytes => None,
            Ok(bytes) => Some(format!("{host} has {} wrong bytes under the final name", bytes.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.fetched.contains(&host).then(|| format!("{host} has lost what it had fetched"))
            }
            Err(error) => return Err(error),
        };
        if let Some(fault) = fault {
            self.complain(format!("{fault}, at {:?}", ground::now()));
        }
        Ok(())
    }

    /// No record of a peer that is gone for longer than it may be.
    pub(super) fn look(&mut self, network: &Network) {
        let mut late = Vec::new();
        for source in self.sessions.values() {
            let Some(gone) = network.gone(*source) else { continue };
            let for_long = ground::now().saturating_sub(gone.at);
            if for_long > if gone.quietly { UNSAID } else { SAID } {
                late.push(format!("the index still has {source}, which is gone for {for_long:?}"));
            }
        }
        self.faults.append(&mut late);
    }

    /// Everybody who wanted something has it.
    pub(super) fn is_all_fetched(&self) -> bool {
        self.missing().is_empty()
    }

    fn missing(&self) -> Vec<HostId> {
        let wants = |host: &HostId| matches!(self.does[*host], Does::Fetches { .. });
        (0..self.does.len()).filter(wants).filter(|host| !self.fetched.contains(host)).collect()
    }

    /// Whether the index says who is there, no more and no less.
    pub(super) fn is_as_expected(&mut self, listed: Result<Listed, String>) -> bool {
        let expected = self.expected();
        self.listed = match listed {
            Ok(listed) if listed == expected => None,
            Ok(listed) => Some(format!(
                "the index has {:?} too many and {:?} too few",
                listed.difference(&expected).collect::<BTreeSet<_>>(),
                expected.difference(&listed).collect::<BTreeSet<_>>()
            )),
            Err(error) => Some(error),
        };
        self.listed.is_none()
    }

    fn expected(&self) -> Listed {
        let of = |host: HostId, content: usize| {
            (self.contents[content].name.clone(), address_of(host).to_string(), true)
        };
        let mut expected = Listed::new();
        for (host, does) in self.does.iter().enumerate() {
            match does {
                Does::Index => {}
                Does::Shares { contents, .. } => expected.extend(contents.iter().map(|one| of(host, *one))),
                Does::Fetches { content, .. } => drop(expected.insert(of(host, *content))),
            }
        }
        expected
    }

    /// The world was given all the time that it may need.
    pub(super) fn complain_of_what_is_not_done(&mut self) {
        for host in self.missing() {
            self.complain(format!("{host} has not got its file at {:?}", ground::now()));
        }
        if let Some(listed) = self.listed.take() {
            self.complain(format!("{listed}, at {:?}", ground::now()));
        }
    }
}
