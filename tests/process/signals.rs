//! Processes in which every signal has its default effect.

use std::ffi::OsStr;
use std::process::Command;
use std::sync::LazyLock;

/// Returns a command that starts `program` with the default effect of every signal.
///
/// A process inherits the signals that are ignored: SIGINT and SIGQUIT from a script that started it
/// with `&`, SIGHUP from `nohup`. Only `env` resets them without unsafe code, that of GNU coreutils
/// since 8.31; elsewhere the tests need a caller that ignores none.
pub(crate) fn with_default_signals(program: impl AsRef<OsStr>) -> Command {
    const RESET: &str = "--default-signal";
    static CAN_RESET: LazyLock<bool> = LazyLock::new(|| {
        let tried = Command::new("env").args([RESET, "true"]).output();
        tried.is_ok_and(|output| output.status.success())
    });
    if !*CAN_RESET {
        return Command::new(program);
    }
    let mut command = Command::new("env");
    command.arg(RESET).arg(program);
    command
}
