//! The programs of README.md: the first one is pasted into a new project, built, and used as the text
//! below it says; the others are compiled in `excerpts`.

mod harness;

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::{Process, Signal, request, until};

const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const README: &str = include_str!("../../README.md");

#[test]
fn the_first_program_is_built_and_reloads_when_it_is_pasted() {
    let project = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme");
    let program = build(&project);
    let config = project.join("config.json");
    fs::write(&config, r#"{"greeting": {"name": "world"}}"#).unwrap();

    let mut process = Process::spawn(Command::new(program).current_dir(&project));
    let line = process.stdout.wait_for("listening on http://");
    let address: SocketAddr = line.rsplit("http://").next().unwrap().parse().unwrap();
    let greeting = || request("GET", address, "/greet").body;
    assert_eq!(greeting(), "Hello world!\n");

    fs::write(&config, r#"{"greeting": {"name": "moon"}}"#).unwrap();
    until("the edit is served", || {
        (greeting() == "Hello moon!\n").then_some(())
    });
    let report = request("POST", address, "/-/reload");
    assert_eq!(report.status, 200, "{report:?}");
    process.signal(Signal::HUP);
    // It changes nothing, so the log has it at DEBUG only.
    until("SIGHUP has led to a reload", || {
        let status = request("GET", address, "/-/status").json();
        (status["reports"][0]["triggers"][0] == "sighup").then_some(())
    });
    process.signal(Signal::TERM);
    assert_eq!(process.wait().code(), Some(0));
}

/// Makes a new project of the first two blocks of the README and builds it.
///
/// Nothing is downloaded: the versions are those of the workspace's lock file. It is built where the
/// workspace is, because most of its dependencies are there already.
fn build(project: &Path) -> PathBuf {
    let dependencies = blocks("toml").swap_remove(0);
    let published = r#"rekindle = { version = "0.1","#;
    assert!(dependencies.contains(published), "{dependencies}");
    let here = format!("rekindle = {{ path = {CHECKOUT:?},");
    let dependencies = dependencies.replace(published, &here);
    let manifest = format!(
        "[package]\nname = \"rekindle-readme\"\nedition = \"2024\"\npublish = false\n\n\
         {dependencies}\n[workspace]\n"
    );
    let program = blocks("rust").swap_remove(0);
    let fixed = "127.0.0.1:8080";
    assert!(program.contains(fixed), "{program}");

    fs::create_dir_all(project.join("src")).unwrap();
    fs::copy(
        Path::new(CHECKOUT).join("Cargo.lock"),
        project.join("Cargo.lock"),
    )
    .unwrap();
    fs::write(project.join("Cargo.toml"), manifest).unwrap();
    // The port is the only thing that is changed: it may be taken here.
    let program = program.replace(fixed, "127.0.0.1:0");
    fs::write(project.join("src/main.rs"), program).unwrap();

    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--offline", "--quiet", "--manifest-path"])
        .arg(project.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        // The configuration of cargo is looked for from here upwards.
        .current_dir(CHECKOUT)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&cargo.stderr);
    assert!(cargo.status.success(), "{said}");
    assert!(!said.contains("warning"), "{said}");
    target.join("debug/rekindle-readme")
}

/// The blocks of the README in this language.
fn blocks(language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let rests = README.split(fence.as_str()).skip(1);
    rests
        .map(|rest| {
            let (text, _) = rest.split_once("```\n").expect("the block ends");
            text.to_owned()
        })
        .collect()
}

#[test]
fn the_other_programs_are_compiled_as_they_are_shown() {
    let lines = |text: &str| -> Vec<String> {
        let lines = text.lines().map(str::trim);
        lines
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let compiled = lines(include_str!("readme.rs"));
    let mut count = 0;
    for excerpt in &blocks("rust")[1..] {
        let shown = lines(excerpt);
        let is_compiled = compiled.windows(shown.len()).any(|window| window == shown);
        assert!(is_compiled, "`excerpts` does not have\n{excerpt}");
        count += 1;
    }
    assert_eq!(count, 2);
}

/// What README.md shows of larger programs, as it is there.
#[rustfmt::skip]
#[allow(dead_code, unused_variables, reason = "they are compiled and not run")]
mod excerpts {
    use std::collections::BTreeMap;
    use std::net::SocketAddr;
    use std::time::Duration;

    use rekindle::{BoxError, Lease, Manager, file};
    use serde::Deserialize;
    use tokio::net::TcpListener;
    use tokio_util::sync::CancellationToken;

    fn files() {
        let config = file::toml::<Config>("app.toml").watch();             // also json, yaml, text, bytes
        let tls = file::set(["tls.crt", "tls.key"]).watch();               // several files, one value
        let sites = file::set(["sites.d/*.toml"]).watch();                 // all that match
        let flags = file::toml::<Flags>("flags.toml").optional().watch();  // `None` while there is none
        let config = file::toml::<Config>("app.toml")                      // and what it includes
            .include(|config, includes| config.merge(includes.set(["conf.d/*.toml"])?))
            .watch();
    }

    async fn beyond_values() -> Result<(), BoxError> {
        let mut reload = Manager::new().probation(Duration::from_secs(30), async || healthy().await);
        let config = reload.source("config", file::toml::<Config>("app.toml").watch()).await?;
        let pool = reload
            .derive("pool", config.select(|c| &c.database), async |settings| Pool::open(settings).await)
            .retire(async |old: Pool| old.close().await)
            .await?;
        reload
            .derive("poller", config.select(|c| &c.poller), async |settings| Poller::new(settings))
            .runs(async |poller: Lease<Poller>, stop| poller.run(stop).await)
            .await?;
        reload
            .each("listeners", config.select(|c| &c.listeners), |map| map, async |address, ()| bind(address).await)
            .runs(async |listener, stop| accept(listener, stop).await)
            .await?;
        let workers = reload.pin("workers", config.select(|c| &c.workers)).await?;
        Ok(())
    }

    #[derive(Deserialize)]
    struct Config {
        database: String,
        poller: Duration,
        listeners: BTreeMap<SocketAddr, ()>,
        workers: usize,
    }

    #[derive(Deserialize)]
    struct Flags {}

    impl Config {
        fn merge(self, _: file::Files) -> Result<Self, BoxError> {
            Ok(self)
        }
    }

    struct Pool;

    impl Pool {
        async fn open(_: String) -> Result<Self, BoxError> {
            Ok(Self)
        }

        async fn close(self) {}
    }

    struct Poller(Duration);

    impl Poller {
        fn new(every: Duration) -> Result<Self, BoxError> {
            Ok(Self(every))
        }

        async fn run(&self, stop: CancellationToken) {
            stop.cancelled().await;
        }
    }

    async fn healthy() -> Result<(), BoxError> {
        Ok(())
    }

    async fn bind(address: SocketAddr) -> Result<TcpListener, BoxError> {
        Ok(TcpListener::bind(address).await?)
    }

    async fn accept(_: Lease<TcpListener>, stop: CancellationToken) {
        stop.cancelled().await;
    }
}
