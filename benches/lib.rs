//! What the benchmarks share. Each is a folder: `reads`, `watch`.

use std::env;

/// Whether a short run will do: with `--quick`, and without `--bench`, because that is a test run
/// (`cargo test --benches`), which asks only whether it works.
pub fn is_brief() -> bool {
    let has = |flag| env::args().any(|argument| argument == flag);
    has("--quick") || !has("--bench")
}

/// The figures at these places of their order: 0 is the least, 0.5 the median, 1 the greatest.
///
/// # Panics
///
/// Without any figure.
pub fn quantiles<const N: usize>(figures: impl Iterator<Item = f64>, places: [f64; N]) -> [f64; N] {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    let last = figures.len() - 1;
    places.map(|place| figures[((figures.len() as f64 * place) as usize).min(last)])
}
