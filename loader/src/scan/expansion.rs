//! Expansions within words: parameters, arithmetic, substitutions, here-documents.

use std::borrow::Cow;

use super::{
    Kind, MAX_DEPTH, Scanner,
    command::Stop,
    is_ident,
    word::{Exp, Word},
};

impl<'a> Scanner<'a> {
    /// At `$` or a backquote.
    pub(super) fn dollar(&mut self, word: &mut Word<'a>, in_quotes: bool) {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            self.facts.unsure = true;
            self.i = self.end;
        } else {
            self.dollar_inner(word, in_quotes);
        }
        self.depth -= 1;
    }

    fn dollar_inner(&mut self, word: &mut Word<'a>, in_quotes: bool) {
        if self.peek() == Some(b'`') {
            self.backquotes();
            return word.expand(Exp::Unknown);
        }
        match self.at(1) {
            Some(b'(') if self.at(2) == Some(b'(') && self.arithmetic(3) => {
                word.expand(Exp::Number);
            }
            Some(b'(') => {
                self.i += 2;
                self.substitution();
                word.expand(Exp::Unknown);
            }
            Some(b'{') => {
                let exp = self.braces();
                word.expand(exp);
            }
            Some(b'[') => {
                // The old form of arithmetic; what it holds is not followed.
                self.i += 2;
                word.expand(Exp::Number);
            }
            Some(b'\'') if !in_quotes => {
                self.i += 2;
                self.ansi_quoted(word);
            }
            Some(b'"') if !in_quotes => {
                self.i += 2;
                self.double_quoted(word);
            }
            Some(b) if b.is_ascii_digit() || b == b'@' || b == b'*' => {
                self.i += 2;
                // "$0" is the script's path, which is known not to be a function.
                word.expand(if b == b'0' { Exp::Number } else { Exp::Pos });
            }
            Some(b'#' | b'?' | b'$' | b'!') => {
                self.i += 2;
                word.expand(Exp::Number);
            }
            Some(b'-') => {
                self.i += 2;
                word.expand(Exp::Unknown);
            }
            Some(b) if is_ident(b) => {
                let from = self.i + 1;
                self.i = from;
                while self.peek().is_some_and(is_ident) {
                    self.i += 1;
                }
                let name = self.name_used(from);
                word.expand(if name == b"_" { Exp::Unknown } else { Exp::Var(name) });
            }
            _ => {
                word.push(b'$');
                self.i += 1;
            }
        }
    }

    /// The identifier from `from` to here, noted as used.
    fn name_used(&mut self, from: usize) -> &'a [u8] {
        let s = self.s;
        let name = &s[from..self.i];
        if name == b"BASH_SOURCE" && (!self.starts(b"[") || self.starts(b"[0]")) {
            self.facts.own_source.push(from);
        }
        self.unit().words.push(Cow::Borrowed(name));
        name
    }

    /// `${…}`, at the `$`.
    fn braces(&mut self) -> Exp<'a> {
        self.i += 2;
        let mut length = false;
        let mut indirect = false;
        match self.peek() {
            Some(b'#') if self.at(1).is_some_and(|b| b != b'}' && !b":-+=?%/".contains(&b)) => {
                length = true;
                self.i += 1;
            }
            Some(b'!') if self.at(1).is_some_and(|b| is_ident(b) || b"#@*".contains(&b)) => {
                indirect = true;
                self.i += 1;
            }
            _ => {}
        }
        let from = self.i;
        while self.peek().is_some_and(is_ident) {
            self.i += 1;
        }
        if self.i == from {
            self.i = (self.i + 1).min(self.end); // a special parameter
        }
        let name: &'a [u8] = &self.s[from..self.i];
        let positional = name.first().is_some_and(|b| b.is_ascii_digit()) && name != b"0"
            || name == b"@"
            || name == b"*";
        let variable = name.first().is_some_and(|&b| is_ident(b) && !b.is_ascii_digit());
        if variable {
            self.name_used(from);
        }
        let mut keys = false;
        if self.peek() == Some(b'[') {
            keys = self.starts(b"[@]") || self.starts(b"[*]");
            self.i += 1;
            self.rest_of_braces(b']');
        }
        let whole = self.peek() == Some(b'}');
        let default = self.starts(b":-") || self.starts(b"-");
        let assigns = self.starts(b":=") || self.starts(b"=");
        let slice = self.starts(b":") && !assigns && !default && !self.starts(b":+");
        let prefixed = indirect && (self.starts(b"@}") || self.starts(b"*}"));
        self.rest_of_braces(b'}');
        if assigns && variable {
            self.define(Cow::Borrowed(name), Kind::Loose, None);
            self.assigned(name, super::Src::Unknown);
        }
        if indirect && !keys {
            if prefixed {
                self.unit().patterns.push((name.to_vec(), Vec::new()));
                return Exp::Unknown;
            }
            if variable {
                self.unit().var_sinks.push(name);
            } else if positional {
                self.unit().positional = true;
            }
            return if name == b"#" { Exp::Pos } else { Exp::Unknown };
        }
        match (length, positional, variable) {
            (true, ..) => Exp::Number,
            (_, true, _) if whole || default || slice => Exp::Pos,
            (_, _, true) if whole || default => Exp::Var(name),
            _ if whole && b"#?$!0".contains(name.first().unwrap_or(&b' ')) => Exp::Number,
            _ => Exp::Unknown,
        }
    }

    /// Inside `${…`, to behind the closing byte, which quotes and expansions may hide.
    fn rest_of_braces(&mut self, close: u8) {
        let mut scrap = Word::default();
        let mut piece = self.i;
        while let Some(b) = self.peek() {
            match b {
                _ if b == close => {
                    self.words(piece, self.i);
                    self.i += 1;
                    return;
                }
                b'\\' => self.i = (self.i + 2).min(self.end),
                b'\'' if self.quote_closes() => self.single_quoted(&mut scrap),
                b'"' => {
                    self.words(piece, self.i);
                    self.i += 1;
                    self.double_quoted(&mut scrap);
                    piece = self.i;
                }
                b'$' | b'`' => {
                    self.words(piece, self.i);
                    self.dollar(&mut scrap, true);
                    piece = self.i;
                }
                _ => self.i += 1,
            }
        }
        self.facts.unsure = true;
    }

    /// Within double quotes an apostrophe in `${x:-don't}` is only text; it quotes nothing there.
    fn quote_closes(&self) -> bool {
        let rest = &self.s[self.i + 1..self.end];
        let line = rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
        let quote = rest[..line].iter().position(|&b| b == b'\'');
        let brace = rest[..line].iter().position(|&b| b == b'}');
        match (quote, brace) {
            (Some(quote), Some(brace)) => quote < brace || rest[quote..line].contains(&b'}'),
            (Some(_), None) => true,
            _ => false,
        }
    }

    /// `((…))` with the inside starting `skip` bytes ahead. Moves only if it closes with `))`.
    pub(super) fn arithmetic(&mut self, skip: usize) -> bool {
        let mut depth = 0usize;
        let mut j = self.i + skip;
        while j < self.end {
            match self.s[j] {
                b'(' => depth += 1,
                b')' if depth > 0 => depth -= 1,
                b')' => break,
                b'\\' => j += 1,
                b'\'' | b'"' | b'`' | b';' => {}
                _ => {}
            }
            j += 1;
        }
        if j + 1 >= self.end || self.s[j + 1] != b')' {
            return false;
        }
        self.i += skip;
        if assigns(&self.s[self.i..j]) {
            self.effect();
        }
        let saved = self.end;
        self.end = j;
        self.numbers();
        self.end = saved;
        self.i = j + 2;
        true
    }

    /// Reads to `end` as arithmetic, where `v$n` is a variable's name.
    fn numbers(&mut self) {
        let mut at = self.i;
        while at < self.end {
            if self.s[at] == b'$' {
                let before = self.s[self.i..at].iter().rev().take_while(|b| is_ident(**b)).count();
                let prefix = self.s[at - before..at].to_vec();
                if prefix.first().is_some_and(|b| !b.is_ascii_digit()) {
                    self.unit().patterns.push((prefix, Vec::new()));
                }
            }
            at += 1;
        }
        self.expansions();
    }

    /// Reads to `end` as text in which only expansions mean something.
    fn expansions(&mut self) {
        let mut scrap = Word::default();
        let mut piece = self.i;
        while let Some(b) = self.peek() {
            match b {
                b'\\' => self.i = (self.i + 2).min(self.end),
                b'$' | b'`' => {
                    self.words(piece, self.i);
                    self.dollar(&mut scrap, true);
                    piece = self.i;
                }
                _ => self.i += 1,
            }
        }
        self.words(piece, self.i.max(piece));
    }

    /// After `$(` or `<(`, to behind the closing parenthesis.
    pub(super) fn substitution(&mut self) {
        self.subshell += 1;
        self.commands(Stop::Paren);
        self.subshell -= 1;
    }

    fn backquotes(&mut self) {
        let start = self.i + 1;
        let mut j = start;
        while j < self.end && self.s[j] != b'`' {
            // A backquote within backquotes: its commands are not followed.
            if self.s[j] == b'\\' {
                if self.s.get(j + 1) == Some(&b'`') {
                    self.unit().general = true;
                }
                j += 1;
            }
            j += 1;
        }
        if j >= self.end {
            self.facts.unsure = true;
            self.i = self.end;
            return;
        }
        let saved = std::mem::replace(&mut self.end, j);
        let pending = std::mem::take(&mut self.heredocs);
        self.i = start;
        self.subshell += 1;
        self.commands(Stop::End);
        self.subshell -= 1;
        self.heredocs = pending;
        self.end = saved;
        self.i = j + 1;
    }

    pub(super) fn balanced_parens(&mut self) {
        let mut depth = 0usize;
        let from = self.i;
        while let Some(b) = self.peek() {
            self.i += 1;
            match b {
                b'\\' => self.i = (self.i + 1).min(self.end),
                b'(' => depth += 1,
                b')' => {
                    depth -= 1;
                    if depth == 0 {
                        break;
                    }
                }
                _ => {}
            }
        }
        if depth > 0 {
            self.facts.unsure = true;
        }
        let to = self.i;
        self.i = from;
        let saved = std::mem::replace(&mut self.end, to);
        self.expansions();
        self.end = saved;
        self.i = to;
    }

    /// After a newline: the bodies of the here-documents that were announced on the line.
    pub(super) fn heredoc_bodies(&mut self) {
        for doc in std::mem::take(&mut self.heredocs) {
            let body = self.i;
            let mut line = self.i;
            loop {
                if line >= self.end {
                    self.facts.unsure = true;
                    self.i = self.end;
                    return;
                }
                let rest = &self.s[line..self.end];
                let len = rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
                let mut text = &rest[..len];
                while doc.strip_tabs && text.first() == Some(&b'\t') {
                    text = &text[1..];
                }
                if text == doc.delimiter.as_ref() {
                    if doc.expands {
                        let saved = std::mem::replace(&mut self.end, line);
                        self.i = body;
                        self.expansions();
                        self.end = saved;
                    } else {
                        self.words(body, line);
                    }
                    self.i = (line + len + 1).min(self.end);
                    break;
                }
                line += len + 1;
            }
        }
    }
}

/// Whether arithmetic sets a variable: `=`, `+=`, `++`, but not `==`, `<=`, `>=`, `!=`.
fn assigns(text: &[u8]) -> bool {
    text.windows(2).any(|two| two == b"++" || two == b"--")
        || text.iter().enumerate().any(|(at, &b)| {
            let shift = at > 1 && matches!(&text[at - 2..at], b"<<" | b">>");
            let compares = at > 0 && b"=!<>".contains(&text[at - 1]) && !shift;
            b == b'=' && text.get(at + 1) != Some(&b'=') && !compares
        })
}
