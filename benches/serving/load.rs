//! The clients, and what they find.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use hdrhistogram::Histogram;
use rekindle::BoxError;
use rekindle_benches::runtime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::server;

const CLIENTS: usize = 32;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// Clock ticks per second, in which Linux counts CPU time for everybody to see.
const TICKS: f64 = 100.0;

/// What one round found.
pub(crate) struct Round {
    /// Requests per second.
    pub(crate) rate: f64,
    /// CPU seconds of the server for a million requests.
    pub(crate) cpu: f64,
    /// Microseconds that a client waits: p50, p99, p99.9.
    pub(crate) waits: [f64; 3],
    pub(crate) failed: u64,
}

/// One client's.
struct Asked {
    waits: Histogram<u64>,
    failed: u64,
}

/// Starts a server, and asks it for so long.
pub(crate) fn round(pace: u32, length: Duration) -> Result<Round, BoxError> {
    let mut server = Server::start(pace)?;
    let address = server.address()?;
    let asked = runtime(0).block_on(async {
        // Until all that is slow only once is over.
        ask(address, length / 10).await?;
        let (began, busy) = (Instant::now(), server.cpu()?);
        let asked = ask(address, length).await?;
        let busy = server.cpu()? - busy;
        Ok::<_, BoxError>((asked, began.elapsed(), busy))
    });
    let (Asked { waits, failed }, took, busy) = asked?;
    let answered = waits.len() as f64;
    Ok(Round {
        rate: answered / took.as_secs_f64(),
        cpu: 1e6 * busy / answered,
        waits: [0.5, 0.99, 0.999].map(|at| waits.value_at_quantile(at) as f64 / 1e3),
        failed,
    })
}

async fn ask(address: SocketAddr, length: Duration) -> Result<Asked, BoxError> {
    let mut clients = JoinSet::new();
    let end = Instant::now() + length;
    for _ in 0..CLIENTS {
        clients.spawn(client(address, end));
    }
    let mut all = Asked {
        waits: Histogram::new(3)?,
        failed: 0,
    };
    while let Some(one) = clients.join_next().await {
        let one = one??;
        all.waits.add(&one.waits)?;
        all.failed += one.failed;
    }
    Ok(all)
}

async fn client(address: SocketAddr, end: Instant) -> Result<Asked, BoxError> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut asked = Asked {
        waits: Histogram::new(3)?,
        failed: 0,
    };
    let mut buffer = vec![0; 1024];
    while Instant::now() < end {
        let began = Instant::now();
        stream.write_all(REQUEST).await?;
        let size = stream.read(&mut buffer).await?;
        asked.waits.record(began.elapsed().as_nanos() as u64)?;
        // The answer is short, so it is there as a whole.
        let answer = &buffer[..size];
        let is_well = answer.starts_with(b"HTTP/1.1 200") && ends_with_number(answer);
        asked.failed += u64::from(!is_well);
    }
    Ok(asked)
}

fn ends_with_number(answer: &[u8]) -> bool {
    let body = answer.last_chunk::<16>();
    body.is_some_and(|body| body.iter().all(u8::is_ascii_digit))
}

/// The server's process; it ends when this is dropped.
struct Server(Child);

impl Server {
    fn start(pace: u32) -> Result<Self, BoxError> {
        let mut command = Command::new(env::current_exe()?);
        command.env(server::PACE, pace.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Ok(Self(command.spawn()?))
    }

    fn address(&mut self) -> Result<SocketAddr, BoxError> {
        let output = self.0.stdout.take().ok_or("the server has an output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        Ok(line.trim().parse()?)
    }

    /// CPU seconds by now.
    fn cpu(&self) -> Result<f64, BoxError> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        // After the name, which may have anything in it; `utime` and `stime` are the 14th and 15th.
        let (_, fields) = stat.rsplit_once(')').ok_or("no name in the status")?;
        let mut ticks = 0;
        for field in fields.split_whitespace().skip(11).take(2) {
            ticks += field.parse::<u64>()?;
        }
        Ok(ticks as f64 / TICKS)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its input ends.
        drop(self.0.stdin.take());
        _ = self.0.wait();
    }
}
