//! Simple commands: redirections, assignments, and where a function's name turns out to stand.

use std::borrow::Cow;

use super::{
    Heredoc, Kind, Scanner, Src, is_ident,
    judge::{Around, option},
    word::{Exp, Word},
};

/// What an assignment leaves of the old value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeps {
    Nothing,
    /// `x[1]=`
    Elements,
    /// `x+=`
    Value,
}

impl<'a> Scanner<'a> {
    /// Reads a redirection, if one is here.
    pub(super) fn redirection(&mut self) -> bool {
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
        let unit = self.unit;
        self.facts.assigns.entry(name).or_default().push((unit, src));
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
    pub(super) fn simple(&mut self) {
        let mut assigned = Vec::new();
        let mut command: Option<Word<'a>> = None;
        let mut args: Vec<Word<'a>> = Vec::new();
        let mut start = self.i;
        let mut name_at = 0..0;
        let (mut redirected, mut declared) = (false, false);
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
                    return self.function(name_at);
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
                declared = true;
                if args.iter().any(|arg| option(arg, b"n")) {
                    // The value is a name.
                    if let Some(word) = self.word() {
                        self.sink(&word);
                    }
                    self.assigned(name, Src::Unknown);
                } else {
                    self.value(name, keeps);
                }
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
                if command.exps.is_empty() && !command.quoted && !command.globs {
                    self.facts.commands.push(name_at);
                }
                self.judge(&command, &args, Around { redirected, declared });
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
