//! `[sync]` of `ldi.toml`: where the library comes from, and how it is reached.

use std::path::{Path, PathBuf};

use codesync::{fetch::RATE_MIN, pull};
use serde::Deserialize;

use crate::parse::{Rate, Span};

/// `[sync]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sync {
    /// Sources in the order to try them.
    #[serde(deserialize_with = "one_or_more")]
    pub source: Vec<String>,
    /// The ring to follow.
    pub ring: String,
    /// Private SSH key.
    pub identity: Option<PathBuf>,
    /// Pinned host keys.
    pub known_hosts: Option<PathBuf>,
    /// The pinned first root.json.
    pub trusted_root: PathBuf,
    /// Certificates (PEM) of authorities that https sources are known by, beside the system's.
    pub ca_file: Option<PathBuf>,
    /// This machine's certificate (PEM) for https sources that ask for one.
    pub client_certificate: Option<PathBuf>,
    /// Its private key (PEM).
    pub client_key: Option<PathBuf>,
    /// A program, with its arguments, whose standard input and output lead to an ssh source.
    pub proxy_command: Vec<String>,
    /// The most bytes of content to take in per second, on average over a sync.
    pub max_rate: Option<Rate>,
    /// Limit for connecting, and for any silence after that.
    pub connect_timeout: Span,
    /// How long to wait for another sync to end.
    pub lock_wait: Span,
    /// When set: nothing runs once the last good sync is older than this.
    pub max_stale: Option<Span>,
}

impl Default for Sync {
    fn default() -> Self {
        Self {
            source: Vec::new(),
            ring: "stable".to_owned(),
            identity: None,
            known_hosts: None,
            trusted_root: "/etc/ldi/root.json".into(),
            ca_file: None,
            client_certificate: None,
            client_key: None,
            proxy_command: Vec::new(),
            max_rate: None,
            connect_timeout: Span::seconds(20),
            lock_wait: Span::seconds(60),
            max_stale: None,
        }
    }
}

impl Sync {
    /// The settings of a sync into `root`.
    pub(super) fn settings(&self, root: &Path) -> pull::Settings {
        pull::Settings {
            root: root.to_owned(),
            sources: self.source.clone(),
            ring: self.ring.clone(),
            trusted_root: self.trusted_root.clone(),
            identity: self.identity.clone(),
            known_hosts: self.known_hosts.clone(),
            connect_timeout: self.connect_timeout.0,
            lock_wait: self.lock_wait.0,
            options: pull::Options {
                ca_file: self.ca_file.clone(),
                client_certificate: self.client_certificate.clone(),
                client_key: self.client_key.clone(),
                proxy_command: self.proxy_command.clone(),
                max_rate: self.max_rate.map(|rate| rate.0),
            },
        }
    }

    /// The first key whose value cannot be used, and why.
    pub(super) fn wrong_value(&self) -> Option<(&'static str, String)> {
        let paths = [
            ("trusted_root", Some(&self.trusted_root)),
            ("identity", self.identity.as_ref()),
            ("known_hosts", self.known_hosts.as_ref()),
            ("ca_file", self.ca_file.as_ref()),
            ("client_certificate", self.client_certificate.as_ref()),
            ("client_key", self.client_key.as_ref()),
        ];
        for (key, path) in paths {
            if let Some(path) = path.filter(|path| !path.is_absolute()) {
                return Some((key, format!("{} must be an absolute path", path.display())));
            }
        }
        if let Some(wrong) = self.source.iter().find_map(|source| wrong_source(source)) {
            return Some(("source", wrong));
        }
        let ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let ring = &self.ring;
        if ring.is_empty() || ring.len() > 64 || ring.starts_with('.') || !ring.chars().all(ok) {
            return Some(("ring", format!("{ring:?} is not the name of a ring")));
        }
        if self.client_key.is_some() && self.client_certificate.is_none() {
            return Some(("client_key", "is of no use without client_certificate".to_owned()));
        }
        if self.proxy_command.first().is_some_and(|program| !program.starts_with('/')) {
            return Some((
                "proxy_command",
                "must be a list that begins with a program's absolute path".to_owned(),
            ));
        }
        if self.max_rate.is_some_and(|rate| rate.0 < RATE_MIN) {
            return Some(("max_rate", format!("must be at least {}", Rate(RATE_MIN))));
        }
        None
    }
}

/// Why `source` cannot be one.
pub fn wrong_source(source: &str) -> Option<String> {
    let wrong = |why: &str| {
        Some(format!(
            "{source:?} {why}; write ssh://user@host[:port]/path, https://host/path or file:///path"
        ))
    };
    let Some((scheme, rest)) = source.split_once("://") else {
        return wrong("is not a source");
    };
    match scheme {
        "file" if rest.starts_with('/') && rest.len() > 1 => None,
        "file" => wrong("has no absolute path"),
        "https" if !rest.starts_with('/') && !rest.is_empty() => None,
        "ssh" => {
            let Some((host, path)) = rest.split_once('/') else {
                return wrong("has no path");
            };
            let Some((user, host)) = host.split_once('@') else {
                return wrong("has no user");
            };
            if user.is_empty() || host.is_empty() || path.is_empty() {
                return wrong("lacks a user, a host or a path");
            }
            None
        }
        _ => wrong("has an unknown scheme"),
    }
}

fn one_or_more<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a source or a list of sources")]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    Ok(match OneOrMore::deserialize(d)? {
        OneOrMore::One(one) => vec![one],
        OneOrMore::More(more) => more,
    })
}
