//! What a process writes, as it writes it.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use super::until;

/// The lines that a process has written so far.
pub(crate) struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    reader: Mutex<Option<JoinHandle<()>>>,
}

impl Lines {
    pub(crate) fn of(output: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&lines);
        let reader = thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                written
                    .lock()
                    .unwrap()
                    .push(String::from_utf8_lossy(&line).into_owned());
            }
        });
        Self {
            lines,
            reader: Mutex::new(Some(reader)),
        }
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    pub(crate) fn text(&self) -> String {
        self.all().iter().map(|line| format!("{line}\n")).collect()
    }

    /// All lines of a process that has ended.
    pub(crate) fn to_the_end(&self) -> Vec<String> {
        if let Some(reader) = self.reader.lock().unwrap().take() {
            reader.join().unwrap();
        }
        self.all()
    }

    /// The lines that contain `text`.
    pub(crate) fn with(&self, text: &str) -> Vec<String> {
        self.all()
            .into_iter()
            .filter(|line| line.contains(text))
            .collect()
    }

    /// Waits for a line that contains `text`; gives the first one.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        until(&format!("a line with `{text}`"), || {
            self.with(text).into_iter().next()
        })
    }
}
