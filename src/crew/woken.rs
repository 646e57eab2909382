//! Who of a crew was woken.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// The ids of those that were woken, each once, and who polls them.
#[derive(Default)]
pub(super) struct Woken(Mutex<State>);

#[derive(Default)]
struct State {
    ids: VecDeque<usize>,
    poller: Option<Waker>,
}

/// Wakes one member of a crew.
pub(super) struct WakeOne {
    id: usize,
    /// Whether its id is in the queue.
    queued: AtomicBool,
    woken: Arc<Woken>,
}

impl Woken {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn register(&self, waker: &Waker) {
        let poller = &mut self.lock().poller;
        poller
            .get_or_insert_with(|| waker.clone())
            .clone_from(waker);
    }

    pub(super) fn len(&self) -> usize {
        self.lock().ids.len()
    }

    pub(super) fn pop(&self) -> Option<usize> {
        self.lock().ids.pop_front()
    }
}

impl WakeOne {
    /// A member that is to be polled soon.
    pub(super) fn new(id: usize, woken: &Arc<Woken>) -> Arc<Self> {
        let (queued, woken) = (AtomicBool::new(false), Arc::clone(woken));
        let one = Arc::new(Self { id, queued, woken });
        one.wake_by_ref();
        one
    }

    /// Polls the member.
    pub(super) fn poll<F: Future>(self: &Arc<Self>, member: Pin<&mut F>) -> Poll<F::Output> {
        // Before the poll: whoever wakes it from now on wants another one. Release and Acquire in the
        // swap of `wake` order what was done before a wake that found `true` before this poll.
        self.queued.swap(false, Ordering::AcqRel);
        member.poll(&mut Context::from_waker(&Waker::from(Arc::clone(self))))
    }
}

impl Wake for WakeOne {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let poller = {
            let mut state = self.woken.lock();
            state.ids.push_back(self.id);
            state.poller.clone()
        };
        if let Some(poller) = poller {
            poller.wake();
        }
    }
}
