//! When the daemon visits the fleet server.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use tokio::{sync::watch, task::JoinSet, time::timeout};

use super::{Report, Visit};
use crate::{Failure, Result, apart, error::code, tier::World};

/// No visit lasts longer; what was told until then stays told.
const LIMIT: Duration = Duration::from_secs(15 * 60);
/// After a visit that could not even say how it ended.
const PAUSE: Duration = Duration::from_secs(60);

/// At most one visit at a time.
#[derive(Debug, Default)]
pub struct Outing {
    under_way: JoinSet<Result<Report>>,
    not_before: Option<Instant>,
}

impl Outing {
    /// Begins a visit if something waits and it may; otherwise tells when to look again, if
    /// something waits.
    pub fn begin(
        &mut self,
        world: &Arc<World>,
        stop: watch::Receiver<bool>,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        if world.config.server.url.is_none() || !self.under_way.is_empty() {
            return None;
        }
        // One entry answers it: adding up a full spool at each turn of the loop would read all of it.
        if !world.journal.oldest(1).is_ok_and(|waiting| !waiting.is_empty()) {
            return None;
        }
        let left = self.not_before.map(|at| at.saturating_duration_since(Instant::now()));
        if let Some(left) = left.filter(|left| !left.is_zero()) {
            return Some(now + left);
        }
        let visit = Visit::of(&world.journal);
        if !visit.may_begin(now) {
            return visit.again;
        }
        let world = Arc::clone(world);
        self.under_way.spawn(async move {
            let visit = apart::ask("submit", &world.config, stop);
            timeout(LIMIT, visit).await.unwrap_or_else(|_| {
                Err(Failure::new(code::UNREACHABLE, "the fleet server took too long"))
            })
        });
        None
    }

    /// Waits until the visit that is under way has ended; for ever if none is.
    pub async fn ended(&mut self) {
        let Some(ended) = self.under_way.join_next().await else {
            return std::future::pending().await;
        };
        match ended {
            Ok(Ok(report)) => {
                self.not_before = None;
                let Report { stored, rejected, .. } = report;
                tracing::info!(stored, rejected, "the fleet server was told");
            }
            Ok(Err(failure)) => {
                self.not_before = Some(Instant::now() + PAUSE);
                tracing::warn!("{failure}");
            }
            // A defect.
            Err(error) => {
                self.not_before = Some(Instant::now() + PAUSE);
                tracing::error!("telling the fleet server broke off: {error}");
            }
        }
    }
}
