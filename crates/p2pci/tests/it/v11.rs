//! P2P-CI/1.1 on the real index: what `docs/protocol-1.1.md` says, row by row. The exact bytes are in `tests/transcripts/v11.txt`.

mod contents;
mod framing;
mod pages;
mod refusals;
mod search;
mod versions;
mod waiting;
mod watching;
