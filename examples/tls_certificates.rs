//! A TLS server whose certificate is rotated while it serves.
//!
//! It shows `file::set`: certificate and key are two files and one value, read at one moment. The
//! configuration of the server is built from the pair, before anything is visible; so a key that does
//! not belong to the certificate refuses the reload, and the old pair stays. A handshake uses what is
//! current when it begins; connections that are open keep what they have.
//!
//! ```text
//! cargo run --example tls_certificates
//! ```
//!
//! It makes certificates in a temporary directory, rotates them, is its own client, and ends by itself.

#![expect(
    clippy::print_stdout,
    reason = "what the example shows goes to standard output"
)]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rekindle::file::Files;
use rekindle::{BoxError, Lease, Live, Manager, file};
use rekindle_examples::certificates;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let directory = tempfile::tempdir()?;
    let tls = directory.path().join("tls");
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    issue(&authority, 1, &tls)?;
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone())?;
    let client = ClientConfig::builder().with_root_certificates(roots);
    let client = TlsConnector::from(Arc::new(client.with_no_client_auth()));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;

    let mut reload = Manager::new();
    let pair = file::set([tls.join("tls.crt"), tls.join("tls.key")]).watch();
    let pair = reload.source("pair", pair).await?;
    let server = reload
        .derive("server", &pair, async |pair: Lease<Files>| configure(&pair))
        .await?;
    let mut reports = reload.handle().subscribe();

    let app = async move |_stop| {
        tokio::spawn(serve(listener, server));
        let connect = async || {
            let name = ServerName::try_from("localhost")?;
            let stream = TcpStream::connect(address).await?;
            Ok::<_, BoxError>(client.connect(name, stream).await?)
        };
        let mut old = connect().await?;
        println!("a connection: {}", greet(&mut old).await?);

        // Renewed as a whole: the new directory takes the place of the old one.
        issue(&authority, 2, &directory.path().join("next"))?;
        fs::rename(&tls, directory.path().join("old"))?;
        fs::rename(directory.path().join("next"), &tls)?;
        let report = reports.next().await.expect("the manager runs");
        println!("reload {}", report.outcome());
        println!("a new connection: {}", greet(&mut connect().await?).await?);

        // Only one of the two files is copied: not a pair.
        fs::copy(directory.path().join("old/tls.key"), tls.join("tls.key"))?;
        let report = reports.next().await.expect("the manager runs");
        let refused = report.failure().and_then(|step| step.error());
        let reason = refused.expect("it says why");
        let reason = reason
            .to_string()
            .replace(&format!("{}/", tls.display()), "");
        println!("reload {}: {reason}", report.outcome());
        println!("a new connection: {}", greet(&mut connect().await?).await?);
        println!("the old connection: {}", greet(&mut old).await?);
        Ok(())
    };
    reload.run(app).await
}

/// Checks all that a handshake relies on: [`certificates`] says what that is.
fn configure(pair: &Files) -> Result<Arc<ServerConfig>, BoxError> {
    let [certificate, key] = &pair[..] else {
        unreachable!("two were named");
    };
    let pair = certificates::pair(certificate, key)?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(pair.certified)));
    Ok(Arc::new(config))
}

/// Echoes. What is current is looked up for each handshake.
async fn serve(listener: TcpListener, server: Live<Arc<ServerConfig>>) -> Result<(), BoxError> {
    loop {
        let (stream, _) = listener.accept().await?;
        let acceptor = TlsAcceptor::from(Arc::clone(&server.load()));
        tokio::spawn(async move {
            let (mut read, mut write) = tokio::io::split(acceptor.accept(stream).await?);
            tokio::io::copy(&mut read, &mut write).await
        });
    }
}

/// Says something, hears it again, and tells the serial number that the server has shown.
async fn greet(connection: &mut TlsStream<TcpStream>) -> Result<String, BoxError> {
    connection.write_all(b"hello").await?;
    let mut echo = [0; 5];
    connection.read_exact(&mut echo).await?;
    let (_, session) = connection.get_ref();
    let shown = session.peer_certificates().and_then(|chain| chain.first());
    let shown = webpki::EndEntityCert::try_from(shown.ok_or("a server shows a certificate")?)?;
    let serial = shown.serial().iter().map(|byte| format!("{byte:02x}"));
    Ok(format!("serial number {}", serial.collect::<String>()))
}

fn issue(
    authority: &CertifiedIssuer<'_, KeyPair>,
    serial: u64,
    directory: &Path,
) -> Result<(), BoxError> {
    let mut params = CertificateParams::new(["localhost".to_owned()])?;
    params.serial_number = Some(serial.into());
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, authority)?;
    fs::create_dir(directory)?;
    fs::write(directory.join("tls.crt"), certificate.pem())?;
    fs::write(directory.join("tls.key"), key.serialize_pem())?;
    Ok(())
}
