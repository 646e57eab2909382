//! Runs a built example as a process of its own, and talks to it as its users do.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test program uses its own part of this"
)]
#![allow(
    clippy::print_stderr,
    reason = "of a test that failed, cargo shows this with the rest"
)]

mod http;
mod lines;
#[path = "../../../tests/process/signals.rs"]
mod signals;

use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

pub(crate) use http::{Answer, Upstream, request, send};
pub(crate) use lines::Lines;
use signals::with_default_signals;

/// How long anything may take that has no deadline of its own: machines may be slow, hangs are
/// longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running example. It is killed when this is dropped, in whatever state the test left it.
pub(crate) struct Process {
    child: Child,
    pub(crate) stdout: Lines,
    pub(crate) stderr: Lines,
}

impl Process {
    /// Starts an example that cargo has built for this test run.
    pub(crate) fn start<A: AsRef<OsStr>>(example: &str, args: impl IntoIterator<Item = A>) -> Self {
        Self::spawn(command(example).args(args))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self::spawn_onto(command, Stdio::piped(), Stdio::piped())
    }

    /// Starts it with these outputs. Of those that are not piped no line is seen here.
    pub(crate) fn spawn_onto(
        command: &mut Command,
        stdout: impl Into<Stdio>,
        stderr: impl Into<Stdio>,
    ) -> Self {
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let spawned = command.spawn();
        let mut child =
            spawned.unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let stdout = child.stdout.take();
        let stdout = stdout.map_or_else(|| Lines::of(io::empty()), Lines::of);
        let stderr = child.stderr.take();
        let stderr = stderr.map_or_else(|| Lines::of(io::empty()), Lines::of);
        Self {
            child,
            stdout,
            stderr,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the process to end by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        until("the process ends", || self.child.try_wait().unwrap())
    }

    /// Where it listens, which it says in its log.
    pub(crate) fn address(&self) -> SocketAddr {
        let line = self.stderr.wait_for("listening on http://");
        line.rsplit("http://").next().unwrap().parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
        if thread::panicking() {
            eprintln!(
                "--- stdout\n{}--- stderr\n{}",
                self.stdout.text(),
                self.stderr.text()
            );
        }
    }
}

/// The command that runs an example, free of what the environment of the test would tell it.
pub(crate) fn command(example: &str) -> Command {
    let mut program = std::env::current_exe().unwrap();
    // From target/debug/deps/test-0123 to target/debug/examples/name.
    program.pop();
    program.pop();
    program.push("examples");
    program.push(example);
    refuse_outdated(&program);

    let mut command = with_default_signals(program);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().to_lowercase();
        if name.starts_with("simpleapp_") || name.ends_with("_proxy") || name == "rust_log" {
            command.env_remove(name.to_uppercase()).env_remove(name);
        }
    }
    command
}

/// Panics if the program is missing, or a source is newer: with `--test` cargo does not build examples.
fn refuse_outdated(program: &Path) {
    assert!(
        program.exists(),
        "there is no {}; `cargo build --examples` builds it",
        program.display()
    );
    let modified = |path: &Path| std::fs::metadata(path).and_then(|file| file.modified());
    let (Ok(built), Ok(sources)) = (
        modified(program),
        std::fs::read_to_string(program.with_extension("d")),
    ) else {
        return;
    };
    for source in sources.split_whitespace().skip(1) {
        let is_newer = modified(source.as_ref()).is_ok_and(|changed| changed > built);
        assert!(
            !is_newer,
            "{source} is newer than {}; `cargo build --examples` builds it",
            program.display()
        );
    }
}

/// Asks again and again until there is an answer.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(
            start.elapsed() < PATIENCE,
            "waited for {PATIENCE:?}, and not yet: {what}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}
