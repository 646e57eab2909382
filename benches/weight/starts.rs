//! How soon an app answers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rekindle::BoxError;
use rekindle_benches::median;

const STARTS: usize = 21;

/// Medians, in milliseconds.
pub(crate) struct Starts {
    pub(crate) app: f64,
    pub(crate) nothing: f64,
}

pub(crate) fn measure(app: &Path) -> Result<Starts, BoxError> {
    let (mut apps, mut nothings) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        apps.push(first_answer(app)?);
        let began = Instant::now();
        Command::new("true").status()?;
        nothings.push(1e3 * began.elapsed().as_secs_f64());
    }
    Ok(Starts {
        app: median(apps.into_iter()),
        nothing: median(nothings.into_iter()),
    })
}

/// Ends the app when it is dropped, whatever happened.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

fn first_answer(app: &Path) -> Result<f64, BoxError> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut command = Command::new(app);
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    command.args(["--listen-address", &address.to_string()]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let _app = Running(command.spawn()?);
    while !answers(address) {
        if began.elapsed() > Duration::from_secs(10) {
            return Err("simpleapp did not answer within 10 s".into());
        }
        thread::sleep(Duration::from_micros(100));
    }
    Ok(1e3 * began.elapsed().as_secs_f64())
}

fn answers(address: SocketAddr) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(address)?;
        stream
            .write_all(b"GET /-/status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        std::io::Result::Ok(answer == *b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}
