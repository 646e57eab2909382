//! The printer: a component that cannot fail to be built.

use std::io;

use rekindle_examples::stdout;

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

    /// Prints the message to standard output and gives it back. Where nothing reads that, it waits, and
    /// blocks no thread of the runtime.
    pub(crate) async fn print(&self) -> io::Result<&str> {
        stdout().print(&self.message).await?;
        Ok(&self.message)
    }
}
