//! `p2pci demo`: an index and two peers on this machine do the whole job over real sockets, and every step is checked.

mod checks;
mod world;

use std::path::PathBuf;

use proto::escape::Line;

use crate::cli::Demo;
use crate::exit::{Code, Failure};
use crate::out::Out;

/// The samples, written for this purpose.
const SAMPLES: [(&str, &[u8]); 3] = [
    ("rfc9001.txt", include_bytes!("../../samples/rfc9001.txt")),
    ("rfc9002.txt", include_bytes!("../../samples/rfc9002.txt")),
    ("rfc9003.txt", include_bytes!("../../samples/rfc9003.txt")),
];
/// How many of Alice's texts Bob has from the start.
const BOB_HAS: usize = 2;

/// Plays the demonstration; an error is a step that did not do what it should.
pub async fn run(args: Demo, out: Out) -> Result<(), Failure> {
    let scratch = tempfile::tempdir()?;
    let alice_folder = match args.dir.clone() {
        Some(dir) => dir,
        None => samples_in(scratch.path().join("alice"))?,
    };
    let bob_folder = scratch.path().join("bob");
    std::fs::create_dir(&bob_folder)?;

    out.line("== An index starts, and Alice and Bob join it with the files that they have.");
    let world = world::World::start(&alice_folder, &bob_folder, BOB_HAS, out).await?;
    let fetched = world.play().await?;
    world.stop().await;

    let dir = args.dir.map_or("DIR".to_owned(), |dir| Line(dir.as_os_str().as_encoded_bytes()).to_string());
    let p2pci = as_started();
    out.line(format_args!(
        "\nEvery step was checked: {fetched} {} fetched and compared byte for byte.\n\n\
         Try next, in three terminals (on three machines, the first one's name instead of localhost):\n    \
         {p2pci} server\n    {p2pci} share {dir} --server localhost\n    {p2pci} get NUMBER --server localhost",
        if fetched == 1 { "file was" } else { "files were" },
    ));
    Ok(())
}

/// How this program was called, so that the lines to type work as they stand: `cargo run` leaves it where no shell looks.
fn as_started() -> String {
    std::env::args().next().unwrap_or_else(|| "p2pci".to_owned())
}

fn samples_in(folder: PathBuf) -> Result<PathBuf, Failure> {
    std::fs::create_dir(&folder)?;
    for (name, text) in SAMPLES {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(folder)
}

/// Fails with a sentence unless something is so.
fn ensure(so: bool, otherwise: impl FnOnce() -> String) -> Result<(), Failure> {
    if so { Ok(()) } else { Err(Failure::new(Code::Failed, otherwise())) }
}
