//! The start-up fails loudly, and says which component it was.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rekindle::{BoxError, Error, Manager, Reading, Source, Stamp, StepError, Watch};
use tokio::time::Instant;

/// What the error of a start-up is caused by.
fn cause(error: &Error) -> &StepError {
    let cause = error.source().expect("a failed component has a cause");
    cause.downcast_ref().expect("it is a failed step")
}

#[tokio::test]
async fn a_first_build_that_fails_names_the_component() {
    let mut reload = Manager::new();
    let error = reload
        .source("pool", async || Err::<u8, _>("no such host".into()))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "component `pool` could not be built");
    assert_eq!(cause(&error).to_string(), "no such host");
    assert_eq!(
        format!("{error:?}"),
        "component `pool` could not be built: no such host"
    );
}

/// So a `main` that returns the error shows everything, whatever boxes are around it.
#[tokio::test]
async fn all_causes_are_shown() {
    #[derive(Debug)]
    struct Outer(std::num::ParseIntError);

    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("no port")
        }
    }

    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    async fn start(reload: &mut Manager) -> Result<(), BoxError> {
        reload
            .source("port", async || Ok("x".parse::<u16>().map_err(Outer)?))
            .await?;
        Ok(())
    }

    let error = start(&mut Manager::new()).await.unwrap_err();
    assert_eq!(
        format!("{error:?}"),
        "component `port` could not be built: no port: invalid digit found in string"
    );
}

/// A `main` that returns the error shows what can be had.
#[tokio::test]
async fn a_cause_whose_text_panics_is_left_out() {
    #[derive(Debug)]
    struct Outer(Mute);

    #[derive(Debug)]
    struct Mute;

    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("no port")
        }
    }

    impl std::fmt::Display for Mute {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("no text")
        }
    }

    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    impl std::error::Error for Mute {}

    let error = Manager::new()
        .source("port", async || Err::<u8, BoxError>(Outer(Mute).into()))
        .await
        .unwrap_err();
    assert_eq!(
        format!("{error:?}"),
        "component `port` could not be built: no port: an error whose text cannot be had"
    );
    let step = cause(&error);
    assert_eq!(step.chain(), "no port: an error whose text cannot be had");
    assert_eq!(step.causes().count(), 1);
}

#[tokio::test]
async fn a_first_build_that_panics_names_the_component() {
    let mut reload = Manager::new();
    let text = reload.source("text", async || Ok("secret")).await.unwrap();
    let error = reload
        .derive("pool", &text, async |_| -> Result<u8, BoxError> {
            panic!("no host in the configuration")
        })
        .await
        .unwrap_err();
    assert!(cause(&error).is_panic());
    assert_eq!(
        format!("{error:?}"),
        "component `pool` could not be built: panicked: no host in the configuration"
    );

    let error = reload
        .derive("pool", &text, async |text| -> Result<u8, BoxError> {
            panic!("cannot use {text:?}")
        })
        .await
        .unwrap_err();
    assert!(cause(&error).is_panic());
    assert!(!format!("{error:?}").contains("secret"));

    // The function itself, not its future.
    let error = reload
        .derive(
            "pool",
            &text,
            |_| -> std::future::Ready<Result<u8, BoxError>> { panic!("at once") },
        )
        .await
        .unwrap_err();
    assert!(format!("{error:?}").ends_with("`pool` could not be built: panicked: at once"));
}

#[tokio::test(start_paused = true)]
async fn a_first_build_that_takes_too_long_names_the_component() {
    let mut reload = Manager::new().timeout(Duration::from_secs(3));
    let start = Instant::now();
    let error = reload
        .source("pool", async || {
            std::future::pending::<Result<u8, BoxError>>().await
        })
        .await
        .unwrap_err();
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    assert!(cause(&error).is_timeout());
    assert_eq!(
        format!("{error:?}"),
        "component `pool` could not be built: not done after 3s; it was dropped"
    );

    let start = Instant::now();
    let error = reload
        .source("pool", async || {
            std::future::pending::<Result<u8, BoxError>>().await
        })
        .timeout(Duration::from_millis(1500))
        .await
        .unwrap_err();
    assert_eq!(start.elapsed(), Duration::from_millis(1500));
    assert!(cause(&error).to_string().starts_with("not done after 1.5s"));
}

#[tokio::test(start_paused = true)]
async fn an_effect_that_fails_at_the_start_is_named() {
    let mut reload = Manager::new();
    let level = reload.source("level", async || Ok("loud")).await.unwrap();
    let failed = reload
        .apply("log level", &level, async |_| Err("no such level".into()))
        .await
        .unwrap_err();
    assert!(failed.to_string().contains("`log level`"), "{failed}");
    assert_eq!(cause(&failed).to_string(), "no such level");
    let hung = reload
        .apply("log level", &level, async |_| {
            std::future::pending::<()>().await;
        })
        .timeout(Duration::from_secs(1))
        .await
        .unwrap_err();
    assert!(cause(&hung).is_timeout());
}

/// A source whose `watch` fails or panics.
struct Unwatchable {
    panics: bool,
    was_read: Arc<AtomicBool>,
}

impl Source for Unwatchable {
    type Value = ();

    async fn read(&self, _: Option<Stamp>) -> Result<Reading<()>, BoxError> {
        self.was_read.store(true, Ordering::Relaxed);
        Ok(Reading::Value(()))
    }

    fn watch(&mut self) -> Result<Option<Watch>, BoxError> {
        assert!(!self.panics, "watching broke");
        Err("too many watches".into())
    }
}

#[tokio::test]
async fn a_source_that_cannot_be_watched_is_named_and_not_read() {
    for (panics, expected) in [
        (
            false,
            "component `file` could not be built: too many watches",
        ),
        (
            true,
            "component `file` could not be built: panicked: watching broke",
        ),
    ] {
        let mut reload = Manager::new();
        let was_read = Arc::new(AtomicBool::new(false));
        let source = Unwatchable {
            panics,
            was_read: Arc::clone(&was_read),
        };
        let error = reload.source("file", source).await.unwrap_err();
        assert_eq!(format!("{error:?}"), expected);
        assert!(!was_read.load(Ordering::Relaxed));
        assert!(reload.handle().status().notifiers().is_empty());
    }
}

#[tokio::test]
async fn a_source_cannot_be_unchanged_before_it_was_read() {
    struct Lazy;

    impl Source for Lazy {
        type Value = ();

        async fn read(&self, _: Option<Stamp>) -> Result<Reading<()>, BoxError> {
            Ok(Reading::Unchanged)
        }
    }

    let error = Manager::new().source("lazy", Lazy).await.unwrap_err();
    assert!(error.to_string().contains("`lazy`"), "{error}");
    assert!(cause(&error).to_string().contains("`Unchanged`"));
}

#[tokio::test]
async fn a_name_is_given_once() {
    let mut reload = Manager::new();
    let text = reload.source("text", async || Ok("a")).await.unwrap();
    let expected = "there is a component `text` already; give this one another name";
    let error = reload.source("text", async || Ok("b")).await.unwrap_err();
    assert_eq!(error.to_string(), expected);
    let error = reload
        .derive("text", &text, async |_| Ok(1))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), expected);
    let error = reload.apply("text", &text, async |_| ()).await.unwrap_err();
    assert_eq!(error.to_string(), expected);
    // The first one is untouched.
    assert_eq!(*text.load(), "a");
    assert_eq!(reload.handle().status().components(), 1);
}

fn unused() {
    panic!("it must not run");
}

/// An app may go on without a component, or try again.
#[tokio::test]
async fn a_name_is_free_again_when_its_first_build_failed() {
    let mut reload = Manager::new();
    let failed = reload.source("text", async || Err::<u8, _>("not yet".into()));
    failed.await.unwrap_err();
    // Not awaited, and so never made.
    drop(reload.source("text", async || Ok(1)));
    let text = reload.source("text", async || Ok(2)).await.unwrap();
    assert_eq!(*text.load(), 2);
    assert_eq!(reload.handle().status().components(), 1);

    let handle = reload.handle();
    let app = reload.run(async move |_| {
        let report = handle.reload("test").await?;
        assert_eq!(report.steps().len(), 1);
        Ok(())
    });
    app.await.unwrap();
}

#[tokio::test]
async fn a_handle_of_another_manager_is_refused() {
    let (mut one, mut other) = (Manager::new(), Manager::new());
    let text = one
        .source("text", async || Ok("a".to_owned()))
        .await
        .unwrap();
    let own = other.source("own", async || Ok(1)).await.unwrap();
    let expected = "component `loud` reads `text`, which belongs to another manager; \
                    build both with the same one";

    let error = other
        .derive("loud", &text, async |text| Ok(text.to_uppercase()))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), expected);
    let error = other
        .derive("loud", (&own, text.map(String::len)), async |(own, len)| {
            Ok(len * *own)
        })
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), expected);
    let error = other
        .apply("loud", &text, async |_| unused())
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("reads `text`, which belongs to another manager")
    );

    // Its own manager takes it.
    one.derive("loud", &text, async |text| Ok(text.to_uppercase()))
        .await
        .unwrap();
}

#[test]
fn what_is_ready_at_once_needs_no_timer() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut reload = Manager::new();
        let number = reload.source("number", async || Ok(1)).await.unwrap();
        assert_eq!(*number.load(), 1);
    });
}
