//! Words and their quoting.

use std::borrow::Cow;

use super::Scanner;

/// What an expansion may put in its place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Exp<'a> {
    /// `$1`, `$@`, `${@:2}`, `${1:-x}`.
    Pos,
    /// The value of a variable, unchanged.
    Var(&'a [u8]),
    /// A number.
    Number,
    /// Anything.
    Unknown,
}

/// One word of a command.
#[derive(Debug, Default)]
pub(super) struct Word<'a> {
    /// Text before the first expansion (all of it when there is none), quotes removed.
    pub(super) prefix: Vec<u8>,
    /// Text after the last expansion.
    pub(super) suffix: Vec<u8>,
    /// Its expansions in order.
    pub(super) exps: Vec<Exp<'a>>,
    /// A slash stands in its own text.
    pub(super) slash: bool,
    /// Something was quoted or escaped.
    pub(super) quoted: bool,
    /// Unquoted pattern characters stand in it.
    pub(super) globs: bool,
}

impl<'a> Word<'a> {
    /// The word's value when it has no expansions.
    pub(super) fn literal(&self) -> Option<&[u8]> {
        self.exps.is_empty().then_some(self.prefix.as_slice())
    }

    pub(super) fn push(&mut self, b: u8) {
        self.slash |= b == b'/';
        if self.exps.is_empty() { self.prefix.push(b) } else { self.suffix.push(b) }
    }

    pub(super) fn expand(&mut self, exp: Exp<'a>) {
        self.suffix.clear();
        self.exps.push(exp);
    }
}

impl<'a> Scanner<'a> {
    /// Reads one word; `None` where none starts. Nothing is read as a name but what stands in it.
    pub(super) fn word(&mut self) -> Option<Word<'a>> {
        let start = self.i;
        let mut word = Word::default();
        let mut piece = self.i;
        while let Some(b) = self.peek() {
            match b {
                b'\\' => {
                    if self.at(1) == Some(b'\n') {
                        self.words(piece, self.i);
                        self.i += 2;
                        piece = self.i;
                        word.quoted = true;
                        continue;
                    }
                    word.quoted = true;
                    if let Some(next) = self.at(1) {
                        word.push(next);
                    }
                    self.i = (self.i + 2).min(self.end);
                }
                b'\'' => {
                    word.quoted = true;
                    self.single_quoted(&mut word);
                }
                b'"' => {
                    word.quoted = true;
                    self.words(piece, self.i);
                    self.i += 1;
                    self.double_quoted(&mut word);
                    piece = self.i;
                }
                b'$' | b'`' => {
                    self.words(piece, self.i);
                    self.dollar(&mut word, false);
                    piece = self.i;
                }
                b'<' | b'>' if self.at(1) == Some(b'(') => {
                    self.words(piece, self.i);
                    self.i += 2;
                    self.substitution();
                    word.expand(Exp::Unknown);
                    word.slash = true; // becomes /dev/fd/N
                    piece = self.i;
                }
                b'(' if self.i > start && b"?*+@!".contains(&self.s[self.i - 1]) => {
                    self.balanced_parens();
                    word.globs = true;
                }
                b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')' => break,
                _ => {
                    word.globs |= b"*?[{".contains(&b);
                    word.push(b);
                    self.i += 1;
                }
            }
        }
        if self.i == start {
            return None;
        }
        self.words(piece, self.i.max(piece));
        if word.quoted && word.exps.is_empty() {
            let joined = word.prefix.clone();
            self.unit().words.push(Cow::Owned(joined));
        }
        Some(word)
    }

    pub(super) fn single_quoted(&mut self, word: &mut Word<'a>) {
        self.i += 1;
        while let Some(b) = self.peek() {
            self.i += 1;
            if b == b'\'' {
                return;
            }
            word.push(b);
        }
        self.facts.unsure = true;
    }

    /// After `$'`, to behind the closing quote.
    pub(super) fn ansi_quoted(&mut self, word: &mut Word<'a>) {
        word.quoted = true;
        let piece = self.i;
        while let Some(b) = self.peek() {
            self.i += 1;
            match b {
                b'\'' => return self.words(piece, self.i),
                b'\\' => self.escape(word),
                _ => word.push(b),
            }
        }
        self.facts.unsure = true;
    }

    /// After a backslash within `$'…'`.
    fn escape(&mut self, word: &mut Word<'a>) {
        let Some(b) = self.peek() else { return };
        self.i += 1;
        let code = match b {
            b'x' => self.digits(16, 2),
            b'u' => self.digits(16, 4),
            b'U' => self.digits(16, 8),
            b'0'..=b'7' => {
                self.i -= 1;
                self.digits(8, 3)
            }
            b'c' => {
                self.i = (self.i + 1).min(self.end);
                None
            }
            // A control character or itself: what stands in no name, or is in the text.
            _ if b.is_ascii_alphabetic() => None,
            _ => Some(u32::from(b)),
        };
        match code.and_then(char::from_u32) {
            Some(code) => code.encode_utf8(&mut [0; 4]).bytes().for_each(|b| word.push(b)),
            None => word.push(b' '),
        }
    }

    /// A number of at most `most` digits.
    fn digits(&mut self, radix: u32, most: usize) -> Option<u32> {
        let mut value: Option<u32> = None;
        for _ in 0..most {
            let Some(digit) = self.peek().and_then(|b| char::from(b).to_digit(radix)) else {
                break;
            };
            self.i += 1;
            value = value.unwrap_or(0).checked_mul(radix).map(|value| value | digit);
        }
        value
    }

    /// After the opening quote, to behind the closing one.
    pub(super) fn double_quoted(&mut self, word: &mut Word<'a>) {
        let mut piece = self.i;
        while let Some(b) = self.peek() {
            match b {
                b'"' => {
                    self.words(piece, self.i);
                    self.i += 1;
                    return;
                }
                b'\\' => {
                    if let Some(next) = self.at(1).filter(|&next| next != b'\n') {
                        word.push(next);
                    }
                    self.i = (self.i + 2).min(self.end);
                }
                b'$' | b'`' => {
                    self.words(piece, self.i);
                    self.dollar(word, true);
                    piece = self.i;
                }
                _ => {
                    word.push(b);
                    self.i += 1;
                }
            }
        }
        self.words(piece, self.i);
        self.facts.unsure = true;
    }
}
