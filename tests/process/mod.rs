//! A test as a process of its own: signals, and what ends a process, cannot be tried in this one.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::env;
#[cfg(target_os = "linux")]
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use signals::with_default_signals;

mod signals;

const DEADLINE: Duration = Duration::from_secs(60);
const VARIABLE: &str = "REKINDLE_TEST_PROCESS";

/// Sends a signal, by its short name, to a process.
pub(crate) fn kill(pid: u32, signal: &str) {
    let status = Command::new("sh")
        .args(["-c", &format!("kill -s {signal} {pid}")])
        .status();
    assert!(status.expect("`sh` is there").success());
}

/// The test binary once more, in which only one test runs.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    stderr: Option<JoinHandle<String>>,
}

impl Process {
    /// Starts the test of this name in another process; `None` inside that process.
    pub(crate) fn of(test: &str) -> Option<Self> {
        Self::start(with_default_signals(env::current_exe().unwrap()), test)
    }

    /// As [`of`](Self::of), and the other process ignores this signal from its start on.
    pub(crate) fn ignoring(signal: &str, test: &str) -> Option<Self> {
        let mut command = with_default_signals("sh");
        command
            .args(["-c", &format!("trap '' {signal}; exec \"$0\" \"$@\"")])
            .arg(env::current_exe().unwrap());
        Self::start(command, test)
    }

    /// As [`of`](Self::of), and if this process is root's, the other one is this user's.
    #[cfg(target_os = "linux")]
    pub(crate) fn as_user(user: u32, test: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return Self::of(test);
        }
        let mut command = with_default_signals("setpriv");
        assert!(
            Command::new("setpriv").arg("--version").output().is_ok(),
            "as root this test needs `setpriv`; install the package `util-linux`"
        );
        command
            .arg(format!("--reuid={user}"))
            .arg(format!("--regid={user}"))
            .arg("--clear-groups")
            // Handed over as an open file: the way to it may be closed to that user.
            .arg("/proc/self/fd/0")
            .stdin(File::open(env::current_exe().unwrap()).unwrap())
            .env("TMPDIR", "/tmp")
            .current_dir("/");
        Self::start(command, test)
    }

    fn start(mut command: Command, test: &str) -> Option<Self> {
        if env::var_os(VARIABLE).is_some() {
            return None;
        }
        let mut child = command
            .args([test, "--exact", "--nocapture", "--test-threads=1"])
            .env(VARIABLE, "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut pipe = child.stderr.take().unwrap();
        let stderr = thread::spawn(move || {
            let mut text = String::new();
            pipe.read_to_string(&mut text).unwrap();
            text
        });
        Some(Self {
            child,
            lines,
            stderr: Some(stderr),
        })
    }

    /// Waits until it has printed this at the end of a line.
    #[track_caller]
    pub(crate) fn waits_for(&mut self, text: &str) {
        let start = Instant::now();
        while let Some(left) = DEADLINE.checked_sub(start.elapsed()) {
            // The test runner prints the name of the test before what it prints first.
            match self.lines.recv_timeout(left) {
                Ok(line) if line.ends_with(text) => return,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        let _ = self.child.kill();
        panic!(
            "`{text}` was not printed; on standard error: {}",
            self.stderr()
        );
    }

    pub(crate) fn kill(&self, signal: &str) {
        kill(self.child.id(), signal);
    }

    /// Waits for its end: the exit code, and what it wrote to standard error.
    #[track_caller]
    pub(crate) fn ends(mut self) -> (Option<i32>, String) {
        let status = self.wait();
        (status.code(), self.stderr())
    }

    /// Waits for its end, and that the test has passed in it.
    #[track_caller]
    pub(crate) fn passes(mut self) {
        // With a name that no test has, nothing would fail either.
        self.waits_for("running 1 test");
        let (code, stderr) = self.ends();
        assert_eq!(code, Some(0), "{stderr}");
    }

    fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            if start.elapsed() > DEADLINE {
                let _ = self.child.kill();
                panic!("the process did not end");
            }
            sleep(Duration::from_millis(5));
        }
    }

    fn stderr(&mut self) -> String {
        self.stderr
            .take()
            .map(|stderr| stderr.join().unwrap())
            .unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
