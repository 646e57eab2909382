//! The gateway: certificates and keys that are not what they should be.

mod gateway_support;
mod harness;

use std::fs;
use std::path::Path;

use gateway_support::*;
use harness::request;
use rcgen::{CertificateParams, date_time_ymd};

/// A gateway with one listener that shows `tls.crt`. The authority has issued `leaf` and `other`, too.
fn start() -> (Gateway, Authority) {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    for name in ["tls", "leaf", "other"] {
        authority.issue(dir.path(), name, "one.test");
    }
    let gateway = Gateway::start(dir, &tls_listener(free_address(), &["tls"]));
    (gateway, authority)
}

fn read(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(name)).unwrap()
}

/// Puts these in the place of the certificate and its key.
fn put(gateway: &Gateway, chain: &str, key: &str) {
    // In this order no test has a pair that fits in between, which the watcher could take over.
    write(&gateway.path().join("tls.key"), key);
    write(&gateway.path().join("tls.crt"), chain);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_or_a_key_that_is_not_whole_is_rejected() {
    let (gateway, _authority) = start();
    let read = |name| read(gateway.path(), name);
    let [leaf, other] = ["leaf.crt", "other.crt"].map(read);
    let [key, other_key] = ["leaf.key", "other.key"].map(read);
    // rcgen ends its lines as the system does.
    let lines = 1 + leaf.trim_end().lines().count();
    let chain = leaf.clone() + &other;
    let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");
    let labelled = |label: &str| leaf.clone() + &other.replace("CERTIFICATE", label);
    let pem = |label: &str, text: &str| {
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
    };
    let start = format!("`{begin}` has to stand at the beginning of a line");
    let old_cipher = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA";
    for (chain, key, says) in [
        // As `printf %s "$(cat leaf.crt)"` and `cat` put them together.
        (
            leaf.trim_end().to_owned() + &other,
            &key,
            format!("tls.crt:{}: {start}", lines - 1),
        ),
        (
            format!("\u{feff}{chain}"),
            &key,
            format!("tls.crt:1: {start}"),
        ),
        (format!("  {chain}"), &key, format!("tls.crt:1: {start}")),
        (
            labelled("TRUSTED CERTIFICATE"),
            &key,
            format!("tls.crt:{lines}: expected `{begin}`"),
        ),
        (
            labelled("X509 CERTIFICATE"),
            &key,
            format!("tls.crt:{lines}: expected `{begin}`"),
        ),
        (
            chain.replacen(end, "", 1),
            &key,
            "2 begin there and".to_owned(),
        ),
        (
            chain.trim_end().trim_end_matches(end).to_owned(),
            &key,
            "2 begin there and 1 can".to_owned(),
        ),
        (
            leaf.clone() + &pem("CERTIFICATE", "AAAA"),
            &key,
            format!("tls.crt:{lines}: this is no certificate"),
        ),
        (
            leaf.clone() + &pem("CERTIFICATE", "A*AA"),
            &key,
            "2 begin there and 1 can".to_owned(),
        ),
        (
            key.clone(),
            &key,
            "tls.crt is not a certificate in PEM".to_owned(),
        ),
        (
            chain.clone(),
            &other_key,
            "tls.key is the key of certificate 2 of".to_owned(),
        ),
        (
            leaf.clone(),
            &other_key,
            "tls.key is not the key of".to_owned(),
        ),
        (
            chain.clone(),
            &pem("ENCRYPTED PRIVATE KEY", "AAAA"),
            "tls.key is encrypted".to_owned(),
        ),
        (
            chain.clone(),
            &pem("RSA PRIVATE KEY", old_cipher),
            "tls.key is encrypted".to_owned(),
        ),
        (
            chain.clone(),
            &format!("{key}{other_key}"),
            "tls.key holds more than one private key".to_owned(),
        ),
        (
            chain.clone(),
            &leaf,
            "tls.key is not a private key in PEM".to_owned(),
        ),
    ] {
        put(&gateway, &chain, key);
        for path in ["/-/reload", "/-/check"] {
            let report = request("POST", gateway.admin, path);
            assert_eq!(report.status, 500, "{says}: {}", report.body);
            assert!(report.body.contains(&says), "{says}: {}", report.body);
        }
    }
    assert_eq!(gateway.generation(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_around_certificates_and_keys_is_allowed() {
    let (gateway, _authority) = start();
    let read = |name| read(gateway.path(), name);
    let [leaf, other, key] = ["leaf.crt", "other.crt", "leaf.key"].map(read);
    let parameters =
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    let text = "Certificate:\n    Data:\n        Version: 3 (0x2)\n";
    for (chain, key) in [
        (leaf.clone() + &other, key.clone()),
        (
            format!("{text}{leaf}subject=CN = x\n\n{text}{other}\n# the end"),
            key.clone(),
        ),
        (
            (leaf.clone() + &other).replace('\n', "\r\n"),
            key.replace('\n', "\r\n"),
        ),
        (leaf.trim_end().to_owned(), key.trim_end().to_owned()),
        // Both in one file, and what OpenSSL writes before a key of an elliptic curve.
        (
            format!("{key}{leaf}{other}"),
            format!("{parameters}{key}{leaf}"),
        ),
    ] {
        put(&gateway, &chain, &key);
        let report = request("POST", gateway.admin, "/-/reload");
        assert_eq!(report.status, 200, "{chain}: {}", report.body);
        assert_eq!(report.json()["warnings"], serde_json::json!([]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_out_of_its_time_is_a_warning_of_the_report() {
    let (gateway, authority) = start();
    let issue = |name, change: fn(&mut CertificateParams)| {
        authority.issue_with(gateway.path(), name, "one.test", change);
    };
    issue("old", |params| params.not_after = date_time_ymd(2001, 1, 1));
    issue("early", |params| {
        params.not_before = date_time_ymd(2999, 1, 1);
    });
    let read = |name| read(gateway.path(), name);
    let lines = 1 + read("leaf.crt").trim_end().lines().count();
    let in_chain = format!("tls.crt:{lines}: a certificate of the chain");
    for (chain, key, says) in [
        (read("old.crt"), "old.key", "tls.crt has expired".to_owned()),
        (
            read("early.crt"),
            "early.key",
            "tls.crt is not valid yet".to_owned(),
        ),
        (
            read("leaf.crt") + &read("old.crt"),
            "leaf.key",
            format!("{in_chain} has expired"),
        ),
        (
            read("leaf.crt") + &read("early.crt"),
            "leaf.key",
            format!("{in_chain} is not valid yet"),
        ),
    ] {
        put(&gateway, &chain, &read(key));
        // It is watched, so a reload may have taken it over by itself: a check would not see it then.
        let said = harness::until(&says, || {
            let status = request("POST", gateway.admin, "/-/reload");
            assert_eq!(status.status, 200, "{}", status.body);
            let status = request("GET", gateway.admin, "/-/status").json();
            let reports = status["reports"].as_array().unwrap().clone();
            reports.into_iter().find(|report| {
                let warnings = report["warnings"].as_array().unwrap();
                warnings
                    .iter()
                    .any(|warning| warning.as_str().unwrap().ends_with(&says))
            })
        });
        assert_eq!(said["warnings"].as_array().unwrap().len(), 1, "{said}");
        gateway.process.stderr.wait_for(&says);
    }
}
