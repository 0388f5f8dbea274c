//! Every limit of the protocol in one place, and how the limits relate.
//!
//! Docs and error texts quote these; a limit that an operator can meet has a flag in the binary, with its default here.

use std::time::Duration;

/// The well-known port of the index.
pub const INDEX_PORT: u16 = 7734;

/// Longest line in bytes, its line end not counted.
pub const LINE_BYTES_MAX: usize = 8 * 1024;
/// Longest request or answer head in bytes, line ends counted.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Most header lines in one request.
pub const HEADERS_MAX: usize = 32;
/// Most header lines in one request in HTTP.
pub const HTTP_HEADERS_MAX: usize = 64;
/// Most ranges in one request in HTTP; more are ignored, which gives the whole file.
pub const HTTP_RANGES_MAX: usize = 16;
/// Silence between two requests after which a connection in HTTP is closed.
pub const HTTP_IDLE: Duration = Duration::from_secs(15);
/// Longest file in bytes that travels in one write with its head in HTTP, and about as much as several answers in one write.
pub const HTTP_TOGETHER: usize = 64 * 1024;
/// Size in bytes of the pieces by which programs outside check a file, doubled until there are few enough.
pub const PIECE_BYTES_MIN: u64 = 1 << 20;
/// Most pieces of a file.
pub const PIECES_MAX: u64 = 1024;
/// Bytes of pieces' digests that an index holds for whoever asks for a Metalink.
pub const PIECES_HELD: usize = 64 * 1024 * 1024;
/// Most files of one peer whose digests an index asks for at once.
pub const WANTED_MAX: usize = 64;
/// Longest wait of a Metalink for digests that a peer has still to compute.
pub const DIGESTS_WITHIN: Duration = Duration::from_secs(5);
/// Longest title in bytes of UTF-8.
pub const TITLE_BYTES_MAX: usize = 512;
/// Longest host name in bytes (RFC 1035, section 2.3.4).
pub const HOST_BYTES_MAX: usize = 255;

/// Longest name of a shared file in bytes.
pub const NAME_BYTES_MAX: usize = 1024;
/// Longest component of such a name in bytes, as most file systems have it.
pub const NAME_PART_BYTES_MAX: usize = 255;

/// Longest body of a request of 1.1 in bytes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// A peer registers files in bodies of about this many bytes: small enough that others get their turn.
pub const BATCH_BYTES: usize = 128 * 1024;
/// How long a new file may wait for the link to an index of 1.0.
pub const REGISTERED_WITHIN: Duration = Duration::from_secs(60);
/// A body that is not whole this long after its request's first byte is refused.
pub const BODY_DEADLINE: Duration = Duration::from_secs(60);
/// Most records in one page of a list.
pub const LIST_PAGE_MAX: usize = 1000;
/// Longest body of an answer of 1.1 that the index gathers before it ends the page, in bytes.
pub const V11_BODY_HELD: usize = 256 * 1024;
/// Longest query, prefix or cursor in bytes.
pub const QUERY_BYTES_MAX: usize = 2048;
/// Most words that one query looks for.
pub const SEARCH_WORDS_MAX: usize = 16;
/// Characters of a word that count.
pub const SEARCH_WORD_CHARS_MAX: usize = 64;
/// Words of one text (a title, a name) by which it is found.
pub const SEARCH_TEXT_WORDS_MAX: usize = 32;
/// Most words of the index that one word of a query stands for: those that begin so, or that may be meant.
pub const SEARCH_GROUP_MAX: usize = 10_000;
/// Most work of one search, in numbers of texts that are gone through: about ten milliseconds. To look at a text costs 128 of them.
pub const SEARCH_STEPS_MAX: u32 = 6_000_000;
/// Most texts that one query finds, all of its pages together.
pub const SEARCH_FOUND_MAX: usize = 1000;
/// Different titles of one number, or of one name, by which it is found.
pub const SEARCH_TITLES_MAX: usize = 16;
/// Searches that run at once.
pub const SEARCHES_AT_ONCE: usize = 2;
/// How long changes gather before they are taken into the search.
pub const SEARCH_GATHER: Duration = Duration::from_millis(20);
/// Longest wait of a LOOKUP for a file to appear.
pub const WAIT_MAX: Duration = Duration::from_secs(120);
/// A WATCH tells changes that follow each other within this time together; the first one at once.
pub const WATCH_PAUSE: Duration = Duration::from_millis(20);
/// Changes that the index keeps for one WATCH of every file, or of a prefix, until its reader takes them.
pub const WATCH_HELD: usize = 4096;
/// The same for a WATCH of one file.
pub const WATCH_HELD_OF_ONE: usize = 256;
/// WATCHes of every file, or of a prefix, at once: each of them looks at each change.
pub const WATCHES_OF_ALL_MAX: usize = 256;
/// Holders of one key among whom the sources of an answer are chosen: those who joined first.
pub const SOURCES_WEIGHED: usize = 1000;
/// Of the sources that a LOOKUP of 1.1 names, those that count as named: a downloader begins with these. In 1.0 it is one.
pub const SOURCES_COUNTED: usize = 4;
/// Longest name of a cluster of indexes in bytes.
pub const CLUSTER_BYTES_MAX: usize = 64;
/// Most indexes that a peer is given.
pub const INDEXES_MAX: usize = 8;
/// Of several indexes that are asked the same, how long the others may still take when one has answered.
pub const OTHERS_MAY_TAKE: Duration = Duration::from_secs(1);
/// When a peer has lost the node of a cluster at which it was registered, it goes to another one within this time.
pub const GO_OVER: Duration = Duration::from_secs(3);
/// Most refused lines that an answer to ADD FILES tells one by one.
pub const REFUSALS_TOLD_MAX: usize = 100;
/// A program of 1.1 takes an index that is silent for this long after the first request for an older one.
pub const LADDER_SILENCE: Duration = Duration::from_secs(1);
/// One that has spoken 1.1 before is taken for an older one only when it was silent so often in a row.
pub const SILENT_MAX: u32 = 3;
/// One that was only silent is looked at again after this time, then after twice as long, and so on: it may have been swamped.
pub const LADDER_AGAIN: Duration = Duration::from_secs(10);
/// The longest such time.
pub const LADDER_AGAIN_MAX: Duration = Duration::from_secs(600);
/// How long after its start an index says that it may not know everything yet: peers come back within this time.
pub const WARM_UP: Duration = Duration::from_secs(30);

/// Silence after which a request without an empty line is complete, when its lines end in LF.
pub const QUIET_LF: Duration = Duration::from_millis(40);
/// The same when its lines end in CRLF, or when its last line has no end.
pub const QUIET_CRLF: Duration = Duration::from_millis(300);
/// A request that stays incomplete is refused this long after its first byte.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(10);

/// Silence after which an answer whose end is not marked is complete.
pub const ANSWER_QUIET: Duration = Duration::from_millis(200);
/// Longest wait for the first byte, and between two bytes, of an answer.
pub const ANSWER_STALL: Duration = Duration::from_secs(10);
/// Longest answer that is held in memory, in bytes (a LOOKUP; an ADD is far below).
pub const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Longest answer that is streamed, in bytes (a LIST of 1.0).
pub const LIST_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// Most sources of one file that an index names and that a downloader tries.
pub const SOURCES_MAX: usize = 200;

/// Longest request that we write, in bytes: existing indexes read once, with a buffer of this size.
pub const REQUEST_BYTES_MAX: usize = 1024;
/// Longest GET head that we write, in bytes: existing downloaders read it once, with a buffer of this size.
pub const GET_HEAD_BYTES_MAX: usize = 1024;
/// How long the head of a GET answer travels alone before its body follows, for programs that take
/// the first segment for the head. Measured: 0 ms lost data for four clients of six, 20 ms for none.
pub const GET_HEAD_ALONE: Duration = Duration::from_millis(100);

/// Most records of one connection.
pub const RECORDS_PER_SESSION_MAX: usize = 100_000;
/// Most records of an index.
pub const RECORDS_MAX: usize = 20_000_000;
/// Most files that a peer shares: what is above is left out and counted.
pub const SHARED_FILES_MAX: usize = 1_000_000;
/// Connections to the page of a peer at once.
pub const PAGE_CONNECTIONS_MAX: usize = 256;
/// How often a peer that sends files tells the index how fast.
pub const SENDING_TOLD: Duration = Duration::from_secs(5);
/// Addresses of which a peer remembers what they took.
pub const TAKERS_KEPT: usize = 256;
/// Bytes of block lists that a peer holds in memory: those of 512 GiB of files.
pub const BLOCK_LISTS_HELD: usize = 16 * 1024 * 1024;
/// A file that was not modified for this long is taken to be written; a younger one waits to be hashed.
pub const QUIET_FILE: Duration = Duration::from_millis(100);
/// How long after a change its folder is looked at, so that many changes are looked at together.
pub const WATCH_DEBOUNCE: Duration = Duration::from_millis(50);
/// Pause between two looks at everything that is shared, for what no watcher tells.
pub const RESCAN: Duration = Duration::from_secs(60);
/// Changed paths that are looked at one by one; above, everything is looked at.
pub const WATCH_PATHS_MAX: usize = 8192;
/// Largest file that is fetched, in bytes: 1 TiB.
pub const FILE_BYTES_MAX: u64 = 1 << 40;
/// How long a receipt of a fetched file waits for a share to take the file over.
pub const RECEIPT_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Most receipts; the oldest make room.
pub const RECEIPTS_MAX: usize = 1024;
/// Bytes of all of them.
pub const RECEIPTS_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A reader that takes no byte for this long is cut off.
pub const WRITE_STALL: Duration = Duration::from_secs(30);
/// The same for a reader of a file.
pub const UPLOAD_STALL: Duration = Duration::from_secs(60);
/// How long a closing side waits for the other to finish.
pub const LINGER: Duration = Duration::from_secs(1);
/// Longest attempt to connect to one address.
pub const CONNECT_ADDRESS: Duration = Duration::from_secs(5);
/// Longest attempt to connect to one host, its name's resolution and all of its addresses included.
pub const CONNECT_TOTAL: Duration = Duration::from_secs(15);
/// Longest look-up of a name that a peer claims.
pub const RESOLVE: Duration = Duration::from_secs(1);

/// Connections from one address (IPv4) or one /64 (IPv6).
pub const CONNECTIONS_PER_ADDRESS: usize = 256;
/// Bytes that the index takes from a connection at once.
pub const INDEX_READ: usize = 16 * 1024;
/// Bytes of answers that the index holds for one connection.
pub const INDEX_ANSWERS_HELD: usize = 56 * 1024;
/// LISTs of which a piece is made at the same time. The others wait in their order, so that many of them together keep nobody else
/// waiting: under load LIST is what comes last.
pub const LISTS_ABREAST: usize = 4;
/// LISTs that are being answered, from their beginning to their end; one more is refused.
pub const LISTS_MAX: usize = 1024;
/// Searches that are being answered or wait for it; one more is refused.
pub const SEARCHES_MAX: usize = 256;
/// Pause between two looks whether the index keeps up.
pub const PULSE: Duration = Duration::from_millis(100);
/// An index that wakes so late does not,
pub const PULSE_LATE: Duration = Duration::from_millis(250);
/// when it does so this often in a row; LIST is refused then.
pub const PULSES_LATE: u32 = 3;
/// Requests of one connection after which the others get a turn.
pub const INDEX_TURN: usize = 64;
/// Claimed names that are looked up at once.
pub const RESOLVES_AT_ONCE: usize = 32;
/// Claimed names that are looked up or wait for it; further ones stay unproven.
pub const RESOLVES_MAX: usize = 1024;
/// Distinct names of one connection that are looked up.
pub const RESOLVES_PER_SESSION: usize = 64;
/// How long the addresses of a name are taken for true.
pub const RESOLVED_FOR: Duration = Duration::from_secs(60);
/// Names whose addresses are kept.
pub const RESOLVED_MAX: usize = 10_000;
/// File descriptors that are kept free of connections.
pub const DESCRIPTORS_RESERVED: usize = 256;
/// Uploads that run at once while more would not be faster together; see [`UPLOADS_MAX`]. Fewer than a usual swarm has downloaders
/// make it slower: docs/decisions/0010-swarm.md.
pub const UPLOADS_ABREAST: usize = 16;
/// Uploads that wait for their turn in HTTP; more are told to come back later.
pub const UPLOADS_WAITING: usize = 256;
/// Of these, uploads to one address (IPv4) or one /64 (IPv6).
pub const UPLOADS_WAITING_PER_ADDRESS: usize = 64;
/// Longest wait for a turn of somebody who asked to be told its place.
pub const UPLOAD_WAIT_MAX: Duration = Duration::from_secs(600);
/// How often who waits is told its place, where that has changed.
pub const UPLOAD_PLACE_TOLD: Duration = Duration::from_secs(1);
/// The same where it has not, so that waiting is no silence.
pub const UPLOAD_PLACE_AGAIN: Duration = Duration::from_secs(5);
/// Uploads that run at once; more wait in a queue.
pub const UPLOADS_MAX: usize = 64;
/// Of these, uploads to one address (IPv4) or one /64 (IPv6).
pub const UPLOADS_PER_ADDRESS: usize = 16;
/// Longest wait for an upload's turn in HTTP, which can say that it takes longer.
pub const UPLOAD_TURN: Duration = Duration::from_secs(10);
/// Connections of an upload server, those included that wait for their turn.
pub const UPLOAD_CONNECTIONS_MAX: usize = 512;

/// Most rows in one page of the API.
pub const API_PAGE_MAX: usize = 1000;
/// Event streams of the dashboard at once.
pub const EVENT_STREAMS_MAX: usize = 1024;
/// Pause between two frames of an event stream.
pub const EVENT_FRAME: Duration = Duration::from_millis(250);
/// Pause between two samples of the plots.
pub const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// Samples that are kept: ten minutes.
pub const SAMPLES_KEPT: usize = 600;
/// Requests that the dashboard remembers.
pub const RECENT_KEPT: usize = 100;
/// Longest text of one of them in bytes.
pub const RECENT_BYTES_MAX: usize = 400;

/// Reconnecting: the first try comes within this time.
pub const RECONNECT_FIRST: Duration = Duration::from_secs(5);
/// Reconnecting: the longest pause between two tries.
pub const RECONNECT_CAP: Duration = Duration::from_secs(60);

/// Reconnecting: a connection that lasted this long was a good one, and the pauses begin anew.
pub const RECONNECT_STABLE: Duration = Duration::from_secs(60);
/// Longest wait for the first answer of an index, before the request is tried once with other line ends.
pub const FIRST_ANSWER: Duration = Duration::from_secs(3);

/// Longest wait for the first byte of a peer's answer to a GET.
pub const DOWNLOAD_FIRST_BYTE: Duration = Duration::from_secs(10);
/// Longest wait for the whole head of that answer, and between two bytes of its body.
pub const DOWNLOAD_STALL: Duration = Duration::from_secs(30);
/// Least bytes a second of a body that is worth waiting for, on average over [`DOWNLOAD_RATE_WINDOW`].
pub const DOWNLOAD_RATE_MIN: u64 = 1024;
/// See [`DOWNLOAD_RATE_MIN`].
pub const DOWNLOAD_RATE_WINDOW: Duration = Duration::from_secs(60);
/// Blocks of 1 MiB that one source is asked for in advance.
pub const SOURCE_BLOCKS_OUTSTANDING: u32 = 4;
/// The same before it has brought anything, where others may download at the same time: who begins together and does not know of
/// each other yet would ask for the same.
pub const SWARM_BLOCKS_AT_FIRST: u32 = 1;
/// A source of a verified download that brings nothing for this long is stalled: what it owes is asked of others too.
pub const SOURCE_STALLED: Duration = Duration::from_secs(2);
/// The same in a swarm, where a source has others to serve as well and plans change often.
pub const SWARM_BLOCKS_OUTSTANDING: u32 = 3;
/// A source in a swarm that takes longer for a block is asked for one at a time.
pub const SWARM_SLOW: Duration = Duration::from_millis(300);
/// In a swarm a source that has the whole file is asked for what others have or await only after it was idle for this long: what it
/// sends should be what nobody else can.
pub const SWARM_SPARE: Duration = Duration::from_millis(600);
/// That a block is on its way to somebody is believed for so many times as long as a block takes.
pub const SWARM_BELIEVED: u32 = 4;
/// Blocks that are looked at in order to find the rarest.
pub const RAREST_OF: usize = 256;
/// A download in a swarm that nobody can go on with is given up after this time.
pub const SWARM_STARVED: Duration = Duration::from_secs(60);
/// How long an answer about what a downloader has may wait for news.
pub const HAVE_WAIT: Duration = Duration::from_secs(5);
/// Pause between two such questions to one peer.
pub const HAVE_PAUSE: Duration = Duration::from_millis(10);
/// How long a download that has lost all its sources waits for another one, where others may learn of it.
pub const SWARM_ALONE: Duration = Duration::from_secs(1);
/// Changes that a downloader keeps for those who ask what is new.
pub const HAVE_CHANGES_HELD: usize = 4096;
/// Runs of blocks in one answer about what a downloader has.
pub const HAVE_RUNS_MAX: usize = 8192;
/// Longest such answer that is read, in bytes.
pub const HAVE_BYTES_MAX: u64 = 1024 * 1024;
/// Sources of one verified download that are connected at once; more wait for their turn.
pub const SOURCES_AT_ONCE: usize = 12;
/// Blocks of 1 MiB of one verified download that are held in memory. Each connected source can hold one while it comes; the
/// others are on their way to the disk.
pub const BLOCKS_HELD: usize = 16;
/// Requests for small files that are on their way on one connection.
pub const SMALL_FILES_IN_FLIGHT: usize = 64;
/// Small files that get their names together, after one wait for the disk.
pub const SMALL_FILES_BATCH: usize = 256;
/// Connections of one download of many small files.
pub const SMALL_FILES_CONNECTIONS: usize = 4;
/// Lowest port at which a source named by an index is asked.
pub const SOURCE_PORT_MIN: u16 = 1024;
/// Networks that the user of one download can allow besides.
pub const ALLOWED_NETS_MAX: usize = 8;
/// Percent of a disk that a download leaves free, unless it is told otherwise.
pub const KEEP_FREE_PERCENT: u8 = 5;
/// Most room that a disk is asked for in advance, in bytes: a file's length is only what a peer claims.
pub const RESERVE_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// Bytes of a file that travel in one write with its head, where the two go together: some programs read once.
pub const GET_TOGETHER: usize = 64 * 1024;

/// Request lines shown in one second; the rest is counted.
pub const LOG_LINES_PER_SECOND: u32 = 200;

/// Tokens of one index.
pub const TOKENS_MAX: usize = 10_000;
/// Longest name of a group, in bytes.
pub const GROUP_BYTES_MAX: usize = 64;
/// Groups to which a peer's files may be private.
pub const GROUPS_MAX: usize = 16;
/// Wrong tokens that are looked at in any minute, from one IPv4 address or IPv6 /64.
pub const WRONG_TOKENS_PER_MINUTE: u32 = 20;
/// Connections that are cut off in any minute for dripping, for not reading, or in the middle of a handshake, from one IPv4 address or IPv6
/// /64, before new ones are refused.
pub const CUT_OFF_PER_MINUTE: u32 = 24;
/// Networks whose offences are remembered.
pub const PENALTY_NETWORKS_MAX: usize = 4096;
/// How long a ticket is good: long enough to begin a download, and to go on with one after a break.
pub const TICKET_TIME: Duration = Duration::from_secs(3600);
/// The shortest and the longest time that may be chosen instead.
pub const TICKET_TIME_MIN: Duration = Duration::from_secs(1);
/// See [`TICKET_TIME_MIN`].
pub const TICKET_TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

const _: () = {
    assert!(LINE_BYTES_MAX < HEAD_BYTES_MAX, "a head must hold at least one line of full length");
    assert!(
        TITLE_BYTES_MAX + HOST_BYTES_MAX + 64 <= REQUEST_BYTES_MAX,
        "a request of ours must fit one read"
    );
    assert!(TITLE_BYTES_MAX + HOST_BYTES_MAX + 64 <= LINE_BYTES_MAX, "every record must fit a line");
    assert!(LADDER_SILENCE.as_secs() < LADDER_AGAIN.as_secs());
    assert!(LADDER_AGAIN.as_secs() < LADDER_AGAIN_MAX.as_secs());
    assert!(QUIET_LF.as_millis() < QUIET_CRLF.as_millis());
    assert!(QUIET_CRLF.as_millis() * 5 < REQUEST_DEADLINE.as_millis());
    assert!(RECORDS_PER_SESSION_MAX <= RECORDS_MAX);
    assert!(LINE_BYTES_MAX < INDEX_ANSWERS_HELD, "the held answers must have room for a record");
    assert!(RESOLVES_AT_ONCE <= RESOLVES_MAX);
    assert!(LISTS_ABREAST <= LISTS_MAX && SEARCHES_AT_ONCE < SEARCHES_MAX);
    assert!(BATCH_BYTES * 2 < BODY_BYTES_MAX, "a batch ends with the first line that passes its size");
    assert!(NAME_BYTES_MAX < QUERY_BYTES_MAX, "a cursor holds a name");
    assert!(QUERY_BYTES_MAX * 3 < LINE_BYTES_MAX, "a query, percent-encoded, must fit a line");
    assert!(SEARCH_TEXT_WORDS_MAX <= u8::MAX as usize, "a text's words are counted in a byte");
    assert!(SEARCH_FOUND_MAX <= LIST_PAGE_MAX, "what a query finds may be asked for in one page");
    assert!(HAVE_WAIT.as_secs() * 2 <= DOWNLOAD_FIRST_BYTE.as_secs(), "who waits must not be taken for dead");
    assert!((HAVE_RUNS_MAX * 24 + HAVE_CHANGES_HELD * 24) as u64 <= HAVE_BYTES_MAX);
    assert!(SOURCES_AT_ONCE < BLOCKS_HELD, "sources must not hold every block while none gets to the disk");
    assert!(API_PAGE_MAX <= LIST_PAGE_MAX);
    assert!(EVENT_FRAME.as_millis() <= SAMPLE_EVERY.as_millis());
    assert!(UPLOADS_MAX + UPLOADS_WAITING < UPLOAD_CONNECTIONS_MAX);
    assert!(UPLOADS_ABREAST <= UPLOADS_PER_ADDRESS && UPLOADS_WAITING_PER_ADDRESS < UPLOADS_WAITING);
    assert!(UPLOAD_PLACE_AGAIN.as_secs() < DOWNLOAD_FIRST_BYTE.as_secs());
    assert!(TICKET_TIME_MIN.as_secs() <= TICKET_TIME.as_secs());
    assert!(TICKET_TIME.as_secs() <= TICKET_TIME_MAX.as_secs());
    assert!(UPLOADS_PER_ADDRESS < UPLOADS_MAX, "one address must not keep all others waiting");
};
