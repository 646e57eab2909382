//! What cargo says, and builds.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Instant;

use rekindle::BoxError;
use tempfile::TempDir;

/// How many crates the library brings with this feature.
pub(crate) fn crates(feature: &str) -> Result<usize, BoxError> {
    let mut tree = cargo("tree", feature);
    tree.args(["--edges", "normal", "--prefix", "none", "--no-dedupe"]);
    let output = run(&mut tree)?;
    let mut crates: Vec<&str> = std::str::from_utf8(&output.stdout)?.lines().collect();
    crates.sort_unstable();
    crates.dedup();
    // All but the library itself.
    Ok(crates.len() - 1)
}

/// The seconds of a build into an empty folder.
pub(crate) fn cold(feature: &str) -> Result<f64, BoxError> {
    let target = tempfile::tempdir()?;
    // What is downloaded only once is none of it.
    run(Command::new(env!("CARGO")).arg("fetch"))?;
    let began = Instant::now();
    run(cargo("build", feature)
        .arg("--target-dir")
        .arg(target.path()))?;
    Ok(began.elapsed().as_secs_f64())
}

/// The binary of an example, in a folder that goes with it.
pub(crate) struct App {
    pub(crate) binary: PathBuf,
    _target: TempDir,
}

pub(crate) fn simpleapp() -> Result<App, BoxError> {
    let target = tempfile::tempdir()?;
    let mut build = Command::new(env!("CARGO"));
    build.args([
        "build",
        "--release",
        "--example",
        "simpleapp",
        "--target-dir",
    ]);
    build
        .arg(target.path())
        .env("CARGO_PROFILE_RELEASE_STRIP", "true");
    run(&mut build)?;
    Ok(App {
        binary: target.path().join("release/examples/simpleapp"),
        _target: target,
    })
}

/// A command of cargo's for the library alone.
fn cargo(command: &str, feature: &str) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([command, "--package", "rekindle"]);
    match feature {
        "all" => cargo.arg("--all-features"),
        _ => cargo.args(["--no-default-features", "--features", feature]),
    };
    cargo
}

fn run(command: &mut Command) -> Result<Output, BoxError> {
    // The workspace is the folder above, wherever this is started.
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let output = command.output()?;
    match output.status.success() {
        true => Ok(output),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}
