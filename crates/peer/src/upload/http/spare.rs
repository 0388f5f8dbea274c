//! Memory for answers, kept by each thread from one to the next: a connection holds none while it waits, and none is asked of the
//! system for each answer.

use std::cell::Cell;

use proto::limits::HTTP_TOGETHER;

/// What grew beyond this is given back to the system.
const KEPT_MAX: usize = 2 * HTTP_TOGETHER;

thread_local! {
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// An empty buffer, with room in it if this thread keeps one.
pub(super) fn take() -> Vec<u8> {
    SPARE.take()
}

/// Keeps a buffer for the next one.
pub(super) fn keep(mut buffer: Vec<u8>) {
    if buffer.capacity() <= KEPT_MAX {
        buffer.clear();
        SPARE.set(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_empty_unless_it_is_large() {
        keep(vec![1; 1000]);
        let again = take();
        assert!(again.is_empty() && again.capacity() >= 1000);
        assert_eq!(take().capacity(), 0, "one is kept");
        keep(Vec::with_capacity(KEPT_MAX + 1));
        assert_eq!(take().capacity(), 0);
    }
}
