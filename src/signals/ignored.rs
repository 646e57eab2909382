//! The signals that the process ignored before this crate listened to any.

use std::fs;
use std::sync::OnceLock;

use tokio::signal::unix::SignalKind;

/// Bit 0 is signal 1.
static IGNORED: OnceLock<u64> = OnceLock::new();

/// Reads which signals are ignored, at the first call: a signal that is listened to is not ignored
/// any more.
///
/// On Linux, where `/proc` tells. Elsewhere only `sigaction` does, which takes unsafe code.
pub(super) fn note() -> u64 {
    *IGNORED.get_or_init(|| {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mut masks = status
            .lines()
            .filter_map(|line| line.strip_prefix("SigIgn:"));
        let mask = masks
            .next()
            .map(|mask| u64::from_str_radix(mask.trim(), 16));
        mask.and_then(Result::ok).unwrap_or_default()
    })
}

/// Returns `true` if this process ignored `kind` when it was started.
pub(crate) fn is_ignored(kind: SignalKind) -> bool {
    // std ignores SIGPIPE in every process, before `main`.
    kind != SignalKind::pipe()
        && (1..=64).contains(&kind.as_raw_value())
        && note() & (1 << (kind.as_raw_value() - 1)) != 0
}
