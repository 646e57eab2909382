//! The printer: a component that cannot fail to be built.

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

    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}
