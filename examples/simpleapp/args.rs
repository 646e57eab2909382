//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

/// A small service whose parts are replaced while it runs: change the file, send SIGHUP, or POST to
/// /-/reload.
#[derive(Parser)]
#[command(name = "simpleapp", version)]
pub(crate) struct Args {
    /// The configuration file; it is watched
    #[arg(
        short,
        long,
        value_name = "FILE",
        env = "SIMPLEAPP_CONFIGURATION_PATH",
        default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/simpleapp/config.json")
    )]
    pub(crate) configuration_path: PathBuf,

    /// Where to listen for HTTP; port 0 takes one that is free
    #[arg(
        short,
        long,
        value_name = "ADDRESS:PORT",
        env = "SIMPLEAPP_LISTEN_ADDRESS",
        default_value = "127.0.0.1:8080"
    )]
    pub(crate) listen_address: SocketAddr,
}
