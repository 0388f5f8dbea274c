//! What a token may be for.

use std::fmt;
use std::str::FromStr;

/// One right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// To see what there is: LIST, SEARCH, WATCH of everything, the dashboard.
    List,
    /// To look for a file, and to fetch it.
    Get,
    /// To publish.
    Add,
    /// Everything, in all groups.
    Admin,
}

impl Right {
    const ALL: [Self; 4] = [Self::List, Self::Get, Self::Add, Self::Admin];

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Get => "get",
            Self::Add => "add",
            Self::Admin => "admin",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Several rights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rights(u8);

impl Rights {
    /// Whether this right is among them; `admin` is each.
    #[must_use]
    pub fn include(self, right: Right) -> bool {
        self.0 & (right.bit() | Right::Admin.bit()) != 0
    }

    /// Whether there are none.
    #[must_use]
    pub fn are_none(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for right in Right::ALL.into_iter().filter(|right| self.0 & right.bit() != 0) {
            write!(f, "{comma}{right}")?;
            comma = ",";
        }
        if self.are_none() { f.write_str("none") } else { Ok(()) }
    }
}

impl FromStr for Rights {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut rights = Self::default();
        for word in text.split(',').filter(|_| text != "none") {
            let right = Right::ALL.into_iter().find(|right| right.as_str() == word);
            let unknown = || format!("'{word}' is no right; there are list, get, add and admin");
            rights.0 |= right.ok_or_else(unknown)?.bit();
        }
        Ok(rights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_read_back_and_admin_is_each() {
        for text in ["list", "list,get", "list,get,add,admin", "none"] {
            assert_eq!(text.parse::<Rights>().unwrap().to_string(), text);
        }
        let get: Rights = "get".parse().unwrap();
        assert!(get.include(Right::Get) && !get.include(Right::Add) && !get.include(Right::Admin));
        let admin: Rights = "admin".parse().unwrap();
        assert!(Right::ALL.into_iter().all(|right| admin.include(right)));
        for bad in ["", "write", "list,", "list get", "LIST"] {
            assert!(bad.parse::<Rights>().is_err(), "{bad}");
        }
    }
}
