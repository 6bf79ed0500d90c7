//! Reads bash text and says what a closure needs to know: which functions and variables its top
//! level defines, which names each function mentions, and where names are formed at run time.
//!
//! Owns the approximation: names may be reported that are never used, never the other way round.
//! What it cannot follow it reports as `unsure`, and the caller then takes everything. It never
//! runs anything and does not check syntax.

mod command;
mod expansion;
mod judge;
mod origin;
mod simple;
#[cfg(test)]
mod tests;
mod word;

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    ops::Range,
};

/// A stretch of code that runs together: the top level (unit 0), or one top-level function.
#[derive(Debug, Default)]
pub struct Unit<'a> {
    /// Names that occur, unsorted, with repeats.
    pub words: Vec<Cow<'a, [u8]>>,
    /// A name is formed in a way that cannot be followed: every name may be meant.
    pub general: bool,
    /// As a module's top level it changes what plain definitions of later modules do: who runs it
    /// must run them all.
    pub disturbs: bool,
    /// A positional parameter is used as a name.
    pub positional: bool,
    /// Names formed around an expansion: what stands before and after it.
    pub patterns: Vec<(Vec<u8>, Vec<u8>)>,
    /// Commands that get an argument which cannot be followed; it matters if they run arguments.
    pub risky: Vec<Cow<'a, [u8]>>,
    /// Commands that get a positional parameter.
    pub relays: Vec<Cow<'a, [u8]>>,
    /// Variables whose value is used as a name.
    var_sinks: Vec<&'a [u8]>,
    /// Commands that get the value of a variable.
    call_vars: Vec<(Cow<'a, [u8]>, &'a [u8])>,
    /// `set -- …` with expansions: positional parameters no longer come from the caller alone.
    resets: bool,
    /// Variables used as names that resolved within the file: whoever else sets one spoils that.
    pub trusted_vars: Vec<&'a [u8]>,
}

/// How the top level gives a variable its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A function definition, whatever was there before.
    Function,
    /// `x=…`, whatever was there before.
    Scalar,
    /// Anything that keeps part of what was there: `+=`, `x[1]=`, `:=`, arrays, under a condition.
    Loose,
    /// `readonly`: a second definition is an error message.
    Readonly,
}

/// A name that the top level defines.
#[derive(Debug, PartialEq, Eq)]
pub struct Def<'a> {
    /// The name.
    pub name: Cow<'a, [u8]>,
    /// How.
    pub kind: Kind,
    /// Its code, for functions.
    pub unit: Option<usize>,
}

/// Where a variable's value comes from.
#[derive(Debug, Clone, Copy)]
enum Src<'a> {
    /// Text that stands in the file.
    Lit,
    /// Positional parameters.
    Pos,
    /// Another variable.
    Var(&'a [u8]),
    /// Anything else.
    Unknown,
}

/// What one file of bash says.
#[derive(Debug, Default)]
pub struct Facts<'a> {
    /// Unit 0 is the top level.
    pub units: Vec<Unit<'a>>,
    /// Definitions in the order of the text.
    pub defs: Vec<Def<'a>>,
    /// Functions that are defined only when other code runs, and the unit they stand in.
    pub inner: Vec<(Cow<'a, [u8]>, usize)>,
    /// The top level does more than define names.
    pub effects: bool,
    /// The top level may `return`.
    pub returns: bool,
    /// Not understood: treat every name as used.
    pub unsure: bool,
    /// Where each function's name stands that is defined anywhere, in the order of the text.
    pub functions: Vec<Range<usize>>,
    /// Where each plain word stands that is run as a command.
    pub commands: Vec<Range<usize>>,
    /// Offsets of `BASH_SOURCE` where it means "this file" and is expanded here.
    pub own_source: Vec<usize>,
    /// By variable: the unit that sets it, and from what.
    assigns: HashMap<&'a [u8], Vec<(usize, Src<'a>)>>,
    bare_args: HashSet<&'a [u8]>,
}

/// Reads `text`.
pub fn scan(text: &[u8]) -> Facts<'_> {
    if text.len() > MAX_BYTES {
        let unit = Unit { general: true, ..Unit::default() };
        return Facts {
            units: vec![unit],
            unsure: true,
            effects: true,
            returns: true,
            ..Facts::default()
        };
    }
    let mut scanner = Scanner {
        s: text,
        i: 0,
        end: text.len(),
        unit: 0,
        depth: 0,
        nested: 0,
        conditional: 0,
        subshell: 0,
        heredocs: Vec::new(),
        facts: Facts { units: vec![Unit::default()], ..Facts::default() },
    };
    scanner.commands(command::Stop::End);
    if !scanner.heredocs.is_empty() {
        scanner.facts.unsure = true;
    }
    let mut facts = scanner.facts;
    facts.settle();
    if facts.unsure {
        facts.own_source.clear();
        // Bash may have stopped before any of them.
        facts
            .defs
            .iter_mut()
            .filter(|d| d.kind != Kind::Readonly)
            .for_each(|d| d.kind = Kind::Loose);
        let unit = &mut facts.units[0];
        tokens(text, &mut unit.words);
        unit.general = true;
    }
    facts
}

/// A here-document whose body starts after the next newline.
struct Heredoc<'a> {
    delimiter: Cow<'a, [u8]>,
    strip_tabs: bool,
    expands: bool,
}

struct Scanner<'a> {
    s: &'a [u8],
    i: usize,
    /// Nothing at or after this offset is looked at.
    end: usize,
    unit: usize,
    /// Recursion, bounded so that hostile text cannot exhaust the stack.
    depth: usize,
    /// Function bodies around this point.
    nested: usize,
    /// Compound commands around this point.
    conditional: usize,
    /// Subshells and substitutions around this point: definitions do not leave them.
    subshell: usize,
    heredocs: Vec<Heredoc<'a>>,
    facts: Facts<'a>,
}

const MAX_DEPTH: usize = 150;
/// Longer text is not read: no script, but an installer with its payload behind it.
const MAX_BYTES: usize = 4 << 20;

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.at(0)
    }

    fn at(&self, ahead: usize) -> Option<u8> {
        let i = self.i + ahead;
        if i < self.end { self.s.get(i).copied() } else { None }
    }

    fn starts(&self, what: &[u8]) -> bool {
        self.s.get(self.i..self.end).is_some_and(|rest| rest.starts_with(what))
    }

    fn unit(&mut self) -> &mut Unit<'a> {
        let at = self.unit;
        &mut self.facts.units[at]
    }

    /// At the file's own top level, in this shell.
    fn top(&self) -> bool {
        self.nested == 0 && self.subshell == 0
    }

    fn words(&mut self, from: usize, to: usize) {
        let s = self.s;
        tokens(&s[from..to], &mut self.unit().words);
    }

    fn define(&mut self, name: Cow<'a, [u8]>, kind: Kind, unit: Option<usize>) {
        if self.top() {
            let kind =
                if self.conditional > 0 && kind != Kind::Readonly { Kind::Loose } else { kind };
            self.facts.defs.push(Def { name, kind, unit });
        }
    }
}

/// Whether `b` may stand in a variable's name.
pub fn is_ident(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

/// Whether `b` may stand in a function's name as [`tokens`] finds them.
pub fn is_name(b: u8) -> bool {
    is_ident(b) || b >= 0x80 || b"-.:+@/%,^~".contains(&b)
}

/// Whether `name` is one that [`tokens`] finds wherever it is written.
pub fn is_findable(name: &[u8]) -> bool {
    !name.is_empty()
        && name.iter().all(|&b| is_name(b))
        && name.first().is_some_and(|&b| is_ident(b) || b >= 0x80)
        && name.last().is_some_and(|&b| is_ident(b) || b >= 0x80)
}

/// Adds every run of `text` that could be a name.
pub fn tokens<'a>(text: &'a [u8], out: &mut Vec<Cow<'a, [u8]>>) {
    let mut i = 0;
    while i < text.len() {
        if !is_name(text[i]) {
            i += 1;
            continue;
        }
        let start = i;
        let mut plain = true;
        while i < text.len() && is_name(text[i]) {
            plain &= is_ident(text[i]);
            i += 1;
        }
        let run = &text[start..i];
        if plain {
            if !run[0].is_ascii_digit() || run.len() > 1 {
                out.push(Cow::Borrowed(run));
            }
            continue;
        }
        let odd = |b: &u8| !is_ident(*b) && *b < 0x80;
        let from = run.iter().position(|b| !odd(b));
        let to = run.iter().rposition(|b| !odd(b));
        if let (Some(from), Some(to)) = (from, to) {
            out.push(Cow::Borrowed(&run[from..=to]));
        }
        for part in run.split(|b| !is_ident(*b)) {
            if !part.is_empty() {
                out.push(Cow::Borrowed(part));
            }
        }
    }
}
