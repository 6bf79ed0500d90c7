//! From text to a condition, or to what is wrong with it and where.

use std::fmt;

use chrono::TimeDelta;
use serde_json::Number;

use super::{Comparison, Measure, Node, Operand, Order, Path};
use crate::span::span;

/// A longer text is no condition.
const MOST_BYTES: usize = 16 << 10;
/// Parentheses in parentheses.
const MOST_DEPTH: usize = 40;

/// What is wrong with a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Bytes before the place.
    pub at: usize,
    /// One sentence.
    pub what: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at character {})", self.what, self.at + 1)
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Number(Number),
    Span(TimeDelta),
    Sign(&'static str),
}

const SIGNS: [&str; 14] =
    ["==", "!=", "<=", ">=", "=", "<", ">", "(", ")", "[", "]", ",", ".", "$"];

type Parsed<T> = Result<T, Wrong>;

fn wrong<T>(at: usize, what: impl Into<String>) -> Parsed<T> {
    Err(Wrong { at, what: what.into() })
}

fn tokens(text: &str) -> Parsed<Vec<(usize, Token)>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (token, length) = if first == '"' || first == '\'' {
            quoted(rest, first, at)?
        } else if first.is_ascii_digit() || (first == '-' && starts_number(&rest[1..])) {
            number(rest, at)?
        } else if first.is_alphabetic() || first == '_' {
            let word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
            let end = rest.find(|c| !word(c)).unwrap_or(rest.len());
            (Token::Word(rest[..end].to_owned()), end)
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            (Token::Sign(sign), sign.len())
        } else {
            return wrong(at, format!("{first:?} means nothing here"));
        };
        found.push((at, token));
        at += length;
    }
    Ok(found)
}

fn starts_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

fn quoted(rest: &str, quote: char, at: usize) -> Parsed<(Token, usize)> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((offset, c)) = chars.next() {
        match c {
            c if c == quote => return Ok((Token::Text(text), offset + 1)),
            '\\' if quote == '"' => match chars.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, c @ ('"' | '\\'))) => text.push(c),
                _ => return wrong(at + offset, "after \\ comes one of \" \\ n"),
            },
            c => text.push(c),
        }
    }
    wrong(at, "this text does not end; a quote is missing")
}

fn number(rest: &str, at: usize) -> Parsed<(Token, usize)> {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
    let end = rest.find(|c| !part(c)).unwrap_or(rest.len());
    let text = &rest[..end];
    if let Ok(number) = serde_json::from_str::<Number>(text) {
        return Ok((Token::Number(number), end));
    }
    if let Some(span) = span(text) {
        return Ok((Token::Span(span), end));
    }
    wrong(at, format!("{text:?} is neither a number nor a duration such as 90m, 4h or 2d"))
}

pub(super) fn condition(text: &str) -> Parsed<Node> {
    if text.len() > MOST_BYTES {
        return wrong(0, format!("a condition has at most {MOST_BYTES} bytes"));
    }
    let mut parser = Parser { tokens: tokens(text)?, at: 0, end: text.len(), depth: 0 };
    let node = parser.or()?;
    match parser.peek() {
        None => Ok(node),
        Some(_) => wrong(parser.place(), "here `and`, `or` or the end was expected"),
    }
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    at: usize,
    end: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(_, token)| token)
    }

    fn place(&self) -> usize {
        self.tokens.get(self.at).map_or(self.end, |(at, _)| *at)
    }

    fn takes_word(&mut self, word: &str) -> bool {
        let is = matches!(self.peek(), Some(Token::Word(own)) if own == word);
        self.at += usize::from(is);
        is
    }

    fn takes(&mut self, sign: &str) -> bool {
        let is = matches!(self.peek(), Some(Token::Sign(own)) if *own == sign);
        self.at += usize::from(is);
        is
    }

    fn expect(&mut self, sign: &str) -> Parsed<()> {
        if self.takes(sign) {
            Ok(())
        } else {
            wrong(self.place(), format!("here `{sign}` was expected"))
        }
    }

    fn or(&mut self) -> Parsed<Node> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return wrong(self.place(), "it is nested too deeply");
        }
        let mut all = vec![self.and()?];
        while self.takes_word("or") {
            all.push(self.and()?);
        }
        self.depth -= 1;
        Ok(single(all, Node::Or))
    }

    fn and(&mut self) -> Parsed<Node> {
        let mut all = vec![self.not()?];
        while self.takes_word("and") {
            all.push(self.not()?);
        }
        Ok(single(all, Node::And))
    }

    fn not(&mut self) -> Parsed<Node> {
        let mut negated = false;
        while self.takes_word("not") {
            negated = !negated;
        }
        let node = self.primary()?;
        Ok(if negated { Node::Not(Box::new(node)) } else { node })
    }

    fn primary(&mut self) -> Parsed<Node> {
        if self.takes("(") {
            let node = self.or()?;
            self.expect(")")?;
            return Ok(node);
        }
        let called = matches!(self.tokens.get(self.at + 1), Some((_, Token::Sign("("))));
        if called {
            let place = self.place();
            let Some(Token::Word(word)) = self.peek().cloned() else {
                return wrong(place, "here a condition was expected");
            };
            self.at += 2;
            let path = self.path()?;
            let node = match word.as_str() {
                "exists" => Node::Exists(path),
                "any" | "all" => {
                    self.expect(",")?;
                    let inner = Box::new(self.or()?);
                    if word == "any" { Node::Any(path, inner) } else { Node::All(path, inner) }
                }
                _ => return wrong(place, format!("{word} is not known; known: any, all, exists")),
            };
            self.expect(")")?;
            return Ok(node);
        }
        let path = self.path()?;
        let comparison = self.comparison()?;
        Ok(Node::Compare(path, comparison))
    }

    fn path(&mut self) -> Parsed<Path> {
        let from_root = self.takes("$");
        if from_root {
            self.expect(".")?;
        }
        let mut keys = vec![self.key()?];
        while self.takes(".") {
            keys.push(self.key()?);
        }
        Ok(Path { from_root, keys })
    }

    fn key(&mut self) -> Parsed<String> {
        let key = match self.peek() {
            Some(Token::Word(word)) if !["and", "or", "not", "in"].contains(&word.as_str()) => {
                word.clone()
            }
            Some(Token::Text(text)) => text.clone(),
            Some(Token::Number(number)) => number.to_string(),
            _ => {
                return wrong(
                    self.place(),
                    "here the name of a value was expected, as os_info.distname",
                );
            }
        };
        self.at += 1;
        Ok(key)
    }

    fn comparison(&mut self) -> Parsed<Comparison> {
        let ordered =
            [("<", Order::Less), ("<=", Order::AtMost), (">", Order::More), (">=", Order::AtLeast)];
        if self.takes("=") || self.takes("==") {
            return Ok(Comparison::Is(self.operand()?));
        }
        if self.takes("!=") {
            return Ok(Comparison::IsNot(self.operand()?));
        }
        if let Some((_, order)) = ordered.into_iter().find(|(sign, _)| self.takes(sign)) {
            return Ok(Comparison::Ordered(order, self.measure()?));
        }
        if self.takes_word("in") {
            self.expect("[")?;
            let mut all = vec![self.operand()?];
            while self.takes(",") {
                all.push(self.operand()?);
            }
            self.expect("]")?;
            return Ok(Comparison::In(all));
        }
        if self.takes_word("contains") {
            return Ok(Comparison::Contains(self.operand()?));
        }
        if self.takes_word("like") {
            let place = self.place();
            return match self.operand()? {
                Operand::Text(pattern) => Ok(Comparison::Like(pattern)),
                _ => wrong(place, "after `like` comes a pattern in quotes, as \"web-*\""),
            };
        }
        // A name alone: whether it is true.
        Ok(Comparison::Is(Operand::Bool(true)))
    }

    fn operand(&mut self) -> Parsed<Operand> {
        let operand = match self.peek() {
            Some(Token::Text(text)) => Operand::Text(text.clone()),
            Some(Token::Number(number)) => Operand::Number(number.clone()),
            Some(Token::Word(word)) => match word.as_str() {
                "true" => Operand::Bool(true),
                "false" => Operand::Bool(false),
                "null" => Operand::Null,
                word => {
                    let what = format!("{word} is not in quotes; a text is written \"{word}\"");
                    return wrong(self.place(), what);
                }
            },
            Some(Token::Span(_)) => {
                return wrong(
                    self.place(),
                    "a duration goes with < <= > >= only, as in last_seen < 2d",
                );
            }
            _ => {
                return wrong(
                    self.place(),
                    "here a text, a number, true, false or null was expected",
                );
            }
        };
        self.at += 1;
        Ok(operand)
    }

    fn measure(&mut self) -> Parsed<Measure> {
        let measure = match self.peek() {
            Some(Token::Number(number)) => Measure::Number(number.as_f64().unwrap_or(f64::NAN)),
            Some(Token::Span(span)) => Measure::Age(*span),
            Some(Token::Text(text)) => Measure::Version(text.clone()),
            _ => {
                let what = "here a number, a duration such as 2d or a version such as \"12.4\" was expected";
                return wrong(self.place(), what);
            }
        };
        self.at += 1;
        Ok(measure)
    }
}

fn single(mut all: Vec<Node>, join: fn(Vec<Node>) -> Node) -> Node {
    match all.pop() {
        Some(only) if all.is_empty() => only,
        Some(last) => {
            all.push(last);
            join(all)
        }
        None => join(all),
    }
}
