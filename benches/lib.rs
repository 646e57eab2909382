//! Nothing to import: this package only carries the benchmarks. See `reads/main.rs`.
