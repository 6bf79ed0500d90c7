//! Patches of earlier releases, in a row: for clients that were away for more than the last eight.
//!
//! The signed target `patches` lists them (docs/format.md), so that `targets.json`, which every
//! client reads, names one file more and not sixty. Of each eight releases only the patches to the
//! last one are listed: whoever was at any of them goes there first, then from eight to eight.
//! They are offered, not promised: what is no longer there is gone around.

use std::{collections::BTreeMap, fmt::Write};

use crate::{Error, Result, manifest::Hash, name, trust::Target};

/// Releases behind the newest to which patches lead.
pub const SPAN: u64 = 64;
/// The longest list that is accepted, in bytes.
pub const LIST_MAX: u64 = 64 << 10;
/// The list's name, after a team's prefix.
pub const NAME: &str = "patches";

/// Patches by the releases from and to which they lead.
pub type Patches = BTreeMap<(u64, u64), Target>;

/// Reads a list. `prefix` is with what the names of the role's targets begin.
pub fn parse(text: &[u8], prefix: &str) -> Result<Patches> {
    let bad = |at: usize| {
        Error::refused(format!("the list of patches is damaged: line {} is odd", at + 1))
    };
    if text.len() as u64 > LIST_MAX {
        return Err(Error::refused("the list of patches is longer than 64 KiB"));
    }
    let text = std::str::from_utf8(text).map_err(|_| bad(0))?;
    let mut patches = Patches::new();
    for (at, line) in text.lines().enumerate() {
        let (span, target) = line_of(line, prefix).ok_or_else(|| bad(at))?;
        patches.insert(span, target);
    }
    Ok(patches)
}

fn line_of(line: &str, prefix: &str) -> Option<((u64, u64), Target)> {
    let mut words = line.split(' ');
    let (from, to) = words.next()?.split_once('-')?;
    let (from, to) = (from.parse().ok()?, to.parse().ok()?);
    let length = words.next()?.parse().ok()?;
    let hash = words.next().filter(|hash| name::is_sha256(hash))?;
    let mut sha256: Hash = [0; 32];
    hex::decode_to_slice(hash, &mut sha256).ok()?;
    let target = Target { name: format!("{prefix}{from}-{to}.patch.zst"), sha256, length };
    (from < to && words.next().is_none()).then_some(((from, to), target))
}

/// The list of `patches`.
pub fn text(patches: &Patches) -> String {
    let mut text = String::new();
    for ((from, to), target) in patches {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{from}-{to} {} {}", target.length, hex::encode(target.sha256));
    }
    text
}

/// Of `all`, what the list of `release` is to have, where each eighth release ends a stretch.
pub fn listed(all: Patches, release: u64, stretch: u64) -> Patches {
    let keep = |&(from, to): &(u64, u64)| {
        to < release && to % stretch == 0 && from + stretch >= to && from + SPAN >= release
    };
    all.into_iter().filter(|(span, _)| keep(span)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(from: u64, to: u64) -> Target {
        let name = format!("web.{from}-{to}.patch.zst");
        Target { name, sha256: [u8::try_from(from).unwrap(); 32], length: from * 10 }
    }

    #[test]
    fn a_list_round_trips_and_damage_is_refused() {
        let patches: Patches =
            [(1, 8), (2, 8), (8, 16)].map(|(from, to)| ((from, to), target(from, to))).into();
        let text = text(&patches);
        assert_eq!(parse(text.as_bytes(), "web.").unwrap(), patches);
        assert_eq!(parse(b"", "").unwrap(), Patches::new());
        for (from, to) in [("1-8", "8-8"), ("1-8", "x-8"), ("\n", " 1\n"), ("01", "0Z"), ("-", "")]
        {
            assert!(parse(text.replacen(from, to, 1).as_bytes(), "").is_err(), "{from} {to}");
        }
        assert!(parse(&vec![b'\n'; 70_000], "").is_err());
        assert!(parse(&[0xff], "").is_err());
    }

    #[test]
    fn each_stretch_is_left_by_one_patch() {
        let all: Patches = (1..200u64)
            .flat_map(|to| (to.saturating_sub(8).max(1)..to).map(move |from| (from, to)))
            .map(|(from, to)| ((from, to), target(from, to)))
            .collect();
        let kept = listed(all, 200, 8);
        let ends: Vec<u64> = kept.keys().map(|(_, to)| *to).collect();
        assert!(ends.iter().all(|to| to % 8 == 0));
        for from in 136..192 {
            assert_eq!(
                kept.keys().filter(|span| span.0 == from && from % 8 != 0).count(),
                usize::from(from % 8 != 0),
                "{from}"
            );
        }
        assert!(text(&kept).len() < 8000);
        assert_eq!(kept.keys().next(), Some(&(136, 144)));
    }
}
