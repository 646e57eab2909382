//! What it takes to run functions in groups without a manager.

use std::time::Instant;

use rekindle_benches::{median, runtime};
use tokio::task::JoinSet;

/// The median, in microseconds, of running so many functions that do nothing, in so many groups, with
/// a task for each.
pub(crate) fn measure(
    workers: usize,
    rounds: usize,
    size: usize,
    groups: fn(usize) -> usize,
) -> f64 {
    let groups = groups(size);
    let measured = async move {
        let mut times = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            let began = Instant::now();
            for _ in 0..groups {
                let mut group = JoinSet::new();
                for _ in 0..size / groups {
                    group.spawn(async {});
                }
                while group.join_next().await.is_some() {}
            }
            times.push(1e6 * began.elapsed().as_secs_f64());
        }
        median(times.into_iter())
    };
    let runtime = runtime(workers);
    let measured = runtime.block_on(async { tokio::spawn(measured).await });
    measured.expect("what does nothing does not panic")
}
