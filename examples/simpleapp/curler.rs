//! The curler: a component that refuses a configuration with which it could not work.

use std::collections::BTreeMap;
use std::time::Duration;

use rekindle::BoxError;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Url};
use serde::Serialize;

use crate::config::CurlerConfig;

/// Makes the configured request.
///
/// The client, with its pool of connections, is made once and shared by all generations: a new
/// request does not need new connections.
pub(crate) struct Curler {
    client: Client,
    method: Method,
    url: Url,
    headers: HeaderMap,
    timeout: Duration,
}

/// What the upstream answered.
#[derive(Serialize)]
pub(crate) struct Answer {
    status: u16,
    headers: BTreeMap<String, Vec<String>>,
}

impl Curler {
    /// An error here refuses the whole reload, so it says where to look. It does not repeat what it
    /// found there: URLs and headers may hold secrets, and errors end up in logs.
    pub(crate) fn new(config: &CurlerConfig, client: Client) -> Result<Self, BoxError> {
        let method = config
            .method
            .parse()
            .map_err(|_| "`httpMethod` is not a method of HTTP")?;
        let url: Url = config
            .url
            .parse()
            .map_err(|error| format!("`url` is not a URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("`url` has to start with http:// or https://".into());
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            let not_a = |what| format!("`headers.{name}` is not {what} of HTTP");
            headers.insert(
                HeaderName::try_from(name).map_err(|_| not_a("a header name"))?,
                HeaderValue::try_from(value).map_err(|_| not_a("a header value"))?,
            );
        }
        let timeout = Duration::from_secs(config.timeout_seconds.get().into());
        Ok(Self {
            client,
            method,
            url,
            headers,
            timeout,
        })
    }

    pub(crate) async fn curl(&self) -> Result<Answer, reqwest::Error> {
        let request = self
            .client
            .request(self.method.clone(), self.url.clone())
            .headers(self.headers.clone())
            .timeout(self.timeout);
        let response = request.send().await.map_err(reqwest::Error::without_url)?;

        let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in response.headers() {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            headers.entry(name.to_string()).or_default().push(value);
        }
        Ok(Answer {
            status: response.status().as_u16(),
            headers,
        })
    }
}
