//! Rules: what about a machine's document raises an issue, as data.
//!
//! The rules that ship are built in; a file of the server's keeper changes them by name and adds
//! others. A rule that is wrong is refused with its file and line, and names the key.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Deserialize;
use toml::Spanned;

use crate::{condition::Condition, span::span};

/// The rules that ship.
const SHIPPED: &str = include_str!("rules/shipped.toml");
/// A longer file is none.
pub const MOST_BYTES: u64 = 1 << 20;

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// One sentence for people who are told.
    pub text: String,
    /// An issue is open while this holds.
    pub when: Condition,
    /// Only for clients of which this holds.
    pub only: Option<Condition>,
    /// So much business time passes before anybody is told.
    pub grace: Duration,
    /// People are told again after so long.
    pub alert_every: Duration,
    /// It is asked at all.
    pub enabled: bool,
}

/// What is wrong with a file of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// As people name it.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// The key, where one is meant.
    pub key: Option<&'static str>,
    /// One sentence.
    pub what: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} line {}", self.file, self.line)?;
        if let Some(key) = self.key {
            write!(f, ", key {key}")?;
        }
        write!(f, ": {}", self.what)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    rule: BTreeMap<String, Spanned<RawRule>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    text: Option<String>,
    when: Option<String>,
    only: Option<String>,
    grace: Option<String>,
    alert_every: Option<String>,
    enabled: Option<bool>,
}

impl RawRule {
    /// What it does not say stays as it was.
    fn over(self, former: Self) -> Self {
        Self {
            text: self.text.or(former.text),
            when: self.when.or(former.when),
            only: self.only.or(former.only),
            grace: self.grace.or(former.grace),
            alert_every: self.alert_every.or(former.alert_every),
            enabled: self.enabled.or(former.enabled),
        }
    }
}

/// The shipped rules, changed by `own`: a file's name and its text.
pub fn rules(own: Option<(&str, &str)>) -> Result<Vec<Rule>, Wrong> {
    let mut all: BTreeMap<String, (RawRule, &str, usize)> = BTreeMap::new();
    for (file, text) in [("the shipped rules", SHIPPED)].into_iter().chain(own) {
        for (name, (rule, line)) in read(file, text)? {
            let rule = match all.remove(&name) {
                Some((former, ..)) => rule.over(former),
                None => rule,
            };
            all.insert(name, (rule, file, line));
        }
    }
    all.into_iter().map(|(name, (raw, file, line))| rule(name, raw, file, line)).collect()
}

fn read(file: &str, text: &str) -> Result<BTreeMap<String, (RawRule, usize)>, Wrong> {
    let line_of = |at: usize| text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
    let raw: RawFile = toml::from_str(text).map_err(|error| Wrong {
        file: file.to_owned(),
        line: error.span().map_or(1, |span| line_of(span.start)),
        key: None,
        what: error.message().trim_end().replace('\n', "; "),
    })?;
    let one = |(name, rule): (String, Spanned<RawRule>)| {
        let line = line_of(rule.span().start);
        (name, (rule.into_inner(), line))
    };
    Ok(raw.rule.into_iter().map(one).collect())
}

fn rule(name: String, raw: RawRule, file: &str, line: usize) -> Result<Rule, Wrong> {
    let wrong = |key: &'static str, what: String| Wrong {
        file: file.to_owned(),
        line,
        key: Some(key),
        what: format!("rule {name}: {what}"),
    };
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Err(wrong(
            "rule",
            "a rule's name has lower-case letters, digits and - only".into(),
        ));
    }
    let condition = |key: &'static str, text: &str| {
        Condition::parse(text).map_err(|error| wrong(key, error.to_string()))
    };
    let Some(when) = raw.when else {
        return Err(wrong("when", "is missing; it says when an issue is open".into()));
    };
    let span = |key: &'static str, text: Option<String>, usual: u64| match text {
        None => Ok(Duration::from_secs(usual)),
        Some(text) => span(&text)
            .and_then(|span| span.to_std().ok())
            .ok_or_else(|| wrong(key, format!("{text:?} is no duration such as 0, 90m, 4h or 2d"))),
    };
    let grace = span("grace", raw.grace, 0)?;
    let alert_every = span("alert_every", raw.alert_every, 3600)?;
    if alert_every.is_zero() {
        return Err(wrong("alert_every", "must be longer than 0".into()));
    }
    Ok(Rule {
        when: condition("when", &when)?,
        only: raw.only.map(|text| condition("only", &text)).transpose()?,
        text: raw.text.unwrap_or_else(|| name.replace('-', " ")),
        grace,
        alert_every,
        enabled: raw.enabled.unwrap_or(true),
        name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_rules_are_in_order() {
        let all = rules(None).unwrap();
        let enabled: Vec<&str> =
            all.iter().filter(|rule| rule.enabled).map(|rule| rule.name.as_str()).collect();
        for name in [
            "ssh-password-authentication",
            "guest-session-enabled",
            "unencrypted-hard-drive",
            "firewall-disabled",
            "screenlock-disabled",
            "not-reporting",
            "os-update-available",
        ] {
            assert!(enabled.contains(&name), "{name} is not among {enabled:?}");
        }
        let off = all.iter().find(|rule| rule.name == "eset-not-running").unwrap();
        assert!(!off.enabled);
    }

    #[test]
    fn an_own_file_changes_by_name_and_adds() {
        let own = "[rule.firewall-disabled]\ngrace = \"2d\"\n\n[rule.eset-not-running]\nenabled = true\n\n\
                   [rule.old-debian]\nwhen = 'os_info.version < \"12\"'\nonly = 'os_info.distname = \"debian\"'\n";
        let all = rules(Some(("rules.toml", own))).unwrap();
        let find = |name: &str| all.iter().find(|rule| rule.name == name).unwrap();
        assert_eq!(find("firewall-disabled").grace, Duration::from_secs(2 * 86_400));
        assert!(find("eset-not-running").enabled && find("old-debian").only.is_some());
    }

    #[test]
    fn what_is_wrong_is_told_with_file_line_and_key() {
        for (text, said) in [
            (
                "[rule.x]\nwhen = \"a = \"\n",
                "r.toml line 1, key when: rule x: here a text, a number",
            ),
            ("\n[rule.x]\ngrace = \"1h\"\n", "r.toml line 2, key when: rule x: is missing"),
            (
                "[rule.x]\nwhen = \"a\"\ngrace = \"soon\"\n",
                "key grace: rule x: \"soon\" is no duration",
            ),
            ("[rule.x]\nwhen = \"a\"\nalert_every = \"0\"\n", "key alert_every"),
            ("[rule.\"X Y\"]\nwhen = \"a\"\n", "lower-case letters"),
            ("[rule.x]\nwhen = \"a\"\nwhenn = 1\n", "line 3: unknown field `whenn`"),
            ("[rule", "line 1"),
        ] {
            let wrong = rules(Some(("r.toml", text))).unwrap_err().to_string();
            assert!(wrong.contains(said), "{text:?}: {wrong}");
        }
    }
}
