//! `p2pci share DIR`

use std::sync::Arc;

use peer::link::IndexAddr;
use peer::notice::{LinkNotice, Notice, Observer, ShareNotice, UploadOutcome};
use peer::shares::ShareTable;
use proto::escape;
use serde_json::json;

use crate::cli::Share;
use crate::exit::Failure;
use crate::local_peer::{LocalPeer, Spec, scan, skipped_in_words};
use crate::out::Out;
use crate::settings::typed;
use crate::signals;

/// Shares a folder until it is stopped.
pub async fn run(args: Share, out: Out) -> Result<(), Failure> {
    let shares = Arc::new(ShareTable::new());
    let (shared, skipped) = scan(&shares, &args.dir).await?;
    let index = args.index.server;
    let observer = Arc::new(Narrator { out, index: index.clone() });
    let peer = LocalPeer::start(Spec::new(&index, &args.uploads, true), shares, observer)?;
    let dir = args.dir.display();
    let (files, port) = (shared.len(), peer.upload_port);
    let plural = if files == 1 { "" } else { "s" };
    let line = match skipped.len() {
        0 => format!("Sharing {files} file{plural} of {dir} on port {port}"),
        _ => format!("Sharing {files} file{plural} of {dir} on port {port} ({})", skipped_in_words(&skipped)),
    };
    let mut object = json!({
        "type": "sharing", "dir": dir.to_string(), "files": files, "skipped": skipped.len(), "port": port,
    });
    // Without --host it is the address towards the index, which is known only once there is a connection.
    if let Some(host) = &args.uploads.host {
        object["host"] = host.as_str().into();
    }
    out.result(line, &object);
    signals::interrupted().await;
    out.remark("Stopping: running uploads may end first");
    tokio::select! {
        () = peer.stop() => {}
        () = signals::interrupted() => {}
    }
    Ok(())
}

/// Tells what happens, as far as it matters to whoever shares.
struct Narrator {
    out: Out,
    index: IndexAddr,
}

impl Narrator {
    fn link(&self, notice: LinkNotice) {
        let Self { out, index } = self;
        match notice {
            LinkNotice::Registered { files, refused } => {
                let refusals = if refused > 0 { format!(", {refused} refused") } else { String::new() };
                let line = format!("Registered {files} files with {index}{refusals}\n{}", elsewhere(index));
                let object = json!({"type": "registered", "files": files, "refused": refused, "server": index.to_string()});
                out.result(line, &object);
            }
            LinkNotice::Refused { number, status } => {
                let status = status.map_or("no status".to_owned(), |code| code.get().to_string());
                out.note(format_args!("p2pci: the index did not take RFC {number}: {status}"));
            }
            LinkNotice::Lost { why } => out.note(format_args!(
                "p2pci: no connection to {index}: {}; uploads go on",
                escape::Line(why.as_bytes())
            )),
            LinkNotice::RetryIn(pause) => {
                out.note(format_args!("p2pci: trying again in {:.1} s", pause.as_secs_f32()));
            }
            LinkNotice::Connected { .. } => {}
        }
    }

    fn shares(&self, notice: &ShareNotice) {
        match notice {
            ShareNotice::Hashed { .. } => {}
            ShareNotice::NoCache { why } => self.out.note(format_args!("p2pci: hashes are not kept: {why}")),
            ShareNotice::CacheRenewed => {
                self.out.note("p2pci: the kept hashes were damaged; they are computed anew")
            }
            ShareNotice::NotWatched { why } => {
                self.out.note(format_args!("p2pci: changes are found every minute only: {why}"));
            }
            ShareNotice::Unreadable { name, why } => self.out.note(format_args!(
                "p2pci: '{}' is not shared: {}",
                escape::Line(name.as_bytes()),
                escape::Line(why.as_bytes())
            )),
        }
    }
}

impl Observer for Narrator {
    fn notice(&self, notice: Notice) {
        match notice {
            Notice::Link(notice) => self.link(notice),
            Notice::Upload { source, number, length, outcome: UploadOutcome::Done } => self.out.result(
                format_args!("{source} took RFC {number}, {length} bytes"),
                &json!({"type": "uploaded", "number": number.get(), "bytes": length, "to": source}),
            ),
            Notice::Upload { source, number, outcome: UploadOutcome::Cut(error), .. } => {
                self.out.note(format_args!("p2pci: the upload of RFC {number} to {source} was cut: {error}"));
            }
            Notice::Http { source, answer, cut: None } if answer.length > 0 => self.out.result(
                format_args!("{source} took {}, {} bytes", answer.target, answer.length),
                &json!({"type": "uploaded", "target": answer.target.to_string(), "bytes": answer.length, "to": source}),
            ),
            Notice::Http { source, answer, cut: Some(error) } => {
                self.out.note(format_args!("p2pci: the upload of {} to {source} was cut: {error}", answer.target));
            }
            Notice::Http { .. } | Notice::HttpRefused { .. } => {}
            Notice::Upload { outcome: UploadOutcome::NotFound, .. } | Notice::UploadRefused { .. } => {}
            Notice::Shares(notice) => self.shares(&notice),
            Notice::Accept(notice) => {
                if let net::accept::AcceptNotice::Trouble(error) = notice {
                    self.out.note(format_args!("p2pci: cannot accept connections at the moment: {error}"));
                }
            }
        }
    }
}

/// The line to type on another machine. A name for this machine itself means nothing there: an address of ours does.
fn elsewhere(index: &IndexAddr) -> String {
    let here =
        index.host == "localhost" || index.host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    let host = match here {
        true => net::interfaces::reachable_addresses()
            .first()
            .map_or_else(|| index.host.clone(), ToString::to_string),
        false => index.host.clone(),
    };
    format!("Elsewhere:  p2pci get NUMBER --server {}", typed(&IndexAddr { host, port: index.port }))
}
