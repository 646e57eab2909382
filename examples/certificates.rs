//! Certificates and their keys, checked as far as a server can check its own.
//!
//! Parsers of PEM go by lines and skip what they do not understand, so a file that was put together
//! without a line break in between loses a certificate without an error. Here what begins in a file is
//! counted apart from the parser.

use std::ops::RangeInclusive;

use rekindle::BoxError;
use rekindle::file::Contents;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

/// A chain of certificates, and the key of the first of them.
#[derive(Debug)]
pub struct Pair {
    /// The chain to show in a handshake, and the key to sign it with.
    pub certified: CertifiedKey,
    /// The time in which the first certificate is valid, in seconds of Unix.
    pub valid: RangeInclusive<i64>,
}

/// Reads a chain, the certificate of the server first, and its key.
///
/// A certificate of the chain that has expired, or is not valid yet, is a [warning](rekindle::warn) and
/// no error: it may be all that there is.
///
/// # Errors
///
/// If a certificate of the chain cannot be read, or if the key cannot, is encrypted, or is not that of the
/// first certificate. An error names the file and the line, and nothing that is in it.
pub fn pair(certificate: &Contents, key: &Contents) -> Result<Pair, BoxError> {
    let path = certificate.path().display();
    let chain = chain(certificate)?;
    let now = ASN1Time::now().timestamp();
    let mut validities = Vec::new();
    for (number, (line, der)) in chain.iter().enumerate() {
        let valid =
            validity(der).ok_or_else(|| format!("{path}:{line}: this is no certificate"))?;
        let what = match number {
            0 => path.to_string(),
            _ => format!("{path}:{line}: a certificate of the chain"),
        };
        if *valid.end() < now {
            rekindle::warn(format_args!("{what} has expired"));
        } else if now < *valid.start() {
            rekindle::warn(format_args!("{what} is not valid yet"));
        }
        validities.push(valid);
    }
    let chain: Vec<_> = chain.into_iter().map(|(_, der)| der).collect();
    Ok(Pair {
        certified: certify(certificate, chain, key)?,
        valid: validities.swap_remove(0),
    })
}

/// All certificates of a file, at least one, each with the line in which it begins.
fn chain(file: &Contents) -> Result<Vec<(usize, CertificateDer<'static>)>, BoxError> {
    let path = file.path().display();
    let mut lines = Vec::new();
    for begin in begins(file.bytes(), b"CERTIFICATE") {
        let line = begin.line;
        if !begin.is_at_start {
            let problem = "has to stand at the beginning of a line";
            return Err(format!("{path}:{line}: `-----BEGIN CERTIFICATE-----` {problem}").into());
        }
        if begin.label != b"CERTIFICATE" {
            return Err(format!("{path}:{line}: expected `-----BEGIN CERTIFICATE-----`").into());
        }
        lines.push(line);
    }
    let parsed: Vec<_> = CertificateDer::pem_slice_iter(file.bytes()).collect();
    if lines.is_empty() {
        return Err(format!("{path} is not a certificate in PEM: put the chain there").into());
    }
    let (begun, whole) = (
        lines.len(),
        parsed.iter().filter(|parsed| parsed.is_ok()).count(),
    );
    if begun != whole || parsed.len() != whole {
        let problem = format!("{begun} begin there and {whole} can be read");
        return Err(format!("{path} does not hold whole certificates: {problem}").into());
    }
    Ok(lines
        .into_iter()
        .zip(parsed.into_iter().flatten())
        .collect())
}

/// Returns the time in which a certificate is valid, if it is one and nothing else.
fn validity(der: &CertificateDer<'_>) -> Option<RangeInclusive<i64>> {
    let (rest, parsed) = X509Certificate::from_der(der).ok()?;
    let (from, to) = (parsed.validity().not_before, parsed.validity().not_after);
    rest.is_empty().then(|| from.timestamp()..=to.timestamp())
}

/// Brings the chain and the key of its first certificate together.
fn certify(
    certificate: &Contents,
    chain: Vec<CertificateDer<'static>>,
    key: &Contents,
) -> Result<CertifiedKey, BoxError> {
    let (path, name) = (certificate.path().display(), key.path().display());
    let signs = any_supported_type(&private_key(certificate, key)?)
        .map_err(|_| format!("{name} is not a private key that can be used with TLS"))?;
    let certified = CertifiedKey::new(chain, signs);
    let key = certified.key.public_key();
    let is_of = |der: &CertificateDer<'_>| {
        let parsed = ParsedCertificate::try_from(der);
        parsed.is_ok_and(|parsed| Some(parsed.subject_public_key_info()) == key)
    };
    match certified.cert.iter().position(is_of) {
        Some(0) => Ok(certified),
        Some(other) => {
            let number = other + 1;
            Err(
                format!("{name} is the key of certificate {number} of {path}: put that first")
                    .into(),
            )
        }
        None => Err(format!("{name} is not the key of {path}: replace both").into()),
    }
}

/// The one key of a file.
fn private_key(
    certificate: &Contents,
    file: &Contents,
) -> Result<PrivateKeyDer<'static>, BoxError> {
    let (path, name) = (certificate.path().display(), file.path().display());
    let mut keys = begins(file.bytes(), b"PRIVATE KEY");
    let first = keys.next();
    let is_labelled = first.is_some_and(|key| key.label == b"ENCRYPTED PRIVATE KEY");
    // The header of the form that OpenSSL wrote until 1.0.
    if is_labelled || holds(file.bytes(), b"Proc-Type: 4,ENCRYPTED") {
        let remedy = "put it there without a passphrase, as `openssl pkey` writes it";
        return Err(format!("{name} is encrypted: {remedy}").into());
    }
    if keys.next().is_some() {
        return Err(format!("{name} holds more than one private key: leave that of {path}").into());
    }
    PrivateKeyDer::from_pem_slice(file.bytes()).map_err(|_| {
        format!("{name} is not a private key in PEM: put the key of {path} there").into()
    })
}

/// The beginning of a block in a file.
struct Begin<'a> {
    /// From 1.
    line: usize,
    is_at_start: bool,
    label: &'a [u8],
}

/// The beginnings of all blocks whose label ends like this, wherever in a line they stand.
fn begins<'a>(pem: &'a [u8], like: &'a [u8]) -> impl Iterator<Item = Begin<'a>> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    let places = pem.windows(BEGIN.len()).enumerate();
    let places = places.filter(|(_, window)| *window == BEGIN);
    places.filter_map(move |(place, _)| {
        let (before, rest) = (&pem[..place], &pem[place + BEGIN.len()..]);
        let end = rest.windows(5).position(|window| window == b"-----")?;
        let label = rest[..end].ends_with(like).then_some(&rest[..end])?;
        Some(Begin {
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
            is_at_start: before.last().is_none_or(|byte| b"\r\n".contains(byte)),
            label,
        })
    })
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
