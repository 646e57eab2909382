//! Run groups and signals, each in a process of its own.

#![cfg(all(unix, feature = "signal"))]
#![allow(clippy::print_stdout, reason = "this is how the processes talk")]

use std::future::pending;
use std::thread;
use std::time::{Duration, Instant};

use process::{Process, kill};
use rekindle::notify::{self, Notifier};
use rekindle::run::{self, Group, SignalKind};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

mod process;

const GRACE: Duration = Duration::from_millis(100);

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn multi_thread(workers: usize) -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .unwrap()
}

/// Never gives its thread back.
async fn block() {
    println!("blocked");
    loop {
        thread::park();
    }
}

/// Sends a signal to this process, and returns when it has been counted.
fn receive(runtime: &Runtime, signal: &str) {
    let heard = run::signals().unwrap()(CancellationToken::new());
    kill(std::process::id(), signal);
    runtime.block_on(heard).unwrap_err();
}

/// G7, G9: SIGINT and SIGTERM end the group, all interrupts are told which it was, and it is a
/// success.
fn ends_by(test: &str, signal: &str) {
    if let Some(mut process) = Process::of(test) {
        process.waits_for("ready");
        process.kill(signal);
        process.waits_for(&format!(
            "interrupted: actor `signals` received SIG{signal}"
        ));
        process.waits_for(&format!("first Some(\"signals\"), signal SIG{signal}"));
        assert_eq!(process.ends().0, Some(0));
        return;
    }
    // Outside of the runtime on purpose.
    let signals = run::signals().unwrap();
    current_thread().block_on(async {
        let mut group = Group::new();
        group.add("signals", signals);
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        group.add_pair(
            "pair",
            async {
                println!("ready");
                let _ = receiver.await;
            },
            |cause| {
                println!("interrupted: {cause}");
                assert!(cause.error().unwrap().is::<run::Signaled>());
                drop(sender);
            },
        );
        let ended = group.run().await.unwrap();
        println!(
            "first {:?}, signal {}",
            ended.first(),
            ended.signal().unwrap().name()
        );
    });
}

#[test]
fn sigint_ends_the_group() {
    ends_by("sigint_ends_the_group", "INT");
}

#[test]
fn sigterm_ends_the_group() {
    ends_by("sigterm_ends_the_group", "TERM");
}

/// G7, with a signal of one's own choice.
#[test]
fn a_chosen_signal_ends_the_group() {
    if let Some(mut process) = Process::of("a_chosen_signal_ends_the_group") {
        process.waits_for("ready");
        process.kill("USR1");
        process.waits_for("received SIGUSR1");
        assert_eq!(process.ends().0, Some(0));
        return;
    }
    end_by_a_signal(run::signals_for([SignalKind::user_defined1()]).unwrap());
}

/// G8
#[tokio::test]
async fn a_signal_actor_ends_when_it_is_interrupted() {
    let mut group = Group::new().shutdown_timeout(Duration::from_secs(60));
    group.add(
        "signals",
        run::signals_for([SignalKind::user_defined2()]).unwrap(),
    );
    group.add("first", async |_| ());
    let ended = group.run().await.unwrap();
    assert_eq!(ended.first(), Some("first"));
    assert_eq!(ended.signal(), None);
}

#[test]
fn a_signal_that_cannot_be_heard_is_an_error_at_once() {
    for number in [4, 8, 9, 11] {
        let error = run::signals_for([SignalKind::from_raw(number)]);
        let text = error.err().unwrap().to_string();
        assert_eq!(text, format!("SIG{number} cannot be listened to"));
    }
}

/// The start-up failed, so the signals do what they did before.
#[test]
fn no_signal_is_kept_when_one_of_them_cannot_be_heard() {
    if let Some(mut process) = Process::of("no_signal_is_kept_when_one_of_them_cannot_be_heard") {
        process.waits_for("ready");
        process.kill("INT");
        assert_eq!(process.ends().0, None, "ended by the signal");
        return;
    }
    let kinds = [SignalKind::interrupt(), SignalKind::from_raw(9)];
    run::signals_for(kinds).err().unwrap();
    println!("ready");
    thread::sleep(Duration::from_secs(30));
}

/// A script ignores SIGINT for what it starts in the background.
#[cfg(target_os = "linux")]
#[test]
fn an_ignored_signal_stays_ignored() {
    let test = "an_ignored_signal_stays_ignored";
    if let Some(mut process) = Process::ignoring("INT", test) {
        process.waits_for("ready");
        // Heard, the first would be told and the second end the process.
        process.kill("INT");
        process.kill("INT");
        process.kill("TERM");
        process.waits_for("received SIGTERM");
        assert_eq!(process.ends(), (Some(0), String::new()));
        return;
    }
    end_by_a_signal(run::signals().unwrap());
}

/// The group ends by the other one only. The reload is asked for by a notifier, which hears SIGHUP, also
/// if it comes first.
#[cfg(target_os = "linux")]
#[test]
fn an_ignored_hangup_reloads_and_does_not_end_the_group() {
    let test = "an_ignored_hangup_reloads_and_does_not_end_the_group";
    if let Some(mut process) = Process::ignoring("HUP", test) {
        process.waits_for("ready");
        process.kill("HUP");
        process.waits_for("trigger sighup");
        process.kill("TERM");
        process.waits_for("received SIGTERM");
        assert_eq!(process.ends(), (Some(0), String::new()));
        return;
    }
    let mut hangups = notify::signal(SignalKind::hangup()).unwrap();
    thread::spawn(move || {
        let trigger = current_thread().block_on(hangups.notify()).unwrap();
        println!("trigger {trigger}");
    });
    end_by_a_signal(run::signals_for([SignalKind::hangup(), SignalKind::terminate()]).unwrap());
}

/// Says which one it was.
fn end_by_a_signal(signals: run::Actor<run::Signaled>) {
    let mut group = Group::new();
    group.add("signals", signals);
    group.add("ready", async |stop| {
        println!("ready");
        stop.cancelled().await;
    });
    let ended = current_thread().block_on(group.run()).unwrap();
    println!("{}", ended.signal().unwrap());
}

/// A group in a group passes the signal on.
#[test]
fn a_signal_ends_the_group_around_a_group() {
    if let Some(mut process) = Process::of("a_signal_ends_the_group_around_a_group") {
        process.waits_for("ready");
        process.kill("TERM");
        process.waits_for("first Some(\"inner\"), signal SIGTERM");
        assert_eq!(process.ends().0, Some(0));
        return;
    }
    current_thread().block_on(async {
        let mut inner = Group::new();
        inner.add("signals", run::signals().unwrap());
        inner.add("ready", async |stop| {
            println!("ready");
            stop.cancelled().await;
        });
        let mut outer = Group::new();
        outer.add("inner", |stop| inner.run_until(stop));
        let ended = outer.run().await.unwrap();
        println!(
            "first {:?}, signal {}",
            ended.first(),
            ended.signal().unwrap().name()
        );
    });
}

#[test]
fn a_second_signal_ends_the_process() {
    if let Some(mut process) = Process::of("a_second_signal_ends_the_process") {
        process.waits_for("ready");
        process.kill("TERM");
        process.waits_for("interrupted");
        process.kill("INT");
        let (code, stderr) = process.ends();
        assert_eq!(code, Some(130));
        let line = "rekindle: SIGINT: a second signal, while the app was ending; \
                    still running: actor `stuck`\n";
        assert!(stderr.contains(line), "{stderr}");
        return;
    }
    current_thread().block_on(async {
        let mut group = Group::new().shutdown_timeout(Duration::from_secs(600));
        group.add("signals", run::signals().unwrap());
        group.add_pair(
            "stuck",
            async {
                println!("ready");
                pending::<()>().await;
            },
            |_| println!("interrupted"),
        );
        group.run().await.unwrap();
    });
}

fn a_blocked_runtime_is_ended(test: &str, runtime: fn() -> Runtime) {
    if let Some(mut process) = Process::of(test) {
        process.waits_for("blocked");
        let start = Instant::now();
        process.kill("TERM");
        let (code, stderr) = process.ends();
        assert!(start.elapsed() >= GRACE);
        assert_eq!(code, Some(143));
        let line = "rekindle: SIGTERM: the shutdown timeout of 100ms is over, while the app was ending; still running: ";
        assert!(stderr.contains(line), "{stderr}");
        assert!(stderr.contains("actor `blocks its thread`"), "{stderr}");
        return;
    }
    runtime().block_on(async {
        let mut group = Group::new().shutdown_timeout(GRACE);
        group.add("signals", run::signals().unwrap());
        group.add("blocks its thread", |_| block());
        let _ = group.run().await;
    });
}

#[test]
fn sigterm_is_obeyed_while_the_current_thread_runtime_is_blocked() {
    a_blocked_runtime_is_ended(
        "sigterm_is_obeyed_while_the_current_thread_runtime_is_blocked",
        current_thread,
    );
}

#[test]
fn sigterm_is_obeyed_while_all_workers_are_blocked() {
    a_blocked_runtime_is_ended("sigterm_is_obeyed_while_all_workers_are_blocked", || {
        multi_thread(1)
    });
}

/// A signal other than SIGINT and SIGTERM ends the group, and that is all: nothing is enforced.
#[test]
fn a_signal_and_stragglers_are_both_told() {
    if let Some(mut process) = Process::of("a_signal_and_stragglers_are_both_told") {
        process.waits_for("ready");
        process.kill("USR1");
        process.waits_for("SIGUSR1, still running 100ms after the stop: actor `late` (aborted)");
        assert_eq!(process.ends().0, Some(0));
        return;
    }
    current_thread().block_on(async {
        let mut group = Group::new().shutdown_timeout(GRACE);
        group.add(
            "signals",
            run::signals_for([SignalKind::user_defined1()]).unwrap(),
        );
        group.add("late", async |_| {
            println!("ready");
            pending::<()>().await;
        });
        let error = group.run().await.unwrap_err();
        assert!(error.is_late() && !error.is_failed());
        println!("{}, {error}", error.signal().unwrap().name());
    });
}

#[test]
fn a_stuck_task_that_keeps_the_runtime_from_shutting_down_is_ended() {
    let test = "a_stuck_task_that_keeps_the_runtime_from_shutting_down_is_ended";
    if let Some(mut process) = Process::of(test) {
        process.waits_for("still running 100ms after the stop: actor `stuck` (blocks its thread)");
        process.kill("TERM");
        let (code, stderr) = process.ends();
        assert_eq!(code, Some(143));
        assert!(
            stderr.contains("still running: actor `stuck`\n"),
            "{stderr}"
        );
        return;
    }
    let runtime = multi_thread(2);
    let (blocked, is_blocked) = std::sync::mpsc::channel();
    let mut group = Group::new().shutdown_timeout(GRACE);
    group.add("signals", run::signals().unwrap());
    group.add("stuck", async move |_| {
        blocked.send(()).unwrap();
        block().await;
    });
    // Not a task: one that is woken by a worker may have to wait for that worker.
    group.add_blocking("once", move |_| is_blocked.recv());
    println!("{}", runtime.block_on(group.run()).unwrap_err());
    drop(runtime);
    unreachable!("a worker is blocked for ever");
}

#[test]
fn a_signal_during_the_start_up_is_kept() {
    if let Some(process) = Process::of("a_signal_during_the_start_up_is_kept") {
        let (code, stderr) = process.ends();
        assert_eq!(code, Some(0), "{stderr}");
        return;
    }
    let runtime = current_thread();
    let signals = run::signals().unwrap();
    receive(&runtime, "TERM");
    // Longer than the slack of the signal thread: nothing runs yet, so there is nothing to end.
    thread::sleep(Duration::from_secs(1));

    let mut group = Group::new();
    group.add("signals", signals);
    group.add("http", |stop| stop.cancelled_owned());
    let ended = runtime.block_on(group.run()).unwrap();
    assert_eq!(ended.signal().unwrap().name(), "SIGTERM");
}

#[test]
fn a_signal_during_the_start_up_is_enforced_once_something_runs() {
    let test = "a_signal_during_the_start_up_is_enforced_once_something_runs";
    if let Some(mut process) = Process::of(test) {
        process.waits_for("blocked");
        let (code, stderr) = process.ends();
        assert_eq!(code, Some(143));
        assert!(
            stderr.contains("still running: actor `stuck`\n"),
            "{stderr}"
        );
        return;
    }
    let runtime = current_thread();
    let _signals = run::signals().unwrap();
    receive(&runtime, "TERM");
    let mut group = Group::new().shutdown_timeout(GRACE);
    group.add("stuck", |_| block());
    let _ = runtime.block_on(group.run());
}

#[test]
fn a_second_signal_during_the_start_up_ends_the_process() {
    if let Some(process) = Process::of("a_second_signal_during_the_start_up_ends_the_process") {
        let (code, stderr) = process.ends();
        assert_eq!(code, Some(143), "{stderr}");
        let line = "rekindle: SIGTERM: a second signal\n";
        assert!(stderr.contains(line), "{stderr}");
        return;
    }
    let runtime = current_thread();
    let _signals = run::signals().unwrap();
    receive(&runtime, "TERM");
    kill(std::process::id(), "TERM");
    loop {
        thread::park();
    }
}

#[test]
fn one_group_after_another_can_end_by_a_signal() {
    if let Some(process) = Process::of("one_group_after_another_can_end_by_a_signal") {
        let (code, stderr) = process.ends();
        assert_eq!(code, Some(0), "{stderr}");
        return;
    }
    let runtime = current_thread();
    for _ in 0..3 {
        let mut group = Group::new();
        group.add("signals", run::signals().unwrap());
        group.add("ready", async |stop| {
            kill(std::process::id(), "TERM");
            stop.cancelled().await;
        });
        assert!(runtime.block_on(group.run()).unwrap().signal().is_some());
    }
}

/// A group that SIGTERM ends, in a process of its own.
fn end_by_sigterm(runtime: &Runtime) {
    let mut group = Group::new().shutdown_timeout(GRACE);
    group.add("signals", run::signals().unwrap());
    group.add("ready", async |stop| {
        kill(std::process::id(), "TERM");
        stop.cancelled().await;
    });
    assert!(runtime.block_on(group.run()).unwrap().signal().is_some());
}

/// How often the thread that hears signals has gone to sleep.
#[cfg(target_os = "linux")]
fn sleeps_of_the_signal_thread() -> String {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let mut statuses =
        tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("status")).unwrap());
    let status = statuses.find(|status| status.starts_with("Name:\trekindle-signal\n"));
    let status = status.expect("the thread is there");
    let line = status
        .lines()
        .find(|line| line.starts_with("voluntary_ctxt"));
    line.unwrap().to_owned()
}

/// It is what the app does because of the signal, and nobody has told it to end. The signal thread
/// has nothing to wait for, and does not look again and again.
#[test]
fn a_group_after_the_one_that_a_signal_ended_may_take_its_time() {
    let test = "a_group_after_the_one_that_a_signal_ended_may_take_its_time";
    if let Some(process) = Process::of(test) {
        let (code, stderr) = process.ends();
        assert_eq!(code, Some(0), "{stderr}");
        return;
    }
    let runtime = current_thread();
    end_by_sigterm(&runtime);
    let mut upload = Group::new().shutdown_timeout(GRACE);
    upload.add("upload", async |_| {
        // Longer than the budget and the slack of the signal thread.
        tokio::time::sleep(Duration::from_secs(1)).await;
        #[cfg(target_os = "linux")]
        {
            let before = sleeps_of_the_signal_thread();
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert_eq!(sleeps_of_the_signal_thread(), before);
        }
    });
    assert_eq!(
        runtime.block_on(upload.run()).unwrap().first(),
        Some("upload")
    );
}

#[test]
fn a_group_after_the_one_that_a_signal_ended_has_its_own_budget() {
    let test = "a_group_after_the_one_that_a_signal_ended_has_its_own_budget";
    if let Some(mut process) = Process::of(test) {
        process.waits_for("blocked");
        let (code, stderr) = process.ends();
        assert_eq!(code, Some(143));
        assert!(
            stderr.contains("still running: actor `stuck`\n"),
            "{stderr}"
        );
        return;
    }
    let runtime = current_thread();
    end_by_sigterm(&runtime);
    let mut upload = Group::new().shutdown_timeout(GRACE);
    upload.add_pair("stuck", pending::<()>(), |_| {
        println!("blocked");
        loop {
            thread::park();
        }
    });
    // After the signal thread has found nothing to do.
    upload.add("upload", |_| tokio::time::sleep(Duration::from_millis(300)));
    let _ = runtime.block_on(upload.run());
}

/// A signal is for the whole process.
#[test]
fn a_group_beside_the_one_with_the_signals_has_to_end_too() {
    if let Some(process) = Process::of("a_group_beside_the_one_with_the_signals_has_to_end_too") {
        let (code, stderr) = process.ends();
        assert_eq!(code, Some(143));
        assert!(
            stderr.contains("still running: actor `beside`\n"),
            "{stderr}"
        );
        return;
    }
    let runtime = multi_thread(1);
    let (started, is_started) = std::sync::mpsc::channel();
    let mut beside = Group::new().shutdown_timeout(GRACE);
    beside.add("beside", async move |_| {
        started.send(()).unwrap();
        pending::<()>().await;
    });
    let beside = runtime.spawn(beside.run());
    is_started.recv().unwrap();
    end_by_sigterm(&runtime);
    let _ = runtime.block_on(beside);
}

/// A subscriber or a writer that hangs must not keep the process.
#[test]
fn last_words_that_cannot_be_said_do_not_keep_the_process() {
    if let Some(mut process) = Process::of("last_words_that_cannot_be_said_do_not_keep_the_process")
    {
        process.waits_for("ready");
        process.kill("TERM");
        process.waits_for("interrupted");
        process.kill("TERM");
        assert_eq!(process.ends().0, Some(143));
        return;
    }
    current_thread().block_on(async {
        let mut group = Group::new().shutdown_timeout(Duration::from_secs(600));
        group.add("signals", run::signals().unwrap());
        group.add_pair(
            "stuck",
            async {
                println!("ready");
                pending::<()>().await;
            },
            |_| {
                let _locked = std::io::stderr().lock();
                println!("interrupted");
                loop {
                    thread::park();
                }
            },
        );
        group.run().await.unwrap();
    });
}
