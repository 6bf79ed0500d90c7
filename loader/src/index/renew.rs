//! An index made from the one before, at a cost that grows with the modules that changed.
//!
//! A module whose new text defines the same names in the same way touches nothing but its own
//! lists of used names: only it is scanned, and its text before. What comes out is what
//! [`super::build`] would write.

use std::{cmp::Ordering, collections::BTreeMap, path::Path};

use super::{
    Entry, Index, LISTS, MODULES, NAME_RUNS_ARGUMENTS, NAMES, STRINGS, UNIT_GENERAL, UNITS,
    VERIFIED,
    build::{Writer, narrow},
    read_u32,
};
use crate::{
    File, bytes,
    scan::{Facts, Unit, scan},
    tree::is_bash_module,
};

/// More changed modules than this are scanned with all others: on all cores, and once.
const CHANGED_MAX: usize = 1000;

/// What a unit is in the new index.
struct Used {
    general: bool,
    names: Vec<u32>,
}

/// The index of `files`, which are sorted, and of `python`; `None` if it is not to be had from
/// `former`, the index of the tree `before`. `now` is the tree of `files`.
pub fn renew(
    former: &Index,
    files: &[File],
    python: &[u8],
    (before, now): (&Path, &Path),
) -> Option<Vec<u8>> {
    if !former.verified() {
        return None;
    }
    let places = places(former, files)?;
    let changed = changed(former, files, &places, (before, now))?;
    let mut writer = Writer::default();
    for file in files {
        writer.file(file);
    }
    // Names follow the paths in the strings, and move with them.
    let paths: u32 = (0..former.files())
        .map(|at| former.file(at).map(|file| narrow(file.path.len())))
        .sum::<Option<u32>>()?;
    let moved = narrow(writer.sections[STRINGS].len());
    let rest = former.section(STRINGS).get(paths as usize..)?;
    writer.sections[STRINGS].extend_from_slice(rest);
    for (at, place) in (0..former.modules()).zip(places) {
        let module = former.module(at)?;
        writer.push(MODULES, &[place, module.flags, module.unit]);
    }
    for at in 0..former.units() {
        let start = narrow(writer.sections[LISTS].len() / 4);
        if let Some(used) = changed.get(&at) {
            let general = if used.general { UNIT_GENERAL } else { 0 };
            writer.push(LISTS, &used.names);
            writer.push(UNITS, &[general, start, narrow(used.names.len())]);
        } else {
            let (flags, names) = former.unit(at)?;
            names.for_each(|name| writer.push(LISTS, &[name]));
            let count = narrow(writer.sections[LISTS].len() / 4) - start;
            writer.push(UNITS, &[flags, start, count]);
        }
    }
    for at in 0..former.names() {
        let record = former.record(NAMES, at)?;
        let text = read_u32(record, 0)?.checked_sub(paths)?.checked_add(moved)?;
        let (start, count) = (read_u32(record, 8)?, read_u32(record, 12)?);
        let to = narrow(writer.sections[LISTS].len() / 4);
        former.list(start, count.checked_mul(3)?)?.for_each(|value| writer.push(LISTS, &[value]));
        writer.push(NAMES, &[text]);
        writer.sections[NAMES].extend_from_slice(record.get(4..8)?);
        writer.push(NAMES, &[to, count]);
    }
    writer.sections[super::PYTHON].extend_from_slice(python);
    Some(writer.finish(VERIFIED))
}

/// Where each module of `former` stands in `files`; `None` if these have other modules.
fn places(former: &Index, files: &[File]) -> Option<Vec<u32>> {
    let mut new = files.iter().enumerate().filter(|(_, file)| is_bash_module(&file.path));
    let mut places = Vec::new();
    for at in 0..former.modules() {
        let (place, file) = new.next()?;
        let path = former.file(former.module(at)?.file)?.path;
        if path.cmp(&file.path) != Ordering::Equal {
            return None;
        }
        places.push(narrow(place));
    }
    new.next().is_none().then_some(places)
}

/// The units of modules whose text changed, by number; `None` if one says something else to others.
fn changed(
    former: &Index,
    files: &[File],
    places: &[u32],
    (before, now): (&Path, &Path),
) -> Option<BTreeMap<u32, Used>> {
    let mut units = BTreeMap::new();
    let mut count = 0;
    for (at, place) in (0..).zip(places) {
        let (module, new) = (former.module(at)?, files.get(*place as usize)?);
        let old = former.file(module.file)?;
        if old.sha256? == new.sha256 {
            continue;
        }
        count += 1;
        if count > CHANGED_MAX {
            return None;
        }
        let entry = Entry {
            path: &new.path,
            size: new.size,
            sha256: Some(&new.sha256),
            executable: new.executable,
        };
        let (old, new) = (bytes::read(before, &old).ok()?, bytes::read(now, &entry).ok()?);
        let (old, new) = (scan(&old), scan(&new));
        if !same_outside(&old, &new) {
            return None;
        }
        for (unit, number) in new.units.iter().zip(module.unit..) {
            units.insert(number, used(former, unit, at)?);
        }
    }
    Some(units)
}

/// Whether two texts of a module are the same to everybody else.
fn same_outside(old: &Facts<'_>, new: &Facts<'_>) -> bool {
    let flags = |facts: &Facts<'_>| {
        (facts.effects, facts.returns, facts.unsure, facts.own_source.is_empty())
    };
    let units =
        |(a, b): (&Unit<'_>, &Unit<'_>)| a.positional == b.positional && a.relays == b.relays;
    flags(old) == flags(new)
        && old.defs == new.defs
        && old.inner == new.inner
        && old.units.len() == new.units.len()
        && old.units.iter().zip(&new.units).all(units)
}

fn used(former: &Index, unit: &Unit<'_>, module: u32) -> Option<Used> {
    let mut names: Vec<u32> = unit.words.iter().filter_map(|word| former.find_name(word)).collect();
    for (prefix, suffix) in &unit.patterns {
        names.extend(former.matching(prefix, suffix));
    }
    names.sort_unstable();
    names.dedup();
    let runs = |name: &[u8]| -> Option<bool> {
        let Some(at) = former.find_name(name) else { return Some(false) };
        Some(former.name(at)?.1 & NAME_RUNS_ARGUMENTS != 0)
    };
    let elsewhere = |name: &[u8]| -> Option<bool> {
        let Some(at) = former.find_name(name) else { return Some(false) };
        Some(former.defs(at)?.iter().any(|def| def.module != module))
    };
    let mut general = unit.general;
    for name in &unit.risky {
        general |= runs(name)?;
    }
    for name in &unit.trusted_vars {
        general |= elsewhere(name)?;
    }
    Some(Used { general, names })
}
