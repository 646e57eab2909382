//! TLS: a configuration of rustls, made from certificates that have been read.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use rekindle::BoxError;
use rekindle_examples::certificates;
use rustls::client::verify_server_name;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::ServerName;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

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
    let pairs = tls.pairs.iter().map(certificate);
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

fn certificate(pair: &Pair) -> Result<Certificate, BoxError> {
    let certificates::Pair { certified, valid } = certificates::pair(&pair.certificate, &pair.key)?;
    let first = certified.end_entity_cert()?;
    let parsed = X509Certificate::from_der(first);
    if !matches!(parsed?.1.subject_alternative_name(), Ok(Some(_))) {
        let path = pair.certificate.path().display();
        rekindle::warn(format_args!(
            "{path} names no host, so it is shown only if it is the first"
        ));
    }
    Ok(Certificate {
        certified: Arc::new(certified),
        valid,
    })
}

struct Certificate {
    certified: Arc<CertifiedKey>,
    /// In seconds of Unix.
    valid: RangeInclusive<i64>,
}

impl Certificate {
    /// Whether it is for that name. It is parsed again for that, some microseconds beside a handshake
    /// that takes a thousand: for tens of certificates, not for thousands.
    fn is_for(&self, name: &ServerName<'_>) -> bool {
        let end_entity = self.certified.end_entity_cert();
        let parsed = end_entity.map(ParsedCertificate::try_from);
        matches!(parsed, Ok(Ok(parsed)) if verify_server_name(&parsed, name).is_ok())
    }
}

/// The certificates of a listener: at least one.
struct Certificates(Vec<Certificate>);

impl Certificates {
    /// The first that is for the name, and of those rather one that is valid now.
    fn for_name(&self, name: &str) -> Option<&Certificate> {
        let name = ServerName::try_from(name).ok()?;
        let now = ASN1Time::now().timestamp();
        let fitting = || {
            self.0
                .iter()
                .filter(|certificate| certificate.is_for(&name))
        };
        let mut valid = fitting().filter(|certificate| certificate.valid.contains(&now));
        valid.next().or_else(|| fitting().next())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.for_name(name));
        let certificate = named.or(self.0.first())?;
        Some(Arc::clone(&certificate.certified))
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificates").field(&self.0.len()).finish()
    }
}
