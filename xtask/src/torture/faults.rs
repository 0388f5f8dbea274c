//! Which calls to the system are made to fail, and how: the errors that the kernel's manual pages name and that a machine meets.

/// Errors for one call, by the names that `strace --inject` takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Faults {
    pub(super) call: &'static str,
    pub(super) errors: &'static [&'static str],
}

const fn on(call: &'static str, errors: &'static [&'static str]) -> Faults {
    Faults { call, errors }
}

/// Every call that a command is seen to make must be here or in [`EXCUSED`].
pub(super) const FAULTS: &[Faults] = &[
    on("accept4", &["EMFILE", "ECONNABORTED"]),
    on("bind", &["EADDRINUSE", "EACCES"]),
    on("clone3", &["EAGAIN"]),
    on("close", &["EIO"]),
    on("connect", &["ECONNREFUSED", "ENETUNREACH", "ETIMEDOUT"]),
    on("copy_file_range", &["EIO"]),
    on("epoll_create1", &["EMFILE"]),
    on("epoll_ctl", &["ENOSPC", "ENOMEM"]),
    on("epoll_wait", &["EINTR"]),
    on("epoll_pwait", &["EINTR"]),
    on("eventfd2", &["EMFILE"]),
    on("fallocate", &["ENOSPC", "EOPNOTSUPP"]),
    on("fchmod", &["EPERM"]),
    on("fchmodat", &["EPERM"]),
    on("fcntl", &["EINVAL", "EMFILE"]),
    on("fdatasync", &["EIO"]),
    on("flock", &["EAGAIN", "ENOLCK"]),
    on("fstat", &["EIO"]),
    on("fsync", &["EIO", "ENOSPC"]),
    on("ftruncate", &["ENOSPC", "EFBIG"]),
    on("futimens", &["EPERM"]),
    on("getdents64", &["EIO"]),
    on("getpeername", &["ENOTCONN"]),
    on("getrandom", &["EINTR"]),
    on("getsockname", &["ENOBUFS"]),
    on("getsockopt", &["ENOBUFS"]),
    on("inotify_add_watch", &["ENOSPC", "ENOENT"]),
    on("inotify_rm_watch", &["EINVAL"]),
    on("inotify_init1", &["EMFILE"]),
    on("ioctl", &["ENOTTY"]),
    on("landlock_add_rule", &["ENOMEM"]),
    on("landlock_create_ruleset", &["ENOSYS", "EOPNOTSUPP"]),
    on("landlock_restrict_self", &["E2BIG"]),
    on("linkat", &["EIO", "ENOSPC"]),
    on("listen", &["EADDRINUSE"]),
    on("lseek", &["EIO"]),
    on("mkdir", &["ENOSPC", "EACCES"]),
    on("mkdirat", &["ENOSPC", "EACCES"]),
    on("newfstatat", &["EIO", "EACCES"]),
    on("open", &["EACCES", "EMFILE"]),
    on("openat", &["EACCES", "EMFILE", "EIO"]),
    on("openat2", &["EACCES", "EMFILE", "EIO"]),
    on("pipe2", &["EMFILE"]),
    on("poll", &["EINTR"]),
    on("pread64", &["EIO"]),
    on("preadv2", &["EIO", "EAGAIN"]),
    on("pwrite64", &["ENOSPC", "EIO", "EDQUOT"]),
    on("pwritev", &["ENOSPC", "EIO"]),
    on("read", &["EIO"]),
    on("readlink", &["EACCES"]),
    on("recvfrom", &["ECONNRESET", "ETIMEDOUT"]),
    on("recvmsg", &["ECONNRESET"]),
    on("rename", &["EIO", "ENOSPC"]),
    on("renameat", &["EIO", "ENOSPC"]),
    on("renameat2", &["EIO", "ENOSPC", "EACCES"]),
    on("sendfile", &["EIO", "ECONNRESET"]),
    on("sendmsg", &["ENOBUFS", "ECONNRESET"]),
    on("sendto", &["EPIPE", "ECONNRESET"]),
    on("setsockopt", &["ENOBUFS"]),
    on("shutdown", &["ENOTCONN"]),
    on("socket", &["EMFILE", "ENOBUFS"]),
    on("socketpair", &["EMFILE"]),
    on("splice", &["EIO", "ENOSPC"]),
    on("statfs", &["EIO"]),
    on("fstatfs", &["EIO"]),
    on("statx", &["EIO", "EACCES"]),
    on("symlinkat", &["EIO"]),
    on("sync_file_range", &["EIO", "ENOSPC"]),
    on("syncfs", &["EIO", "ENOSPC"]),
    on("unlink", &["EIO", "EACCES"]),
    on("unlinkat", &["EIO", "EACCES"]),
    on("utimensat", &["EPERM"]),
    on("write", &["ENOSPC", "EIO"]),
    on("writev", &["ECONNRESET", "ENOSPC"]),
];

/// Calls that are left alone. A kill comes at each of them all the same.
pub(super) const EXCUSED: &[(&[&str], &str)] = &[
    (
        &["mmap", "munmap", "mprotect", "mremap", "brk", "madvise"],
        "memory: the allocator ends the process, and before main the loader does",
    ),
    (
        &["execve", "access", "arch_prctl", "set_tid_address", "set_robust_list", "rseq", "prlimit64"],
        "the loader and the C library, before main",
    ),
    (
        &["futex", "sched_yield", "sched_getaffinity", "restart_syscall"],
        "fails in no way that a lock could pass on",
    ),
    (
        &["rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "tgkill"],
        "signals: only a wrong argument fails",
    ),
    (
        &["gettid", "getpid", "getuid", "geteuid", "uname", "prctl", "getcwd", "umask", "fadvise64"],
        "never fails, or nobody waits for its answer",
    ),
    (&["clock_nanosleep", "exit", "exit_group"], "the end, or a pause"),
];

/// Calls that touch files: those of which any failure could leave something wrong on the disk.
pub(super) const ON_FILES: &[&str] = &[
    "copy_file_range",
    "fallocate",
    "fdatasync",
    "flock",
    "fsync",
    "ftruncate",
    "linkat",
    "lseek",
    "mkdirat",
    "openat2",
    "pread64",
    "pwrite64",
    "renameat2",
    "splice",
    "statfs",
    "statx",
    "sync_file_range",
    "syncfs",
    "unlinkat",
    "utimensat",
];

/// The errors for a call; `None` when it is in neither list.
pub(super) fn for_call(call: &str) -> Option<&'static [&'static str]> {
    if let Some(faults) = FAULTS.iter().find(|faults| faults.call == call) {
        return Some(faults.errors);
    }
    EXCUSED.iter().any(|(calls, _)| calls.contains(&call)).then_some(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_is_named_twice_and_those_on_files_do_fail() {
        let mut calls: Vec<&str> = FAULTS.iter().map(|faults| faults.call).collect();
        calls.extend(EXCUSED.iter().flat_map(|(calls, _)| *calls));
        let named = calls.len();
        calls.sort_unstable();
        calls.dedup();
        assert_eq!(calls.len(), named);
        assert!(ON_FILES.iter().all(|call| for_call(call).is_some_and(|errors| !errors.is_empty())));
        assert!(for_call("reboot").is_none());
    }
}
