//! Commands: lists, compound commands, function definitions, assignments, redirections.

use std::borrow::Cow;

use super::{
    Heredoc, Kind, MAX_DEPTH, Scanner, Src, Unit, is_findable, is_ident,
    word::{Exp, Word},
};

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

/// What an assignment leaves of the old value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeps {
    Nothing,
    /// `x[1]=`
    Elements,
    /// `x+=`
    Value,
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
            self.commands_inner(stop);
        }
        self.depth -= 1;
    }

    fn commands_inner(&mut self, stop: Stop) {
        loop {
            self.blanks(true);
            let Some(b) = self.peek() else {
                if stop != Stop::End {
                    self.facts.unsure = true;
                }
                return;
            };
            match b {
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
                b';' | b'&' | b'|' if !self.starts(b"&>") => self.i += 1,
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
        }
    }

    /// Skips blanks, comments, and with `lines` also newlines.
    fn blanks(&mut self, lines: bool) {
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
    fn bare(&self) -> &'a [u8] {
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
                let name = self.bare();
                self.i += name.len();
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
                self.function(Cow::Borrowed(name));
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

    /// The body of a function, and what it defines.
    fn function(&mut self, name: Cow<'a, [u8]>) {
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

    /// Reads a redirection, if one is here.
    fn redirection(&mut self) -> bool {
        let mut j = self.i;
        if self.s.get(j) == Some(&b'{') {
            let close = self.s[j..self.end].iter().position(|&b| !is_ident(b) && b != b'{');
            match close {
                Some(n) if self.s[j + n] == b'}' => j += n + 1,
                _ => return false,
            }
        }
        while j < self.end && self.s[j].is_ascii_digit() {
            j += 1;
        }
        let rest = self.s.get(j..self.end).unwrap_or_default();
        let ops: [&[u8]; 12] =
            [b"&>>", b"<<<", b"<<-", b"<<", b"<>", b"<&", b">>", b">&", b">|", b"&>", b"<", b">"];
        let Some(op) = ops.iter().find(|op| rest.starts_with(op)) else { return false };
        if op.len() == 1 && rest.get(1) == Some(&b'(') {
            return false; // a process substitution
        }
        self.i = j + op.len();
        self.blanks(false);
        if *op == b"<<" || *op == b"<<-" {
            let from = self.i;
            let units = self.unit().words.len();
            let Some(word) = self.word() else {
                self.facts.unsure = true;
                return true;
            };
            self.unit().words.truncate(units);
            let raw = &self.s[from..self.i];
            let plain = !word.quoted;
            if plain && !word.exps.is_empty() {
                self.facts.unsure = true;
            }
            let delimiter = if plain { Cow::Borrowed(raw) } else { Cow::Owned(word.prefix) };
            let doc = Heredoc { delimiter, strip_tabs: *op == b"<<-", expands: plain };
            self.heredocs.push(doc);
            return true;
        }
        let Some(word) = self.word() else {
            self.facts.unsure = true;
            return true;
        };
        let harmless = matches!(*op, b"<" | b"<<<" | b"<&" | b">&")
            && (*op != b">&" || word.literal().is_some_and(|w| w.iter().all(u8::is_ascii_digit)))
            || word.literal() == Some(b"/dev/null");
        if !harmless {
            self.effect();
        }
        true
    }

    /// The top level does something beyond defining.
    pub(super) fn effect(&mut self) {
        if self.nested == 0 {
            self.facts.effects = true;
        }
    }

    pub(super) fn assigned(&mut self, name: &'a [u8], src: Src<'a>) {
        self.facts.assigns.entry(name).or_default().push(src);
    }

    pub(super) fn source_of(&self, word: &Word<'a>) -> Src<'a> {
        match word.exps.as_slice() {
            _ if word.globs => Src::Unknown,
            [] => Src::Lit,
            _ if word.slash => Src::Lit, // a path is no function's name
            [exp] if word.prefix.is_empty() && word.suffix.is_empty() => match exp {
                Exp::Pos => Src::Pos,
                Exp::Var(name) => Src::Var(name),
                Exp::Number => Src::Lit,
                Exp::Unknown => Src::Unknown,
            },
            _ => Src::Unknown,
        }
    }

    /// `NAME=`, `NAME+=` or `NAME[…]=` at this point, read to where its value starts.
    fn assignment(&mut self) -> Option<(&'a [u8], Keeps)> {
        let first = self.peek()?;
        if !is_ident(first) || first.is_ascii_digit() {
            return None;
        }
        let start = self.i;
        let mut j = start;
        while j < self.end && is_ident(self.s[j]) {
            j += 1;
        }
        let name = &self.s[start..j];
        let mut keeps = Keeps::Nothing;
        if self.s.get(j) == Some(&b'[') && j < self.end {
            keeps = Keeps::Elements;
            let mut depth = 0usize;
            while j < self.end {
                match self.s[j] {
                    b'[' => depth += 1,
                    b']' => depth -= 1,
                    b'\n' => return None,
                    _ => {}
                }
                j += 1;
                if depth == 0 {
                    break;
                }
            }
        }
        if self.s.get(j) == Some(&b'+') {
            keeps = Keeps::Value;
            j += 1;
        }
        if j >= self.end || self.s[j] != b'=' {
            return None;
        }
        if keeps == Keeps::Elements {
            // Expansions of the subscript are used too.
            let saved = std::mem::replace(&mut self.end, j);
            self.i = start + name.len();
            self.words_and_expansions();
            self.end = saved;
        }
        self.i = j + 1;
        Some((name, keeps))
    }

    fn words_and_expansions(&mut self) {
        while self.i < self.end {
            if self.word().is_none() {
                self.i += 1;
            }
        }
    }

    /// The value behind `=`, and what it means for `name`.
    fn value(&mut self, name: &'a [u8], keeps: Keeps) -> Kind {
        if self.peek() == Some(b'(') {
            self.i += 1;
            loop {
                self.blanks(true);
                if self.peek() == Some(b')') {
                    self.i += 1;
                    return Kind::Loose;
                }
                let Some(word) = self.word() else {
                    self.facts.unsure = true;
                    return Kind::Loose;
                };
                let src = if word.prefix.first() == Some(&b'[') {
                    Self::element(&word)
                } else {
                    self.source_of(&word)
                };
                self.assigned(name, src);
            }
        }
        let (src, spaced) = match self.word() {
            Some(word) => (self.source_of(&word), word.prefix.first() == Some(&b' ')),
            None => (Src::Lit, true),
        };
        // `cmd+=" -v"` adds an argument; anything else continues the name.
        let continues = keeps == Keeps::Value && !spaced;
        self.assigned(name, if continues { Src::Unknown } else { src });
        if keeps == Keeps::Nothing { Kind::Scalar } else { Kind::Loose }
    }

    /// `[key]=value` in an array.
    fn element(word: &Word<'a>) -> Src<'a> {
        match word.exps.as_slice() {
            [] => Src::Lit,
            [Exp::Var(name)] if word.suffix.is_empty() && word.prefix.ends_with(b"=") => {
                Src::Var(name)
            }
            _ => Src::Unknown,
        }
    }

    /// A simple command, or the name of a function and its body.
    fn simple(&mut self) {
        let mut assigned = Vec::new();
        let mut command: Option<Word<'a>> = None;
        let mut args: Vec<Word<'a>> = Vec::new();
        let mut start = self.i;
        let mut name_at = 0..0;
        let mut redirected = false;
        loop {
            self.blanks(false);
            match self.peek() {
                None | Some(b'\n' | b';' | b'|' | b')') => break,
                Some(b'&') if !self.starts(b"&>") => break,
                Some(b'(') => {
                    // NAME () …
                    let plain = args.is_empty() && assigned.is_empty();
                    let Some(word) = command.take().filter(|w| plain && w.exps.is_empty()) else {
                        self.facts.unsure = true;
                        return;
                    };
                    self.i += 1;
                    self.blanks(false);
                    if self.peek() != Some(b')') {
                        self.facts.unsure = true;
                        return;
                    }
                    self.i += 1;
                    // Its own name is no use of it.
                    let words = &mut self.unit().words;
                    if words.last().is_some_and(|w| w.as_ref() == word.prefix) {
                        words.pop();
                    }
                    return self.function(Cow::Borrowed(&self.s[name_at]));
                }
                _ => {}
            }
            if self.redirection() {
                redirected = true;
                continue;
            }
            if command.is_none() {
                start = self.i;
                if let Some((name, keeps)) = self.assignment() {
                    let kind = self.value(name, keeps);
                    assigned.push((name, kind));
                    continue;
                }
            }
            let declares = command.as_ref().and_then(Word::literal).is_some_and(|name| {
                matches!(name, b"declare" | b"typeset" | b"local" | b"readonly" | b"export")
            });
            if declares && let Some((name, keeps)) = self.assignment() {
                self.value(name, keeps);
                self.declared(command.as_ref(), &args, name);
                self.unit().words.push(Cow::Borrowed(name));
                continue;
            }
            let Some(word) = self.word() else { break };
            match &command {
                None => {
                    name_at = start..self.i;
                    command = Some(word);
                }
                Some(_) => args.push(word),
            }
        }
        match command {
            Some(command) => {
                for (name, _) in &assigned {
                    self.unit().words.push(Cow::Borrowed(name));
                }
                self.judge(&command, &args, redirected);
            }
            None => {
                for (name, kind) in assigned {
                    if !self.top() || kind != Kind::Scalar {
                        self.unit().words.push(Cow::Borrowed(name));
                    }
                    self.define(Cow::Borrowed(name), kind, None);
                }
            }
        }
    }

    fn declared(&mut self, command: Option<&Word<'a>>, args: &[Word<'a>], name: &'a [u8]) {
        let readonly = command.and_then(Word::literal) == Some(b"readonly")
            || args.iter().any(|a| {
                a.literal().is_some_and(|a| a.first() == Some(&b'-') && a.contains(&b'r'))
            });
        let kind = if readonly { Kind::Readonly } else { Kind::Loose };
        self.define(Cow::Borrowed(name), kind, None);
    }
}
