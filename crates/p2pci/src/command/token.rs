//! `p2pci token new|list|revoke`

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proto::access::tokens::{Grant, Secret, Tokens};
use proto::escape;
use serde_json::json;

use crate::cli::{NewToken, RevokeToken, Token, TokenCommand, TokenList};
use crate::exit::{Code, Failure};
use crate::out::Out;
use crate::token_file::{Locked, random, read};

/// Does what was asked.
pub fn run(args: Token, out: Out) -> Result<(), Failure> {
    match args.what {
        TokenCommand::New(args) => new(args, out),
        TokenCommand::List(args) => list(&args, out),
        TokenCommand::Revoke(args) => revoke(&args, out),
    }
}

fn new(args: NewToken, out: Out) -> Result<(), Failure> {
    if args.can.are_none() {
        return Err(Failure::new(
            Code::Usage,
            "a token without any right is of no use; --can says what it is for",
        ));
    }
    let NewToken { can, group, prefix, expires, file } = args;
    let mut locked = Locked::open(&file.tokens)?;
    let (secret, id) = (Secret::new(random()?), hex(&random()?[..4]));
    let expires = expires.and_then(|lasts| SystemTime::now().checked_add(lasts)).map(seconds);
    let grant = Grant {
        id: id.as_str().into(),
        can,
        group: group.map(Into::into),
        prefix: prefix.map(Into::into),
        expires,
    };
    locked.tokens.add(&secret, grant).map_err(|error| Failure::new(Code::Failed, error))?;
    locked.save()?;
    out.line(secret.written_out());
    out.note(format_args!(
        "p2pci: this is token {id}, seen only now; its holder sets P2PCI_TOKEN or --token-file"
    ));
    Ok(())
}

fn list(args: &TokenList, out: Out) -> Result<(), Failure> {
    let tokens: Tokens = read(&args.file.tokens)?;
    for grant in tokens.iter() {
        let Grant { id, can, group, prefix, expires } = &**grant;
        let end = expires
            .map(|end| humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(end)).to_string());
        let mut line = format!("{id}  {can}");
        let mut add = |what: &str, value: Option<&str>| {
            if let Some(value) = value {
                line += &format!("  {what} {}", escape::Line(value.as_bytes()));
            }
        };
        add("group", group.as_deref());
        add("prefix", prefix.as_deref());
        add("until", end.as_deref());
        out.result(
            line,
            &json!({
                "type": "token", "id": &**id, "can": can.to_string(), "group": group.as_deref(),
                "prefix": prefix.as_deref(), "expires": end,
            }),
        );
    }
    Ok(())
}

fn revoke(args: &RevokeToken, out: Out) -> Result<(), Failure> {
    let mut locked = Locked::open(&args.file.tokens)?;
    if !locked.tokens.revoke(&args.id) {
        let sentence = format!("there is no token {}; 'p2pci token list' shows what there is", args.id);
        return Err(Failure::new(Code::NotFound, sentence));
    }
    locked.save()?;
    out.note(format_args!("p2pci: token {} is revoked", args.id));
    Ok(())
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
