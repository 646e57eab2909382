//! Connections that were upgraded: bytes pass in both directions until one side has had enough, or
//! the route is gone.

use std::io;
use std::time::Duration;

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, copy, split};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

mod frames;

use frames::Frames;

/// A close frame from a server: "service restart" (1012), for which clients connect again.
const CLOSE: [u8; 4] = [0x88, 2, (1012_u16 >> 8) as u8, (1012_u16 & 0xff) as u8];

type Read = ReadHalf<TokioIo<Upgraded>>;
type Write = WriteHalf<TokioIo<Upgraded>>;

pub(crate) struct Tunnel {
    pub(crate) client: OnUpgrade,
    pub(crate) upstream: OnUpgrade,
    pub(crate) is_websocket: bool,
    pub(crate) drain: Duration,
}

impl Tunnel {
    /// Passes bytes until both directions have ended, or one of them is broken. When `told`
    /// resolves, it asks for the end, and leaves time for it; as much is left for one direction
    /// after the end of the other.
    ///
    /// The client of a WebSocket is sent a close frame; its answer to that passes, so the upstream
    /// ends, too. In a protocol that is not known, the upstream is told that nothing more comes from
    /// the client.
    pub(crate) async fn run(self, told: impl Future<Output = ()>) {
        let (Ok(client), Ok(upstream)) = tokio::join!(self.client, self.upstream) else {
            return;
        };
        let (from_client, to_client) = split(TokioIo::new(client));
        let (from_upstream, to_upstream) = split(TokioIo::new(upstream));
        let (close, half) = (CancellationToken::new(), CancellationToken::new());
        let (over, never) = (CancellationToken::new(), CancellationToken::new());
        let up = async {
            let close = if self.is_websocket { &never } else { &close };
            pass(from_client, to_upstream, close).await?;
            half.cancel();
            io::Result::Ok(())
        };
        let down = async {
            if self.is_websocket {
                pass_frames(from_upstream, to_client, &close).await?;
                over.cancel();
            } else {
                pass(from_upstream, to_client, &never).await?;
            }
            half.cancel();
            io::Result::Ok(())
        };
        let ending = async {
            tokio::select! {
                () = told => close.cancel(),
                () = half.cancelled() => {}
            }
            sleep(self.drain).await;
        };
        tokio::select! {
            ended = async { tokio::try_join!(up, down) } => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a tunnel broke off");
                }
            }
            // It is the server who closes the connection of a WebSocket. A client that does not
            // follow has nobody to talk to.
            () = async { over.cancelled().await; sleep(self.drain / 4).await } => {}
            () = ending => tracing::info!("a tunnel was cut: it did not end when it was told to"),
        }
    }
}

/// Passes bytes to the end, or until `close`, and passes the end on.
async fn pass(mut from: Read, mut to: Write, close: &CancellationToken) -> io::Result<()> {
    let copied = close.run_until_cancelled(copy(&mut from, &mut to)).await;
    to.shutdown().await?;
    copied.transpose().map(drop)
}

/// Passes the frames of a WebSocket on. After `close` it ends them with a close frame, as soon as a
/// frame ends, and drops what comes after it: nothing may follow a close frame.
async fn pass_frames(mut from: Read, mut to: Write, close: &CancellationToken) -> io::Result<()> {
    let mut frames = Frames::default();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer);
        let size = if close.is_cancelled() {
            // Nothing may follow a close frame of the upstream's own, either.
            if frames.is_between() && !frames.have_closed() {
                to.write_all(&CLOSE).await?;
                to.flush().await?;
                while from.read(&mut buffer).await? > 0 {}
                return to.shutdown().await;
            }
            read.await?
        } else {
            match close.run_until_cancelled(read).await {
                Some(size) => size?,
                None => continue,
            }
        };
        if size == 0 {
            return to.shutdown().await;
        }
        // Once it is told to close, only the rest of the frame that has begun.
        let piece = &buffer[..size];
        let size = match close.is_cancelled() {
            true => frames.pass_one(piece),
            false => frames.pass_all(piece),
        };
        to.write_all(&piece[..size]).await?;
        // TLS would keep the rest of a message for as long as no other one comes.
        to.flush().await?;
    }
}
