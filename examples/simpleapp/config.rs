//! The configuration file, in the shape in which it is written.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::Deserialize;

/// The whole file: one section per component.
///
/// Unknown keys are refused, so that a misspelt one is an error with its line and column, and not a
/// default that nobody asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) printer: PrinterConfig,
    pub(crate) curler: CurlerConfig,
}

/// `PartialEq` is what `select` compares: a section that is equal to the one before has not
/// changed, and the component that is built from it is left alone.
#[derive(Clone, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrinterConfig {
    pub(crate) message: String,
}

#[derive(Clone, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct CurlerConfig {
    pub(crate) url: String,
    /// Named as in the article; `method` is the shorter name for it.
    #[serde(rename = "httpMethod", alias = "method", default = "get")]
    pub(crate) method: String,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    #[serde(default = "ten")]
    pub(crate) timeout_seconds: NonZeroU32,
}

fn get() -> String {
    "GET".to_owned()
}

fn ten() -> NonZeroU32 {
    const { NonZeroU32::new(10).unwrap() }
}
