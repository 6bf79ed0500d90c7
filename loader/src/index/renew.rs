//! An index made from the one before, at a cost that grows with the modules that changed.
//!
//! A module whose new text defines the same names in the same way touches nothing but its own
//! lists of used names: only it is scanned, and its text before. What comes out is what
//! [`super::build`] would write.

use std::{cmp::Ordering, collections::BTreeMap, path::Path};

use super::{
    Entry, FILES, Index, LISTS, MODULES, NAME_RUNS_ARGUMENTS, NAMES, PYTHON, SIZES, STRINGS,
    UNIT_GENERAL, UNITS, VERIFIED,
    build::{Writer, narrow},
    read_u32,
};
use crate::{
    File, bytes, python,
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
    trees: (&Path, &Path),
) -> Option<Vec<u8>> {
    if !former.verified() {
        return None;
    }
    let places = places(former, files)?;
    let news = (0..).zip(&places).map(|(at, place)| Some((at, files.get(*place as usize)?)));
    let changed = changed(former, news, trees)?;
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
    lists(former, &changed, &mut writer, &|text| text.checked_sub(paths)?.checked_add(moved))?;
    writer.sections[PYTHON].extend_from_slice(python);
    Some(writer.finish(VERIFIED))
}

/// As [`renew`], where the tree has the same paths and only `files` are others: then the files that
/// are the same are not looked at.
pub fn renew_same_paths(former: &Index, files: &[File], trees: (&Path, &Path)) -> Option<Vec<u8>> {
    if !former.verified() {
        return None;
    }
    let mut writer = Writer::default();
    for section in [STRINGS, FILES, MODULES, PYTHON] {
        writer.sections[section].extend_from_slice(former.section(section));
    }
    let mut modules: BTreeMap<u32, &File> = BTreeMap::new();
    for file in files {
        let at = former.find_file(&file.path)?;
        let from = at as usize * SIZES[FILES];
        let record = writer.sections[FILES].get_mut(from..from + SIZES[FILES])?;
        record[6..8].copy_from_slice(&u16::from(file.executable).to_le_bytes());
        record[8..16].copy_from_slice(&file.size.to_le_bytes());
        record[16..48].copy_from_slice(&file.sha256);
        if is_bash_module(&file.path) {
            modules.insert(at, file);
        } else if let Some(hash) = python::hash_of(&mut writer.sections[PYTHON], &file.path) {
            hex::encode_to_slice(file.sha256, hash).ok()?;
        }
    }
    let mut news = Vec::new();
    for at in 0..former.modules() {
        if modules.is_empty() {
            break;
        }
        news.extend(modules.remove(&former.module(at)?.file).map(|file| Some((at, file))));
    }
    // What is no module there.
    if !modules.is_empty() {
        return None;
    }
    let changed = changed(former, news, trees)?;
    if changed.is_empty() {
        for section in [UNITS, NAMES, LISTS] {
            writer.sections[section].extend_from_slice(former.section(section));
        }
    } else {
        lists(former, &changed, &mut writer, &Some)?;
    }
    Some(writer.finish(VERIFIED))
}

/// Writes units, names and their lists, those in `changed` as they are now. `moved` is where the
/// text of a name is now.
fn lists(
    former: &Index,
    changed: &BTreeMap<u32, Used>,
    writer: &mut Writer,
    moved: &dyn Fn(u32) -> Option<u32>,
) -> Option<()> {
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
        let (start, count) = (read_u32(record, 8)?, read_u32(record, 12)?);
        let to = narrow(writer.sections[LISTS].len() / 4);
        former.list(start, count.checked_mul(3)?)?.for_each(|value| writer.push(LISTS, &[value]));
        writer.push(NAMES, &[moved(read_u32(record, 0)?)?]);
        writer.sections[NAMES].extend_from_slice(record.get(4..8)?);
        writer.push(NAMES, &[to, count]);
    }
    Some(())
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
/// `news` are modules by number, and their files now.
fn changed<'a>(
    former: &Index,
    news: impl IntoIterator<Item = Option<(u32, &'a File)>>,
    (before, now): (&Path, &Path),
) -> Option<BTreeMap<u32, Used>> {
    let mut units = BTreeMap::new();
    let mut count = 0;
    for one in news {
        let (at, new) = one?;
        let module = former.module(at)?;
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
    let mut general = unit.general || unit.disturbs;
    for name in &unit.risky {
        general |= runs(name)?;
    }
    for name in &unit.trusted_vars {
        general |= elsewhere(name)?;
    }
    Some(Used { general, names })
}
