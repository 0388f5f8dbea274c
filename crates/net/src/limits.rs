//! Every limit of the socket layer, in one place, so that their relations can be checked by the compiler.
//!
//! Limits of messages live in `proto::limits`; these here hold for any protocol.

use std::time::Duration;

/// Connections that the system keeps for us until we accept them.
pub const BACKLOG: i32 = 4096;
/// How often a port that one family got from the system may turn out to be taken in the other family.
pub const PORT_TRIES: usize = 16;

/// From a connection's first byte until the handler gets it, decided or not.
pub const FIRST_BYTES_WAIT: Duration = Duration::from_secs(10);
/// After so many undecided bytes the handler gets the connection at once.
pub const FIRST_BYTES_MAX: usize = 1024;
/// While bytes are unread, pause between two looks whether the connection has ended: a part of the 100 ms that its records may
/// outlive it.
pub const END_LOOKED_FOR: Duration = Duration::from_millis(20);
/// From a connection's first byte, or from its making, until the handshake of TLS is over.
pub const HANDSHAKE_WAIT: Duration = Duration::from_secs(10);
/// Bytes written that TLS has encrypted and the system does not take yet.
pub const TLS_HELD: usize = 64 * 1024;
/// The same while a file is sent: fewer and larger writes.
pub const TLS_HELD_OF_FILE: usize = BODY_BUFFER;
/// Longest record of TLS in bytes, its head counted (RFC 8446, section 5.2).
pub const TLS_RECORD: usize = 5 + 16 * 1024 + 256;
/// Bytes of TLS taken off a socket at once, where there is room for what is in them.
pub const TLS_READ: usize = 256 * 1024;
/// With room for less TLS takes what it needs itself, which is less at once.
pub const TLS_READ_WORTH: usize = 16 * 1024;
/// Bytes taken at once while the tongue is unknown; they lie on the stack.
pub const FIRST_READ: usize = 512;

/// First pause after the system refused to accept.
pub const BACKOFF_MIN: Duration = Duration::from_millis(10);
/// Longest pause after the system refused to accept.
pub const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// Trouble with accepting is told at most once in this time.
pub const TROUBLE_INTERVAL: Duration = Duration::from_secs(1);

/// Refused connections that are closed politely at the same time; further ones are just dropped.
pub const LINGERING_MAX: usize = 64;
/// How long a refused connection may take to read its refusal and to close.
pub const REFUSAL_PATIENCE: Duration = Duration::from_secs(2);
/// What a closing connection may still send before it is cut, in bytes.
pub const DISCARD_MAX: usize = 1024 * 1024;
/// Bytes discarded at once.
pub const DISCARD_READ: usize = 8 * 1024;
/// How long after a stop a connection may begin, if it was taken before: whoever connects just then speaks at once, and would see
/// its first request lost.
pub const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long aborted connections get to notice that they were aborted.
pub const ABORT_WAIT: Duration = Duration::from_secs(1);

/// Silence after which the system asks whether the other side still lives.
pub const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// Time between two such questions.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// Questions without an answer after which a connection counts as dead.
pub const KEEPALIVE_PROBES: u32 = 4;
/// Time after which data without acknowledgement means that the connection is dead. The system's long timers may be an eighth
/// late: 120 s were seen to take 134.
pub const USER_TIMEOUT: Duration = Duration::from_secs(110);

/// All of this together: a peer that is gone without a word is known to be gone after this time.
pub const PRESENCE: Duration = Duration::from_secs(130);
/// Shortest such time that may be set: the system counts in whole seconds.
pub const PRESENCE_MIN: Duration = Duration::from_secs(5);
/// Longest such time that may be set, within what the system can count.
pub const PRESENCE_MAX: Duration = Duration::from_secs(12 * 3600);
/// Connections that have said nothing yet that tells what they speak; when there are more, the one that has waited longest goes.
pub const UNPROVEN_MAX: usize = 2048;

/// Bytes of one connection that the system takes although it cannot send them yet.
pub const UNSENT_MAX: u32 = 256 * 1024;
/// Room made in a buffer before reading into it, in bytes.
pub const READ_CHUNK: usize = 4 * 1024;
/// The one buffer of a file that is being sent, in bytes.
pub const BODY_BUFFER: usize = 256 * 1024;
/// Bytes of a file that the system is asked to send at once.
pub const BODY_STEP: u64 = 1024 * 1024;
/// Bytes after those for which the disk is asked already.
pub const BODY_READAHEAD: u64 = 2 * 1024 * 1024;
/// Distance in bytes at which a file is probed for being in memory: the system fetches at least about as much at once.
pub const TOUCH_EVERY: usize = 128 * 1024;
/// Bytes between a socket and a file that the system moves by itself.
pub const STRAIGHT_HELD: usize = 1024 * 1024;
/// Bytes read at once to bring a file into memory; they lie on a thread's stack.
pub const TOUCH_BUFFER: usize = 64 * 1024;
/// Bytes a second that a reader must take at least, over the time that it is waited for.
pub const READ_RATE_MIN: u64 = 1024;
/// How often the system itself is asked, within the time that a reader is waited for, whether it can take more.
pub const STALL_LOOKS: u32 = 20;

const _: () = assert!(TLS_READ_WORTH <= TLS_READ);
const _: () = assert!(FIRST_READ <= FIRST_BYTES_MAX);
const _: () = assert!(USER_TIMEOUT.as_secs() * 9 / 8 < PRESENCE.as_secs());
const _: () = assert!(
    KEEPALIVE_IDLE.as_secs() + KEEPALIVE_INTERVAL.as_secs() * KEEPALIVE_PROBES as u64 + 5
        < PRESENCE.as_secs()
);
const _: () = assert!(DISCARD_READ <= DISCARD_MAX);
const _: () = assert!(BACKOFF_MIN.as_millis() < BACKOFF_MAX.as_millis());
