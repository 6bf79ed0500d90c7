//! The choice of the cheapest way, by signed sizes.

use std::collections::BTreeMap;

use super::Transfer;
use crate::{
    older::Patches,
    trust::{Offer, Target},
};

/// The cheapest bundles that lead from `active` to the offered release, one after the other; `older`
/// are patches beside those that it offers itself.
pub(crate) fn route<'a>(
    offer: &'a Offer,
    older: &'a Patches,
    active: Option<u64>,
) -> Option<(Transfer, Vec<&'a Target>)> {
    // For each release: what it costs to be there, and the bundles that lead to it.
    let mut best: BTreeMap<u64, (u64, Transfer, Vec<&Target>)> = BTreeMap::new();
    for (&to, target) in &offer.full {
        best.insert(to, (target.length, Transfer::Full, vec![target]));
    }
    if let Some(active) = active.filter(|active| *active < offer.release) {
        best.insert(active, (0, Transfer::Patch, Vec::new()));
    }
    let mut patches: Vec<_> = older.iter().chain(&offer.patches).collect();
    // Every patch leads forward: what leads to a release is known when it is left.
    patches.sort_by_key(|(span, _)| **span);
    for (&(from, to), target) in patches.into_iter().filter(|((from, to), _)| from < to) {
        let Some((cost, transfer, way)) = best.get(&from) else { continue };
        let cost = cost.saturating_add(target.length);
        if best.get(&to).is_none_or(|(known, ..)| cost < *known) {
            let way = way.iter().copied().chain([target]).collect();
            best.insert(to, (cost, *transfer, way));
        }
    }
    best.remove(&offer.release).map(|(_, transfer, way)| (transfer, way))
}

/// The bytes of `way`.
pub(super) fn cost(way: &[&Target]) -> u64 {
    way.iter().map(|target| target.length).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(length: u64) -> Target {
        Target { name: length.to_string(), sha256: [0; 32], length }
    }

    fn lengths(offer: &Offer, older: &[(u64, u64, u64)], active: Option<u64>) -> Vec<u64> {
        let older: Patches = older.iter().map(|&(a, b, n)| ((a, b), target(n))).collect();
        let found = route(offer, &older, active);
        found.map(|(_, way)| way.iter().map(|target| target.length).collect()).unwrap_or_default()
    }

    #[test]
    fn the_cheapest_way_is_taken() {
        let offer = Offer {
            release: 20,
            manifest: target(1),
            full: [(12, target(1000)), (20, target(1100))].into(),
            patches: [((12, 20), target(90)), ((16, 20), target(30)), ((19, 20), target(5))].into(),
            older: None,
            large: BTreeMap::new(),
        };
        let older = [(3, 8, 40), (8, 16, 50), (2, 8, 2000), (8, 8, 0), (9, 4, 1)];
        assert_eq!(lengths(&offer, &older, Some(19)), [5]);
        assert_eq!(lengths(&offer, &older, Some(3)), [40, 50, 30]);
        assert_eq!(lengths(&offer, &older, Some(2)), [1000, 90]);
        assert_eq!(lengths(&offer, &older, None), [1000, 90]);
        assert_eq!(lengths(&offer, &[(12, 16, 10)], None), [1000, 10, 30]);
        assert_eq!(lengths(&offer, &older, Some(25)), [1000, 90]);
        let none = Offer { full: BTreeMap::new(), ..offer };
        assert!(lengths(&none, &[], Some(3)).is_empty());
    }
}
