//! Threat I21: guesses that are close to a token that there is. From so many addresses that each of them is looked at.

use std::net::Ipv4Addr;

use super::{Tokens, ping};
use crate::world::{PATIENCE, Raw};

/// What is looked at of one address at once, and from how many addresses it comes.
const LOOKED_AT: usize = 10;
const ADDRESSES: usize = 1000;
const PREFIX: &str = "p2pci_";

/// A guess that somebody could come to who has seen most of a token, or has it in another writing.
fn near_miss(token: &str, at: usize) -> String {
    let digits = &token[PREFIX.len()..];
    let kind = at / 20 % 20;
    let place = (at * 31 + at / 400) % digits.len();
    let digit = |place: usize| digits[place..=place].chars().next().unwrap().to_digit(16).unwrap();
    let with = |place: usize, value: u32| {
        let mut changed = digits.to_owned();
        changed.replace_range(place..=place, &format!("{value:x}"));
        changed
    };
    let hex = match kind {
        // Each bit of each digit, and digits that are others altogether.
        0..=7 => with(place, digit(place) ^ 1 << (kind % 4)),
        8 => with(place, (digit(place) + 1 + at as u32 % 15) % 16),
        9 => format!("{}{}", &digits[place.max(1)..], &digits[..place.max(1)]),
        10 => digits.chars().rev().collect(),
        11 => format!("{}{}", &digits[..place.min(40)], "0".repeat(digits.len() - place.min(40))),
        12 => digits.chars().map(|digit| format!("{:x}", 15 - digit.to_digit(16).unwrap())).collect(),
        // What is no token any more: cut, too long, in another alphabet, or with something in it.
        13 => digits[..place].to_owned(),
        14 => format!("{digits}{}", &digits[..=place]),
        15 => format!("{}%{:02x}{}", &digits[..place], digits.as_bytes()[place], &digits[place + 1..]),
        16 => format!("{}-{}", &digits[..place], &digits[place..]),
        17 => return format!("{}{digits}", ["P2PCI_", "p2pci-", "p2pci", "", "p2pci__"][at % 5]),
        18 => return format!("{token},{token}"),
        _ => format!("{:064x}", (at as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)),
    };
    format!("{PREFIX}{hex}")
}

#[test]
fn i21_of_ten_thousand_near_misses_that_are_looked_at_none_is_a_token() {
    let tokens = Tokens::new();
    let token = tokens.new_token("admin", &[]);
    let index = tokens.index(&["--quiet"]);
    let asked = |raw: &mut Raw, guesses: &[String]| -> String {
        raw.send(guesses.iter().map(|guess| ping(guess)).collect::<String>());
        let mut answers = String::new();
        while answers.matches("P2P-CI/1.1 ").count() < guesses.len() || !answers.ends_with("\"}\n") {
            let segment = raw.segment_within(PATIENCE).expect("an answer in time");
            assert!(!segment.is_empty(), "cut off: {answers}");
            answers += std::str::from_utf8(&segment).unwrap();
        }
        answers
    };
    for address in 0..ADDRESSES {
        let source = Ipv4Addr::from(Ipv4Addr::new(127, 40, 0, 1).to_bits() + address as u32);
        let mut guesser = index.raw_from(source);
        let guesses: Vec<String> =
            (0..LOOKED_AT).map(|at| near_miss(&token, address * LOOKED_AT + at)).collect();
        assert!(!guesses.contains(&token), "{guesses:?}");
        let answers = asked(&mut guesser, &guesses);
        assert_eq!(answers.matches("P2P-CI/1.1 401 ").count(), LOOKED_AT, "{guesses:?}: {answers}");
        // More are not looked at, from there.
        let more = asked(&mut guesser, &[near_miss(&token, address)]);
        assert!(more.starts_with("P2P-CI/1.1 429 "), "{source}: {more}");
    }
    assert!(index.raw().ask(ping(&token)).contains("200 OK"), "from where nobody guessed it is one");
}
