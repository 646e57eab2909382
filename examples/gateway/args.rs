//! The command line: what cannot change while the gateway runs.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// A reverse proxy whose every part is replaced while it runs: change the file, send SIGHUP, or POST
/// to /-/reload on the admin address.
#[derive(Parser)]
#[command(name = "gateway", version)]
pub(crate) struct Args {
    /// The configuration file; it is watched, and so are the certificates that it names
    #[arg(
        short,
        long,
        value_name = "FILE",
        env = "GATEWAY_CONFIGURATION_PATH",
        default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/gateway/gateway.toml")
    )]
    pub(crate) configuration_path: PathBuf,

    /// How long connections, downloads and WebSockets have to end: those of what was removed, and all
    /// of them when the gateway stops
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "20",
        value_parser = seconds,
        allow_negative_numbers = true
    )]
    pub(crate) drain_seconds: Duration,

    /// How long a file has to be left alone before it is read
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "0.05",
        value_parser = seconds,
        allow_negative_numbers = true
    )]
    pub(crate) quiet_seconds: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text
        .parse()
        .map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
