//! The choice of the cheapest way, by signed sizes.

use super::Transfer;
use crate::trust::{Offer, Target};

/// The cheapest bundles that lead from `active` to the offered release.
pub(crate) fn route(offer: &Offer, active: Option<u64>) -> Option<(Transfer, Vec<&Target>)> {
    let cost = |targets: &[&Target]| targets.iter().map(|target| target.length).sum::<u64>();
    let to = offer.release;
    let patch = active
        .and_then(|from| offer.patches.get(&(from, to)))
        .map(|target| (Transfer::Patch, vec![target]));
    let full = offer.full.iter().filter_map(|(&from, target)| {
        let mut targets = vec![target];
        if from != to {
            targets.push(offer.patches.get(&(from, to))?);
        }
        Some((Transfer::Full, targets))
    });
    patch.into_iter().chain(full).min_by_key(|(_, targets)| cost(targets))
}
