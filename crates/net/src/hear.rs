//! What a connection in HTTP waits for between two requests.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::ReadBuf;

use crate::deadline::Deadline;
use crate::stop::Stopped;
use crate::stream::Stream;

/// Bytes that are read at once.
const READ: usize = 4096;

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Bytes came, and were taken.
    Bytes,
    /// The other side will send nothing more, or the connection failed.
    EndOfFile,
    /// The deadline has passed.
    Deadline,
    /// We are to stop.
    Stop,
}

/// Waits for bytes, which `take` gets, or for what makes them unwanted: a stop comes before all else, and bytes that are there come before
/// the deadline. Safe to cancel.
pub async fn hear(
    stream: &mut Stream,
    deadline: &mut Deadline,
    stopped: &mut Stopped<'_>,
    mut take: impl FnMut(&[u8]),
) -> Heard {
    poll_fn(|context| {
        if Pin::new(&mut *stopped).poll(context).is_ready() {
            return Poll::Ready(Heard::Stop);
        }
        match read(stream, &mut take, context) {
            Poll::Pending => deadline.poll_passed(context).map(|()| Heard::Deadline),
            ready => ready,
        }
    })
    .await
}

/// A function of its own, so that the buffer lies on the stack and not in each task.
fn read(stream: &mut Stream, take: &mut impl FnMut(&[u8]), context: &mut Context<'_>) -> Poll<Heard> {
    let mut bytes = [0; READ];
    let mut buffer = ReadBuf::new(&mut bytes);
    stream.poll_read(context, &mut buffer).map(|read| match (read, buffer.filled()) {
        (Ok(()), came) if !came.is_empty() => {
            take(came);
            Heard::Bytes
        }
        _ => Heard::EndOfFile,
    })
}
