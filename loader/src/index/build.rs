//! Makes an index: reads every module once, resolves who needs whom.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    DEF_REPLACES, FILES, HEADER, LISTS, MAGIC, MODULE_ALWAYS, MODULE_OWN_SOURCE, MODULE_RETURNS,
    MODULES, NAME_RUNS_ARGUMENTS, NAME_VARIABLE, NAME_WHOLE, NAMES, NONE, PYTHON, SECTIONS, SIZES,
    STRINGS, UNIT_GENERAL, UNITS, VERIFIED, checksum, fits,
};
use crate::{
    File, cores,
    scan::{self, Kind},
};

/// What an index is made from.
#[derive(Debug)]
pub struct Input<'a> {
    /// Every file that may be run, sourced or imported.
    pub files: &'a [File],
    /// The text of each bash module, with its place in `files`.
    pub modules: Vec<(usize, Vec<u8>)>,
    /// Whether the hashes in `files` are to be held.
    pub verified: bool,
    /// The Python modules, as the prelude reads them.
    pub python: Vec<u8>,
}

/// A name and everything that is known about it.
#[derive(Default)]
struct Name {
    /// Module, unit, replaces what was there.
    defs: Vec<(u32, u32, bool)>,
    whole: bool,
    variable: bool,
    readonly: bool,
    runs_arguments: bool,
}

/// Variables that change how bash itself or every child works.
fn acts_by_itself(name: &[u8]) -> bool {
    const KNOWN: [&[u8]; 33] = [
        b"CDPATH",
        b"COLUMNS",
        b"ENV",
        b"EXECIGNORE",
        b"FCEDIT",
        b"FIGNORE",
        b"FUNCNEST",
        b"GLOBIGNORE",
        b"HOME",
        b"IFS",
        b"INPUTRC",
        b"LANG",
        b"LANGUAGE",
        b"LINENO",
        b"LINES",
        b"LOGNAME",
        b"OPTERR",
        b"OPTIND",
        b"PATH",
        b"POSIXLY_CORRECT",
        b"PROMPT_COMMAND",
        b"PS4",
        b"RANDOM",
        b"REPLY",
        b"SECONDS",
        b"SHELL",
        b"SHELLOPTS",
        b"TERM",
        b"TIMEFORMAT",
        b"TMOUT",
        b"TMPDIR",
        b"TZ",
        b"USER",
    ];
    KNOWN.binary_search(&name).is_ok()
        || [&b"BASH"[..], b"LC_", b"HIST", b"LDI_"].iter().any(|p| name.starts_with(p))
}

/// The index of `input`.
pub fn build(input: &Input<'_>) -> Vec<u8> {
    // Bytes are the order, in every locale.
    let mut order: Vec<&(usize, Vec<u8>)> = input.modules.iter().collect();
    order.sort_by_key(|(file, _)| input.files[*file].path.as_bytes());

    let mut names: BTreeMap<Vec<u8>, Name> = BTreeMap::new();
    let facts = cores::map(&order, |(_, text)| scan::scan(text));
    let mut first_unit = Vec::with_capacity(order.len());
    let mut flags = Vec::with_capacity(order.len());
    let mut units = 0u32;
    for (module, fact) in facts.iter().enumerate() {
        let module = narrow(module);
        let mut flag = 0;
        flag |= if fact.effects || fact.unsure { MODULE_ALWAYS } else { 0 };
        flag |= if fact.returns || fact.unsure { MODULE_RETURNS } else { 0 };
        flag |= if fact.own_source.is_empty() { 0 } else { MODULE_OWN_SOURCE };
        for def in &fact.defs {
            let name = names.entry(def.name.to_vec()).or_default();
            let unit = def.unit.map_or(NONE, |u| units + narrow(u));
            let variable = def.unit.is_none();
            // A function beside a variable, or a variable with an attribute: all of them count.
            name.whole |= variable && def.kind != Kind::Scalar
                || !name.defs.is_empty() && variable != name.variable;
            name.variable |= variable;
            name.readonly |= def.kind == Kind::Readonly;
            name.defs.push((module, unit, matches!(def.kind, Kind::Function | Kind::Scalar)));
            if acts_by_itself(&def.name) || def.name.as_ref() == b"command_not_found_handle" {
                flag |= MODULE_ALWAYS;
            }
        }
        first_unit.push(units);
        units += narrow(fact.units.len());
        flags.push(flag);
    }
    for name in names.values() {
        if name.readonly && name.defs.len() > 1 {
            for (module, ..) in &name.defs {
                flags[*module as usize] |= MODULE_ALWAYS;
            }
        }
    }
    settle_arguments(&facts, &mut names);

    let mut writer = Writer::default();
    for file in input.files {
        writer.file(file);
    }
    for (at, (file, _)) in order.iter().enumerate() {
        writer.push(MODULES, &[narrow(*file), flags[at], first_unit[at]]);
    }
    let numbers: HashMap<&[u8], u32> =
        names.keys().enumerate().map(|(n, name)| (name.as_slice(), narrow(n))).collect();
    for (module, fact) in facts.iter().enumerate() {
        for unit in &fact.units {
            writer.unit(unit, narrow(module), &names, &numbers);
        }
    }
    for (text, name) in &names {
        writer.name(text, name);
    }
    writer.sections[PYTHON].extend_from_slice(&input.python);
    writer.finish(if input.verified { VERIFIED } else { 0 })
}

/// Finds the functions that run their arguments, directly or through another such function.
fn settle_arguments(facts: &[scan::Facts<'_>], names: &mut BTreeMap<Vec<u8>, Name>) {
    loop {
        let mut changed = false;
        for fact in facts {
            let own = fact.defs.iter().filter_map(|d| Some((&d.name, d.unit?)));
            let inner = fact.inner.iter().map(|(name, unit)| (name, *unit));
            for (name, unit) in own.chain(inner) {
                let unit = &fact.units[unit];
                let runs =
                    unit.positional || unit.relays.iter().any(|to| runs_arguments(names, to));
                if runs && !runs_arguments(names, name) {
                    // A function that only exists within another is noted as a name without
                    // definitions: calls of it are what matters.
                    names.entry(name.to_vec()).or_default().runs_arguments = true;
                    changed = true;
                }
            }
        }
        if !changed {
            return;
        }
    }
}

fn runs_arguments(names: &BTreeMap<Vec<u8>, Name>, name: &[u8]) -> bool {
    names.get(name).is_some_and(|n| n.runs_arguments)
}

/// Lays out the sections.
#[derive(Default)]
pub(super) struct Writer {
    pub(super) sections: [Vec<u8>; SECTIONS],
}

impl Writer {
    pub(super) fn push(&mut self, section: usize, values: &[u32]) {
        for value in values {
            self.sections[section].extend_from_slice(&value.to_le_bytes());
        }
    }

    fn string(&mut self, text: &[u8]) -> u32 {
        let at = narrow(self.sections[STRINGS].len());
        self.sections[STRINGS].extend_from_slice(text);
        at
    }

    pub(super) fn file(&mut self, file: &File) {
        let at = self.string(file.path.as_bytes());
        let length = u16::try_from(file.path.len()).unwrap_or(u16::MAX);
        let record = &mut self.sections[FILES];
        record.extend_from_slice(&at.to_le_bytes());
        record.extend_from_slice(&length.to_le_bytes());
        record.extend_from_slice(&u16::from(file.executable).to_le_bytes());
        record.extend_from_slice(&file.size.to_le_bytes());
        record.extend_from_slice(&file.sha256);
    }

    fn unit(
        &mut self,
        unit: &scan::Unit<'_>,
        module: u32,
        names: &BTreeMap<Vec<u8>, Name>,
        numbers: &HashMap<&[u8], u32>,
    ) {
        let mut used: BTreeSet<u32> =
            unit.words.iter().filter_map(|w| numbers.get(w.as_ref()).copied()).collect();
        for (prefix, suffix) in &unit.patterns {
            used.extend(
                names
                    .range(prefix.clone()..)
                    .take_while(|(name, _)| name.starts_with(prefix))
                    .filter(|(name, _)| fits(name, prefix, suffix))
                    .filter_map(|(name, _)| numbers.get(name.as_slice()).copied()),
            );
        }
        let elsewhere = |var: &&[u8]| {
            names.get(*var).is_some_and(|n| n.defs.iter().any(|(m, ..)| *m != module))
        };
        let general = unit.general
            || unit.disturbs
            || unit.risky.iter().any(|name| runs_arguments(names, name))
            || unit.trusted_vars.iter().any(elsewhere);
        let start = narrow(self.sections[LISTS].len() / 4);
        let count = narrow(used.len());
        self.push(LISTS, &used.into_iter().collect::<Vec<_>>());
        self.push(UNITS, &[if general { UNIT_GENERAL } else { 0 }, start, count]);
    }

    fn name(&mut self, text: &[u8], name: &Name) {
        let start = narrow(self.sections[LISTS].len() / 4);
        for (module, unit, replaces) in &name.defs {
            self.push(LISTS, &[*module, *unit, if *replaces { DEF_REPLACES } else { 0 }]);
        }
        let at = self.string(text);
        let mut flags = 0u16;
        let mut flag = |on: bool, bit: u32| {
            flags |= if on { u16::try_from(bit).unwrap_or(0) } else { 0 };
        };
        flag(name.whole, NAME_WHOLE);
        flag(name.runs_arguments, NAME_RUNS_ARGUMENTS);
        flag(name.variable, NAME_VARIABLE);
        let record = &mut self.sections[NAMES];
        record.extend_from_slice(&at.to_le_bytes());
        record.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_le_bytes());
        record.extend_from_slice(&flags.to_le_bytes());
        record.extend_from_slice(&start.to_le_bytes());
        record.extend_from_slice(&narrow(name.defs.len()).to_le_bytes());
    }

    pub(super) fn finish(self, flags: u32) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&flags.to_le_bytes());
        let mut offset = HEADER;
        for (n, section) in self.sections.iter().enumerate() {
            out.extend_from_slice(&narrow(offset).to_le_bytes());
            out.extend_from_slice(&narrow(section.len() / SIZES[n]).to_le_bytes());
            offset += section.len();
        }
        for section in &self.sections {
            out.extend_from_slice(section);
        }
        let sum = checksum(&out[16..]);
        out[8..16].copy_from_slice(&sum.to_le_bytes());
        out
    }
}

/// Every count here is bounded by the bytes of an index, far below 2^32.
pub(super) fn narrow(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[test]
fn variables_that_act_by_themselves_are_found() {
    for name in ["PATH", "IFS", "CDPATH", "USER", "LC_ALL", "BASH_ENV", "TERM", "LANG", "TZ"] {
        assert!(acts_by_itself(name.as_bytes()), "{name}");
    }
    assert!(!acts_by_itself(b"greeting"));
}
