//! Components that run: started at the commit, told to stop when they are replaced, overlapping in
//! between, and never left behind.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rekindle::{BoxError, Error, Lease, Manager, OnExit, Outcome};
use support::{Barrier, Dial, Latch, eventually, in_time, tasks};
use tokio_util::sync::CancellationToken;

#[derive(Clone, Default)]
struct Trace(Arc<Mutex<Vec<String>>>);

impl Trace {
    fn note(&self, event: String) {
        self.0.lock().unwrap().push(event);
    }

    fn seen(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    async fn becomes(&self, expected: &[&str]) {
        let len = expected.len();
        eventually(&format!("{expected:?}"), || self.seen().len() >= len).await;
        assert_eq!(self.seen(), expected);
    }
}

/// Notes its start and its end, and ends when it is told to.
async fn traced(trace: Trace, value: Lease<u64>, stop: CancellationToken) {
    trace.note(format!("start {}", *value));
    stop.cancelled().await;
    trace.note(format!("end {}", *value));
}

#[tokio::test]
async fn a_task_starts_at_the_commit_and_its_predecessor_is_told_to_stop() {
    let (dial, trace) = (Dial::new(1), Trace::default());
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let of = trace.clone();
    let worker = reload
        .derive("worker", &number, async |n: Lease<u64>| match *n {
            13 => Err("thirteen brings bad luck".into()),
            n => Ok(n),
        })
        .runs(async move |value, stop| traced(of, value, stop).await)
        .await
        .unwrap();
    assert_eq!(trace.seen(), Vec::<String>::new(), "not before the run");
    let handle = reload.handle();
    let seen = trace.clone();
    let run = reload.run(async move |_| {
        seen.becomes(&["start 1"]).await;
        handle.reload("nothing changed").await?;
        dial.set(13);
        handle.reload("bad").await.unwrap_err();
        dial.set(2);
        handle.check().await?;
        assert_eq!(
            seen.seen(),
            ["start 1"],
            "neither has started or stopped anything"
        );
        handle.reload("good").await?;
        eventually("both have done their part", || seen.seen().len() == 3).await;
        let mut events = seen.seen();
        events.sort();
        assert_eq!(events, ["end 1", "start 1", "start 2"]);
        assert_eq!(*worker.load(), 2);
        let status = handle.status();
        let names: Vec<_> = status
            .tasks()
            .map(|task| task.component().to_owned())
            .collect();
        assert_eq!(names, ["worker"]);
        Ok(())
    });
    in_time(run).await.unwrap();
    assert_eq!(trace.seen()[3..], ["end 2"]);
}

#[tokio::test]
async fn old_and_new_overlap_for_as_long_as_the_old_one_needs() {
    let (dial, trace, latch) = (Dial::new(1), Trace::default(), Latch::new());
    let mut reload = Manager::new();
    let of = trace.clone();
    let last = latch.clone();
    reload
        .source("worker", dial.clone())
        .runs(async move |value: Lease<u64>, stop| {
            let finish = (*value == 1).then_some(last);
            traced(of.clone(), value, stop).await;
            if let Some(finish) = finish {
                finish.pass().await;
                of.note("finished 1".into());
            }
        })
        .await
        .unwrap();
    latch.close();
    let handle = reload.handle();
    let seen = trace.clone();
    let run = reload.run(async move |_| {
        seen.becomes(&["start 1"]).await;
        dial.set(2);
        handle.reload("test").await?;
        latch.arrival().await;
        eventually("both run", || handle.status().tasks().len() == 2).await;
        dial.set(3);
        handle.reload("test").await?;
        eventually("the third runs", || seen.seen().contains(&"start 3".into())).await;
        assert!(!seen.seen().contains(&"finished 1".into()));
        latch.open();
        eventually("only the third is left", || {
            handle.status().tasks().len() == 1
        })
        .await;
        assert!(seen.seen().contains(&"finished 1".into()));
        Ok(())
    });
    in_time(run).await.unwrap();
}

/// So a socket is closed while its connections still end.
#[tokio::test]
async fn a_task_that_was_told_to_stop_may_let_go_of_its_value_before_it_ends() {
    let (dial, trace, latch) = (Dial::new(1), Trace::default(), Latch::new());
    let mut reload = Manager::new();
    let (of, last) = (trace.clone(), latch.clone());
    reload
        .source("worker", dial.clone())
        .runs(async move |value: Lease<u64>, stop: CancellationToken| {
            stop.cancelled().await;
            drop(value);
            last.pass().await;
        })
        .retire(async move |value: u64| of.note(format!("retired {value}")))
        .await
        .unwrap();
    latch.close();
    let handle = reload.handle();
    let seen = trace.clone();
    let run = reload.run(async move |_| {
        dial.set(2);
        handle.reload("test").await?;
        latch.arrival().await;
        seen.becomes(&["retired 1"]).await;
        assert_eq!(handle.status().tasks().len(), 2, "it has not ended");
        latch.open();
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn a_task_that_does_not_stop_is_dropped_at_the_drain_deadline() {
    struct Noted(Trace);
    impl Drop for Noted {
        fn drop(&mut self) {
            self.0.note("dropped".into());
        }
    }
    let (dial, trace) = (Dial::new(1), Trace::default());
    let mut reload = Manager::new().drain(Duration::from_millis(20));
    let of = trace.clone();
    reload
        .source("worker", dial.clone())
        .runs(async move |value: Lease<u64>, stop: CancellationToken| {
            if *value == 1 {
                let _noted = Noted(of);
                std::future::pending::<()>().await;
            }
            stop.cancelled().await;
        })
        .retire(async |_| ())
        .await
        .unwrap();
    let handle = reload.handle();
    let seen = trace.clone();
    let run = reload.run(async move |_| {
        eventually("it runs", || handle.status().tasks().len() == 1).await;
        dial.set(2);
        handle.reload("test").await?;
        seen.becomes(&["dropped"]).await;
        eventually("its value is retired", || {
            handle.status().draining().is_empty()
        })
        .await;
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_task_that_ends_by_itself_is_started_again_with_growing_pauses() {
    let trace = Trace::default();
    let mut reload = Manager::new();
    let of = trace.clone();
    let started = tokio::time::Instant::now();
    reload
        .source("worker", async || Ok(1))
        .runs(async move |_, _| {
            of.note(format!("{}", started.elapsed().as_millis() / 50 * 50));
            match of.seen().len() % 3 {
                0 => Err("the feed is gone".into()),
                1 => panic!("in the task"),
                _ => Ok(()),
            }
        })
        .await
        .unwrap();
    let handle = reload.handle();
    let seen = trace.clone();
    let run = reload.run(async move |_| {
        while seen.seen().len() < 5 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let status = handle.status();
        let task = status.tasks().next().unwrap();
        assert!(task.failures() >= 4 && !task.has_ended());
        Ok(())
    });
    run.await.unwrap();
    assert_eq!(trace.seen()[..5], ["0", "100", "300", "700", "1500"]);
}

#[tokio::test]
async fn a_task_may_stay_ended_until_its_component_is_replaced() {
    let (dial, trace) = (Dial::new(1), Trace::default());
    let mut reload = Manager::new();
    let of = trace.clone();
    reload
        .source("warm-up", dial.clone())
        .runs(async move |value: Lease<u64>, _| of.note(format!("{}", *value)))
        .on_exit(OnExit::Leave)
        .await
        .unwrap();
    let handle = reload.handle();
    let seen = trace.clone();
    let run = reload.run(async move |_| {
        let ended = || handle.status().tasks().all(|task| task.has_ended());
        seen.becomes(&["1"]).await;
        eventually("it has ended", ended).await;
        handle.reload("nothing changed").await?;
        dial.set(2);
        handle.reload("changed").await?;
        seen.becomes(&["1", "2"]).await;
        Ok(())
    });
    in_time(run).await.unwrap();
    assert_eq!(trace.seen(), ["1", "2"]);
}

#[tokio::test]
async fn a_task_may_end_the_run() {
    for fails in [true, false] {
        let mut reload = Manager::new();
        reload
            .source("feed", async || Ok(1))
            .runs(async move |_, _| match fails {
                true => Err("no connection".into()),
                false => Ok(()),
            })
            .on_exit(OnExit::Stop)
            .await
            .unwrap();
        let run = reload.run(async |stop| stop.cancelled().await);
        let error = in_time(run).await.unwrap_err().downcast::<Error>().unwrap();
        let expected = match fails {
            true => "the task of component `feed` failed: no connection",
            false => "the task of component `feed` ended by itself",
        };
        assert_eq!(format!("{error:?}"), expected);
    }
}

#[tokio::test]
async fn at_the_end_tasks_stop_after_the_app_and_before_their_values_are_retired() {
    let trace = Trace::default();
    let before = tasks();
    let mut reload = Manager::new();
    let (of, retired) = (trace.clone(), trace.clone());
    let source = reload.source("worker", async || Ok(1));
    source
        .runs(async move |value, stop| traced(of, value, stop).await)
        .retire(async move |value: u64| retired.note(format!("retired {value}")))
        .await
        .unwrap();
    let app = trace.clone();
    let run = reload.run(async move |stop| {
        app.becomes(&["start 1"]).await;
        stop.cancel();
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        app.note("the app ends".into());
    });
    in_time(run).await.unwrap();
    assert_eq!(
        trace.seen(),
        ["start 1", "the app ends", "end 1", "retired 1"]
    );
    eventually("no task is left", || tasks() == before).await;
}

#[tokio::test]
async fn a_task_that_does_not_end_is_named_at_the_end() {
    let mut reload = Manager::new().shutdown_timeout(Duration::from_millis(50));
    let source = reload.source("worker", async || Ok(1));
    source
        .runs(async |_, _| std::future::pending::<()>().await)
        .await
        .unwrap();
    let run = reload.run(async |_| tokio::task::yield_now().await);
    let error = in_time(run).await.unwrap_err().downcast::<Error>().unwrap();
    assert!(error.is_still_running());
    assert!(
        error.to_string().contains("the task of component `worker`"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tasks_that_block_their_threads_at_the_end_are_named_once_each() {
    let (barrier, begun) = (Barrier::default(), Arc::new(AtomicUsize::new(0)));
    barrier.close();
    let mut reload = Manager::new().shutdown_timeout(Duration::from_millis(20));
    for name in ["one", "two"] {
        let (blocks, begins) = (barrier.clone(), Arc::clone(&begun));
        let worker = reload.source(name, async || Ok(1));
        let worker = worker.runs(async move |_, _| {
            begins.fetch_add(1, Ordering::SeqCst);
            blocks.pass();
        });
        worker.await.unwrap();
    }
    let run = reload.run(async move |_| {
        eventually("both block", || begun.load(Ordering::SeqCst) == 2).await;
    });
    let error = in_time(run).await.unwrap_err();
    barrier.open();
    let text = error.to_string();
    assert_eq!(text.matches("`one`, running for").count(), 1, "{text}");
    assert_eq!(text.matches("`two`, running for").count(), 1, "{text}");
}

/// It is no part of the reload that started it.
#[tokio::test]
async fn a_task_may_ask_for_a_reload_and_wait_for_it() {
    let dial = Dial::new(1);
    let mut reload = Manager::new();
    let handle = reload.handle();
    let (asks, next) = (handle.clone(), dial.clone());
    let worker = reload
        .source("worker", dial.clone())
        .runs(async move |value: Lease<u64>, stop: CancellationToken| {
            if *value < 4 {
                next.set(*value + 1);
                let report = asks.reload("task").await?;
                assert_eq!(report.outcome(), Outcome::Applied);
            }
            stop.cancelled().await;
            Ok::<(), BoxError>(())
        })
        .await
        .unwrap();
    let run = reload.run(async move |_| {
        eventually("three reloads", || *worker.load() == 4).await;
        assert_eq!(handle.status().generation(), 4);
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn what_never_ran_is_never_started() {
    let trace = Trace::default();
    let mut reload = Manager::new();
    let of = trace.clone();
    let source = reload.source("worker", async || Ok(1));
    source
        .runs(async move |value, stop| traced(of, value, stop).await)
        .await
        .unwrap();
    in_time(reload.abandon()).await.unwrap();
    assert_eq!(trace.seen(), Vec::<String>::new());
}
