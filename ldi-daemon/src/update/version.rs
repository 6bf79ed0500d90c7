//! Versions as `ldi --version` prints them, in their order.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Longer ones are no versions.
const LENGTH_MAX: usize = 64;

/// `MAJOR.MINOR.PATCH`, with what may follow a `-` (then it is before the version without).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    numbers: [u64; 3],
    pre: Option<String>,
}

impl Version {
    /// This program's.
    pub fn own() -> Self {
        // Cargo refuses a package whose version is not of this form.
        env!("CARGO_PKG_VERSION").parse().unwrap_or(Self { numbers: [0; 3], pre: None })
    }

    /// The version in `text`, which is what `ldi --version` wrote.
    pub fn printed(text: &str) -> Option<Self> {
        text.lines().next()?.strip_prefix("ldi ")?.trim().parse().ok()
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a version like 1.2.3");
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
        if text.len() > LENGTH_MAX {
            return Err("a version is longer than 64 bytes".to_owned());
        }
        // What follows a + names a build and has no order.
        let text = text.split('+').next().unwrap_or_default();
        let (numbers, pre) = match text.split_once('-') {
            Some((_, pre)) if pre.is_empty() || !pre.chars().all(plain) => return Err(wrong()),
            Some((numbers, pre)) => (numbers, Some(pre.to_owned())),
            None => (text, None),
        };
        let mut parts = numbers.split('.');
        let mut number = || {
            let part = parts.next()?;
            part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())?
        };
        let numbers = number().zip(number()).zip(number()).ok_or_else(wrong)?;
        if parts.next().is_some() {
            return Err(wrong());
        }
        let ((major, minor), patch) = numbers;
        Ok(Self { numbers: [major, minor, patch], pre })
    }
}

impl TryFrom<String> for Version {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")?;
        match &self.pre {
            Some(pre) => write!(f, "-{pre}"),
            None => Ok(()),
        }
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // As semver.org, "11": numbers by value and before words.
        let parts = |version: &Self| -> Vec<(Option<u64>, String)> {
            let pre = version.pre.as_deref().unwrap_or_default();
            pre.split('.').map(|part| (part.parse().ok(), part.to_owned())).collect()
        };
        let word_last = |parts: Vec<(Option<u64>, String)>| -> Vec<_> {
            parts.into_iter().map(|(n, word)| (n.is_none(), n, word)).collect()
        };
        self.numbers
            .cmp(&other.numbers)
            .then(self.pre.is_none().cmp(&other.pre.is_none()))
            .then_with(|| word_last(parts(self)).cmp(&word_last(parts(other))))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_an_order() {
        let words =
            ["0.1.0-alpha", "0.1.0-rc.2", "0.1.0-rc.10", "0.1.0", "0.1.1", "0.10.0", "2.0.0"];
        let versions: Vec<Version> = words.iter().map(|word| word.parse().unwrap()).collect();
        assert!(versions.windows(2).all(|pair| pair[0] < pair[1]), "{versions:?}");
        for (word, version) in words.iter().zip(&versions) {
            assert_eq!(version.to_string(), *word);
        }
        assert_eq!("1.2.3+linux".parse::<Version>().unwrap(), "1.2.3".parse().unwrap());
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for word in ["", "1", "1.2", "1.2.3.4", "a.b.c", "1.2.+3", "1.2.3-", "1.2.3-ü", "v1.2.3"] {
            assert!(word.parse::<Version>().is_err(), "{word}");
        }
        assert!("1".repeat(80).parse::<Version>().is_err());
        assert_eq!(Version::printed("ldi 0.2.0\n"), "0.2.0".parse().ok());
        assert_eq!(Version::printed("0.2.0\n"), None);
        assert_eq!(Version::own().to_string(), env!("CARGO_PKG_VERSION"));
    }
}
