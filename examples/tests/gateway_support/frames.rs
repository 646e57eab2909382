//! HTTP/2, frame by frame: for clients that no library would be.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rekindle::BoxError;
use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::authority::Authority;
use super::client::{in_time, socket, tls};

/// A connection on which frames are written and read, and nothing is done by itself.
pub(crate) struct Frames {
    stream: TlsStream<TcpStream>,
}

#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) is_last: bool,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// Of a frame. The flag of the last frame of a stream is that of an acknowledgement for others.
pub(crate) struct Kind;

impl Kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const RESET: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW: u8 = 8;
}

impl Frames {
    /// The handshake of TLS, and nothing more.
    pub(crate) async fn open(address: SocketAddr, authority: &Authority) -> Self {
        let config = authority.client(&["h2"]);
        Self::connect(address, &config).await.unwrap()
    }

    pub(crate) async fn connect(
        address: SocketAddr,
        config: &Arc<ClientConfig>,
    ) -> Result<Self, BoxError> {
        let stream = tls(socket(address).await?, "one.test", config).await?;
        Ok(Self { stream })
    }

    /// How a connection begins, with this window for each answer, or the usual one.
    pub(crate) async fn begin(&mut self, window: Option<u32>) -> io::Result<()> {
        let mut settings = Vec::new();
        if let Some(window) = window {
            settings.extend([0, 4]);
            settings.extend(window.to_be_bytes());
        }
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        in_time(self.stream.write_all(preface)).await?;
        self.write(Kind::SETTINGS, 0, 0, &settings).await
    }

    /// Sends a GET as a stream of this number.
    pub(crate) async fn get(&mut self, stream: u32, path: &str) -> io::Result<()> {
        self.request(0x82, stream, path).await
    }

    /// Sends a POST without a body, or a word about it.
    pub(crate) async fn post(&mut self, stream: u32, path: &str) -> io::Result<()> {
        self.request(0x83, stream, path).await
    }

    /// In the shortest form that HPACK has; methods are indices into its static table.
    async fn request(&mut self, method: u8, stream: u32, path: &str) -> io::Result<()> {
        let mut head = vec![method, 0x87, 0x04, u8::try_from(path.len()).unwrap()];
        head.extend(path.bytes());
        head.extend(b"\x41\x08one.test");
        // The end of the headers, and of the stream.
        self.write(Kind::HEADERS, 5, stream, &head).await
    }

    /// Answers a ping, or takes note of settings, if that is what the frame asks for.
    pub(crate) async fn acknowledge(&mut self, frame: &Frame) -> io::Result<()> {
        if [Kind::PING, Kind::SETTINGS].contains(&frame.kind) && !frame.is_last {
            let echo = if frame.kind == Kind::PING {
                &*frame.payload
            } else {
                &[]
            };
            self.write(frame.kind, 1, 0, echo).await?;
        }
        Ok(())
    }

    /// Lets the gateway send so many bytes more.
    pub(crate) async fn widen(&mut self, stream: u32, size: u32) -> io::Result<()> {
        for stream in [0, stream] {
            self.write(Kind::WINDOW, 0, stream, &size.to_be_bytes())
                .await?;
        }
        Ok(())
    }

    async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![size[1], size[2], size[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        in_time(self.stream.write_all(&frame)).await
    }

    /// The next frame, or how the connection ended.
    pub(crate) async fn read(&mut self) -> io::Result<Frame> {
        in_time(async {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).await?;
            let [a, b, c, kind, flags, stream @ ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            self.stream.read_exact(&mut payload).await?;
            Ok(Frame {
                kind,
                is_last: flags & 1 == 1,
                stream: u32::from_be_bytes(stream),
                payload,
            })
        })
        .await
    }

    /// Reads up to the next frame of this kind on this stream.
    pub(crate) async fn read_to(&mut self, kind: u8, stream: u32) -> io::Result<Frame> {
        loop {
            let frame = self.read().await?;
            if frame.kind == kind && frame.stream == stream {
                return Ok(frame);
            }
        }
    }

    /// Reads a whole answer of 200; its body.
    pub(crate) async fn read_answer(&mut self, stream: u32) -> io::Result<Vec<u8>> {
        let head = self.read_to(Kind::HEADERS, stream).await?;
        // An index into the static table of HPACK.
        assert_eq!(head.payload[0], 0x88, "the status is 200");
        let mut body = Vec::new();
        loop {
            let data = self.read_to(Kind::DATA, stream).await?;
            body.extend(data.payload);
            if data.is_last {
                return Ok(body);
            }
        }
    }
}
