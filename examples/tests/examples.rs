//! The small examples, each as a process of its own: they do what they say, and end
//! by themselves or by Ctrl-C.

mod harness;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

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

/// All that a process prints that ends by itself.
fn printed(example: &str) -> Vec<String> {
    let mut process = Process::start(example, [""; 0]);
    assert_eq!(process.wait().code(), Some(0));
    process.stdout.to_the_end()
}

#[test]
fn database_pool_closes_the_old_pool_when_its_last_connection_has_come_back() {
    let printed = printed("database_pool");

    let expected = [
        "opened blue.db",
        "a long request uses blue.db",
        "opened green.db",
        "reload applied",
        "a new request uses green.db",
        "reload rejected",
        "a new request uses green.db",
        "the long request uses blue.db",
        "still draining: component `database` of generation 1, held for",
    ];
    assert_eq!(printed.len(), expected.len() + 2, "{printed:?}");
    for (line, expected) in printed.iter().zip(expected) {
        assert!(line.starts_with(expected), "{printed:?}");
    }
    assert!(
        printed[8].ends_with("by 0 guards and 1 lease"),
        "{printed:?}"
    );
    let mut closed = printed[expected.len()..].to_vec();
    closed.sort_unstable();
    assert_eq!(closed, ["closed blue.db", "closed green.db"]);
}

#[test]
fn tls_certificates_are_rotated_for_new_handshakes_alone() {
    let printed = printed("tls_certificates");

    assert_eq!(printed.len(), 6, "{printed:?}");
    assert_eq!(printed[0], "a connection: serial number 01");
    assert_eq!(printed[1], "reload applied");
    assert_eq!(printed[2], "a new connection: serial number 02");
    let refused = "reload rejected: tls.key is not the key of tls.crt";
    assert!(printed[3].starts_with(refused), "{printed:?}");
    assert_eq!(printed[4], "a new connection: serial number 02");
    assert_eq!(printed[5], "the old connection: serial number 01");
}

/// A connection to `listeners`.
struct Talk(BufReader<TcpStream>);

impl Talk {
    fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(harness::PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    fn says(&mut self, line: &str) -> String {
        self.0.get_mut().write_all(line.as_bytes()).unwrap();
        self.hears()
    }

    fn hears(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }
}

#[test]
fn listeners_come_and_go_and_one_that_stays_keeps_its_connections() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("listeners.toml");
    let write = |greeting: &str, addresses: &[SocketAddr]| {
        let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        let text = format!("greeting = {greeting:?}\naddresses = {addresses:?}\n");
        fs::write(&path, text).unwrap();
    };
    // Bound at the same time, so that they differ; on an address where nobody else takes them.
    let free = [(); 3].map(|()| TcpListener::bind("127.91.0.1:0").unwrap());
    let [stays, goes, comes] = free.map(|listener| listener.local_addr().unwrap());
    write("hello", &[stays, goes]);
    let process = Process::start("listeners", [&path]);
    process.stdout.wait_for(&format!("listening on {stays}"));
    process.stdout.wait_for(&format!("listening on {goes}"));
    let (mut staying, mut going) = (Talk::to(stays), Talk::to(goes));
    assert_eq!(staying.says("one\n"), "hello, one\n");
    assert_eq!(going.says("one\n"), "hello, one\n");

    write("goodbye", &[stays, comes]);
    assert_eq!(going.hears(), "bye\n");
    process.stdout.wait_for(&format!("closed {goes}"));
    process
        .stdout
        .wait_for(&format!("the connections to {goes} have ended"));
    process.stdout.wait_for(&format!("listening on {comes}"));
    assert!(TcpStream::connect(goes).is_err());
    assert_eq!(staying.says("two\n"), "goodbye, two\n");
    assert_eq!(Talk::to(comes).says("one\n"), "goodbye, one\n");

    // An address that is taken refuses the reload.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    write("hello", &[stays, taken.local_addr().unwrap()]);
    process.stderr.wait_for("reload rejected");
    assert_eq!(staying.says("three\n"), "goodbye, three\n");
    assert!(process.stdout.with(&format!("closed {stays}")).is_empty());
    ends_by_ctrl_c(process);
    assert_eq!(staying.hears(), "bye\n");
}

#[test]
fn listeners_that_overlap_are_rejected_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("listeners.toml");
    let write = |addresses: &[&str]| {
        let text = format!("greeting = 'hello'\naddresses = {addresses:?}\n");
        fs::write(&path, text).unwrap();
    };
    let free = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let [one, any] = ["127.0.0.1", "0.0.0.0"].map(|ip| format!("{ip}:{port}"));
    write(&[&one]);
    let process = Process::start("listeners", [&path]);
    process.stdout.wait_for(&format!("listening on {one}"));

    write(&[&one, &any]);
    let says = format!("{any} overlaps with {one}: remove one of them");
    process.stderr.wait_for(&says);
    write(&[&any]);
    let says = format!("cannot listen on {any}: {one} is open until this reload: remove {one}");
    process.stderr.wait_for(&says);

    let mapped = format!("[::ffff:127.0.0.1]:{port}");
    write(&[&mapped]);
    let says = format!("{mapped} is an address of IPv4: write {one}");
    process.stderr.wait_for(&says);
    assert!(process.stdout.with("closed").is_empty());
    ends_by_ctrl_c(process);

    // An error that has another cause is not blamed on what is open. No machine has this address.
    write(&[&any]);
    let process = Process::start("listeners", [&path]);
    process.stdout.wait_for(&format!("listening on {any}"));
    let foreign = format!("192.0.2.1:{port}");
    write(&[&foreign]);
    let says = format!("cannot listen on {foreign}: Cannot assign requested address");
    process.stderr.wait_for(&says);
    ends_by_ctrl_c(process);
}

#[test]
fn background_task_is_replaced_with_its_settings_and_started_again_when_it_fails() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("background_task.toml");
    let write = |every: u64, polls: &str| {
        let text = format!("[poller]\nevery = {every}\npolls = {polls:?}\n");
        fs::write(&path, text).unwrap();
    };
    fs::write(directory.path().join("one"), "1").unwrap();
    write(20, "one");
    let process = Process::start("background_task", [&path]);
    process.stdout.wait_for("polling every 20 ms");
    process.stdout.wait_for("polled: 1 bytes");

    write(30, "two");
    process.stdout.wait_for("polling every 30 ms");
    process.stdout.wait_for("no longer polling every 20 ms");
    process
        .stderr
        .wait_for("the task of component `poller` failed and is started again in 100ms");
    fs::write(directory.path().join("two"), "22").unwrap();
    process.stdout.wait_for("polled: 2 bytes");

    write(0, "two");
    process.stderr.wait_for("reload rejected");
    assert!(
        process
            .stdout
            .with("no longer polling every 30 ms")
            .is_empty()
    );
    ends_by_ctrl_c(process);
}
