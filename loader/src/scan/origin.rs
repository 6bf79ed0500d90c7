//! Where the values of variables come from that are used as names, within one file.

use std::collections::HashSet;

use super::{Facts, Src};

impl<'a> Facts<'a> {
    /// Follows variables that are used as names to where their values come from.
    pub(super) fn settle(&mut self) {
        let mut units = std::mem::take(&mut self.units);
        for at in 0..units.len() {
            for var in std::mem::take(&mut units[at].var_sinks) {
                let mut givers = Vec::new();
                match self.origin(var, &mut HashSet::new(), &mut givers) {
                    Src::Lit => units[at].trusted_vars.push(var),
                    Src::Pos => {
                        units[at].trusted_vars.push(var);
                        givers.push(at);
                        givers.iter().for_each(|giver| units[*giver].positional = true);
                    }
                    _ => units[at].general = true,
                }
            }
            for (name, var) in std::mem::take(&mut units[at].call_vars) {
                let mut givers = Vec::new();
                match self.origin(var, &mut HashSet::new(), &mut givers) {
                    Src::Lit => {}
                    Src::Pos => {
                        givers.push(at);
                        givers.iter().for_each(|giver| units[*giver].relays.push(name.clone()));
                    }
                    _ => units[at].risky.push(name),
                }
            }
        }
        for unit in &mut units {
            unit.general |= unit.resets && (unit.positional || !unit.relays.is_empty());
        }
        self.units = units;
    }

    /// The least certain of the places that `var` gets its value from in this file. `givers` are
    /// the units that give it their positional parameters.
    fn origin(
        &self,
        var: &'a [u8],
        seen: &mut HashSet<&'a [u8]>,
        givers: &mut Vec<usize>,
    ) -> Src<'a> {
        if !seen.insert(var) {
            return Src::Lit;
        }
        let Some(sources) = self.assigns.get(var) else { return Src::Unknown };
        if self.bare_args.contains(var) {
            return Src::Unknown;
        }
        let mut result = Src::Lit;
        for (unit, source) in sources {
            let source = match source {
                Src::Var(other) => self.origin(other, seen, givers),
                other => *other,
            };
            match source {
                Src::Lit => {}
                Src::Pos => {
                    givers.push(*unit);
                    result = Src::Pos;
                }
                _ => return Src::Unknown,
            }
        }
        result
    }
}
