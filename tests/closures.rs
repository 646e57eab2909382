//! Every form in which people write the functions of an app compiles, and works.

use std::future::ready;
use std::io;
use std::num::ParseIntError;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rekindle::{
    BoxError, Error, Lease, Live, Manager, Notifier, Probe, Reading, Reloader, Source, Stamp,
    Trigger, Triggers,
};
use tokio::sync::{Notify, mpsc};

#[derive(Clone, Debug, PartialEq)]
struct Config {
    text: String,
    times: usize,
}

struct Printer(String);

/// Something that is captured and moved.
#[derive(Clone)]
struct Client(&'static str);

impl Client {
    /// Takes itself, so that nothing but a moved capture will do.
    async fn get(self) -> io::Result<String> {
        Ok(self.0.to_owned())
    }
}

async fn read() -> Result<Config, BoxError> {
    Ok(Config {
        text: "hello".to_owned(),
        times: "2".parse()?,
    })
}

async fn build(config: Lease<Config>) -> Result<Printer, BoxError> {
    Ok(Printer(config.text.repeat(config.times)))
}

async fn push(_: Lease<Config>) {}

async fn try_push(_: Lease<Config>) -> Result<(), BoxError> {
    Ok(())
}

async fn fails_in_its_own_way(_: Lease<Config>) -> Result<Printer, io::Error> {
    Ok(Printer("io".to_owned()))
}

async fn config(reload: &mut Manager) -> Live<Config> {
    reload.source("config", read).await.unwrap()
}

#[tokio::test]
async fn a_source_is_any_function_without_arguments() {
    let mut reload = Manager::new();
    let client = Client("captured");
    let name = Arc::new("shared".to_owned());

    let plain = reload.source("plain", async || Ok(1)).await.unwrap();
    let function = reload.source("function", read).await.unwrap();
    let captured = client.clone();
    let moved = reload
        .source("moved", async move || Ok(captured.clone().get().await?))
        .await
        .unwrap();
    let cloned = reload
        .source("cloned", move || {
            let name = Arc::clone(&name);
            async move { Ok(name.len()) }
        })
        .await
        .unwrap();
    let ready = reload.source("ready", || ready(Ok(5))).await.unwrap();
    let later = reload
        .source("later", async move || {
            tokio::task::yield_now().await;
            Ok(client.clone().get().await? + client.0)
        })
        .timeout(Duration::from_secs(5))
        .await
        .unwrap();

    assert_eq!(*plain.load(), 1);
    assert_eq!(function.load().text, "hello");
    assert_eq!(*moved.load(), "captured");
    assert_eq!(*cloned.load(), 6);
    assert_eq!(*ready.load(), 5);
    assert_eq!(*later.load(), "capturedcaptured");
}

#[tokio::test]
async fn a_source_is_any_type_that_implements_the_trait() {
    struct Fixed(&'static str);

    impl Source for Fixed {
        type Value = String;

        async fn read(&self, committed: Option<Stamp>) -> Result<Reading<String>, BoxError> {
            let stamp = Stamp::of(self.0.as_bytes());
            Ok(match committed == Some(stamp) {
                true => Reading::Unchanged,
                false => Reading::Stamped(self.0.to_owned(), stamp),
            })
        }
    }

    let mut reload = Manager::new();
    let fixed = reload.source("fixed", Fixed("fixed")).await.unwrap();
    assert_eq!(*fixed.load(), "fixed");
}

#[tokio::test]
async fn a_component_is_built_by_any_function_of_its_inputs() {
    let mut reload = Manager::new();
    let config = config(&mut reload).await;
    let client = Client("captured");
    let name = Arc::new("shared".to_owned());

    let plain = reload
        .derive("plain", &config, async |c| Ok(c.times))
        .await
        .unwrap();
    let typed = reload
        .derive("typed", &config, async |c: Lease<Config>| Ok(c.times))
        .await
        .unwrap();
    let function = reload.derive("function", &config, build).await.unwrap();
    let captured = client.clone();
    let moved = reload
        .derive("moved", &config, async move |c| {
            Ok(captured.get().await? + &c.text)
        })
        .await
        .unwrap();
    let cloned = reload
        .derive("cloned", &config, move |c| {
            let name = Arc::clone(&name);
            async move { Ok(name.len() * c.times) }
        })
        .await
        .unwrap();
    let block = reload
        .derive("block", &config, |c| async move { Ok(c.times) })
        .await
        .unwrap();
    let ready = reload
        .derive("ready", &config, |c| ready(Ok(c.times)))
        .await
        .unwrap();
    let kept = reload
        .derive("kept", &config, async |c| Ok(c))
        .timeout(Duration::from_secs(5))
        .await
        .unwrap();
    let wrapped = reload
        .derive("wrapped", &config, async |c| {
            Ok(fails_in_its_own_way(c).await?)
        })
        .await
        .unwrap();
    let owned = reload
        .derive("owned", config, async |_| Ok(()))
        .await
        .unwrap();

    assert_eq!((*plain.load(), *typed.load(), *block.load()), (2, 2, 2));
    assert_eq!(function.load().0, "hellohello");
    assert_eq!(*moved.load(), "capturedhello");
    assert_eq!(*cloned.load(), 12);
    assert_eq!(*ready.load(), 2);
    assert_eq!(kept.load().text, "hello");
    assert_eq!(wrapped.load().0, "io");
    assert_eq!(*owned.load(), ());
}

#[tokio::test]
async fn an_input_is_a_handle_a_part_or_a_tuple() -> Result<(), Error> {
    let mut reload = Manager::new();
    let config = config(&mut reload).await;

    let text = reload
        .derive("text", config.select(|c| &c.text), async |text| Ok(text))
        .await?;
    let times = config.map(|c| c.times);
    let kept = reload
        .derive("kept selection", &times, async |times| Ok(times))
        .await?;
    let one = reload
        .derive("one", (&config,), async |(c,)| Ok(c.times))
        .await?;
    let two = reload
        .derive("two", (&config, &text), async |(c, text)| {
            Ok(text.repeat(c.times))
        })
        .await?;
    let three = reload
        .derive(
            "three",
            (&config, config.select(|c| &c.text), &times),
            async |(c, text, times)| Ok((c.times, text, times)),
        )
        .await?;
    let nested = reload
        .derive(
            "nested",
            ((&config, &times), (&text,)),
            async |((c, times), (text,))| Ok(c.times + times + text.len()),
        )
        .await?;

    assert_eq!(*text.load(), "hello");
    assert_eq!(*kept.load(), 2);
    assert_eq!(*one.load(), 2);
    assert_eq!(*two.load(), "hellohello");
    assert_eq!(*three.load(), (2, "hello".to_owned(), 2));
    assert_eq!(*nested.load(), 9);
    Ok(())
}

#[tokio::test]
async fn a_tuple_has_up_to_eight_inputs_of_any_kind() -> Result<(), Error> {
    let mut reload = Manager::new();
    let config = config(&mut reload).await;
    let a = reload.source("a", async || Ok(1)).await?;
    let text = || config.select(|c| &c.text);
    let times = config.map(|c| c.times);

    let four = reload
        .derive("4", (&a, text(), &times, &config), async |(a, b, c, d)| {
            Ok(*a + b.len() + c + d.times)
        })
        .await?;
    let five = reload
        .derive(
            "5",
            (&a, text(), &times, &config, &a),
            async |(a, b, c, d, e)| Ok(*a + b.len() + c + d.times + *e),
        )
        .await?;
    let six = reload
        .derive(
            "6",
            (&a, text(), &times, &config, &a, &times),
            async |(a, b, c, d, e, f)| Ok(*a + b.len() + c + d.times + *e + f),
        )
        .await?;
    let seven = reload
        .derive(
            "7",
            (&a, text(), &times, &config, &a, &times, &four),
            async |(a, b, c, d, e, f, g)| Ok(*a + b.len() + c + d.times + *e + f + *g),
        )
        .await?;
    let eight = reload
        .derive(
            "8",
            (
                &a,
                text(),
                &times,
                &config,
                a.clone(),
                times.clone(),
                &four,
                &five,
            ),
            async move |(a, b, c, d, e, f, g, h)| Ok(*a + b.len() + c + d.times + *e + f + *g + *h),
        )
        .await?;

    let all = (
        *four.load(),
        *five.load(),
        *six.load(),
        *seven.load(),
        *eight.load(),
    );
    assert_eq!(all, (10, 11, 13, 23, 34));
    Ok(())
}

#[tokio::test]
async fn an_effect_is_any_function_with_or_without_a_result() -> Result<(), Error> {
    let mut reload = Manager::new();
    let config = config(&mut reload).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let see = || {
        let seen = Arc::clone(&seen);
        move |what: &str| seen.lock().unwrap().push(what.to_owned())
    };

    let saw = see();
    reload
        .apply("unit", &config, async move |_| saw("unit"))
        .await?;
    let saw = see();
    reload
        .apply("result", &config, async move |c| {
            saw(&c.times.to_string());
            Ok(())
        })
        .await?;
    let saw = see();
    reload
        .apply("fallible", config.select(|c| &c.text), async move |text| {
            tokio::task::yield_now().await;
            "1".parse::<u8>()?;
            saw(&text);
            Ok(())
        })
        .timeout(Duration::from_secs(5))
        .await?;
    let (saw, name) = (see(), Arc::new("block".to_owned()));
    reload
        .apply(
            "block",
            (&config, config.map(|c| c.times)),
            move |(_, _)| {
                let (saw, name) = (saw.clone(), Arc::clone(&name));
                async move { saw(&name) }
            },
        )
        .await?;
    reload.apply("function", &config, push).await?;
    reload.apply("fallible function", &config, try_push).await?;

    assert_eq!(*seen.lock().unwrap(), ["unit", "2", "hello", "block"]);
    Ok(())
}

#[tokio::test]
async fn a_reloader_is_any_function_of_triggers_or_a_type_of_its_own() {
    struct Audit(AtomicUsize);

    impl Reloader for Audit {
        async fn reload(&self, triggers: Triggers) -> Result<(), BoxError> {
            assert!(triggers.contains("test"));
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    }

    struct Shared;

    impl Shared {
        async fn reloaded(_: Triggers) {}

        async fn reload(&self, _: Triggers) -> Result<(), BoxError> {
            Ok(())
        }
    }

    type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn boxed(_: Triggers) -> Boxed {
        Box::pin(async {})
    }

    async fn function(_: Triggers) {}

    async fn fallible(_: Triggers) -> Result<(), BoxError> {
        "1".parse::<u8>()?;
        Ok(())
    }

    let mut reload = Manager::new();
    let client = Client("captured");
    let name = Arc::new("shared".to_owned());
    reload.add(0, "unit", async |_| ());
    reload.add(0, "result", async |_| Ok(()));
    reload.add(0, "typed", async |triggers: Triggers| {
        assert_eq!(triggers.to_string(), "test");
    });
    reload.add(1, "moved", async move |_| {
        client.clone().get().await?;
        Ok(())
    });
    reload
        .add(1, "block", move |triggers: Triggers| {
            let name = Arc::clone(&name);
            async move {
                assert!(!triggers.contains(&name));
            }
        })
        .timeout(Duration::from_secs(5));
    reload.add(2, "function", function);
    reload.add(2, "fallible", fallible);
    reload.add(3, "ready", |_| ready(Ok(())));
    reload.add(3, "plain", |_| async {});
    reload.add(3, "method", Shared::reloaded);
    reload.add(3, "pointer", boxed as fn(Triggers) -> Boxed);
    let shared = Arc::new(Shared);
    reload.add(3, "shared", async move |triggers| {
        shared.reload(triggers).await
    });
    reload.add(3, "type", Audit(AtomicUsize::new(0)));

    let handle = reload.handle();
    let report = reload.run(async move |_| {
        let report = handle.reload("test").await?;
        assert_eq!(report.steps().len(), 13);
        Ok(())
    });
    report.await.unwrap();
}

#[tokio::test]
async fn a_notifier_is_any_function_a_receiver_or_a_type_of_its_own() {
    struct Once(Option<Trigger>);

    impl Notifier for Once {
        async fn notify(&mut self) -> Result<Trigger, BoxError> {
            match self.0.take() {
                Some(trigger) => Ok(trigger),
                None => std::future::pending().await,
            }
        }
    }

    /// Asks for one permit.
    async fn next(permits: &Notify) -> Result<(), BoxError> {
        permits.notified().await;
        Ok(())
    }

    async fn never() -> Result<Trigger, BoxError> {
        std::future::pending().await
    }

    let mut reload = Manager::new();
    let permits: [Arc<Notify>; 2] = Default::default();
    for permit in &permits {
        permit.notify_one();
    }
    let [first, second] = permits;
    reload.on(async move || {
        first.notified().await;
        Ok("moved".into())
    });
    reload.on(move || {
        let second = Arc::clone(&second);
        async move {
            next(&second).await?;
            Ok(format!("{}ed", "clon").into())
        }
    });
    reload.on(never);
    reload.on(Once(Some("type".into())));
    let (bounded, receiver) = mpsc::channel::<&'static str>(1);
    bounded.send("bounded").await.unwrap();
    reload.on(receiver);
    let (unbounded, receiver) = mpsc::unbounded_channel::<String>();
    unbounded.send("unbounded".to_owned()).unwrap();
    reload.on(receiver);
    let (triggers, receiver) = mpsc::channel::<Trigger>(1);
    triggers.send("trigger".into()).await.unwrap();
    reload.on(receiver);

    let mut reports = reload.handle().subscribe();
    let app = reload.run(async move |_| {
        let mut missing = vec!["moved", "cloned", "type", "bounded", "unbounded", "trigger"];
        while !missing.is_empty() {
            let report = reports.next().await.expect("the manager runs");
            missing.retain(|name| !report.triggers().contains(name));
        }
    });
    app.await.unwrap();
}

#[tokio::test]
async fn a_probe_is_any_function_or_a_type_of_its_own() {
    struct Health(AtomicUsize);

    impl Health {
        async fn fine() {}
    }

    impl Probe for Health {
        async fn probe(&self) -> Result<(), BoxError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    }

    let short = Duration::from_millis(10);
    let client = Client("captured");
    let name = Arc::new("shared".to_owned());
    let reload = Manager::new()
        .probation(short, async || ())
        .probation(short, || async { Ok(()) })
        .probation(short, || ready(()))
        .probation(short, Health::fine)
        .probation(short, Health(AtomicUsize::new(0)))
        .probation(short, async move || {
            client.clone().get().await?;
            Ok(())
        })
        .probation(short, move || {
            let name = Arc::clone(&name);
            async move { assert_eq!(*name, "shared") }
        });
    let handle = reload.handle();
    let run = reload.run(async move |_| handle.reload("test").await.map(drop).map_err(Into::into));
    run.await.unwrap();
}

/// What a closure shares with its copies is there in the next call.
#[tokio::test]
async fn a_closure_keeps_its_state_in_an_arc() {
    let calls: [Arc<AtomicUsize>; 4] = Default::default();
    let [source, reloader, probe, notifier] = calls.each_ref().map(Arc::clone);
    let asked = Arc::new(Notify::new());
    let asks = Arc::clone(&asked);
    let mut reload = Manager::new().probation(Duration::from_millis(10), async move || {
        probe.fetch_add(1, Ordering::Relaxed);
    });
    let count = async move || Ok(source.fetch_add(1, Ordering::Relaxed) + 1);
    let number = reload.source("number", count).await.unwrap();
    reload.add(0, "counter", async move |_| {
        reloader.fetch_add(1, Ordering::Relaxed);
    });
    reload.on(async move || {
        asked.notified().await;
        let before = notifier.fetch_add(1, Ordering::Relaxed);
        Ok(format!("trigger {}", before + 1).into())
    });
    let mut reports = reload.handle().subscribe();
    let run = reload.run(async move |_| {
        for expected in ["trigger 1", "trigger 2", "trigger 3"] {
            asks.notify_one();
            let report = reports.next().await.expect("the manager runs");
            assert!(report.triggers().contains(expected), "{report}");
        }
        assert_eq!(*number.load(), 4);
    });
    run.await.unwrap();
    let [source, reloader, probe, notifier] = calls.map(|calls| calls.load(Ordering::Relaxed));
    assert_eq!((source, reloader, notifier), (4, 3, 3));
    assert!(probe > 3, "{probe}");
}

#[tokio::test]
async fn the_app_is_any_function_of_the_stop_token() {
    async fn app(_: tokio_util::sync::CancellationToken) -> Result<(), BoxError> {
        Ok(())
    }

    let not_clone = Box::new(Printer("once".to_owned()));
    Manager::new().run(async |_| ()).await.unwrap();
    Manager::new().run(async |_| Ok(())).await.unwrap();
    Manager::new().run(app).await.unwrap();
    let borrowed = &not_clone;
    Manager::new()
        .run(async |_| assert_eq!(borrowed.0, "once"))
        .await
        .unwrap();
    Manager::new()
        .run(async move |_| drop(not_clone))
        .await
        .unwrap();
    let failed = Manager::new().run(async |_| {
        "x".parse::<u8>()?;
        Ok(())
    });
    assert!(failed.await.unwrap_err().is::<ParseIntError>());
    Manager::new()
        .run(|stop| {
            stop.cancel();
            stop.cancelled_owned()
        })
        .await
        .unwrap();
}

/// An error of any type is passed on with `?`, and comes back as what it was.
#[tokio::test]
async fn errors_of_any_type_are_passed_on() {
    let mut reload = Manager::new();
    let config = config(&mut reload).await;
    let parse = reload.source("parse", async || Ok("x".parse::<u8>()?));
    assert!(inner(&parse.await.unwrap_err()).contains("invalid digit"));
    let text = reload.derive("text", &config, async |c| {
        if c.times > 0 {
            return Err("too often".into());
        }
        Ok(c.times)
    });
    assert_eq!(inner(&text.await.unwrap_err()), "too often");
    let option = reload.derive("option", &config, async |c| {
        Ok(c.text.chars().nth(9).ok_or("too short")?)
    });
    assert_eq!(inner(&option.await.unwrap_err()), "too short");
    let io = reload.apply("io", &config, async |_| {
        Err(io::Error::other("disk full"))?;
        Ok(())
    });
    assert_eq!(inner(&io.await.unwrap_err()), "disk full");
}

fn inner(error: &Error) -> String {
    std::error::Error::source(error)
        .expect("a failed component has a cause")
        .to_string()
}

/// Nothing that an app holds while it starts and runs keeps it from being a task.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_app_may_be_a_spawned_task() {
    let app = async {
        let mut reload = Manager::new();
        let config = config(&mut reload).await;
        let printer = reload.derive("printer", &config, build).await?;
        reload.apply("push", &printer, async |_| ()).await?;
        reload.add(0, "audit", async |_| ());
        let handle = reload.handle();
        let app = reload.run(async move |_| {
            let held = printer.load();
            handle.reload("test").await?;
            assert_eq!(held.0, "hellohello");
            Ok(())
        });
        app.await
    };
    tokio::spawn(app).await.unwrap().unwrap();
}

/// The manager can be one actor among others, as in the article's app.
#[tokio::test]
async fn the_manager_is_an_actor_of_a_group() {
    let reload = Manager::new();
    let handle = reload.handle();
    let mut group = rekindle::run::Group::new();
    group.add("reload", |stop| reload.run(|_| stop.cancelled_owned()));
    group.add("app", async move |_| handle.reload("test").await.map(drop));
    group.run().await.unwrap();
}

/// The program on the front page of the design, with stand-ins for what other crates bring to it.
#[cfg(all(unix, feature = "signal", feature = "json", feature = "http"))]
mod front_page {
    use std::path::PathBuf;

    use rekindle::notify::SignalKind;
    use rekindle::{BoxError, Live, Manager, Triggers, file, http, notify, run};
    use stand_ins::{Config, Curler, Printer, TcpListener, axum, reqwest, router};

    struct Args {
        config: PathBuf,
        listen: &'static str,
    }

    async fn audit(_: Triggers) {}

    async fn app(args: Args) -> Result<(), BoxError> {
        let signals = run::signals()?;
        let hangup = notify::signal(SignalKind::hangup())?;
        let listener = TcpListener::bind(args.listen).await?;
        let client = reqwest::Client::new();

        let mut reload = Manager::new();
        let config = reload
            .source("config", file::json::<Config>(&args.config).watch())
            .await?;
        let printer = reload
            .derive("printer", config.select(|c| &c.printer), async |c| {
                Ok(Printer::new(c))
            })
            .await?;
        let curler = reload
            .derive("curler", config.select(|c| &c.curler), async move |c| {
                Ok(Curler::new(c, client)?)
            })
            .await?;
        reload.add(100, "audit", async |t| audit(t).await);
        reload.on(hangup);

        let app = router(printer, curler).nest_service("/-", http::Admin::new(reload.handle()));

        let mut group = run::Group::new();
        group.add("signals", signals);
        group.add("http", |stop| {
            axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned())
        });
        reload.run(|stop| group.run_until(stop)).await
    }

    #[tokio::test]
    async fn the_program_of_the_front_page_runs() {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("config.json");
        std::fs::write(&config, r#"{"printer": "before", "curler": "localhost"}"#).unwrap();
        let listen = "127.0.0.1:8080";
        app(Args { config, listen }).await.unwrap();
    }

    mod stand_ins {
        use std::io;

        use super::Live;

        #[derive(serde::Deserialize)]
        pub(super) struct Config {
            pub(super) printer: String,
            pub(super) curler: String,
        }

        pub(super) struct Printer(String);

        impl Printer {
            pub(super) fn new(text: String) -> Self {
                Self(text)
            }
        }

        pub(super) struct Curler(String, reqwest::Client);

        impl Curler {
            pub(super) fn new(url: String, client: reqwest::Client) -> io::Result<Self> {
                Ok(Self(url, client))
            }
        }

        pub(super) struct TcpListener;

        impl TcpListener {
            pub(super) async fn bind(_: &str) -> io::Result<Self> {
                Ok(Self)
            }
        }

        pub(super) mod reqwest {
            #[derive(Clone)]
            pub(in super::super) struct Client;

            impl Client {
                pub(in super::super) fn new() -> Self {
                    Self
                }
            }
        }

        pub(super) struct Router(Live<Printer>, Live<Curler>);

        pub(super) fn router(printer: Live<Printer>, curler: Live<Curler>) -> Router {
            Router(printer, curler)
        }

        impl Router {
            pub(super) fn nest_service<S>(self, _: &str, _: S) -> Self
            where
                S: tower_service::Service<http::Request<()>, Error = std::convert::Infallible>,
            {
                self
            }
        }

        pub(super) mod axum {
            use std::io;
            use std::pin::Pin;

            use super::{Router, TcpListener};

            pub(in super::super) struct Serve(Router);

            pub(in super::super) fn serve(_: TcpListener, app: Router) -> Serve {
                Serve(app)
            }

            impl Serve {
                pub(in super::super) fn with_graceful_shutdown<S>(self, stop: S) -> Graceful<S> {
                    Graceful(self.0, stop)
                }
            }

            pub(in super::super) struct Graceful<S>(Router, S);

            impl<S: Future<Output = ()> + Send + 'static> IntoFuture for Graceful<S> {
                type Output = io::Result<()>;
                type IntoFuture = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

                /// Serves one request, and ends.
                fn into_future(self) -> Self::IntoFuture {
                    Box::pin(async move {
                        let Self(Router(printer, curler), stop) = self;
                        assert_eq!(printer.load().0, "before");
                        assert_eq!(curler.load().0, "localhost");
                        let _ = curler.load().1.clone();
                        drop(stop);
                        Ok(())
                    })
                }
            }
        }
    }
}
