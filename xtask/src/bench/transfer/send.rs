//! The bare sender: a head, then the file by `sendfile` from a loop that does nothing else. A process of its own.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

/// Serves one connection after the other until it is killed. The first line of its output is its port.
pub(crate) fn serve(path: &Path) -> anyhow::Result<()> {
    let file = File::open(path)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    io::stdout().flush()?;
    for stream in listener.incoming() {
        // A receiver that left early is its own business.
        let _ = answer(stream?, &file);
    }
    Ok(())
}

fn answer(mut stream: TcpStream, file: &File) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? > 0 {
        request.extend_from_slice(&byte);
    }
    let length = file.metadata()?.len();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")?;
    let mut at = 0;
    while at < length {
        let wanted = usize::try_from(length - at).unwrap_or(usize::MAX);
        if rustix::fs::sendfile(&stream, file, Some(&mut at), wanted)? == 0 {
            break;
        }
    }
    Ok(())
}
