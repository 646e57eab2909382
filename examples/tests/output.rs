//! Outputs that are closed, full, or read by nothing: a service goes on without its log.

#![cfg(target_os = "linux")]

mod harness;

use std::fs::{self, File};
use std::io::{PipeReader, Write, pipe};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::thread;

use harness::{Process, Signal, command, request, send, until};
use tempfile::TempDir;

/// An example, and how to configure it.
#[derive(Clone, Copy)]
enum Example {
    Simpleapp,
    Gateway,
}

use Example::{Gateway, Simpleapp};

impl Example {
    /// The contents of its file, another one for each generation.
    fn config(self, generation: u64, address: SocketAddr) -> String {
        match self {
            Simpleapp => format!(
                r#"{{"printer":{{"message":"number {generation}"}},"curler":{{"url":"http://127.0.0.1:9/"}}}}"#
            ),
            Gateway => format!(
                "admin = '{address}'\nlog = 'info'\ndebug_headers = {}\n[upstreams.app]\naddresses = ['127.0.0.1:9']\n\
                 [[routes]]\npath = '/'\nto = {{ upstream = 'app' }}\n\
                 [[listeners]]\naddress = '{}:8081'\n",
                generation.is_multiple_of(2),
                address.ip(),
            ),
        }
    }
}

/// An example that runs with outputs of the test's.
struct App {
    example: Example,
    process: Process,
    address: SocketAddr,
    directory: TempDir,
}

impl App {
    fn start(example: Example, stdout: impl Into<Stdio>, stderr: impl Into<Stdio>) -> Self {
        let (directory, address) = (tempfile::tempdir().unwrap(), free_address());
        let path = directory.path().join("config");
        fs::write(&path, example.config(1, address)).unwrap();
        let mut command = match example {
            Simpleapp => command("simpleapp"),
            Gateway => command("gateway"),
        };
        if let Simpleapp = example {
            command.args(["-l", &address.to_string()]);
        }
        command.arg("-c").arg(path);
        let process = Process::spawn_onto(&mut command, stdout, stderr);
        // Its log may not be readable.
        until("it listens", || std::net::TcpStream::connect(address).ok());
        Self {
            example,
            process,
            address,
            directory,
        }
    }

    fn generation(&self) -> u64 {
        let status = request("GET", self.address, "/-/status");
        assert_eq!(status.status, 200);
        status.json()["generation"].as_u64().unwrap()
    }

    fn save(&self, generation: u64) {
        let config = self.example.config(generation, self.address);
        replace(&self.directory.path().join("config"), &config);
    }

    /// Reloads, by HTTP and by a signal, and answers, and ends well when it is told to.
    fn goes_on_to_its_end(mut self) {
        for _ in 0..3 {
            let before = self.generation();
            self.save(before + 1);
            let report = request("POST", self.address, "/-/reload");
            assert_eq!(report.status, 200, "{}", report.body);
            // The watcher may have been faster.
            until("the change is applied", || {
                (self.generation() > before).then_some(())
            });
        }
        let reloads = || {
            let status = request("GET", self.address, "/-/status").json();
            let reports = status["reports"].as_array().unwrap().clone();
            let by =
                |report: &&serde_json::Value| report["triggers"].to_string().contains("sighup");
            reports.iter().filter(by).count()
        };
        self.process.signal(Signal::HUP);
        until("the signal reloads", || (reloads() == 1).then_some(()));
        self.process.signal(Signal::TERM);
        assert_eq!(self.process.wait().code(), Some(0));
    }
}

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

/// An address for one example: each test program has a part of 127/8 of its own.
fn free_address() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = [127, high | 0x80, low, NEXT.fetch_add(1, Ordering::Relaxed)];
    SocketAddr::from((address, 8080))
}

/// A pipe that is full, and stays so as long as its end for reading is kept.
fn full_pipe() -> (PipeReader, Stdio) {
    const PAGE: usize = 4096;
    let (reader, writer) = pipe().unwrap();
    let mut filler = writer.try_clone().unwrap();
    let filled = Arc::new(AtomicUsize::new(0));
    let pages = Arc::clone(&filled);
    // The page that finds no room keeps the thread until the reader is dropped.
    thread::spawn(move || {
        while filler.write_all(&[b'\n'; PAGE]).is_ok() {
            pages.fetch_add(1, Ordering::Relaxed);
        }
    });
    // A pipe has room for 16 pages, and for fewer if a user has many.
    until("the pipe is full", || {
        let before = filled.load(Ordering::Relaxed);
        thread::sleep(std::time::Duration::from_millis(100));
        (before > 0 && filled.load(Ordering::Relaxed) == before).then_some(())
    });
    (reader, writer.into())
}

fn full_disk() -> Stdio {
    File::options()
        .write(true)
        .open("/dev/full")
        .unwrap()
        .into()
}

/// As `head -1` leaves it behind.
fn closed_pipe() -> Stdio {
    let (_, writer) = pipe().unwrap();
    writer.into()
}

#[test]
fn a_service_goes_on_when_the_reader_of_its_log_is_gone() {
    for example in [Simpleapp, Gateway] {
        App::start(example, Stdio::piped(), closed_pipe()).goes_on_to_its_end();
    }
}

#[test]
fn a_service_goes_on_when_its_log_is_on_a_full_disk() {
    for example in [Simpleapp, Gateway] {
        App::start(example, Stdio::piped(), full_disk()).goes_on_to_its_end();
    }
}

#[test]
fn a_service_goes_on_when_nothing_reads_its_log() {
    for example in [Simpleapp, Gateway] {
        let (_reader, stderr) = full_pipe();
        App::start(example, Stdio::piped(), stderr).goes_on_to_its_end();
    }
}

#[test]
fn a_print_that_nothing_reads_waits_and_blocks_nothing() {
    let (_reader, stdout) = full_pipe();
    let app = App::start(Simpleapp, stdout, Stdio::piped());
    // More than there are threads.
    let prints: Vec<_> = (0..32)
        .map(|_| send("GET", app.address, "/print", ""))
        .collect();
    assert_eq!(app.generation(), 1);
    // Their clients give up; what is under way would keep the end waiting.
    drop(prints);
    app.goes_on_to_its_end();
}

#[test]
fn a_print_that_cannot_be_written_is_an_error() {
    for stdout in [full_disk(), closed_pipe()] {
        let app = App::start(Simpleapp, stdout, Stdio::piped());
        assert_eq!(request("GET", app.address, "/print").status, 500);
        app.goes_on_to_its_end();
    }
}
