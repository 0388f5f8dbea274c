//! Which addresses are let in at all: lists that an operator keeps, and may change while connections go on.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use proto::reach::Net;

/// The lists; a clone is the same ones.
#[derive(Debug, Clone, Default)]
pub struct AddressLists(Arc<RwLock<Lists>>);

/// What is in them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lists {
    /// Nobody else, if there are any.
    pub allow: Vec<Net>,
    /// Nobody of these, even if they are allowed.
    pub deny: Vec<Net>,
}

/// What the lists say about an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listed {
    /// Nothing.
    Nowhere,
    /// It is named among those that are let in.
    Allowed,
    /// It is named among those that are not, or missing where only named ones are.
    Denied,
}

impl AddressLists {
    /// These are the lists from now on. Connections that stand are not touched.
    pub fn replace(&self, lists: Lists) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = lists;
    }

    pub(crate) fn judge(&self, address: IpAddr) -> Listed {
        let lists = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let among = |nets: &[Net]| nets.iter().any(|net| net.holds(address));
        match (among(&lists.deny), among(&lists.allow)) {
            (true, _) => Listed::Denied,
            (false, true) => Listed::Allowed,
            (false, false) if lists.allow.is_empty() => Listed::Nowhere,
            (false, false) => Listed::Denied,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_denied_stays_out_and_where_some_are_allowed_nobody_else_is() {
        let lists = AddressLists::default();
        let judge = |text: &str| lists.judge(text.parse().unwrap());
        assert_eq!(judge("10.0.0.1"), Listed::Nowhere);
        let nets = |all: &[&str]| all.iter().map(|net| net.parse().unwrap()).collect();
        lists.replace(Lists { allow: Vec::new(), deny: nets(&["10.0.0.0/24"]) });
        assert_eq!((judge("10.0.0.1"), judge("10.0.1.1")), (Listed::Denied, Listed::Nowhere));
        assert_eq!(judge("::ffff:10.0.0.1"), Listed::Denied);
        lists.replace(Lists { allow: nets(&["10.0.0.0/16", "2001:db8::/32"]), deny: nets(&["10.0.0.0/24"]) });
        assert_eq!((judge("10.0.0.1"), judge("10.0.1.1")), (Listed::Denied, Listed::Allowed));
        assert_eq!((judge("2001:db8::1"), judge("192.168.0.1")), (Listed::Allowed, Listed::Denied));
    }
}
