//! An index made from the one before, for a tree whose modules are the same: nothing is scanned.

use super::{
    Index, LISTS, MODULES, NAMES, PYTHON, STRINGS, UNITS, VERIFIED,
    build::{Writer, narrow},
    read_u32,
};
use crate::File;

const MODULE_FOLDER: &str = "modules/";

/// The index of `files`, which are sorted, as `former` would say it; `None` if their modules are
/// not those of `former`, or if it is damaged.
pub fn renew(former: &Index, files: &[File]) -> Option<Vec<u8>> {
    if !former.verified() || !same_modules(former, files)? {
        return None;
    }
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
    for at in 0..former.modules() {
        let module = former.module(at)?;
        let path = former.file(module.file)?.path;
        let file = files.binary_search_by(|file| file.path.as_bytes().cmp(path.as_bytes())).ok()?;
        writer.push(MODULES, &[narrow(file), module.flags, module.unit]);
    }
    for at in 0..former.names() {
        let record = former.record(NAMES, at)?;
        let text = read_u32(record, 0)?.checked_sub(paths)?.checked_add(moved)?;
        writer.push(NAMES, &[text]);
        writer.sections[NAMES].extend_from_slice(record.get(4..)?);
    }
    for section in [UNITS, LISTS, PYTHON] {
        writer.sections[section].extend_from_slice(former.section(section));
    }
    Some(writer.finish(VERIFIED))
}

/// Whether both have the same files in the namespace. `None` when `former` is damaged.
fn same_modules(former: &Index, files: &[File]) -> Option<bool> {
    let mut old = Vec::new();
    for at in former.first_file(MODULE_FOLDER)..former.files() {
        let entry = former.file(at)?;
        if !entry.path.starts_with(MODULE_FOLDER) {
            break;
        }
        old.push(entry);
    }
    let from = files.partition_point(|file| file.path.as_str() < MODULE_FOLDER);
    let new = files.get(from..)?.iter().take_while(|file| file.path.starts_with(MODULE_FOLDER));
    let same = new
        .map(|file| (file.path.as_str(), Some(file.sha256.as_slice())))
        .eq(old.iter().map(|entry| (entry.path, entry.sha256)));
    Some(same)
}
