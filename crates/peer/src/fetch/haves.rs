//! Asks a source that has only a part what it has, and then what is new, on a connection of its own: answers with blocks take long.

use proto::limits::{HAVE_BYTES_MAX, HAVE_PAUSE};
use proto::transfer::have::Have;
use proto::transfer::plan::SourceId;
use proto::value::host::PeerAddr;

use super::source::{Common, Told};
use super::talk::Talk;
use super::{SourceFault, http};
use crate::limit::RateLimit;

/// Tells what the source has until it fails.
pub(super) async fn run(id: SourceId, peer: PeerAddr, common: Common) {
    let mut after = None;
    loop {
        let before = after;
        match converse(id, &peer, &common, &mut after).await {
            // Some servers close after a number of requests.
            SourceFault::Closed if after != before => {}
            fault => {
                // Fails only when the transfer is over.
                let _ = common.told.send(Told::Gone(id, fault)).await;
                return;
            }
        }
    }
}

/// One connection, until it ends.
async fn converse(id: SourceId, peer: &PeerAddr, common: &Common, after: &mut Option<u64>) -> SourceFault {
    let unlimited = RateLimit::default();
    let mut talk = match Talk::connect(peer, &common.timing, &unlimited, ()).await {
        Ok(talk) => talk,
        Err(fault) => return fault,
    };
    loop {
        let have = match ask(peer, common, *after, &mut talk).await {
            Ok(have) => have,
            Err(fault) => return fault,
        };
        *after = Some(have.next);
        if common.told.send(Told::Have(id, have)).await.is_err() {
            return SourceFault::Closed;
        }
        // What happens meanwhile is told together.
        tokio::time::sleep(HAVE_PAUSE).await;
    }
}

async fn ask(
    peer: &PeerAddr,
    common: &Common,
    after: Option<u64>,
    talk: &mut Talk<()>,
) -> Result<Have, SourceFault> {
    let path = after.map_or_else(|| "/have".to_owned(), |after| format!("/have?after={after}"));
    let mut request = Vec::new();
    http::write_request("GET", common.hash, &path, None, peer, &mut request);
    talk.send(&request).await?;
    let length = http::whole(&talk.head().await?)?;
    if length > HAVE_BYTES_MAX {
        return Err(SourceFault::OtherBytes);
    }
    let mut body = vec![0; usize::try_from(length).unwrap_or(0)];
    talk.fill(&mut body).await?;
    // News is rare and short; that is no sign of a slow source.
    talk.rest();
    Have::parse(&body).ok_or(SourceFault::OtherBytes)
}
