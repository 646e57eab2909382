//! One measurement: an app with a watched file, saves, and the time until each is seen.

use std::path::Path;
use std::thread;
use std::time::Duration;

use rekindle::file::{self, File};
use rekindle::{BoxError, Live, Manager};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::layouts::{Layout, POLL};

/// Between two looks of the reader.
const LOOK: Duration = Duration::from_micros(50);

/// After this long a save will not be seen any more.
const DEADLINE: Duration = Duration::from_secs(10);

/// The milliseconds from the end of each save until a reader sees it.
pub(crate) fn measure(
    mut layout: Layout,
    quiet: Duration,
    saves: u32,
) -> Result<Vec<f64>, BoxError> {
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let mut manager = Manager::new();
    let mut file = watched(&layout.path, quiet);
    if let Some(poll) = layout.poll {
        file = file.events(false).poll(poll);
    }
    let (before, after) = layout.others.split_at(layout.others.len() / 2);
    let live = runtime.block_on(async {
        others(&mut manager, before).await?;
        let live = manager.source("file", file).await?;
        others(&mut manager, after).await?;
        Ok::<_, BoxError>(live)
    })?;
    thread::scope(|scope| {
        // Dropped when the saves are done, it ends the app.
        let (_app, ended) = oneshot::channel::<()>();
        scope.spawn(move || {
            let app = async move |_stop| {
                _ = ended.await;
            };
            runtime.block_on(manager.run(app))
        });
        // The first is not of interest: the app only begins.
        let mut time = |number| {
            // Saves fall anywhere in what the watcher does when it polls: to wait, and to look twice.
            let cycle = (POLL + quiet).as_millis() as u32;
            thread::sleep(Duration::from_millis(u64::from(number * 7 % cycle)));
            sight(&mut layout, &live, number)
        };
        time(0)?;
        (1..=saves).map(time).collect()
    })
}

fn watched(path: &Path, quiet: Duration) -> File<String> {
    file::text(path).watch().quiet(quiet)
}

/// Watches what nobody writes. The short quiet time is for the first read of each, after the other.
async fn others(manager: &mut Manager, paths: &[impl AsRef<Path>]) -> Result<(), BoxError> {
    for path in paths {
        let path = path.as_ref();
        let file = watched(path, Duration::from_millis(1));
        manager.source(path.display().to_string(), file).await?;
    }
    Ok(())
}

/// Saves this number, and waits until it is read.
fn sight(layout: &mut Layout, live: &Live<String>, number: u32) -> Result<f64, BoxError> {
    let contents = format!("save {number}");
    let saved = (layout.save)(&contents)?;
    while *live.load() != contents {
        if saved.elapsed() > DEADLINE {
            return Err(format!("{}: a save was not seen", layout.name).into());
        }
        thread::sleep(LOOK);
    }
    Ok(1e3 * saved.elapsed().as_secs_f64())
}
