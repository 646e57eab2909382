//! TLS: a configuration of rustls, made from certificates that have been read.

use std::fmt;
use std::sync::Arc;

use rekindle::BoxError;
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::config::{Pair, Tls, Version};

/// An error here refuses the whole reload. It names the file, and nothing that is in it.
///
/// The keys of session tickets are new each time, so a client cannot resume a session that began
/// with a certificate that was rotated since.
pub(crate) fn configure(tls: &Tls) -> Result<Arc<ServerConfig>, BoxError> {
    let provider = Arc::new(ring::default_provider());
    let versions: &[_] = match tls.min_version {
        Version::Tls12 => &[&TLS13, &TLS12],
        Version::Tls13 => &[&TLS13],
    };
    let pairs = tls.pairs.iter().map(|pair| certified(pair, &provider));
    let certificates = Certificates(pairs.collect::<Result<_, _>>()?);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(certificates));
    config.ticketer = ring::Ticketer::new()?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if tls.http2 {
        config.alpn_protocols.insert(0, b"h2".to_vec());
    }
    Ok(Arc::new(config))
}

fn certified(pair: &Pair, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, BoxError> {
    let path = pair.certificate.path().display();
    let no_pem = || format!("{path} is not a certificate in PEM: put the chain there");
    let chain = CertificateDer::pem_slice_iter(pair.certificate.bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| no_pem())?;
    ParsedCertificate::try_from(chain.first().ok_or_else(no_pem)?)
        .map_err(|_| format!("{path} holds something in PEM that is not a certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(pair.key.bytes()).map_err(|_| {
        let key = pair.key.path().display();
        format!("{key} is not a private key in PEM: put the key of {path} there")
    })?;
    let certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| {
        let key = pair.key.path().display();
        match error {
            rustls::Error::InconsistentKeys(_) => {
                format!("{key} is not the key of {path}: replace both")
            }
            _ => format!("{key} is not a private key that can be used with TLS"),
        }
    })?;
    Ok(Arc::new(certified))
}

/// The certificates of a listener: at least one.
struct Certificates(Vec<Arc<CertifiedKey>>);

impl Certificates {
    /// The first that is valid for the name. Each is parsed again for that, some microseconds
    /// beside a handshake that takes a thousand: for tens of certificates, not for thousands.
    fn for_name(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = ServerName::try_from(name).ok()?;
        self.0.iter().find(|certified| {
            let parsed = certified.end_entity_cert().map(ParsedCertificate::try_from);
            matches!(parsed, Ok(Ok(parsed)) if verify_server_name(&parsed, &name).is_ok())
        })
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.for_name(name));
        named.or(self.0.first()).cloned()
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificates").field(&self.0.len()).finish()
    }
}
