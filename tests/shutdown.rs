//! One shutdown budget: how much each phase of a stop has of it, and what happens to the late.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rekindle::run::Group;
use rekindle::{BoxError, Error, Manager, run};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

const SECOND: Duration = Duration::from_secs(1);

/// The things that have ended, in their order.
#[derive(Clone, Default)]
struct Ends(Arc<Mutex<Vec<&'static str>>>);

impl Ends {
    fn note(&self, what: &'static str) {
        self.0.lock().unwrap().push(what);
    }

    fn seen(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().clone()
    }

    /// A pool that takes a while to close.
    async fn pool(&self, reload: &mut Manager, takes: Duration) {
        let ends = self.clone();
        let pool = reload.source("pool", async || Ok(()));
        let pool = pool.retire(async move |()| {
            sleep(takes).await;
            ends.note("pool");
        });
        pool.await.unwrap();
    }

    /// A task that takes a while to end.
    async fn task(&self, reload: &mut Manager, takes: Duration) {
        let ends = self.clone();
        let task = reload.source("task", async || Ok(()));
        let task = task.runs(async move |_, stop: CancellationToken| {
            stop.cancelled().await;
            sleep(takes).await;
            ends.note("task");
        });
        task.await.unwrap();
    }
}

/// Stops by itself at once, and has an actor that never ends, like a server with a client that does not
/// hang up.
fn stuck() -> Group {
    let mut group = Group::new();
    group.add("once", async |_| ());
    group.add("http", async |_| pending::<()>().await);
    group
}

/// Since then, to a hundredth of a second: the clock of the tests rounds up to the next millisecond.
fn millis(since: Instant) -> u128 {
    since.elapsed().as_millis() / 10 * 10
}

fn leftovers(ended: Result<(), BoxError>) -> String {
    let error = ended.unwrap_err();
    error.to_string()
}

#[tokio::test(start_paused = true)]
async fn a_stuck_actor_takes_nothing_from_the_retirement() {
    let ends = Ends::default();
    let mut reload = Manager::new();
    ends.pool(&mut reload, 9 * SECOND).await;
    let start = Instant::now();
    let ended = reload.run(|stop| stuck().run_until(stop)).await;
    assert_eq!(ends.seen(), ["pool"]);
    // The share of the app is 15 s; a group in it has a quarter of a second less.
    assert_eq!(millis(start), 14_750 + 9_000);
    let error = ended.unwrap_err();
    let error = error.downcast_ref::<run::Error>().unwrap();
    assert_eq!(error.late().collect::<Vec<_>>(), ["http"]);
}

#[tokio::test(start_paused = true)]
async fn an_abortable_actor_that_is_aborted_is_no_error() {
    let ends = Ends::default();
    let mut reload = Manager::new();
    ends.pool(&mut reload, 2 * SECOND).await;
    let app = |stop| {
        let mut group = Group::new();
        group.add("once", async |_| ());
        let server = group.add("http", async |_| pending::<()>().await);
        server.abortable();
        group.run_until(stop)
    };
    reload.run(app).await.unwrap();
    assert_eq!(ends.seen(), ["pool"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abortable_actor_that_blocks_its_thread_is_an_error() {
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let mut group = Group::new().shutdown_timeout(Duration::from_millis(50));
    group.add("once", async |_| ());
    let server = group.add("http", async move |_| _ = blocked.recv());
    server.abortable();
    let error = group.run().await.unwrap_err();
    assert_eq!(error.late().collect::<Vec<_>>(), ["http"]);
    drop(release);
}

#[tokio::test(start_paused = true)]
async fn an_app_that_does_not_return_is_dropped_and_named() {
    let ends = Ends::default();
    let mut reload = Manager::new().shutdown_timeout(10 * SECOND);
    ends.pool(&mut reload, SECOND / 20).await;
    ends.task(&mut reload, SECOND * 9 / 10).await;
    let start = Instant::now();
    let app = async |stop: CancellationToken| {
        stop.cancel();
        pending::<()>().await;
    };
    let error = leftovers(reload.run(app).await);
    assert_eq!(
        error,
        "not ended within the shutdown timeout of 10s: the app (dropped)"
    );
    assert_eq!(ends.seen(), ["task", "pool"]);
    assert_eq!(millis(start), 6_000 + 900 + 50);
}

/// Its drop comes when the share of the app is over.
#[tokio::test(start_paused = true)]
async fn a_panic_in_the_drop_of_a_late_app_skips_nothing() {
    struct Grumpy;
    impl Drop for Grumpy {
        fn drop(&mut self) {
            panic!("not me");
        }
    }
    let ends = Ends::default();
    let mut reload = Manager::new();
    ends.pool(&mut reload, SECOND).await;
    let app = async |stop: CancellationToken| {
        let _grumpy = Grumpy;
        stop.cancel();
        pending::<()>().await;
    };
    let error = leftovers(reload.run(app).await);
    assert!(error.ends_with("the app (dropped)"), "{error}");
    assert_eq!(ends.seen(), ["pool"]);
}

#[tokio::test(start_paused = true)]
async fn a_phase_leaves_its_rest_to_the_next_one() {
    let ends = Ends::default();
    let mut reload = Manager::new().shutdown_timeout(10 * SECOND);
    ends.pool(&mut reload, 2 * SECOND).await;
    ends.task(&mut reload, SECOND * 79 / 10).await;
    reload.run(async |_| ()).await.unwrap();
    assert_eq!(ends.seen(), ["task", "pool"]);
}

#[tokio::test(start_paused = true)]
async fn a_late_task_is_dropped_and_the_pool_still_closed() {
    let ends = Ends::default();
    let mut reload = Manager::new().shutdown_timeout(10 * SECOND);
    ends.pool(&mut reload, SECOND * 19 / 10).await;
    ends.task(&mut reload, 9 * SECOND).await;
    let start = Instant::now();
    let error = leftovers(reload.run(async |_| ()).await);
    assert!(error.contains("the task of component `task`"), "{error}");
    assert_eq!(ends.seen(), ["pool"]);
    assert_eq!(millis(start), 8_000 + 1_900);
}

#[tokio::test(start_paused = true)]
async fn a_retirement_that_does_not_end_is_named_at_the_end() {
    let mut reload = Manager::new();
    Ends::default().pool(&mut reload, 3600 * SECOND).await;
    let start = Instant::now();
    let ended = reload.run(async |_| ()).await.unwrap_err();
    assert_eq!(start.elapsed(), 25 * SECOND);
    assert!(ended.downcast_ref::<Error>().unwrap().is_still_running());
    let text = ended.to_string();
    assert!(
        text.contains("the retirement of an old value of `pool`"),
        "{text}"
    );
}

/// The form of the article: the manager is one actor among others.
#[tokio::test(start_paused = true)]
async fn a_manager_in_a_group_retires_after_its_other_actors() {
    let ends = Ends::default();
    // The number of the outermost counts.
    let mut reload = Manager::new().shutdown_timeout(SECOND);
    ends.pool(&mut reload, 20 * SECOND).await;
    let mut group = stuck();
    group.add("reload", |stop: CancellationToken| {
        reload.run(|_| stop.cancelled_owned())
    });
    let start = Instant::now();
    let error = group.run().await.unwrap_err();
    assert_eq!(error.late().collect::<Vec<_>>(), ["http"]);
    assert_eq!(
        error.to_string(),
        "still running 15s after the stop: actor `http` (aborted)"
    );
    assert_eq!(ends.seen(), ["pool"]);
    assert_eq!(start.elapsed(), 20 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_group_in_a_task_has_the_share_of_tasks() {
    let mut reload = Manager::new().shutdown_timeout(10 * SECOND);
    let task = reload.source("task", async || Ok(()));
    let task = task.runs(async |_, stop: CancellationToken| {
        let mut group = Group::new();
        let consumer = group.add("consumer", async |_| pending::<()>().await);
        consumer.abortable();
        group.run_until(stop).await.map(drop).map_err(Into::into)
    });
    task.await.unwrap();
    let start = Instant::now();
    reload.run(async |_| ()).await.unwrap();
    assert_eq!(millis(start), 8_000 - 250);
}

/// Signals are for the whole process, so each of these is one.
#[cfg(all(unix, feature = "signal"))]
mod by_signal {
    #![allow(clippy::print_stdout, reason = "this is how the processes talk")]

    use super::*;
    use crate::process::Process;

    #[tokio::main(flavor = "current_thread")]
    async fn serve(takes: Duration, abortable: bool) {
        let mut reload = Manager::new().shutdown_timeout(2 * SECOND);
        let pool = reload.source("pool", async || Ok(()));
        let pool = pool.retire(async move |()| {
            println!("closing");
            sleep(takes).await;
            println!("pool closed");
        });
        pool.await.unwrap();
        let signals = run::signals().unwrap();
        let app = |stop| {
            let mut group = Group::new();
            group.add("signals", signals);
            let server = group.add("http", async |stop: CancellationToken| {
                println!("ready");
                stop.cancelled().await;
                println!("interrupted");
                pending::<()>().await;
            });
            if abortable {
                server.abortable();
            }
            group.run_until(stop)
        };
        if let Err(error) = reload.run(app).await {
            println!("failed: {error}");
            std::process::exit(1);
        }
        // Not the summary of the test runner, which is this process's own.
        std::process::exit(0);
    }

    #[test]
    fn a_stop_by_signal_closes_the_pool_beside_a_stuck_actor() {
        let test = "by_signal::a_stop_by_signal_closes_the_pool_beside_a_stuck_actor";
        if let Some(mut process) = Process::of(test) {
            process.waits_for("ready");
            process.kill("TERM");
            process.waits_for("pool closed");
            process.waits_for("failed: still running 1.08s after the stop: actor `http` (aborted)");
            assert_eq!(process.ends().0, Some(1));
            return;
        }
        serve(SECOND / 4, false);
    }

    #[test]
    fn an_abortable_actor_leaves_a_stop_by_signal_clean() {
        let test = "by_signal::an_abortable_actor_leaves_a_stop_by_signal_clean";
        if let Some(mut process) = Process::of(test) {
            process.waits_for("ready");
            process.kill("TERM");
            process.waits_for("pool closed");
            assert_eq!(process.ends().0, Some(0));
            return;
        }
        serve(SECOND / 4, true);
    }

    #[test]
    fn a_second_signal_names_what_is_not_retired() {
        let test = "by_signal::a_second_signal_names_what_is_not_retired";
        if let Some(mut process) = Process::of(test) {
            process.waits_for("ready");
            process.kill("TERM");
            // Else the second signal may be heard first.
            process.waits_for("interrupted");
            process.kill("INT");
            let (code, stderr) = process.ends();
            assert_eq!(code, Some(130));
            let text = "rekindle: SIGINT: a second signal, while the app was ending; \
                        still running: actor `http`; \
                        not done: a value of component `pool`, not retired\n";
            assert!(stderr.contains(text), "{stderr}");
            return;
        }
        serve(SECOND, false);
    }

    #[test]
    fn a_second_signal_names_the_retirement_that_it_cuts() {
        let test = "by_signal::a_second_signal_names_the_retirement_that_it_cuts";
        if let Some(mut process) = Process::of(test) {
            process.waits_for("ready");
            process.kill("TERM");
            process.waits_for("closing");
            process.kill("TERM");
            let (code, stderr) = process.ends();
            assert_eq!(code, Some(143));
            let text = "rekindle: SIGTERM: a second signal, while the last values were being \
                        retired; still running: the retirement of an old value of `pool`, running for ";
            assert!(stderr.contains(text), "{stderr}");
            assert!(!stderr.contains("not done"), "{stderr}");
            return;
        }
        serve(3600 * SECOND, true);
    }

    /// Ends a group by SIGTERM, which this process sends itself.
    async fn end_a_group_by_sigterm() {
        let mut group = Group::new();
        group.add("signals", run::signals().unwrap());
        group.add("kill", async |stop: CancellationToken| {
            crate::process::kill(std::process::id(), "TERM");
            stop.cancelled().await;
        });
        assert!(group.run().await.unwrap().signal().is_some());
    }

    /// An actor whose thread never ends.
    fn stuck_thread(group: &mut Group) {
        group.add("once", async |_| ());
        let (never, blocked) = std::sync::mpsc::channel::<()>();
        std::mem::forget(never);
        group.add_blocking("old", move |_| _ = blocked.recv());
    }

    #[test]
    fn what_hangs_since_long_before_a_signal_cuts_nothing() {
        let test = "by_signal::what_hangs_since_long_before_a_signal_cuts_nothing";
        if let Some(mut process) = Process::of(test) {
            process.waits_for("cleaned up");
            assert_eq!(process.ends().0, Some(0));
            return;
        }
        #[tokio::main(flavor = "current_thread")]
        async fn serve() {
            let reload = Manager::new().shutdown_timeout(2 * SECOND);
            let app = async |stop: CancellationToken| {
                let mut first = Group::new();
                stuck_thread(&mut first);
                first.run().await.unwrap_err();
                // From here on its budget would be used up, if it counted.
                sleep(2 * SECOND).await;
                end_a_group_by_sigterm().await;
                stop.cancel();
                sleep(SECOND).await;
                println!("cleaned up");
            };
            reload.run(app).await.unwrap();
            std::process::exit(0);
        }
        serve();
    }

    #[test]
    fn a_stuck_group_beside_a_manager_does_not_cut_its_retirement() {
        let test = "by_signal::a_stuck_group_beside_a_manager_does_not_cut_its_retirement";
        if let Some(mut process) = Process::of(test) {
            process.waits_for("pool closed");
            let (code, stderr) = process.ends();
            assert_eq!(code, Some(0), "{stderr}");
            return;
        }
        #[tokio::main(flavor = "multi_thread", worker_threads = 2)]
        async fn serve() {
            let mut beside = Group::new().shutdown_timeout(SECOND / 2);
            stuck_thread(&mut beside);
            let mut reload = Manager::new().shutdown_timeout(20 * SECOND);
            let pool = reload.source("pool", async || Ok(()));
            let pool = pool.retire(async |()| println!("pool closed"));
            let pool = pool.await.unwrap();
            let held = pool.lease();
            let app = async move |stop: CancellationToken| {
                tokio::spawn(beside.run());
                end_a_group_by_sigterm().await;
                stop.cancel();
                tokio::spawn(async move {
                    sleep(2 * SECOND).await;
                    drop(held);
                });
            };
            reload.run(app).await.unwrap();
            std::process::exit(0);
        }
        serve();
    }

    #[test]
    fn an_app_that_blocks_its_thread_is_ended_and_named() {
        let test = "by_signal::an_app_that_blocks_its_thread_is_ended_and_named";
        if let Some(process) = Process::of(test) {
            let (code, stderr) = process.ends();
            assert_eq!(code, Some(143), "{stderr}");
            let text = "rekindle: SIGTERM: the shutdown timeout of 300ms is over, while the app was \
                        ending; still running: the app\n";
            assert!(stderr.contains(text), "{stderr}");
            return;
        }
        #[tokio::main(flavor = "current_thread")]
        async fn serve() {
            let reload = Manager::new().shutdown_timeout(Duration::from_millis(300));
            let app = async |_| {
                end_a_group_by_sigterm().await;
                std::thread::sleep(3600 * SECOND);
            };
            reload.run(app).await.unwrap();
        }
        serve();
    }

    /// The manager was made before the signal, and starts because of it.
    #[test]
    fn a_manager_that_answers_a_signal_may_take_its_time() {
        let test = "by_signal::a_manager_that_answers_a_signal_may_take_its_time";
        if let Some(mut process) = Process::of(test) {
            process.waits_for("uploaded");
            assert_eq!(process.ends().0, Some(0));
            return;
        }
        #[tokio::main(flavor = "current_thread")]
        async fn serve() {
            let reload = Manager::new().shutdown_timeout(Duration::from_millis(300));
            end_a_group_by_sigterm().await;
            let app = async |_| {
                sleep(2 * SECOND).await;
                println!("uploaded");
            };
            reload.run(app).await.unwrap();
            std::process::exit(0);
        }
        serve();
    }
}

#[cfg(all(unix, feature = "signal"))]
mod process;
