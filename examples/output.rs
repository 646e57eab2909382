//! Standard output and standard error for a service that must not depend on who reads them.
//!
//! `println!` and `eprintln!` panic when the reader of a pipe is gone or the disk is full, and block for
//! as long as a full pipe is not read; so does `tracing_subscriber::fmt` over `std::io::stderr`. Here
//! each output has a thread of its own that writes, and a queue before it. What cannot be written is
//! lost, and so is what finds the queue full. `tracing-appender` does nearly the same, but the drop of
//! its guard may call `println!`.

use std::io::{self, Write};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

/// How many lines may wait.
const QUEUE: usize = 1024;

/// How long the end of a program may wait for the lines in the queues.
const FLUSH: Duration = Duration::from_secs(1);

static STDOUT: LazyLock<Output> = LazyLock::new(|| Output::start("stdout", io::stdout()));
static STDERR: LazyLock<Output> = LazyLock::new(|| Output::start("stderr", io::stderr()));

/// Standard output. It takes whole lines.
pub fn stdout() -> &'static Output {
    &STDOUT
}

/// Standard error, in the form of a writer for `tracing_subscriber::fmt`, which writes whole lines.
pub fn stderr() -> &'static Output {
    &STDERR
}

/// Like `println!`, but loses the line where that would panic or wait.
#[macro_export]
macro_rules! say {
    ($($text:tt)+) => {
        $crate::stdout().say(&::std::format!($($text)+))
    };
}

/// An output that a thread of its own writes.
#[derive(Debug)]
pub struct Output(mpsc::Sender<Line>);

#[derive(Debug)]
struct Line {
    text: Vec<u8>,
    /// Hears how it went.
    written: Option<oneshot::Sender<io::Result<()>>>,
}

impl Output {
    fn start(name: &str, mut to: impl Write + Send + 'static) -> Self {
        let (sender, mut lines) = mpsc::channel::<Line>(QUEUE);
        let write = move || {
            while let Some(Line { text, written }) = lines.blocking_recv() {
                let result = to.write_all(&text).and_then(|()| to.flush());
                if let Some(written) = written {
                    _ = written.send(result);
                }
            }
        };
        let thread = thread::Builder::new().name(name.to_owned());
        thread
            .spawn(write)
            .expect("a program may have a few threads");
        Self(sender)
    }

    /// Writes a line, unless it cannot be written or the queue is full.
    pub fn say(&self, line: &str) {
        self.push(format!("{line}\n").into_bytes());
    }

    /// Writes a line, and waits until it is written.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub async fn print(&self, line: &str) -> io::Result<()> {
        let (written, result) = oneshot::channel();
        let line = Line {
            text: format!("{line}\n").into_bytes(),
            written: Some(written),
        };
        // Whether it was sent or not: what was not is dropped, and the result with it.
        _ = self.0.send(line).await;
        result
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn push(&self, text: Vec<u8>) {
        let written = None;
        _ = self.0.try_send(Line { text, written });
    }

    /// Waits until the queue is written, but no longer than this. It blocks the thread.
    fn flush_until(&self, deadline: Instant) {
        const PAUSE: Duration = Duration::from_millis(5);
        let (written, mut result) = oneshot::channel();
        let mut last = Line {
            text: Vec::new(),
            written: Some(written),
        };
        while let Err(TrySendError::Full(line)) = self.0.try_send(last) {
            if Instant::now() >= deadline {
                return;
            }
            last = line;
            thread::sleep(PAUSE);
        }
        while matches!(result.try_recv(), Err(TryRecvError::Empty)) {
            if Instant::now() >= deadline {
                return;
            }
            thread::sleep(PAUSE);
        }
    }
}

impl Write for &Output {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.push(text.to_vec());
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes what is in the queues when it is dropped at the end of `main`. What nothing reads is lost after
/// a second.
#[derive(Debug)]
#[must_use = "it belongs into a variable that lives until the end of `main`"]
pub struct FlushOnDrop;

impl Drop for FlushOnDrop {
    fn drop(&mut self) {
        let deadline = Instant::now() + FLUSH;
        STDOUT.flush_until(deadline);
        STDERR.flush_until(deadline);
    }
}
