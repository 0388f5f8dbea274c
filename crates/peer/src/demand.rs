//! Tells a peer that somebody wants a file of its: one that is not hashed yet then moves to the front.

use std::time::Duration;

use bytes::BytesMut;
use proto::limits::{CONNECT_ADDRESS, CONNECT_TOTAL, WRITE_STALL};
use proto::reach::Reach;
use proto::value::file_name::{FileName, percent_encode};
use proto::value::host::PeerAddr;
use tokio::time::timeout;

use crate::dial;

/// How long the answer is waited for. It says nothing that is needed: asking is enough.
const ANSWER: Duration = Duration::from_secs(2);

/// Asks for the head of a file.
///
/// # Errors
/// The peer cannot be reached; in words.
pub async fn demand(peer: &PeerAddr, reach: &Reach, name: FileName<'_>) -> Result<(), String> {
    let mut stream = dial::peer(peer, reach, CONNECT_ADDRESS, CONNECT_TOTAL).await?;
    let path = percent_encode(name.as_str());
    let request = format!("HEAD /file/{path} HTTP/1.1\r\nHost: {peer}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes(), WRITE_STALL).await.map_err(|error| error.to_string())?;
    let mut answer = BytesMut::with_capacity(512);
    // Whatever it says, or if it says nothing: it has heard.
    let _ = timeout(ANSWER, stream.read(&mut answer)).await;
    Ok(())
}
