//! Splits a command into words without a shell.
//!
//! Knows no quoting, no escapes and no expansion: a byte that would mean something to a shell, or
//! that is not plain ASCII, refuses the whole command. Legitimate commands have none of them.

use std::fmt;

/// Longest command that is looked at, in bytes.
pub const MAX_COMMAND: usize = 4096;
/// Most words in one command.
pub const MAX_WORDS: usize = 32;

/// Why a command has no words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadWords {
    /// Nothing, or blanks only.
    Empty,
    /// More than [`MAX_COMMAND`] bytes.
    TooLong,
    /// More than [`MAX_WORDS`] words.
    TooMany,
    /// A byte outside the allowed set.
    Byte(u8),
}

impl fmt::Display for BadWords {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => out.write_str("it is empty"),
            Self::TooLong => write!(out, "it is longer than {MAX_COMMAND} bytes"),
            Self::TooMany => write!(out, "it has more than {MAX_WORDS} words"),
            Self::Byte(byte) => write!(out, "it contains '{}'", byte.escape_ascii()),
        }
    }
}

/// The words of `command`, separated by spaces.
///
/// Allowed bytes: letters, digits and `. _ - / = , : + @ %`.
pub fn split(command: &[u8]) -> Result<Vec<&str>, BadWords> {
    if command.len() > MAX_COMMAND {
        return Err(BadWords::TooLong);
    }
    if let Some(byte) = command.iter().find(|byte| !allowed(**byte)) {
        return Err(BadWords::Byte(*byte));
    }
    // Every allowed byte is ASCII, so this conversion cannot fail.
    let text = std::str::from_utf8(command).map_err(|_| BadWords::Byte(0xff))?;
    let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
    match words.len() {
        0 => Err(BadWords::Empty),
        n if n > MAX_WORDS => Err(BadWords::TooMany),
        _ => Ok(words),
    }
}

fn allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" ._-/=,:+@%".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_commands_become_words() {
        assert_eq!(split(b"codesync serve").unwrap(), ["codesync", "serve"]);
        assert_eq!(split(b"  a   b ").unwrap(), ["a", "b"]);
    }

    #[test]
    fn what_a_shell_would_read_is_refused() {
        for byte in 0..=255u8 {
            let plain = byte.is_ascii_alphanumeric() || b" ._-/=,:+@%".contains(&byte);
            assert_eq!(split(&[b'a', byte, b'b']).is_ok(), plain, "byte {byte}");
        }
        assert_eq!(split(b""), Err(BadWords::Empty));
        assert_eq!(split(b"   "), Err(BadWords::Empty));
        assert_eq!(split(&[b'a'; MAX_COMMAND + 1]), Err(BadWords::TooLong));
        assert_eq!(split("a ".repeat(MAX_WORDS + 1).as_bytes()), Err(BadWords::TooMany));
    }
}
