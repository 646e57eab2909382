//! The health check: what runs for each upstream.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Request;
use http::uri::PathAndQuery;
use http_body_util::BodyExt;
use rekindle::{BoxError, Lease};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::{Address, Upstream, uri};
use crate::body::Body;
use crate::config::Health;

/// Asks each address now and then, until it is told to stop.
pub(crate) async fn watch(
    upstream: Lease<Upstream>,
    stop: CancellationToken,
) -> Result<(), BoxError> {
    let Some(health) = &upstream.health else {
        stop.cancelled().await;
        return Ok(());
    };
    let mut failures = vec![0; upstream.addresses.len()];
    let mut rounds = interval(health.interval_seconds.get());
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let rounds = async {
        loop {
            rounds.tick().await;
            // One after the other: an address that hangs delays the others by its timeout only.
            for (address, failures) in upstream.addresses.iter().zip(&mut failures) {
                upstream.check(address, health, failures).await;
            }
        }
    };
    stop.run_until_cancelled(rounds).await;
    Ok(())
}

impl Upstream {
    async fn check(&self, address: &Address, health: &Health, failures: &mut u32) {
        let is_well = self
            .answers(address, health.path.clone(), health.timeout_seconds.get())
            .await;
        *failures = if is_well {
            0
        } else {
            failures.saturating_add(1)
        };
        let is_well = *failures < health.failures.get();
        if address.is_well.swap(is_well, Ordering::Relaxed) != is_well {
            let authority = &address.authority;
            match is_well {
                true => tracing::info!(address = %authority, "the upstream is well again"),
                false => tracing::warn!(address = %authority, "the upstream is not well"),
            }
        }
    }

    async fn answers(&self, address: &Address, path: PathAndQuery, patience: Duration) -> bool {
        let request = Request::get(uri(&address.authority, path))
            .body(Body::empty())
            .expect("a URI makes a request");
        let answer = async {
            let response = self.client.request(request).await.ok()?;
            let is_well = response.status().is_success();
            // To its end, so that the connection can be used again.
            response.into_body().collect().await.ok()?;
            is_well.then_some(())
        };
        timeout(patience, answer)
            .await
            .is_ok_and(|well| well.is_some())
    }
}
