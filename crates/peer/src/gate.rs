//! What is private is opened by tickets: whom a peer lets fetch, decided without asking anybody.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use proto::access::credential::Credential;
use proto::access::groups::Groups;
use proto::access::ticket::{Invalid, check};
use proto::limits::INDEXES_MAX;
use proto::value::digest::Digest;

/// Keeps what is private to some groups.
#[derive(Debug)]
pub struct Gate {
    groups: Groups,
    /// The keys of the indexes with which it is registered, the newest last. An index has another one after each start.
    issuers: Mutex<VecDeque<Digest>>,
}

impl Gate {
    /// For members of these groups. Nobody gets in before an index has told its key.
    #[must_use]
    pub fn new(groups: Groups) -> Self {
        Self { groups, issuers: Mutex::default() }
    }

    /// The groups.
    pub(crate) fn groups(&self) -> &Groups {
        &self.groups
    }

    /// An index signs with this key.
    pub(crate) fn learn(&self, key: Digest) {
        let mut issuers = self.issuers.lock().unwrap_or_else(PoisonError::into_inner);
        if !issuers.contains(&key) {
            issuers.push_back(key);
        }
        while issuers.len() > 2 * INDEXES_MAX {
            issuers.pop_front();
        }
    }

    /// Whether this opens a content. `is_private`: nobody on the path can read it.
    pub(crate) fn judge(
        &self,
        shown: Option<&Credential>,
        hash: Digest,
        is_private: bool,
    ) -> Result<(), Invalid> {
        let ticket = match shown {
            Some(Credential::Ticket(ticket)) => Some(&**ticket),
            Some(_) => Some(""),
            None => None,
        };
        if ticket.is_some() && !is_private {
            return Err(Invalid::PlainText);
        }
        let issuers: Vec<Digest> =
            self.issuers.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        check(ticket, hash, &self.groups, &issuers, now)
    }
}
