//! The small examples, each as a process of its own: they do what they say, and end by Ctrl-C.

mod harness;

use std::fs;

use harness::{Process, Signal, request, until};

fn ends_by_ctrl_c(mut process: Process) {
    process.signal(Signal::INT);
    assert_eq!(process.wait().code(), Some(0));
}

#[test]
fn priority_runs_its_reloaders_in_ascending_order() {
    let process = Process::start("priority", [""; 0]);

    let lines = until("two reloads", || {
        Some(process.stdout.all()).filter(|all| all.len() >= 14)
    });

    for reload in lines[..14].chunks(7) {
        let order: Vec<_> = reload
            .iter()
            .map(|line| line.split(':').next().unwrap())
            .collect();
        // The two of priority 100 run at the same time, so either may be the first to print.
        let mut group = order[2..4].to_vec();
        group.sort_unstable();
        assert_eq!(order[..2], ["-100", "0"].map(|p| p), "{reload:?}");
        assert_eq!(group, ["100", "100"], "{reload:?}");
        assert_eq!(order[4..], ["200", "300", "400"], "{reload:?}");
    }
    ends_by_ctrl_c(process);
}

/// R11.
#[test]
fn each_notifier_of_multinotifier_triggers_with_its_own_id() {
    let process = Process::start("multinotifier", ["127.0.0.1:0"]);
    let address = process.address();

    process.signal(Signal::HUP);
    process.stdout.wait_for("sighup");
    process.signal(Signal::USR1);
    process.stdout.wait_for("sigusr1");
    // The other reloader refuses this one, and the app goes on.
    process.stderr.wait_for("reload partial");
    assert_eq!(request("POST", address, "/-/reload").status, 200);
    process.stdout.wait_for("http");
    assert_eq!(request("POST", address, "/hooks/deploy").status, 200);
    process.stdout.wait_for("deploy");
    process.stdout.wait_for("interval");
    process.stdout.wait_for("three seconds");

    ends_by_ctrl_c(process);
}

#[test]
fn log_level_follows_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log_level.toml");
    fs::write(&path, "filter = \"info\"\n").unwrap();
    let process = Process::start("log_level", [&path]);

    process
        .stderr
        .wait_for("INFO log_level: to be seen at info");
    assert!(process.stderr.with("to be seen at debug").is_empty());

    fs::write(&path, "filter = \"info,log_level=debug\"\n").unwrap();
    process
        .stderr
        .wait_for("DEBUG log_level: to be seen at debug");

    fs::write(&path, "filter = \"no=such=filter\"\n").unwrap();
    process.stderr.wait_for("rejected");
    ends_by_ctrl_c(process);
}
