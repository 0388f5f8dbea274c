//! `p2pci client [SERVER]`: the interactive peer of the original.

use std::sync::Arc;
use std::time::Duration;

use peer::link::LinkError;
use peer::notice::{LinkNotice, Notice, Observer};
use peer::shares::{ShareTable, make_folder};
use proto::escape;

use super::index_failure;
use crate::cli::Client;
use crate::exit::{Code, Failure};
use crate::local_peer::{Door, LocalPeer, Spec, scan, skipped_in_words};
use crate::menu::Menu;
use crate::out::Out;
use crate::settings::{Rates, all_typed};
use crate::signals;
use crate::stdin_lines::StdinLines;

/// How long the first connection may take, and then how long the menu waits for the folder's files to be added.
const JOIN: Duration = Duration::from_secs(15);

/// Joins, announces the folder, and shows the menu until the user leaves.
pub async fn run(args: Client, out: Out) -> Result<(), Failure> {
    let folder = args.dir.display();
    let cannot = |error| Failure::new(Code::Failed, format!("the folder {folder} cannot be made: {error}"));
    if make_folder(&args.dir).map_err(cannot)? {
        out.line(format_args!("Made the folder {folder}: put rfcN.txt files into it to share them"));
    }
    let shares = Arc::new(ShareTable::new());
    let skipped = if args.no_announce { Vec::new() } else { scan(&shares, &args.dir).await?.1 };
    if !skipped.is_empty() {
        out.line(format_args!("Files of {folder}: {}", skipped_in_words(&skipped)));
    }
    let observer = Arc::new(Narrator { out });
    let peer = LocalPeer::start(
        Spec {
            indexes: args.index.server.clone(),
            host: args.uploads.host.clone(),
            door: Door::new(&args.uploads, &args.index.trust.own)?,
            rates: Rates::from(&args.limits),
            announce: !args.no_announce,
        },
        shares,
        observer,
    )?;
    peer.link.connected(JOIN).await.map_err(cannot_join)?;
    let index = all_typed(&args.index.server);
    if args.no_announce {
        out.line(format_args!("Joined {index}"));
    } else {
        match peer.link.registered(JOIN).await {
            Ok(done) => {
                let plural = if done.files == 1 { "" } else { "s" };
                out.line(format_args!("Joined {index} and added {} file{plural} of {folder}", done.files));
            }
            // One question for each file takes its time with many files or a slow index. The menu's questions go before them.
            Err(_) => out.line(format_args!("Joined {index}; the files of {folder} are still being added")),
        }
    }
    let menu = Menu::new(&peer, &args.index.server, &args.dir, out, StdinLines::start()?);
    tokio::select! {
        () = menu.run() => {}
        () = signals::interrupted() => out.line(""),
    }
    tokio::select! {
        () = peer.stop() => {}
        () = signals::interrupted() => {}
    }
    Ok(())
}

fn cannot_join(error: LinkError) -> Failure {
    match error {
        LinkError::Unreachable { .. } => Failure::new(
            Code::Unreachable,
            format!("{error}; is it running ('p2pci server'), and is SERVER ('p2pci client SERVER') right?"),
        ),
        error => index_failure(error),
    }
}

/// Tells what the user at the menu must know: that the index is gone, and that it is back.
struct Narrator {
    out: Out,
}

impl Observer for Narrator {
    fn notice(&self, notice: Notice) {
        match notice {
            Notice::Link(LinkNotice::Lost { why }) => self.out.note(format_args!(
                "\n(no connection to the index: {}; trying again by itself, uploads go on)",
                escape::Line(why.as_bytes())
            )),
            Notice::Link(LinkNotice::Refused { number, .. }) => {
                self.out.note(format_args!("(the index did not take RFC {number})"));
            }
            _ => {}
        }
    }
}
