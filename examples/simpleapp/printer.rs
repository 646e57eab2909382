//! The printer: a component that cannot fail to be built.

use std::io::{self, Write};

use crate::config::PrinterConfig;

pub(crate) struct Printer {
    message: String,
}

impl Printer {
    pub(crate) fn new(config: PrinterConfig) -> Self {
        Self {
            message: config.message,
        }
    }

    /// Prints the message to standard output and gives it back.
    pub(crate) fn print(&self) -> io::Result<&str> {
        writeln!(io::stdout(), "{}", self.message)?;
        Ok(&self.message)
    }
}
