//! Just enough HTTP to be a client, and an upstream that answers when it is told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use serde_json::Value;

use super::PATIENCE;

/// The answer to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// Makes a request on a connection of its own and waits for the answer.
pub(crate) fn request(method: &str, address: SocketAddr, path: &str) -> Answer {
    send(method, address, path, "").receive()
}

/// A request that is under way.
pub(crate) struct Sent(TcpStream);

/// Makes a request, with more header lines if there are any, each ended by `\r\n`.
pub(crate) fn send(method: &str, address: SocketAddr, path: &str, headers: &str) -> Sent {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 0\r\n{headers}connection: close\r\n\r\n"
    )
    .unwrap();
    Sent(stream)
}

impl Sent {
    pub(crate) fn receive(mut self) -> Answer {
        let mut text = String::new();
        self.0.read_to_string(&mut text).unwrap();
        let (head, body) = text
            .split_once("\r\n\r\n")
            .expect("an answer has a head and a body");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer {
            status,
            body: body.to_owned(),
        }
    }
}

/// An upstream for one request: it answers when [`answer`](Self::answer) is called.
pub(crate) struct Upstream {
    pub(crate) url: String,
    accept: JoinHandle<(TcpStream, String)>,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let accept = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(&stream).lines().map(Result::unwrap);
            let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
            (stream, head.join("\n"))
        });
        Self { url, accept }
    }

    /// Waits for the request; gives its head, and what answers it.
    pub(crate) fn received(self) -> (String, impl FnOnce(&str)) {
        let (mut stream, head) = self.accept.join().unwrap();
        let answer = move |headers: &str| {
            write!(
                stream,
                "HTTP/1.1 200 OK\r\n{headers}content-length: 0\r\n\r\n"
            )
            .unwrap();
        };
        (head, answer)
    }
}
