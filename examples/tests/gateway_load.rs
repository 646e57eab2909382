//! The gateway under load, while a reload every 100 ms changes something different each time: not
//! one request fails, not one handshake, and each answer is of one generation that was current at
//! some time during the request.
//!
//! It takes 8 s; `GATEWAY_LOAD_SECONDS=30` makes it more.

#![allow(
    clippy::print_stderr,
    reason = "how much it was, for whoever asks with --nocapture"
)]

mod gateway_support;
mod harness;

#[path = "gateway_load/clients.rs"]
mod clients;
#[path = "gateway_load/truth.rs"]
mod truth;

use std::sync::Arc;
use std::time::{Duration, Instant};

use clients::Clients;
use gateway_support::*;
use harness::{request, until};
use truth::{Setup, Truth};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_everything_is_replaced() {
    let seconds = std::env::var("GATEWAY_LOAD_SECONDS");
    let seconds = seconds.map_or(8, |seconds| seconds.parse().unwrap());
    let upstreams = [Upstream::start("a").await, Upstream::start("b").await];
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    authority.issue(dir.path(), "one", "one.test");
    let mut setup = Setup::new(&upstreams);
    // A short rest, because the files are replaced as a whole, and there is one reload every 100 ms.
    let arguments = ["--quiet-seconds", "0.01"];
    let gateway = Gateway::start_with(dir, &setup.config(), &arguments);
    let truth = Arc::new(Truth::new(gateway.generation(), setup.edition()));
    let clients = Clients::start(&setup, &truth, &authority);

    let begun = Instant::now();
    let mut reloads = 0;
    // A machine that does other things takes longer for as many.
    let enough = u32::try_from(seconds * 5).unwrap();
    let is_over = |reloads: u32| {
        let times = if reloads < enough { 10 } else { 1 };
        begun.elapsed() >= Duration::from_secs(seconds) * times
    };
    while !is_over(reloads) {
        // Kinds of changes take turns; what changes is never what changed the last time.
        let removes = setup.change(reloads);
        if removes {
            // Who connects to what is about to be removed would be refused, and rightly so.
            *truth.is_there.write().await = false;
        }
        truth.about_to_change(setup.edition());
        if setup.rotates(reloads) {
            authority.issue(gateway.path(), "one", "one.test");
        }
        let generation = gateway.change(&setup.config());
        truth.changed(generation);
        *truth.is_there.write().await = setup.has_second();
        reloads += 1;
        let next = begun + Duration::from_millis(100) * reloads;
        tokio::time::sleep_until(next.into()).await;
    }
    let counts = clients.stop().await;

    let failures = truth.failures();
    assert!(
        failures.is_empty(),
        "{} failures in {reloads} reloads and {counts:?}, the first of them:\n{}",
        failures.len(),
        failures[..failures.len().min(10)].join("\n")
    );
    let took = begun.elapsed();
    eprintln!("{reloads} reloads in {took:.0?}: {counts:?}");
    assert!(reloads >= enough, "{reloads} reloads");
    for (kind, count) in counts {
        // Those that take a second each, and those that take milliseconds: an eighth of what a
        // machine with two cores and nothing else to do comes to.
        let is_long = kind.contains("load");
        let least = if is_long { seconds / 2 } else { seconds * 8 };
        assert!(count >= least, "only {count} times {kind}");
    }
    // Nobody asks any more, so nothing holds what was replaced.
    until("all that is old has ended", || {
        let status = request("GET", gateway.admin, "/-/status").json();
        let draining = status["draining"].as_array().unwrap();
        draining.is_empty().then_some(())
    });
}
