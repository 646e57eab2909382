//! Listeners that come and go with the file, and never close what stays.
//!
//! It shows `each`, a collection with one value per key, and `runs`, here the loop that accepts. The
//! keys are addresses: one that is new is bound while the reload is prepared, so one that is taken
//! refuses the whole reload; one that is gone is closed, and its connections finish what they do; one
//! that stays keeps its socket, without a moment of refusal.
//!
//! The setting of a key is what a change of which would replace its value, and an address cannot be
//! bound twice. So the setting of a socket is nothing, and what it says is read for each answer.
//!
//! ```text
//! cargo run --example listeners
//! nc 127.0.0.1 8081                                # each line that you type is answered
//! sed -i s/8082/8083/ examples/listeners.toml      # the connection to 8081 stays
//! sed -i s/hello/goodbye/ examples/listeners.toml  # so it does now, and its next answer is new
//! ```
//!
//! Ctrl-C ends it. The one argument it takes is the file to read.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use rekindle::{BoxError, Lease, Live, Manager, file, run};
use rekindle_examples::addresses::overlap;
use rekindle_examples::leased::waiting;
use rekindle_examples::{FlushOnDrop, say, stderr};
use serde::Deserialize;
use socket2::{Domain, SockRef, Type};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    greeting: String,
    addresses: BTreeSet<SocketAddr>,
}

/// A socket, which its task shares. A task that failed, and is started again, finds it as it was.
struct Socket(std::net::TcpListener);

impl Socket {
    fn bind(address: SocketAddr, open: &BTreeSet<SocketAddr>) -> Result<Self, BoxError> {
        let bind = || {
            let bound = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None)?;
            bound.set_nonblocking(true)?;
            bound.set_reuse_address(true)?;
            if address.is_ipv6() {
                // `[::]` beside `0.0.0.0` is two listeners.
                bound.set_only_v6(true)?;
            }
            bound.bind(&address.into())?;
            bound.listen(1024)?;
            io::Result::Ok(bound)
        };
        let bound = bind().map_err(|error| {
            match open.iter().find(|open| overlap(&address, open)) {
                Some(other) if error.kind() == io::ErrorKind::AddrInUse => format!(
                    "cannot listen on {address}: {other} is open until this reload: remove {other} \
                     in one save and add {address} in the next, or restart"
                ),
                _ => format!("cannot listen on {address}: {error}"),
            }
        });
        Ok(Self(bound?.into()))
    }
}

/// Rejects addresses that cannot be open at once, and those that a socket of IPv6 alone cannot have.
fn apart(addresses: BTreeSet<SocketAddr>) -> Result<BTreeSet<SocketAddr>, BoxError> {
    for (number, one) in addresses.iter().enumerate() {
        let plain = SocketAddr::new(one.ip().to_canonical(), one.port());
        if one.is_ipv4() != plain.is_ipv4() {
            return Err(format!("{one} is an address of IPv4: write {plain}").into());
        }
        let mut others = addresses.iter().skip(number + 1);
        if let Some(other) = others.find(|other| overlap(one, other)) {
            return Err(format!("{one} overlaps with {other}: remove one of them").into());
        }
    }
    Ok(addresses)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let _flush = FlushOnDrop;
    tracing_subscriber::fmt()
        .with_writer(stderr)
        .with_ansi(false)
        .init();
    let path = std::env::args_os()
        .nth(1)
        .map(PathBuf::from)
        .unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/listeners.toml").into());

    let mut group = run::Group::new();
    group.add("signals", run::signals()?);

    let mut reload = Manager::new().drain(Duration::from_secs(10));
    let config = reload
        .source("config", file::toml::<Config>(path).watch())
        .await?;
    let addresses = config.select(|config| &config.addresses);
    let addresses = reload
        .derive("addresses", addresses, async |addresses| apart(addresses))
        .await?;
    let (open, current) = (addresses.clone(), config.clone());
    reload
        .each(
            "sockets",
            &addresses,
            |addresses| {
                let keys = addresses.iter().map(|address| (*address, ()));
                keys.collect::<BTreeMap<_, _>>()
            },
            // While a reload is prepared, what is open is what the reload before it said.
            async move |address, ()| Socket::bind(address, &open.load()),
        )
        .runs(async move |socket, stop| accept(socket, stop, current).await)
        .await?;
    reload.run(|stop| group.run_until(stop)).await
}

/// Accepts until it is told to stop, then waits for its connections, for as long as the drain deadline
/// lets it.
async fn accept(
    socket: Lease<Socket>,
    stop: CancellationToken,
    config: Live<Config>,
) -> Result<(), BoxError> {
    let listener = TcpListener::from_std(socket.0.try_clone()?)?;
    let address = listener.local_addr()?;
    say!("listening on {address}");
    let connections = TaskTracker::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        // An error, when there are no more files, say, ends the task, which is then started again.
        let (stream, _) = accepted?;
        connections.spawn(answer(stream, stop.clone(), config.clone()));
    }
    // The kernel has accepted these already, and would reset them with the socket.
    while let Ok((stream, _)) = waiting(&socket.0) {
        connections.spawn(answer(stream, stop.clone(), config.clone()));
    }
    // Linux ends to listen with this. Elsewhere the socket does when the last one who holds the value
    // lets go of it: a task that was told to stop is that, unless somebody reads the collection.
    _ = SockRef::from(&listener).shutdown(Shutdown::Read);
    drop((listener, socket));
    say!("closed {address}");
    connections.close();
    connections.wait().await;
    say!("the connections to {address} have ended");
    Ok(())
}

/// Answers line by line. It looks between two lines whether it has to go, so none stays unanswered.
async fn answer(
    stream: TcpStream,
    stop: CancellationToken,
    config: Live<Config>,
) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = stop.run_until_cancelled(lines.next_line()).await {
        let Some(line) = line? else { return Ok(()) };
        let answer = format!("{}, {line}\n", config.load().greeting);
        write.write_all(answer.as_bytes()).await?;
    }
    write.write_all(b"bye\n").await
}
