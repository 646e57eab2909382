//! The health of addresses, and the check: what runs for each upstream.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use http::Request;
use http::uri::Authority;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use rekindle::{BoxError, Keyed, Lease, Live};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::{Upstream, uri};
use crate::body::{Body, Shared};
use crate::config;

/// What is known of an address of an upstream.
///
/// It is a value of its own, for which nothing can be set, and so it stays as long as the address is
/// in the file: a change of the upstream would forget who is not well.
#[derive(Default)]
pub(crate) struct Health {
    /// In a row.
    failures: AtomicU32,
    /// What the check found. Read and written alone, so relaxed.
    is_unwell: AtomicBool,
}

/// The keys of all addresses.
pub(crate) fn members(upstreams: &BTreeMap<String, config::Upstream>) -> BTreeMap<String, ()> {
    let upstreams = upstreams.iter();
    let members = upstreams.flat_map(|(name, upstream)| {
        let addresses = upstream.addresses.iter();
        addresses.map(|address| (member(name, address.get()), ()))
    });
    members.collect()
}

/// The key of an address: what is not well for one upstream may be for another.
pub(super) fn member(upstream: &str, address: &Authority) -> String {
    format!("{upstream} {address}")
}

impl Health {
    pub(super) fn is_well(&self) -> bool {
        !self.is_unwell.load(Ordering::Relaxed)
    }

    fn note(&self, answers: bool, settings: &config::Health, address: &Authority) {
        if answers {
            self.failures.store(0, Ordering::Relaxed);
        } else {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        let is_unwell = self.failures.load(Ordering::Relaxed) >= settings.failures.get();
        if self.is_unwell.swap(is_unwell, Ordering::Relaxed) != is_unwell {
            match is_unwell {
                true => tracing::warn!(%address, "the upstream is not well"),
                false => tracing::info!(%address, "the upstream is well again"),
            }
        }
    }
}

/// As much of the answer to a check is read, so that the connection can be used again.
const ANSWER: usize = 64 * 1024;

/// Asks each address now and then, until it is told to stop.
pub(crate) async fn watch(
    upstream: Lease<Upstream>,
    healths: Live<Keyed<String, Health>>,
    stop: CancellationToken,
) -> Result<(), BoxError> {
    let members: Option<Vec<_>> = {
        let healths = healths.load();
        let members = upstream.members();
        members
            .map(|member| healths.get(&member).cloned())
            .collect()
    };
    let (Some(health), Some(members)) = (&upstream.health, members) else {
        // There is nothing to do, or there will not be: one that is gone is about to be told.
        stop.cancelled().await;
        return Ok(());
    };
    let mut rounds = interval(health.interval_seconds.get());
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let rounds = async {
        loop {
            rounds.tick().await;
            // One after the other: an address that hangs delays the others by its timeout only.
            for (address, member) in upstream.addresses.iter().zip(&members) {
                let answers = upstream.answers(address, health).await;
                member.note(answers, health, address);
            }
        }
    };
    stop.run_until_cancelled(rounds).await;
    Ok(())
}

impl Upstream {
    /// Whether an address gives the right answer in time.
    async fn answers(&self, address: &Authority, health: &config::Health) -> bool {
        let request = Request::get(uri(address, health.path.clone()))
            .body(Shared::new(Body::empty().holding(None)))
            .expect("a URI makes a request");
        let answer = async {
            let response = self.client.request(request).await.ok()?;
            let is_well = response.status().is_success();
            let body = Limited::new(response.into_body(), ANSWER).collect().await;
            // Its length says nothing about it.
            let is_whole = body.map_or_else(|error| error.is::<LengthLimitError>(), |_| true);
            (is_well && is_whole).then_some(())
        };
        let answer = timeout(health.timeout_seconds.get(), answer).await;
        answer.is_ok_and(|well| well.is_some())
    }
}
