//! The floor: the least that a server on tokio can do. It counts the bytes of requests of one size, and for each answers a fixed
//! text of one size. What an index needs beyond this is its own.

use std::future::poll_fn;
use std::io::{self, Write as _};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use anyhow::ensure;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

const READ: usize = 16 * 1024;

/// Serves until it is killed. The first line of its output is its port.
pub(crate) fn serve(request: usize, answer: usize) -> anyhow::Result<()> {
    ensure!(request > 0, "a request has at least one byte");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?.port());
        io::stdout().flush()?;
        // Kept once, so that a connection holds nothing of its own.
        let answers: Arc<[u8]> = vec![b'x'; (READ / request + 1) * answer].into();
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(talk(stream, request, answer, Arc::clone(&answers)));
        }
    })
}

async fn talk(mut stream: TcpStream, request: usize, answer: usize, answers: Arc<[u8]>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut partial = 0;
    loop {
        // The buffer lies on the stack: a task that waits holds none.
        let count = poll_fn(|context| poll_count(&mut stream, context)).await?;
        if count == 0 {
            return Ok(());
        }
        let whole = (partial + count) / request;
        partial = (partial + count) % request;
        stream.write_all(answers.get(..whole * answer).unwrap_or_default()).await?;
    }
}

fn poll_count(stream: &mut TcpStream, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
    let mut room = [MaybeUninit::uninit(); READ];
    let mut buffer = ReadBuf::uninit(&mut room);
    Pin::new(stream).poll_read(context, &mut buffer).map_ok(|()| buffer.filled().len())
}
