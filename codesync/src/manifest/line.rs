//! Lines of the text form: reading one, and writing them in order.

use std::{
    borrow::Cow,
    fmt::Write as _,
    sync::{Arc, OnceLock},
};

use super::{BEGIN, END, File, Inner, Manifest};
use crate::name;

/// One line, not yet copied.
pub(super) struct Line<'a> {
    pub(super) path: Cow<'a, str>,
    pub(super) sha256: &'a str,
    pub(super) size: u64,
    pub(super) executable: bool,
}

impl<'a> Line<'a> {
    /// Reads one line in its only form.
    pub(super) fn parse(line: &'a str) -> Option<Self> {
        let rest = line.strip_prefix("{\"path\":\"")?;
        let (path, rest) = string(rest)?;
        let rest = rest.strip_prefix(",\"sha256\":\"")?;
        let (sha256, rest) = rest.split_at_checked(64)?;
        let rest = rest.strip_prefix("\",\"size\":")?;
        let (size, rest) = rest.split_once(',')?;
        let executable = match rest {
            "\"mode\":\"0644\"}" => false,
            "\"mode\":\"0755\"}" => true,
            _ => return None,
        };
        let plain =
            size.bytes().all(|b| b.is_ascii_digit()) && (size == "0" || !size.starts_with('0'));
        let size = plain.then(|| size.parse().ok())??;
        name::is_sha256(sha256).then_some(Self { path, sha256, size, executable })
    }
}

/// The hash in a line that was read before, found from the line's end.
pub(super) fn hash_of(line: &str) -> &str {
    const AFTER: usize = "\",\"size\":".len();
    const MODE: usize = ",\"mode\":\"0644\"}".len();
    let end = line.len().saturating_sub(MODE);
    let digits = line.bytes().take(end).rev().take_while(u8::is_ascii_digit).count();
    let end = end.saturating_sub(digits + AFTER);
    line.get(end.saturating_sub(64)..end).unwrap_or_default()
}

/// The string up to the next quote that is not escaped, and what follows that quote.
fn string(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let end = text.bytes().position(|b| b == b'"' || b == b'\\')?;
    if text.as_bytes().get(end) == Some(&b'"') {
        return Some((Cow::Borrowed(text.get(..end)?), text.get(end + 1..)?));
    }
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((Cow::Owned(out), text.get(at + 1..)?)),
            '\\' => match chars.next()?.1 {
                c @ ('"' | '\\') => out.push(c),
                _ => return None,
            },
            c => out.push(c),
        }
    }
    None
}

/// Writes the text form, line by line, in order.
pub(crate) struct Builder {
    text: String,
    starts: Vec<u32>,
}

impl Default for Builder {
    fn default() -> Self {
        Self::of(0)
    }
}

impl Builder {
    /// For a text of about `length` bytes.
    pub(crate) fn of(length: usize) -> Self {
        let mut text = String::with_capacity(length.max(BEGIN.len() + END.len()));
        text.push_str(BEGIN);
        Self { text, starts: Vec::with_capacity(length / 160) }
    }

    fn begin_line(&mut self) {
        if !self.starts.is_empty() {
            // The line before ends without the comma that it needs now.
            self.text.pop();
            self.text.push_str(",\n");
        }
        // Bounded by MANIFEST_MAX where a text is read, and by memory where one is made.
        self.starts.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
    }

    /// Adds a line that stands in another manifest.
    pub(crate) fn line(&mut self, line: &str) {
        self.begin_line();
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Adds a file.
    pub(crate) fn file(&mut self, file: &File) {
        self.begin_line();
        let text = &mut self.text;
        let mut hash = [0; 64];
        // 64 bytes hold the hex of 32: this cannot fail.
        let _ = hex::encode_to_slice(file.sha256, &mut hash);
        text.push_str("{\"path\":\"");
        match file.path.contains(['"', '\\']) {
            true => text.push_str(&file.path.replace('\\', "\\\\").replace('"', "\\\"")),
            false => text.push_str(&file.path),
        }
        text.push_str("\",\"sha256\":\"");
        text.push_str(std::str::from_utf8(&hash).unwrap_or_default());
        let mode = if file.executable { "0755" } else { "0644" };
        let _ = writeln!(text, "\",\"size\":{},\"mode\":\"{mode}\"}}", file.size);
    }

    /// The manifest of what was added.
    pub(crate) fn finish(mut self) -> Manifest {
        self.starts.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
        self.text.push_str(END);
        let inner = Inner { text: self.text, starts: self.starts, hash: OnceLock::new() };
        Manifest { inner: Arc::new(inner) }
    }
}
