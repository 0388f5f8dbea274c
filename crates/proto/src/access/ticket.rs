//! Tickets: the index's word that somebody may fetch one content, which a peer checks by itself.
//!
//! A peer that keeps something private learns the public half of the index's key when it registers, and never has to ask again. A
//! ticket is for one content and one group, and ends soon; it is not bound to a connection, so it travels in TLS only.

use std::sync::Arc;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use super::groups::Groups;
use super::tokens::is_group;
use crate::value::digest::Digest;

/// What is signed begins with this, so that a signature for anything else is none for a ticket.
const PURPOSE: &[u8] = b"p2pci ticket 1\0";
/// Bytes of an Ed25519 signature.
const SIGNATURE: usize = 64;

/// What a ticket says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// For which content.
    pub hash: Digest,
    /// Until when, in seconds since 1970.
    pub expires: u64,
    /// As a member of which group.
    pub group: Arc<str>,
}

/// Why a ticket does not open a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// There is none.
    #[error("this is private: the index gives a ticket to those whose token is of the right group")]
    Missing,
    /// It cannot be read, or nobody whom we know has signed it as it is.
    #[error("the ticket is none, or it was altered, or another index has given it")]
    Forged,
    /// It came in plain text, and not from this machine.
    #[error("a ticket is not taken in plain text, where others read it")]
    PlainText,
    /// It is for something else.
    #[error("the ticket is for another file")]
    OtherFile,
    /// Its time is over.
    #[error("the ticket is too old; ask the index for a new one")]
    Expired,
    /// It is for members of another group.
    #[error("the ticket is for a group to which this is not given")]
    OtherGroup,
}

/// The index's key, which is made anew at each start.
pub struct Signer(Ed25519KeyPair);

impl Signer {
    /// From random bytes.
    ///
    /// # Panics
    /// Never: each seed of 32 bytes is one.
    #[must_use]
    pub fn new(seed: &[u8; 32]) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(seed).expect("a seed has 32 bytes"))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> Digest {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.public_key().as_ref());
        Digest(key)
    }

    /// A ticket as it is handed over: hexadecimal digits.
    #[must_use]
    pub fn sign(&self, ticket: &Ticket) -> String {
        let body = body(ticket);
        let signature = self.0.sign(&signed(&body));
        body.iter().chain(signature.as_ref()).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Signer").field(&self.public()).finish()
    }
}

/// Whether this ticket opens a content to the public keys of `issuers`, for one of these groups.
///
/// # Errors
/// [`Invalid`]
pub fn check(
    text: Option<&str>,
    hash: Digest,
    groups: &Groups,
    issuers: &[Digest],
    now: u64,
) -> Result<(), Invalid> {
    let bytes = unhex(text.ok_or(Invalid::Missing)?).ok_or(Invalid::Forged)?;
    let at = bytes.len().checked_sub(SIGNATURE).ok_or(Invalid::Forged)?;
    let (body, signature) = bytes.split_at(at);
    let message = signed(body);
    let is_known =
        |issuer: &Digest| UnparsedPublicKey::new(&ED25519, issuer.0).verify(&message, signature).is_ok();
    if !issuers.iter().any(is_known) {
        return Err(Invalid::Forged);
    }
    let ticket = read(body).ok_or(Invalid::Forged)?;
    if ticket.hash != hash {
        return Err(Invalid::OtherFile);
    }
    if now >= ticket.expires {
        return Err(Invalid::Expired);
    }
    if groups.names().contains(&ticket.group) { Ok(()) } else { Err(Invalid::OtherGroup) }
}

fn signed(body: &[u8]) -> Vec<u8> {
    [PURPOSE, body].concat()
}

/// The hash, the end in eight bytes with the highest first, and the group.
fn body(ticket: &Ticket) -> Vec<u8> {
    [&ticket.hash.0[..], &ticket.expires.to_be_bytes(), ticket.group.as_bytes()].concat()
}

fn read(body: &[u8]) -> Option<Ticket> {
    let (hash, rest) = body.split_first_chunk::<32>()?;
    let (expires, group) = rest.split_first_chunk::<8>()?;
    let group = str::from_utf8(group).ok().filter(|group| is_group(group))?;
    Some(Ticket { hash: Digest(*hash), expires: u64::from_be_bytes(*expires), group: group.into() })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    if rest.is_empty() { bytes.collect() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_opens_what_it_is_for_and_nothing_else() {
        let (index, other) = (Signer::new(&[1; 32]), Signer::new(&[2; 32]));
        let hash = Digest([7; 32]);
        let ticket = Ticket { hash, expires: 100, group: "team".into() };
        let text = index.sign(&ticket);
        let (groups, ops) = (Groups::parse("ops,team").unwrap(), Groups::parse("ops").unwrap());
        let keys = [other.public(), index.public()];
        let check = |text: &str, hash, now| check(Some(text), hash, &groups, &keys, now);
        assert_eq!(check(&text, hash, 99), Ok(()));
        assert_eq!(check(&text, Digest([8; 32]), 99), Err(Invalid::OtherFile), "replayed on another file");
        assert_eq!(check(&text, hash, 100), Err(Invalid::Expired));
        assert_eq!(super::check(Some(&text), hash, &ops, &keys, 99), Err(Invalid::OtherGroup));
        assert_eq!(
            super::check(Some(&text), hash, &groups, &keys[..1], 99),
            Err(Invalid::Forged),
            "a stranger's"
        );
        assert_eq!(super::check(None, hash, &groups, &keys, 99), Err(Invalid::Missing));
        for at in 0..text.len() {
            let mut altered = text.clone().into_bytes();
            altered[at] = if altered[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(check(&String::from_utf8(altered).unwrap(), hash, 99), Err(Invalid::Forged), "{at}");
        }
        for cut in [0, 1, 2, 127, 128, text.len() - 1] {
            assert_eq!(check(&text[..cut], hash, 99), Err(Invalid::Forged), "{cut}");
        }
        assert_eq!(check("é", hash, 99), Err(Invalid::Forged));
    }
}
