//! The journal of an open part, which more than one hand writes.
//!
//! Behind its last record there is room for a note that the next record overwrites: that somebody writes to the part now, or
//! what the part's change time is since nobody does. So a download that dies between two writes leaves a part whose last change
//! is known, however many blocks were on their way.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proto::transfer::journal::{self, HEADER_BYTES, Record, Subject};

use super::change_time;

/// The journal; clones are the same one.
#[derive(Debug, Clone)]
pub(in crate::fetch) struct Notes(Arc<Mutex<Book>>);

#[derive(Debug)]
struct Book {
    file: File,
    header: [u8; HEADER_BYTES],
    /// Bytes that stay.
    length: u64,
    /// Hands that write to the part now, beside the one that keeps the journal.
    writing: usize,
    /// A block that is verified.
    there: Option<u32>,
}

impl Notes {
    pub(in crate::fetch) fn new(file: File, subject: &Subject) -> Self {
        let (header, there) = (journal::header(subject), None);
        Self(Arc::new(Mutex::new(Book { file, header, length: 0, writing: 0, there })))
    }

    /// Throws away what was there and begins.
    pub(super) fn begin(&self) -> io::Result<()> {
        let mut book = self.book();
        book.file.set_len(0)?;
        book.file.write_all_at(&book.header, 0)?;
        book.length = HEADER_BYTES as u64;
        Ok(())
    }

    /// Goes on behind so many bytes; `there` is a block that they call verified.
    pub(super) fn go_on(&self, length: u64, there: Option<u32>) -> io::Result<()> {
        let mut book = self.book();
        (book.length, book.there) = (length, there);
        book.file.set_len(length)
    }

    /// Appends records that stay.
    pub(super) fn append(&self, records: &[Record]) -> io::Result<()> {
        let mut book = self.book();
        for record in records {
            if let Record::Done(block, _) = record {
                book.there = Some(*block);
            }
        }
        let tail = (book.writing > 0).then_some(Record::Intent(0));
        let all = records.iter().chain(&tail);
        let bytes: Vec<u8> = all.flat_map(|record| journal::record(&book.header, *record)).collect();
        book.file.write_all_at(&bytes, book.length)?;
        book.length +=
            records.iter().map(|record| journal::record(&book.header, *record).len() as u64).sum::<u64>();
        Ok(())
    }

    /// Appends that a block of the part is verified; the part's change time is taken while nobody else can note one.
    pub(super) fn done(&self, block: u32, part: &File) -> io::Result<()> {
        // A write that ends in between is noted after this.
        let changed = change_time(part)?;
        self.append(&[Record::Done(block, changed)])
    }

    /// Writes to the part between two notes about it.
    pub(in crate::fetch) fn around(
        &self,
        part: &File,
        write: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        self.book().begin_writing()?;
        let written = write();
        self.book().end_writing(part)?;
        written
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Each change of it is one step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn begin_writing(&mut self) -> io::Result<()> {
        self.writing += 1;
        if self.writing == 1 { self.note(Record::Intent(0)) } else { Ok(()) }
    }

    fn end_writing(&mut self, part: &File) -> io::Result<()> {
        self.writing = self.writing.saturating_sub(1);
        match self.there.filter(|_| self.writing == 0) {
            Some(block) => self.note(Record::Done(block, change_time(part)?)),
            None => Ok(()),
        }
    }

    /// What the next record overwrites.
    fn note(&mut self, record: Record) -> io::Result<()> {
        self.file.write_all_at(&journal::record(&self.header, record), self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::transfer::blocks::Layout;
    use proto::transfer::journal::{Boot, ChangeTime, read};
    use proto::value::digest::Digest;

    #[test]
    fn whenever_it_stops_between_two_writes_the_last_change_is_known() {
        let (part, file) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let layout = Layout::new(5 << 20).unwrap();
        let subject = Subject { root: Digest([7; 32]), layout };
        let boot = Boot([1; 16]);
        let trusted = |now: ChangeTime| {
            let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
            file.read_exact_at(&mut bytes, 0).unwrap();
            let resumed = read(&bytes, &subject, now, boot).unwrap();
            (resumed.trusted, resumed.verified.iter().collect::<Vec<_>>())
        };
        let elsewhere = ChangeTime(5);
        let notes = Notes::new(file.try_clone().unwrap(), &subject);
        notes.begin().unwrap();
        notes.append(&[Record::Opened(boot)]).unwrap();
        part.write_all_at(b"x", 0).unwrap();
        notes.done(3, &part).unwrap();
        for at in 1..5 {
            let write = || {
                assert_eq!(trusted(elsewhere), (false, vec![3]), "whoever writes is not known");
                part.write_all_at(b"y", at)
            };
            notes.around(&part, write).unwrap();
            assert_eq!(trusted(change_time(&part).unwrap()), (true, vec![3]));
            assert_eq!(trusted(elsewhere), (false, vec![3]), "somebody else wrote");
        }
        notes.around(&part, || notes.done(4, &part)).unwrap();
        assert_eq!(trusted(change_time(&part).unwrap()), (true, vec![3, 4]));
        assert!(!trusted(elsewhere).0);
    }
}
