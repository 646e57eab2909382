//! Tasks that call `handle.reload()`.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rekindle::{BoxError, Handle, Manager};
use rekindle_benches::{runtime, with_manager};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinSet, yield_now};
use tokio::time::sleep;

use crate::{Storm, allocated};

/// What each reload waits for.
const RELOAD: Duration = Duration::from_millis(10);

/// The other end of a manager whose reloads take their time.
pub(crate) struct Reloads {
    begun: mpsc::UnboundedReceiver<()>,
    may_end: Arc<Semaphore>,
}

impl Reloads {
    pub(crate) fn of(manager: &mut Manager) -> Self {
        let (begins, begun) = mpsc::unbounded_channel();
        let may_end = Arc::new(Semaphore::new(0));
        let ends = Arc::clone(&may_end);
        manager.add(0, "takes its time", async move |_| {
            begins.send(())?;
            ends.acquire().await?.forget();
            sleep(RELOAD).await;
            Ok(())
        });
        Self { begun, may_end }
    }

    /// Begins a reload, which goes on until others may.
    pub(crate) async fn hold(&mut self, handle: &Handle) {
        handle.trigger("the first");
        self.begun.recv().await;
    }

    /// Lets all of them go on.
    pub(crate) fn let_go(&self) {
        self.may_end.add_permits(1_000_000);
    }

    /// How many have begun since the last look.
    pub(crate) fn begun(&mut self) -> u64 {
        let mut begun = 0;
        while self.begun.try_recv().is_ok() {
            begun += 1;
        }
        begun
    }
}

pub(crate) fn storm(callers: usize) -> Result<Storm, BoxError> {
    runtime(2).block_on(async {
        let mut manager = Manager::new();
        let reloads = Reloads::of(&mut manager);
        with_manager(manager, |handle| ask(handle, callers, reloads)).await?
    })
}

async fn ask(handle: Handle, callers: usize, mut reloads: Reloads) -> Result<Storm, BoxError> {
    reloads.hold(&handle).await;
    let before = allocated();
    let began = Instant::now();
    let asked = Arc::new(AtomicUsize::new(0));
    let mut answers = JoinSet::new();
    for _ in 0..callers {
        let (handle, asked) = (handle.clone(), Arc::clone(&asked));
        answers.spawn(async move {
            let mut answer = pin!(handle.reload("storm"));
            let mut is_first = true;
            poll_fn(|cx| {
                let poll = answer.as_mut().poll(cx);
                if std::mem::take(&mut is_first) {
                    asked.fetch_add(1, Ordering::Relaxed);
                }
                poll
            })
            .await
            .map(drop)
        });
    }
    while asked.load(Ordering::Relaxed) < callers {
        yield_now().await;
    }
    let bytes = allocated() - before;
    reloads.let_go();
    while let Some(answer) = answers.join_next().await {
        answer??;
    }
    Ok(Storm {
        reloads: reloads.begun(),
        milliseconds: 1e3 * began.elapsed().as_secs_f64(),
        bytes_each: bytes as f64 / callers as f64,
    })
}
