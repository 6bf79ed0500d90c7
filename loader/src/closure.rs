//! Which modules a piece of bash reaches.
//!
//! Owns the promise that a script sees what it would see if every module had been sourced in name
//! order. A name is needed *at the run* (then its last definition counts) or *while modules are
//! sourced* (then each definition may be the one in force at that moment, so all of them count).

use std::{collections::HashSet, ffi::OsString, os::unix::ffi::OsStrExt};

use crate::{
    Error,
    index::{
        DEF_REPLACES, Index, MODULE_ALWAYS, NAME_RUNS_ARGUMENTS, NAME_VARIABLE, NAME_WHOLE, NONE,
        UNIT_GENERAL,
    },
    scan::{self, Facts},
};

/// The modules to source.
#[derive(Debug, PartialEq, Eq)]
pub enum Reach {
    /// These, in this order.
    Some(Vec<u32>),
    /// Every one: names are formed at run time.
    All,
}

/// When a name is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Run,
    Sourcing,
}

struct Walk<'i> {
    index: &'i Index,
    modules: Vec<bool>,
    /// Per unit and per name: bit 0 visited for the run, bit 1 for sourcing.
    units: Vec<u8>,
    names: Vec<u8>,
    todo: Vec<(u32, When)>,
    all: bool,
}

/// The modules that `text`, started with `args`, reaches.
pub fn reach(index: &Index, facts: &Facts<'_>, args: &[OsString]) -> Result<Reach, Error> {
    let mut walk = Walk {
        index,
        modules: vec![false; index.modules() as usize],
        units: vec![0; index.units() as usize],
        names: vec![0; index.names() as usize],
        todo: Vec::new(),
        all: false,
    };
    if walk.script(facts, args) || walk.run().ok_or_else(|| index.damaged())? {
        return Ok(Reach::All);
    }
    Ok(Reach::Some((0..index.modules()).filter(|&m| walk.modules[m as usize]).collect()))
}

impl Walk<'_> {
    /// Enters what the script itself names. True when that may be anything.
    fn script(&mut self, facts: &Facts<'_>, args: &[OsString]) -> bool {
        if facts.unsure || facts.units.iter().any(|unit| unit.general) {
            return true;
        }
        let runners = self.runners(facts);
        let runs = |name: &[u8]| {
            runners.contains(name)
                || self
                    .index
                    .find_name(name)
                    .and_then(|at| self.index.name(at))
                    .is_some_and(|(_, flags)| flags & NAME_RUNS_ARGUMENTS != 0)
        };
        let mut takes_args = false;
        for (n, unit) in facts.units.iter().enumerate() {
            if unit.risky.iter().any(|name| runs(name)) {
                return true;
            }
            takes_args |= n == 0 && (unit.positional || unit.relays.iter().any(|name| runs(name)));
            for var in &unit.trusted_vars {
                let set_elsewhere = self
                    .index
                    .find_name(var)
                    .and_then(|at| self.index.name(at))
                    .is_some_and(|(_, flags)| flags & NAME_VARIABLE != 0);
                // Or handed down by the caller, to be kept if it is set.
                if set_elsewhere || std::env::var_os(std::ffi::OsStr::from_bytes(var)).is_some() {
                    return true;
                }
            }
        }
        for unit in &facts.units {
            for word in &unit.words {
                self.text(word);
            }
            for (prefix, suffix) in &unit.patterns {
                for name in self.index.matching(prefix, suffix) {
                    self.name(name, When::Run);
                }
            }
        }
        if takes_args {
            for arg in args {
                let mut words = Vec::new();
                // `eval` would make other names of it.
                if arg.as_bytes().iter().any(|b| b"\\'\"$`{".contains(b)) {
                    return true;
                }
                scan::tokens(arg.as_bytes(), &mut words);
                words.iter().for_each(|word| self.text(word));
            }
        }
        // Called by bash itself.
        self.text(b"command_not_found_handle");
        // A variable of the environment that a module sets reaches every child.
        for (name, _) in std::env::vars_os() {
            self.text(name.as_bytes());
        }
        false
    }

    /// The script's own functions that run their arguments.
    fn runners(&self, facts: &Facts<'_>) -> HashSet<Vec<u8>> {
        let mut runners: HashSet<Vec<u8>> = HashSet::new();
        let own: Vec<_> = facts
            .defs
            .iter()
            .filter_map(|d| Some((d.name.as_ref(), d.unit?)))
            .chain(facts.inner.iter().map(|(name, unit)| (name.as_ref(), *unit)))
            .collect();
        loop {
            let before = runners.len();
            for (name, unit) in &own {
                let unit = &facts.units[*unit];
                let relays = unit.relays.iter().any(|to| {
                    runners.contains(to.as_ref())
                        || self
                            .index
                            .find_name(to)
                            .and_then(|at| self.index.name(at))
                            .is_some_and(|(_, flags)| flags & NAME_RUNS_ARGUMENTS != 0)
                });
                if unit.positional || relays {
                    runners.insert(name.to_vec());
                }
            }
            if runners.len() == before {
                return runners;
            }
        }
    }

    fn text(&mut self, word: &[u8]) {
        if let Some(name) = self.index.find_name(word) {
            self.name(name, When::Run);
        }
    }

    fn name(&mut self, name: u32, when: When) {
        let bit = if when == When::Run { 1 } else { 2 };
        if let Some(seen) = self.names.get_mut(name as usize)
            && *seen & bit == 0
        {
            *seen |= bit;
            self.todo.push((name, when));
        }
    }

    /// Follows everything that was entered. `Some(true)` when it leads everywhere.
    fn run(&mut self) -> Option<bool> {
        for module in 0..self.index.modules() {
            if self.index.module(module)?.flags & MODULE_ALWAYS != 0 {
                self.module(module)?;
            }
        }
        while let Some((name, when)) = self.todo.pop() {
            if self.all {
                break;
            }
            let (_, flags) = self.index.name(name)?;
            let defs = self.index.defs(name)?;
            let from = if when == When::Sourcing || flags & NAME_WHOLE != 0 {
                0
            } else {
                defs.iter().rposition(|d| d.flags & DEF_REPLACES != 0).unwrap_or(0)
            };
            for def in &defs[from..] {
                self.module(def.module)?;
                if def.unit != NONE {
                    self.unit(def.unit, when)?;
                }
            }
        }
        Some(self.all)
    }

    fn module(&mut self, module: u32) -> Option<()> {
        let taken = self.modules.get_mut(module as usize)?;
        if !std::mem::replace(taken, true) {
            let top = self.index.module(module)?.unit;
            self.unit(top, When::Sourcing)?;
        }
        Some(())
    }

    fn unit(&mut self, unit: u32, when: When) -> Option<()> {
        let bit = if when == When::Run { 1 } else { 2 };
        let seen = self.units.get_mut(unit as usize)?;
        if *seen & bit != 0 {
            return Some(());
        }
        *seen |= bit;
        let index = self.index;
        let (flags, used) = index.unit(unit)?;
        self.all |= flags & UNIT_GENERAL != 0;
        for name in used {
            self.name(name, when);
        }
        Some(())
    }
}
