//! The ground under a simulated system: time that passes only when it is told to, dice that fall as the seed says, and a runtime
//! that comes back to us where it would wait.
//!
//! The program, the standard library and the runtime ask the C library for the time, for random numbers, and to wait. The three
//! functions by which they do are defined here again, and the linker takes these: so nothing above needs to know that it is
//! simulated, and no clock is forgotten. Before [`begin`], and when what it gave
//! is gone, they do what the system does.
//!
//! One process simulates one world, on one thread.
#![allow(
    unsafe_code,
    reason = "the C library's functions are replaced; each does nothing but what its caller was promised"
)]

use std::cell::RefCell;
use std::ffi::{c_int, c_uint, c_void};
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::runtime::Runtime;

/// What the clock shows when a world begins, in nanoseconds: a time at which programs of today have run before, and the same for each world.
const BEGINNING: u64 = 1_800_000_000_000_000_000;

static IS_SIMULATED: AtomicBool = AtomicBool::new(false);
static NOW: AtomicU64 = AtomicU64::new(BEGINNING);
/// By how many seconds the calendar is wrong.
static JUMPED: AtomicI64 = AtomicI64::new(0);
static DICE: AtomicU64 = AtomicU64::new(0);
/// For how long the runtime would have waited, in milliseconds; below zero for ever.
static WOULD_WAIT: AtomicI64 = AtomicI64::new(0);

thread_local! {
    /// Of the step that is being taken.
    static STEP: RefCell<Option<Waker>> = const { RefCell::new(None) };
    static IS_IDLE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// While it is there the process is simulated.
#[derive(Debug)]
pub struct Ground(());

impl Drop for Ground {
    fn drop(&mut self) {
        IS_SIMULATED.store(false, Ordering::Relaxed);
    }
}

/// From now on this process is simulated.
#[must_use]
pub fn begin(seed: u64) -> Ground {
    DICE.store(seed, Ordering::Relaxed);
    NOW.store(BEGINNING, Ordering::Relaxed);
    IS_SIMULATED.store(true, Ordering::Relaxed);
    // Its own seed is made of what differs from process to process.
    fastrand::seed(seed);
    Ground(())
}

/// Since the world began.
#[must_use]
pub fn now() -> Duration {
    Duration::from_nanos(NOW.load(Ordering::Relaxed) - BEGINNING)
}

/// Lets time pass until then; never back.
pub fn pass_until(then: Duration) {
    let nanos = u64::try_from(then.as_nanos()).unwrap_or(u64::MAX);
    NOW.fetch_max(BEGINNING.saturating_add(nanos), Ordering::Relaxed);
}

/// Moves the calendar, and not the clock by which time is measured.
pub fn jump(seconds: i64) {
    JUMPED.fetch_add(seconds, Ordering::Relaxed);
}

/// Lets a runtime do all that it can do without waiting. Gives back for how long it would wait then; `None`: for ever.
pub fn step(runtime: &Runtime) -> Option<Duration> {
    IS_IDLE.set(false);
    runtime.block_on(poll_fn(|context| {
        if IS_IDLE.get() {
            STEP.take();
            return Poll::Ready(());
        }
        STEP.set(Some(context.waker().clone()));
        Poll::Pending
    }));
    u64::try_from(WOULD_WAIT.load(Ordering::Relaxed)).ok().map(Duration::from_millis)
}

/// A number from the dice (`SplitMix64`: Steele, Lea and Flood, 2014).
fn roll() -> u64 {
    let state = DICE.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// `clock_gettime(2)`, whichever clock.
///
/// # Safety
/// `out` is valid for a write, as its caller promises the C library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, out: *mut libc::timespec) -> c_int {
    if !IS_SIMULATED.load(Ordering::Relaxed) {
        // SAFETY: our caller's arguments, as they are.
        return unsafe { libc::syscall(libc::SYS_clock_gettime, clock, out) } as c_int;
    }
    let now = NOW.load(Ordering::Relaxed);
    let wrong = if clock == libc::CLOCK_REALTIME { JUMPED.load(Ordering::Relaxed) } else { 0 };
    let time = libc::timespec {
        tv_sec: (now / 1_000_000_000) as libc::time_t + wrong,
        tv_nsec: (now % 1_000_000_000) as libc::c_long,
    };
    // SAFETY: see above.
    unsafe { out.write(time) };
    0
}

/// `getrandom(2)`.
///
/// # Safety
/// `buffer` is valid for `length` bytes, as its caller promises the C library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut c_void, length: usize, flags: c_uint) -> isize {
    if !IS_SIMULATED.load(Ordering::Relaxed) {
        // SAFETY: our caller's arguments, as they are.
        return unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags) } as isize;
    }
    // SAFETY: see above; bytes need no alignment.
    let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
    for piece in bytes.chunks_mut(8) {
        piece.copy_from_slice(&roll().to_le_bytes()[..piece.len()]);
    }
    length as isize
}

/// `epoll_wait(2)`. Where it would wait it notes for how long, and sees to it that the step of [`step`] ends.
///
/// # Safety
/// `events` is valid for `most` entries, as its caller promises the C library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_wait(
    epoll: c_int,
    events: *mut libc::epoll_event,
    most: c_int,
    wait: c_int,
) -> c_int {
    let is_simulated = IS_SIMULATED.load(Ordering::Relaxed);
    let really = if is_simulated { 0 } else { wait };
    let (no_mask, mask_bytes) = (std::ptr::null::<c_void>(), 8_usize);
    // SAFETY: our caller's arguments, and no mask of signals.
    let happened =
        unsafe { libc::syscall(libc::SYS_epoll_pwait, epoll, events, most, really, no_mask, mask_bytes) }
            as c_int;
    if is_simulated && happened == 0 && wait != 0 {
        WOULD_WAIT.store(i64::from(wait), Ordering::Relaxed);
        IS_IDLE.set(true);
        STEP.with_borrow(|step| step.iter().for_each(Waker::wake_by_ref));
    }
    happened
}
