//! An end that is asked for while a reload hangs, in whatever way it hangs.

mod harness;

use std::time::{Duration, Instant};

use harness::{Process, Signal, send};

/// What the fixture allows.
const GRACE: Duration = Duration::from_secs(1);

/// What a busy machine may add. The hangs are for ever, so this may be generous.
const SLACK: Duration = Duration::from_secs(10);

/// A program in the middle of a reload that hangs.
fn hanging(build: &str, runtime: &str) -> Process {
    let process = Process::start("slow_build", [build, runtime]);
    process.address();
    process.signal(Signal::HUP);
    process.stdout.wait_for("building");
    process
}

#[test]
fn sigterm_ends_a_process_in_the_middle_of_a_reload_that_never_ends() {
    for runtime in ["multi_thread", "current_thread"] {
        let mut process = hanging("forever", runtime);
        let caller = send("POST", process.address(), "/-/reload", "");
        process.stdout.wait_for("asked");

        let start = Instant::now();
        process.signal(Signal::TERM);
        let status = process.wait();

        assert!(start.elapsed() < GRACE + SLACK, "{:?}", start.elapsed());
        assert_eq!(
            status.code(),
            Some(0),
            "a build that can be dropped does not spoil the end"
        );
        let interrupted = process.stderr.wait_for("interrupted");
        assert!(interrupted.contains("abandoned=slow"), "{interrupted}");
        assert_eq!(caller.receive().status, 503);
    }
}

#[test]
fn sigterm_ends_a_process_whose_build_blocks_every_thread_of_the_runtime() {
    for runtime in ["multi_thread", "current_thread"] {
        let mut process = hanging("blocking", runtime);

        let start = Instant::now();
        process.signal(Signal::TERM);
        let status = process.wait();

        assert!(start.elapsed() < GRACE + SLACK, "{:?}", start.elapsed());
        assert_eq!(status.code(), Some(128 + 15), "{runtime}");
        let lines = process.stderr.to_the_end().join("\n");
        assert!(lines.contains("component `slow`"), "{lines}");
    }
}

/// As the servers of the examples are added: with `.abortable()`.
#[test]
fn one_slow_client_at_a_stop_is_a_line_in_the_log() {
    let mut process = Process::start("slow_build", ["forever", "multi_thread"]);
    let _client = send("GET", process.address(), "/never", "");
    process.stdout.wait_for("serving");

    process.signal(Signal::TERM);
    let status = process.wait();

    let lines = process.stderr.to_the_end().join("\n");
    assert_eq!(status.code(), Some(0), "{lines}");
    let line = "actor `http` had not returned 540ms after the stop: aborted";
    assert!(lines.contains(line), "{lines}");
}
