//! The signals that the process ignored before this crate listened to any.

use std::fs;
use std::sync::OnceLock;

use tokio::signal::unix::SignalKind;

/// The mask of the ignored signals: bit 0 is signal 1.
static IGNORED: OnceLock<u64> = OnceLock::new();

/// The mask of the ignored signals, read at the first call. That must come before listening to a
/// signal, which is not ignored any more after it.
///
/// The mask is empty except on Linux, where `/proc` has it. Elsewhere only `sigaction` reports it,
/// which needs unsafe code.
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
