//! Effects of the app's own in groups: the `priority` example of slok/reload.
//!
//! It shows `Manager::add`: in each reload the group with the lowest priority runs first, the
//! members of one group at the same time, and the next group when they are done.
//!
//! ```text
//! cargo run --example priority
//! ```
//!
//! Each second there is one reload; Ctrl-C ends it.

#![expect(
    clippy::print_stdout,
    reason = "what the example shows goes to standard output"
)]

use std::time::Duration;

use rekindle::{BoxError, Manager, Triggers, notify, run};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let mut group = run::Group::new();
    group.add("signals", run::signals()?);

    let mut reload = Manager::new();
    // The order in which they are added does not matter.
    for (priority, name) in [
        (0, "one"),
        (100, "two"),
        (200, "three"),
        (300, "four"),
        (400, "five"),
        (-100, "six"),
        (100, "seven"),
    ] {
        reload.add(priority, name, async move |triggers: Triggers| {
            println!("{priority}: reloader {name}, because of {triggers}");
        });
    }
    reload.on(notify::interval(Duration::from_secs(1)));

    reload.run(|stop| group.run_until(stop)).await
}
