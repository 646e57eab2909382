//! What is counted.

use rekindle::{BoxError, Lease, Manager};
use rekindle_benches::{runtime, with_manager};
use tokio::task::yield_now;

use crate::counted::{Bytes, Counter};

/// What is added to a manager.
#[derive(Clone, Copy)]
pub(crate) enum Subject {
    Source,
    Derived,
    Selected,
    Reloader,
}

/// The bytes of each, of so many in a manager that runs.
pub(crate) fn each(subject: Subject, size: usize) -> Result<f64, BoxError> {
    runtime(0).block_on(async {
        let without = in_all(subject, 0).await?;
        let Bytes(bytes) = in_all(subject, size).await?;
        Ok((bytes - without.0) as f64 / size as f64)
    })
}

async fn in_all(subject: Subject, size: usize) -> Result<Bytes, BoxError> {
    let counter = Counter::new();
    let mut manager = Manager::new();
    let root = manager.source("root", async || Ok(0_u64)).await?;
    for number in 0..size {
        let name = number.to_string();
        match subject {
            Subject::Source => drop(manager.source(name, async || Ok(0_u64)).await?),
            Subject::Derived => {
                let derived = manager.derive(name, &root, async |n: Lease<u64>| Ok(*n));
                derived.await?;
            }
            Subject::Selected => {
                let derived = manager.derive(name, root.select(|n| n), async |n: u64| Ok(n));
                derived.await?;
            }
            Subject::Reloader => _ = manager.add(0, name, async |_| ()),
        }
    }
    with_manager(manager, |_| async move {
        yield_now().await;
        counter.bytes()
    })
    .await
}

pub(crate) fn manager() -> Result<f64, BoxError> {
    runtime(0).block_on(async {
        let counter = Counter::new();
        let manager = Manager::new();
        let Bytes(bytes) = counter.bytes();
        drop(manager);
        Ok(bytes as f64)
    })
}

/// How much more there is while the previous generation is held: when one component has changed since,
/// and when all have.
pub(crate) fn draining(size: usize) -> Result<[f64; 2], BoxError> {
    let one = bytes_while_held(size, |number| number == 0)?;
    let all = bytes_while_held(size, |_| true)?;
    Ok([one, all])
}

fn bytes_while_held(size: usize, changes: fn(usize) -> bool) -> Result<f64, BoxError> {
    runtime(0).block_on(async {
        let mut manager = Manager::new();
        let moves = manager.source("moves", async || Ok(())).await?;
        let stays = manager.source("stays", Still).await?;
        let mut first = None;
        for number in 0..size {
            let name = number.to_string();
            let live = match changes(number) {
                true => manager.derive(name, &moves, async |_| Ok(0_u64)).await?,
                false => manager.derive(name, &stays, async |_| Ok(0_u64)).await?,
            };
            first.get_or_insert(live);
        }
        let live = first.ok_or("there is at least one")?;
        with_manager(manager, |handle| async move {
            settled(&handle).await?;
            let counter = Counter::new();
            let held = live.load();
            handle.reload("bench").await?;
            reaped().await;
            let Bytes(bytes) = counter.bytes();
            drop(held);
            Ok::<_, BoxError>(bytes as f64)
        })
        .await?
    })
}

/// Until all that grows to its size has done so.
async fn settled(handle: &rekindle::Handle) -> Result<(), BoxError> {
    for _ in 0..100 {
        handle.reload("warm-up").await?;
        yield_now().await;
    }
    reaped().await;
    Ok(())
}

/// Lets the reaper come to its end, which gives others their turn now and then.
async fn reaped() {
    for _ in 0..1_000 {
        yield_now().await;
    }
}

/// A source that never changes.
struct Still;

impl rekindle::Source for Still {
    type Value = ();

    async fn read(&self, _: Option<rekindle::Stamp>) -> Result<rekindle::Reading<()>, BoxError> {
        Ok(rekindle::Reading::Stamped(
            (),
            rekindle::Stamp::of(b"still"),
        ))
    }
}

/// What one reload allocates, the boxed future of each function included.
pub(crate) fn allocations() -> Result<Vec<(String, f64)>, BoxError> {
    let mut all = Vec::new();
    for size in [1, 100] {
        for components in [false, true] {
            let what = match components {
                true => "components, all changed",
                false => "reloaders",
            };
            all.push((format!("{size} {what}"), allocations_of(size, components)?));
        }
    }
    Ok(all)
}

fn allocations_of(size: usize, components: bool) -> Result<f64, BoxError> {
    const RELOADS: usize = 1_000;
    runtime(0).block_on(async {
        let mut manager = Manager::new();
        for number in 0..size {
            match components {
                true => {
                    let source = manager.source(number.to_string(), async || Ok(0_u64));
                    source.await?;
                }
                false => _ = manager.add(0, number.to_string(), async |_| ()),
            }
        }
        with_manager(manager, |handle| async move {
            settled(&handle).await?;
            let counter = Counter::new();
            for _ in 0..RELOADS {
                handle.reload("bench").await?;
            }
            Ok::<_, BoxError>(counter.allocations() / RELOADS as f64)
        })
        .await?
    })
}

/// What is left of so many reloads: of components that change, that stay, that fail, and of checks.
pub(crate) fn left_after(reloads: usize) -> Result<Bytes, BoxError> {
    runtime(0).block_on(async {
        let mut manager = Manager::new();
        let mut count = 0_u64;
        let counts = std::sync::Arc::new(std::sync::Mutex::new(move || {
            count += 1;
            count
        }));
        let read = async move || {
            let count = counts.lock().map_err(|_| "a count has panicked")?();
            Ok(format!("a value of some length, number {}", count % 10))
        };
        let text = manager.source("text", read).await?;
        let failing = async |text: Lease<String>| match text.ends_with('7') {
            true => Err("seven".into()),
            false => Ok(text.len()),
        };
        manager.derive("length", &text, failing).await?;
        manager.add(0, "hook", async |_| ());
        with_manager(manager, |handle| async move {
            let turn = async || {
                _ = handle.reload("bench").await;
                _ = handle.check().await;
                yield_now().await;
            };
            for _ in 0..100 {
                turn().await;
            }
            let counter = Counter::new();
            for _ in 0..reloads / 2 {
                turn().await;
            }
            Ok::<_, BoxError>(counter.bytes())
        })
        .await?
    })
}
