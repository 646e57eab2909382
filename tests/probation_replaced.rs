//! `Lease::replaced` on probation: a value counts as replaced when it cannot become current again.

mod support;

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rekindle::{BoxError, Keyed, Lease, Live, Manager};
use support::{Dial, Latch, eventually, in_time};
use tokio_test::task::spawn;

/// The probe is called at least twice in it.
const TRIAL: Duration = Duration::from_millis(20);

/// A number on probation, and a collection built from it.
struct Subject {
    dial: Dial,
    /// The probe waits here.
    latch: Latch,
    is_sick: Arc<AtomicBool>,
    number: Live<u64>,
    members: Live<Keyed<&'static str, u64>>,
}

impl Subject {
    async fn new() -> (Self, Manager) {
        let (dial, latch, is_sick) = (Dial::new(1), Latch::new(), Arc::<AtomicBool>::default());
        let (probed, sick) = (latch.clone(), Arc::clone(&is_sick));
        let mut reload = Manager::new().probation(TRIAL, move || {
            let (probed, sick) = (probed.clone(), Arc::clone(&sick));
            async move {
                probed.pass().await;
                match sick.load(Ordering::SeqCst) {
                    true => Err::<(), BoxError>("sick".into()),
                    false => Ok(()),
                }
            }
        });
        let number = reload.source("number", dial.clone()).await.unwrap();
        let settings = |n: Lease<u64>| BTreeMap::from([("changes", *n), ("stays", 0)]);
        let build = async |_: &'static str, n: u64| Ok(n);
        let members = reload.each("members", &number, settings, build);
        let members = members.await.unwrap();
        let subject = Self {
            dial,
            latch,
            is_sick,
            number,
            members,
        };
        (subject, reload)
    }

    fn member(&self, key: &str) -> Lease<u64> {
        self.members.load().get(key).unwrap().clone()
    }

    /// Reloads until the new generation is on probation.
    async fn commit(&self, handle: &rekindle::Handle, n: u64) {
        self.latch.close();
        self.dial.set(n);
        handle.trigger("test");
        in_time(self.latch.arrival()).await;
        assert_eq!(*self.number.load(), n);
    }
}

#[tokio::test]
async fn lease_is_not_replaced_by_what_is_rolled_back() {
    let (subject, reload) = Subject::new().await;
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        let (old, member, stays) = (
            subject.number.lease(),
            subject.member("changes"),
            subject.member("stays"),
        );
        let mut olds = [&old, &member, &stays].map(|lease| spawn(lease.replaced()));
        assert!(olds.iter_mut().all(|old| old.poll().is_pending()));
        subject.is_sick.store(true, Ordering::SeqCst);
        subject.commit(&handle, 2).await;
        let (new, new_member) = (subject.number.lease(), subject.member("changes"));
        let mut news = [&new, &new_member].map(|lease| spawn(lease.replaced()));
        assert!(olds.iter_mut().all(|old| old.poll().is_pending()));
        assert!(news.iter_mut().all(|new| new.poll().is_pending()));

        subject.latch.open();
        for new in news {
            in_time(new).await;
        }
        assert_eq!(*subject.number.load(), 1, "it is rolled back");
        assert!(olds.iter_mut().all(|old| old.poll().is_pending()));

        // A later one that passes replaces them.
        subject.is_sick.store(false, Ordering::SeqCst);
        subject.commit(&handle, 3).await;
        assert!(olds.iter_mut().all(|old| old.poll().is_pending()));
        subject.latch.open();
        let [old, member, mut stays] = olds;
        in_time(old).await;
        in_time(member).await;
        assert!(stays.poll().is_pending());
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn lease_is_replaced_when_a_stop_ends_the_probation() {
    let (subject, reload) = Subject::new().await;
    let handle = reload.handle();
    let old = subject.number.lease();
    let mut replaced = spawn(old.replaced());
    let app = async {
        subject.commit(&handle, 2).await;
        assert!(replaced.poll().is_pending());
    };
    in_time(reload.run(async |_| app.await)).await.unwrap();
    assert_eq!(*subject.number.load(), 2);
    in_time(replaced).await;
}

#[tokio::test]
async fn lease_is_replaced_when_the_run_is_dropped_on_probation() {
    let (subject, reload) = Subject::new().await;
    let handle = reload.handle();
    let old = subject.number.lease();
    let run = tokio::spawn(async move { reload.run(|_| pending::<()>()).await });
    subject.commit(&handle, 2).await;
    let mut replaced = spawn(old.replaced());
    assert!(replaced.poll().is_pending());
    run.abort();
    in_time(replaced).await;
    let gone = || run.is_finished();
    eventually("the run is gone", gone).await;
}
