//! Components that run: the tasks of values that are current.

use std::future::Future;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::Done;
use crate::crew::BoxFuture;
use crate::live::{AnySlot, Lease, Slot};
use crate::panic::Quiet;

/// The reaction to a task that ends before its token is cancelled: see
/// [`Component::on_exit`](crate::Component::on_exit).
///
/// ```
/// assert_eq!(rekindle::OnExit::default(), rekindle::OnExit::Restart);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnExit {
    /// It is started again from the same value, after a pause that doubles from 100 ms to 30 s, and is
    /// 100 ms again once it has run for a minute.
    #[default]
    Restart,
    /// It stays ended until its component is replaced: for tasks that do something once.
    Leave,
    /// The run ends with an [`Error`](crate::Error) that names the component, whatever
    /// [`OnError`](crate::OnError) says about reloads.
    Stop,
}

/// The runner of a component, and its reaction to a task that ends.
pub(crate) struct Runs {
    pub(crate) runner: Box<dyn Runner>,
    pub(crate) on_exit: OnExit,
}

pub(crate) trait Runner: Send + Sync {
    /// The tasks that must run while this slot is current.
    fn tasks(&self, slot: &AnySlot) -> Vec<Runnable>;
}

/// A value with its task. It holds the value, so that the task can be started again.
pub(crate) struct Runnable {
    pub(crate) name: Arc<str>,
    /// The serial number of the value.
    pub(crate) serial: u64,
    /// `None` once the token of the task was cancelled.
    pub(crate) start: Option<Start>,
}

pub(crate) type Start = Box<dyn Fn(CancellationToken) -> BoxFuture<'static, ()> + Send + Sync>;

impl Runnable {
    pub(super) fn new<T, F, Fut>(lease: Lease<T>, run: &Arc<Quiet<F>>) -> Self
    where
        T: Send + Sync + 'static,
        F: FnOnce(Lease<T>, CancellationToken) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Done> + Send + 'static,
    {
        let run = Arc::clone(run);
        Self {
            name: Arc::clone(lease.name()),
            serial: lease.serial(),
            start: Some(Box::new(move |stop| {
                let future = F::clone(&run)(lease.clone(), stop);
                Box::pin(async move { future.await.into_result() })
            })),
        }
    }
}

/// A component whose value runs one task.
pub(super) struct One<T, F> {
    run: Arc<Quiet<F>>,
    value: std::marker::PhantomData<fn(T)>,
}

impl<T, F> One<T, F> {
    pub(super) fn new(name: &Arc<str>, run: F) -> Self {
        Self {
            run: Arc::new(Quiet::new(name, run)),
            value: std::marker::PhantomData,
        }
    }
}

impl<T, F, Fut> Runner for One<T, F>
where
    T: Send + Sync + 'static,
    F: FnOnce(Lease<T>, CancellationToken) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output: Done> + Send + 'static,
{
    fn tasks(&self, slot: &AnySlot) -> Vec<Runnable> {
        let lease = Lease::new(Slot::share(slot));
        vec![Runnable::new(lease, &self.run)]
    }
}
