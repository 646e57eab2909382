//! What the benchmarks share. Each is a folder: `reads`, `reloads`, `parallel`, ...

use std::env;
use std::future::Future;
use std::hint::black_box;
use std::time::{Duration, Instant};

use rekindle::{BoxError, Handle, Manager};
use tokio::runtime::{Builder, Runtime};

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

/// The median.
///
/// # Panics
///
/// Without any figure.
pub fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let [median] = quantiles(figures, [0.5]);
    median
}

/// A runtime with so many worker threads; with none, that of the calling thread.
///
/// # Panics
///
/// If the system has no threads left.
pub fn runtime(workers: usize) -> Runtime {
    let mut builder = match workers {
        0 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if workers > 0 {
        builder.worker_threads(workers);
    }
    let runtime = builder.enable_all().build();
    runtime.expect("there are threads and files for a runtime")
}

/// Measures in a task of the runtime, while the manager runs. Not in `block_on`, because to wake that
/// costs more than most reloads.
///
/// # Errors
///
/// That of the run.
pub async fn with_manager<F, Fut>(manager: Manager, measure: F) -> Result<Fut::Output, BoxError>
where
    F: FnOnce(Handle) -> Fut,
    Fut: Future<Output: Send> + Send + 'static,
{
    let measuring = measure(manager.handle());
    let mut measured = None;
    let app = async |_stop| {
        measured = Some(tokio::spawn(measuring).await?);
        Ok(())
    };
    manager.run(app).await?;
    Ok(measured.expect("the run has ended well"))
}

/// Computes for so long, by the clock of the thread.
pub fn compute(time: Duration) {
    let clock = cpu_time::ThreadTime::now();
    while clock.elapsed() < time {
        for number in 0..1_000_u64 {
            black_box(number);
        }
    }
}

/// The milliseconds that `work` takes.
pub async fn milliseconds<T>(work: impl Future<Output = T>) -> (f64, T) {
    let began = Instant::now();
    let result = work.await;
    (1e3 * began.elapsed().as_secs_f64(), result)
}
