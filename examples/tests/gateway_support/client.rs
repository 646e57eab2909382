//! A client that does what it is told and nothing more: no pool, and nothing is tried again.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rekindle::BoxError;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;

use crate::harness::PATIENCE;

/// A connection to the gateway.
pub(crate) struct Connection {
    sender: Sender,
    host: String,
    /// Of the gateway, in DER, with TLS.
    pub(crate) certificate: Option<Vec<u8>>,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// An answer that was read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr, host: &str) -> Result<Self, BoxError> {
        let stream = socket(address).await?;
        Ok(Self {
            sender: http1(stream).await?,
            host: host.to_owned(),
            certificate: None,
        })
    }

    pub(crate) async fn open_tls(
        address: SocketAddr,
        host: &str,
        config: &Arc<ClientConfig>,
    ) -> Result<Self, BoxError> {
        let stream = tls(socket(address).await?, host, config).await?;
        let session = stream.get_ref().1;
        let certificate = session.peer_certificates().map(|chain| chain[0].to_vec());
        let sender = match session.alpn_protocol() {
            Some(b"h2") => {
                let stream = TokioIo::new(stream);
                let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
                tokio::spawn(connection);
                Sender::Http2(sender)
            }
            _ => http1(stream).await?,
        };
        Ok(Self {
            sender,
            host: host.to_owned(),
            certificate,
        })
    }

    pub(crate) fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
    }

    /// Whether another request can be sent. If not, the gateway has said so before.
    pub(crate) async fn is_open(&mut self) -> bool {
        match &mut self.sender {
            Sender::Http1(sender) => sender.ready().await.is_ok(),
            Sender::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        self.send_with(method, path, &[], body).await
    }

    pub(crate) async fn send_with(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        let mut request = Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Full::new(body.into());
        match &mut self.sender {
            Sender::Http1(sender) => {
                let request = request.uri(path).header("host", &self.host);
                sender.ready().await?;
                sender.send_request(request.body(body).unwrap()).await
            }
            Sender::Http2(sender) => {
                let request = request.uri(format!("https://{}{path}", self.host));
                sender.ready().await?;
                sender.send_request(request.body(body).unwrap()).await
            }
        }
    }

    /// Sends a request that has to be answered.
    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    pub(crate) async fn get_with(&mut self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let answer = self.send_with("GET", path, headers, "");
        Answer::of(in_time(answer).await.unwrap()).await.unwrap()
    }
}

impl Answer {
    pub(crate) async fn of(response: Response<Incoming>) -> Result<Self, hyper::Error> {
        let (head, body) = response.into_parts();
        let body = in_time(body.collect()).await?.to_bytes();
        Ok(Self {
            status: head.status,
            headers: head.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn generation(&self) -> u64 {
        self.header("x-gateway-generation").parse().unwrap()
    }
}

async fn http1(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Sender, hyper::Error> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(Sender::Http1(sender))
}

/// A bare connection.
pub(crate) async fn socket(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A connection whose kernel takes little that is not read.
pub(crate) async fn narrow_socket(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(16 * 1024)?;
    socket.connect(address).await
}

pub(crate) async fn tls(
    stream: TcpStream,
    host: &str,
    config: &Arc<ClientConfig>,
) -> Result<TlsStream<TcpStream>, BoxError> {
    let name = ServerName::try_from(host.to_owned())?;
    let connector = TlsConnector::from(Arc::clone(config));
    Ok(connector.connect(name, stream).await?)
}

pub(crate) async fn websocket(
    address: SocketAddr,
    path: &str,
) -> Result<WebSocketStream<TcpStream>, BoxError> {
    websocket_on(socket(address).await?, path).await
}

pub(crate) async fn websocket_on<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    path: &str,
) -> Result<WebSocketStream<S>, BoxError> {
    let url = format!("ws://a.test{path}");
    let (websocket, _) = tokio_tungstenite::client_async(url, stream).await?;
    Ok(websocket)
}

/// Waits, but not for ever.
pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("waited for {PATIENCE:?}"))
}
