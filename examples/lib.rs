//! Nothing to import: this package only carries the runnable examples.
