//! Connections that were upgraded: bytes pass in both directions until one side has had enough, or
//! the route is gone.

use std::future::pending;
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
    /// Passes bytes until both directions have ended. When `told` resolves, it asks for the end, and
    /// leaves time for it.
    ///
    /// The client of a WebSocket is sent a close frame, which it answers to the upstream. In a
    /// protocol that is not known, the upstream is told that nothing more comes from the client.
    pub(crate) async fn run(self, told: impl Future<Output = ()>) {
        let (Ok(client), Ok(upstream)) = tokio::join!(self.client, self.upstream) else {
            return;
        };
        let (from_client, to_client) = split(TokioIo::new(client));
        let (from_upstream, to_upstream) = split(TokioIo::new(upstream));
        let close = CancellationToken::new();
        let passing = async {
            // How a direction ends concerns the two that talk.
            if self.is_websocket {
                let up = async {
                    _ = pass(from_client, to_upstream, CancellationToken::new()).await;
                    pending::<()>().await;
                };
                tokio::select! {
                    // It is the server who closes the connection of a WebSocket.
                    _ = pass_frames(from_upstream, to_client, &close) => {}
                    () = up => {}
                }
            } else {
                _ = tokio::join!(
                    pass(from_client, to_upstream, close.clone()),
                    pass(from_upstream, to_client, CancellationToken::new()),
                );
            }
        };
        let ending = async {
            told.await;
            close.cancel();
            sleep(self.drain).await;
        };
        tokio::select! {
            () = passing => {}
            () = ending => tracing::info!("a tunnel was cut: it did not end when it was told to"),
        }
    }
}

/// Passes bytes to the end, or until `close`, and passes the end on.
async fn pass(mut from: Read, mut to: Write, close: CancellationToken) -> io::Result<()> {
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
            if frames.is_between() {
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
    }
}
