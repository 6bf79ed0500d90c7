//! Lists of commands, compound commands, function definitions.

use std::{borrow::Cow, ops::Range};

use super::{Kind, MAX_DEPTH, Scanner, Src, Unit, is_findable};

/// Where a list of commands ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// At the end of the text.
    End,
    /// Behind `)`.
    Paren,
    /// Behind this reserved word.
    Word(&'static [u8]),
    /// Behind `;;`, or before `esac`.
    CaseItem,
}

/// The commands between two ends of a line, or two `;`.
struct List {
    /// Its first definition.
    from: usize,
    /// What comes next may not run, or not in this shell.
    maybe: bool,
    /// An operator was read, so a newline does not end it.
    open: bool,
}

const CLOSERS: [&[u8]; 4] = [b"fi", b"done", b"esac", b"}"];

impl<'a> Scanner<'a> {
    /// Reads commands until `stop`.
    pub(super) fn commands(&mut self, stop: Stop) {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            self.facts.unsure = true;
            self.i = self.end;
        } else {
            let mut list = List { from: self.facts.defs.len(), maybe: false, open: false };
            self.commands_inner(stop, &mut list);
            self.end_list(&mut list);
        }
        self.depth -= 1;
    }

    fn commands_inner(&mut self, stop: Stop, list: &mut List) {
        loop {
            self.blanks(false);
            let Some(b) = self.peek() else {
                if stop != Stop::End {
                    self.facts.unsure = true;
                }
                return;
            };
            match b {
                b'\n' => {
                    self.i += 1;
                    self.heredoc_bodies();
                    if !list.open {
                        self.end_list(list);
                    }
                    continue;
                }
                b')' => {
                    self.i += 1;
                    if stop == Stop::Paren {
                        return;
                    }
                    self.facts.unsure = true;
                }
                b';' if self.starts(b";;") || self.starts(b";&") => {
                    self.i += if self.starts(b";;&") { 3 } else { 2 };
                    if stop == Stop::CaseItem {
                        return;
                    }
                    self.facts.unsure = true;
                }
                b';' | b'&' | b'|' if !self.starts(b"&>") => {
                    self.operator(list);
                    continue;
                }
                b'(' if self.at(1) == Some(b'(') && self.arithmetic(2) => {
                    self.effect();
                }
                b'(' => {
                    self.i += 1;
                    self.subshell += 1;
                    self.commands(Stop::Paren);
                    self.subshell -= 1;
                }
                _ => {
                    let at = self.i;
                    if self.reserved(stop) {
                        return;
                    }
                    if self.i == at {
                        self.simple();
                    }
                    if self.i == at {
                        self.facts.unsure = true;
                        self.i += 1;
                    }
                }
            }
            list.open = false;
        }
    }

    /// `;`, `&`, `&&`, `|` or `||` between commands.
    fn operator(&mut self, list: &mut List) {
        let both = self.starts(b"&&") || self.starts(b"||");
        let pipe = !both && self.peek() == Some(b'|');
        let back = !both && self.peek() == Some(b'&');
        self.i += if both || self.starts(b"|&") { 2 } else { 1 };
        if pipe || back {
            // In a shell of its own: what it sets is not seen here.
            for def in self.facts.defs.get_mut(list.from..).unwrap_or_default() {
                if def.kind != Kind::Readonly {
                    def.kind = Kind::Loose;
                }
            }
        }
        if both || pipe {
            list.open = true;
            if !std::mem::replace(&mut list.maybe, true) {
                self.conditional += 1;
            }
        } else {
            self.end_list(list);
        }
    }

    fn end_list(&mut self, list: &mut List) {
        if std::mem::take(&mut list.maybe) {
            self.conditional -= 1;
        }
        list.from = self.facts.defs.len();
    }

    /// Skips blanks, comments, and with `lines` also newlines.
    pub(super) fn blanks(&mut self, lines: bool) {
        while let Some(b) = self.peek() {
            match b {
                b' ' | b'\t' | b'\r' => self.i += 1,
                b'\\' if self.at(1) == Some(b'\n') => self.i += 2,
                b'\n' if lines => {
                    self.i += 1;
                    self.heredoc_bodies();
                }
                b'#' => {
                    while self.peek().is_some_and(|b| b != b'\n') {
                        self.i += 1;
                    }
                }
                _ => return,
            }
        }
    }

    /// An unquoted word that might be reserved, not consumed.
    pub(super) fn bare(&self) -> &'a [u8] {
        let rest = &self.s[self.i..self.end];
        let len = rest.iter().position(|b| b" \t\r\n;&|<>()".contains(b)).unwrap_or(rest.len());
        &rest[..len]
    }

    /// Reads a reserved word and what belongs to it. True when it ended this list.
    fn reserved(&mut self, stop: Stop) -> bool {
        let bare = self.bare();
        if stop == Stop::CaseItem && bare == b"esac" {
            return true; // left for `case`
        }
        if let Stop::Word(word) = stop
            && bare == word
        {
            self.i += bare.len();
            return true;
        }
        match bare {
            b"then" | b"else" | b"elif" | b"do" | b"!" | b"time" => self.i += bare.len(),
            b"if" => self.compound(bare, b"fi"),
            b"while" | b"until" => self.compound(bare, b"done"),
            b"{" => {
                // A plain group runs always and in this shell: nothing in it is conditional.
                self.i += 1;
                self.commands(Stop::Word(b"}"));
            }
            b"for" | b"select" => self.for_loop(bare),
            b"case" => self.case(),
            b"function" => {
                self.i += bare.len();
                self.blanks(false);
                let at = self.i..self.i + self.bare().len();
                self.i = at.end;
                self.blanks(false);
                if self.starts(b"(") {
                    self.i += 1;
                    self.blanks(false);
                    if !self.starts(b")") {
                        self.facts.unsure = true;
                        return false;
                    }
                    self.i += 1;
                }
                self.function(at);
            }
            b"[[" => self.double_bracket(),
            b"coproc" => {
                self.i += bare.len();
                self.effect();
            }
            _ if CLOSERS.contains(&bare) => {
                self.i += bare.len();
                self.facts.unsure = true;
            }
            _ => {}
        }
        false
    }

    fn compound(&mut self, opening: &[u8], closing: &'static [u8]) {
        self.i += opening.len();
        self.conditional += 1;
        self.commands(Stop::Word(closing));
        self.conditional -= 1;
    }

    fn for_loop(&mut self, opening: &[u8]) {
        self.i += opening.len();
        self.blanks(false);
        if self.starts(b"((") {
            if !self.arithmetic(2) {
                self.facts.unsure = true;
            }
            self.effect();
        } else {
            let name = self.bare();
            self.i += name.len();
            self.unit().words.push(Cow::Borrowed(name));
            self.define(Cow::Borrowed(name), Kind::Loose, None);
            self.blanks(true);
            if self.bare() == b"in" {
                self.i += 2;
                loop {
                    self.blanks(false);
                    let Some(word) = self.word() else { break };
                    let src = self.source_of(&word);
                    self.assigned(name, src);
                }
            } else {
                self.assigned(name, Src::Pos);
            }
        }
        self.conditional += 1;
        self.commands(Stop::Word(b"done"));
        self.conditional -= 1;
    }

    fn case(&mut self) {
        self.i += 4;
        self.blanks(true);
        self.word();
        self.blanks(true);
        if self.bare() != b"in" {
            self.facts.unsure = true;
            return;
        }
        self.i += 2;
        self.conditional += 1;
        loop {
            self.blanks(true);
            if self.bare() == b"esac" {
                self.i += 4;
                break;
            }
            if self.peek() == Some(b'(') {
                self.i += 1;
            }
            // Patterns, to the parenthesis behind them.
            loop {
                self.blanks(true);
                match self.peek() {
                    Some(b')') => {
                        self.i += 1;
                        break;
                    }
                    Some(b'|') => self.i += 1,
                    Some(_) if self.word().is_some() => {}
                    _ => {
                        self.facts.unsure = true;
                        self.conditional -= 1;
                        return;
                    }
                }
            }
            self.commands(Stop::CaseItem);
        }
        self.conditional -= 1;
    }

    fn double_bracket(&mut self) {
        self.i += 2;
        let mut last_v = false;
        loop {
            self.blanks(true);
            let Some(b) = self.peek() else {
                self.facts.unsure = true;
                return;
            };
            if self.bare() == b"]]" {
                self.i += 2;
                return;
            }
            if b == b'#' || b"&|<>;".contains(&b) {
                self.i += 1;
            } else if b == b'(' {
                // Grouping, or a group of a regular expression.
                self.balanced_parens();
            } else if b == b')' {
                self.i += 1;
            } else if let Some(word) = self.word() {
                if last_v && !word.exps.is_empty() {
                    self.unit().general = true;
                }
                last_v = word.literal() == Some(b"-v");
            } else {
                self.facts.unsure = true;
                return;
            }
        }
    }

    /// The body of the function whose name stands at `at`, and what it defines.
    pub(super) fn function(&mut self, at: Range<usize>) {
        let name = Cow::Borrowed(&self.s[at.clone()]);
        self.facts.functions.push(at);
        self.blanks(true);
        let own = self.top();
        let outer = self.unit;
        let conditional = std::mem::take(&mut self.conditional);
        if own {
            self.facts.units.push(Unit::default());
            self.unit = self.facts.units.len() - 1;
        }
        let unit = self.unit;
        self.nested += 1;
        let body = self.bare();
        let at = self.i;
        match self.peek() {
            Some(b'(') if self.at(1) == Some(b'(') && self.arithmetic(2) => {}
            Some(b'(') => {
                self.i += 1;
                self.commands(Stop::Paren);
            }
            Some(b'{') if body == b"{" => {
                self.i += 1;
                self.commands(Stop::Word(b"}"));
            }
            _ => {
                self.reserved(Stop::End);
                if self.i == at {
                    self.facts.unsure = true;
                }
            }
        }
        // Redirections behind the body take effect at each call.
        self.blanks(false);
        while self.redirection() {
            self.blanks(false);
        }
        self.nested -= 1;
        self.unit = outer;
        self.conditional = conditional;
        if own {
            if !is_findable(&name) || name.contains(&b'/') {
                // A name that cannot be looked up by its text: the file is always taken.
                self.effect();
            }
            self.define(name, Kind::Function, Some(unit));
        } else {
            self.facts.inner.push((name, unit));
        }
    }
}
