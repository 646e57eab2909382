//! Invariant 12 outside of config files: no value of the app's is in a report, a log line or a
//! `Debug` of ours.

mod support;

use std::io;
use std::sync::{Arc, Mutex};

use rekindle::Manager;
use support::{Dial, in_time};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn invariant_12_no_value_is_in_reports_logs_or_debug_not_even_through_a_panic() {
    let lines = Lines::default();
    let to = lines.clone();
    let logs = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
    let _logs = tracing::subscriber::set_default(logs.with_writer(move || to.clone()).finish());
    let dial = Dial::new(1);
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let build = async |n: rekindle::Lease<u64>| Ok(format!("hunter{}", *n));
    let secret = reload.derive("secret", &number, build).await.unwrap();
    let build = async |s: rekindle::Lease<String>| {
        assert!(!s.ends_with("13"), "bad password {}", *s);
        Ok(())
    };
    reload.derive("user", &secret, build).await.unwrap();
    let part = secret.select(|s| s);
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        let mut shown = Vec::new();
        for value in [2, 13] {
            dial.set(value);
            let answer = handle.reload("test").await;
            shown.push(format!("{answer:?} {answer:#?}"));
        }
        shown.push(format!("{:?} {:?} {:?}", secret, part, secret.reader()));
        shown.push(format!(
            "{:?} {:?} {:?}",
            handle,
            handle.snapshot(),
            handle.status()
        ));
        shown.push(String::from_utf8(lines.0.lock().unwrap().clone()).unwrap());
        let shown = shown.join("\n");
        assert!(shown.contains("panicked"), "{shown}");
        assert!(shown.contains("reload rejected"), "{shown}");
        assert!(!shown.contains("hunter"), "{shown}");
        Ok(())
    });
    in_time(run).await.unwrap();
}
