//! Tokens: 256 random bits that somebody was given, and what the index keeps of them.
//!
//! Only a keyed hash is kept, so who reads the file cannot use what is in it, and two indexes that were given the same token keep
//! different things. A token has so many bits that a quick hash is enough.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::Denied;
use super::rights::Rights;
use crate::limits::{GROUP_BYTES_MAX, TOKENS_MAX};
use crate::value::digest::Digest;

/// What a token begins with, so that people and programs know one when they see it.
pub(super) const PREFIX: &str = "p2pci_";

/// A token as it is given to somebody. It is written out only where that is meant.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl Secret {
    /// From random bytes.
    #[must_use]
    pub fn new(random: [u8; 32]) -> Self {
        Self(random)
    }

    /// As it is handed over.
    #[must_use]
    pub fn written_out(&self) -> String {
        format!("{PREFIX}{}", Digest(self.0))
    }
}

impl FromStr for Secret {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix(PREFIX).and_then(|hex| Digest::parse(hex.as_bytes()));
        digits
            .map(|Digest(bytes)| Self(bytes))
            .ok_or("it is no token: one is 'p2pci_' and 64 hexadecimal digits")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What a token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// What it is called by whoever gave it.
    pub id: Arc<str>,
    /// What may be done.
    pub can: Rights,
    /// To whose private files it leads.
    pub group: Option<Arc<str>>,
    /// What the names of published files must begin with.
    pub prefix: Option<Arc<str>>,
    /// Until when, in seconds since 1970.
    pub expires: Option<u64>,
}

impl Grant {
    /// Whether it leads to what is private to these groups.
    #[must_use]
    pub fn opens(&self, groups: &[Arc<str>]) -> bool {
        self.can.include(super::rights::Right::Admin)
            || self.group.as_ref().is_some_and(|own| groups.contains(own))
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_over(&self, now: u64) -> bool {
        self.expires.is_some_and(|end| now >= end)
    }
}

/// Whether this may be a group's name: 1 to 64 visible characters of ASCII without commas.
#[must_use]
pub fn is_group(name: &str) -> bool {
    let visible = |byte: u8| byte.is_ascii_graphic() && byte != b',';
    (1..=GROUP_BYTES_MAX).contains(&name.len()) && name.bytes().all(visible)
}

/// All tokens of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    key: [u8; 32],
    known: Vec<(Digest, Arc<Grant>)>,
}

/// The first line of the file.
#[derive(Serialize, Deserialize)]
struct KeyLine {
    key: String,
}

/// Each other line.
#[derive(Serialize, Deserialize)]
struct GrantLine {
    id: String,
    hash: String,
    can: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
}

impl Tokens {
    /// None yet. The key is random and stays with the file.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self { key, known: Vec::new() }
    }

    /// Reads the file.
    ///
    /// # Errors
    /// A sentence with the number of the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let (_, first) = lines.next().ok_or("it is empty")?;
        let key =
            serde_json::from_str::<KeyLine>(first).ok().and_then(|line| Digest::parse(line.key.as_bytes()));
        let Digest(key) = key.ok_or("line 1 is not the key that a token file begins with")?;
        let mut tokens = Self::new(key);
        for (at, line) in lines {
            let wrong = |why: String| format!("line {}: {why}", at.saturating_add(1));
            let line = serde_json::from_str::<GrantLine>(line).map_err(|error| wrong(error.to_string()))?;
            tokens.known.push(line.grant().map_err(wrong)?);
        }
        match tokens.known.len() > TOKENS_MAX {
            true => Err(format!("there are more than {TOKENS_MAX} tokens")),
            false => Ok(tokens),
        }
    }

    /// The file.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let mut line = |value: Result<String, serde_json::Error>| {
            // Strings and numbers can be written.
            text.push_str(&value.unwrap_or_default());
            text.push('\n');
        };
        line(serde_json::to_string(&KeyLine { key: Digest(self.key).to_string() }));
        for (hash, grant) in &self.known {
            line(serde_json::to_string(&GrantLine {
                id: grant.id.to_string(),
                hash: hash.to_string(),
                can: grant.can.to_string(),
                group: grant.group.as_deref().map(str::to_owned),
                prefix: grant.prefix.as_deref().map(str::to_owned),
                expires: grant.expires,
            }));
        }
        text
    }

    /// Adds a token.
    ///
    /// # Errors
    /// There are too many.
    pub fn add(&mut self, secret: &Secret, grant: Grant) -> Result<(), String> {
        if self.known.len() >= TOKENS_MAX {
            return Err(format!("there are {TOKENS_MAX} tokens already"));
        }
        self.known.push((self.hash(secret), Arc::new(grant)));
        Ok(())
    }

    /// Takes one back; whether there was one.
    pub fn revoke(&mut self, id: &str) -> bool {
        let before = self.known.len();
        self.known.retain(|(_, grant)| &*grant.id != id);
        self.known.len() < before
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Grant>> {
        self.known.iter().map(|(_, grant)| grant)
    }

    /// What this token is for. Takes the same time whichever it is, and whether it is one.
    ///
    /// # Errors
    /// [`Denied::Unknown`], [`Denied::Expired`]
    pub fn find(&self, secret: &Secret, now: u64) -> Result<&Arc<Grant>, Denied> {
        let Digest(hash) = self.hash(secret);
        let mut place = u32::MAX;
        for ((Digest(known), _), at) in self.known.iter().zip(0..) {
            let same: Choice = known.ct_eq(&hash);
            place.conditional_assign(&at, same);
        }
        let found = usize::try_from(place).ok().and_then(|place| self.known.get(place));
        let (_, grant) = found.ok_or(Denied::Unknown)?;
        if grant.is_over(now) { Err(Denied::Expired) } else { Ok(grant) }
    }

    /// Whether a token that was found before is still among them, as it was.
    #[must_use]
    pub fn still_have(&self, grant: &Grant) -> bool {
        self.iter().any(|known| **known == *grant)
    }

    fn hash(&self, secret: &Secret) -> Digest {
        Digest(*blake3::keyed_hash(&self.key, &secret.0).as_bytes())
    }
}

impl GrantLine {
    fn grant(self) -> Result<(Digest, Arc<Grant>), String> {
        let Self { id, hash, can, group, prefix, expires } = self;
        let hash = Digest::parse(hash.as_bytes()).ok_or("the hash is none")?;
        if let Some(group) = group.as_deref().filter(|group| !is_group(group)) {
            return Err(format!("{group:?} cannot be a group"));
        }
        let grant = Grant {
            id: id.into(),
            can: can.parse()?,
            group: group.map(Into::into),
            prefix: prefix.map(Into::into),
            expires,
        };
        Ok((hash, Arc::new(grant)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(id: &str) -> Grant {
        let (group, prefix) = (Some("team".into()), Some("team/".into()));
        Grant { id: id.into(), can: "get,add".parse().unwrap(), group, prefix, expires: Some(100) }
    }

    fn secret(byte: u8) -> Secret {
        Secret::new([byte; 32])
    }

    #[test]
    fn a_token_is_found_until_its_time_is_over_or_it_is_revoked() {
        let mut tokens = Tokens::new([9; 32]);
        for byte in 1..=3 {
            tokens.add(&secret(byte), grant(&format!("t{byte}"))).unwrap();
        }
        assert_eq!(&*tokens.find(&secret(2), 99).unwrap().id, "t2");
        assert_eq!(tokens.find(&secret(2), 100), Err(Denied::Expired));
        assert_eq!(tokens.find(&secret(4), 0), Err(Denied::Unknown));
        assert!(tokens.revoke("t2") && !tokens.revoke("t2"));
        assert_eq!(tokens.find(&secret(2), 0), Err(Denied::Unknown));
        assert!(tokens.still_have(&grant("t1")) && !tokens.still_have(&grant("t2")));
    }

    #[test]
    fn the_file_reads_back_and_has_no_token_in_it() {
        let mut tokens = Tokens::new([9; 32]);
        tokens.add(&secret(7), grant("a \"b\"")).unwrap();
        let text = tokens.to_text();
        assert_eq!(Tokens::parse(&text).unwrap(), tokens);
        assert!(!text.contains(&"07".repeat(32)));
        for (bad, why) in [
            ("", "empty"),
            ("{}", "line 1"),
            (&*format!("{text}x"), "line 3"),
            (&text.replace("get,add", "get,rule"), "'rule' is no right"),
            (&text.replace("\"team\"", "\"a,b\""), "cannot be a group"),
        ] {
            let error = Tokens::parse(bad).unwrap_err();
            assert!(error.contains(why), "{why}: {error}");
        }
    }

    #[test]
    fn a_token_reads_back_and_is_not_shown_by_chance() {
        let token = secret(0xab);
        assert_eq!(token.written_out().parse::<Secret>().unwrap(), token);
        assert!(!format!("{token:?}").contains("ab"));
        for bad in ["", "p2pci_", "p2pci_12", &"ab".repeat(32), "P2PCI_"] {
            assert!(bad.parse::<Secret>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_grant_opens_what_is_private_to_its_group_and_an_administrators_opens_all() {
        let groups = ["a".into(), "b".into()];
        let grant = |can: &str, group: Option<&str>| Grant {
            can: can.parse().unwrap(),
            group: group.map(Into::into),
            id: "id".into(),
            prefix: None,
            expires: None,
        };
        assert!(grant("get", Some("b")).opens(&groups) && grant("admin", None).opens(&groups));
        assert!(!grant("get", Some("c")).opens(&groups) && !grant("get", None).opens(&groups));
        assert!(!grant("get", Some("b")).opens(&[]));
    }
}
