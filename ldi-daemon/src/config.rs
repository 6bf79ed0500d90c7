//! `ldi.toml`: every key, its default, and the refusal of everything unknown.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{
    Failure, Result,
    parse::{self, Size, Span, Wrong},
    submit,
    tiers::Ration,
};

mod defaults;
mod sync;

pub use sync::{Sync, wrong_source};

/// The file that is read when nothing else is said.
pub const DEFAULT_FILE: &str = "/etc/ldi/ldi.toml";

/// All of `ldi.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The client's root folder.
    pub root: PathBuf,
    /// Tags of this machine; a job with `tags` runs only where one of them is set.
    pub tags: Vec<String>,
    /// Where the library comes from.
    pub sync: Sync,
    /// How jobs are run.
    pub run: Run,
    /// How much is kept about past runs.
    pub history: History,
    /// The long-running process.
    pub daemon: Daemon,
    /// New versions of `ldi` itself.
    pub update: Update,
    /// The fleet server.
    pub server: Server,
    /// What waits for the fleet server.
    pub spool: Spool,
    /// Figures for a monitoring system.
    pub metrics: Metrics,
    /// The file that this was read from; not a key.
    #[serde(skip)]
    pub file: PathBuf,
    /// That file's text; not a key.
    #[serde(skip)]
    pub text: String,
}

/// `[run]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Run {
    /// A job's time limit when it names none.
    pub timeout: Span,
    /// Between TERM and KILL.
    pub kill_after: Span,
    /// Bytes of output kept, for each of stdout and stderr.
    pub output_limit: u64,
    /// Jobs at once, those with `parallel = true` included.
    pub parallel: usize,
    /// Pause before the first retry; doubles with each.
    pub retry_delay: Span,
    /// Between two looks at a closed gate.
    pub gate_interval: Span,
    /// A job whose gate was closed starts within this window after it opened.
    pub gate_splay: Span,
    /// PATH of jobs.
    pub path: String,
    /// A job that failed so many times in a row is left out; 0: none is.
    pub breaker: u32,
    /// For so long.
    pub breaker_for: Span,
    /// Memory of a run, where its job names none.
    pub memory: Option<Size>,
    /// Percent of one processor of a run, where its job names none.
    pub cpu: Option<u32>,
    /// Processes and threads of a run, where its job names none.
    pub processes: Option<u32>,
    /// The folder of this machine's secrets.
    pub secrets: PathBuf,
}

impl Run {
    /// What a run may take where its job says nothing.
    pub fn ration(&self) -> Ration {
        Ration { memory: self.memory, cpu: self.cpu, processes: self.processes }
    }
}

/// `[history]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct History {
    /// Runs kept in the journal.
    pub runs: u32,
    /// Logs kept, newest first.
    pub logs: usize,
    /// Bytes of logs kept, newest first.
    pub log_bytes: u64,
}

/// `[daemon]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Daemon {
    /// How long jobs get to end when the daemon is stopped.
    pub stop_deadline: Span,
    /// Tiers that were missed start within this window after boot or sleep.
    pub resume_splay: Span,
}

/// `[update]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Update {
    /// Whether a new agent of the library is taken up.
    pub enabled: bool,
    /// How long it has to sync and finish a tier.
    pub deadline: Span,
    /// How long tiers may be held back so that it can start.
    pub hold: Span,
}

/// `[server]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// The fleet server's address.
    pub url: Option<String>,
    /// Certificates (PEM) of the authorities that it is known by, beside the system's.
    pub ca_file: Option<PathBuf>,
    /// This machine's certificate (PEM).
    pub client_certificate: Option<PathBuf>,
    /// Its private key (PEM); it may stand in the same file.
    pub client_key: Option<PathBuf>,
}

impl Server {
    fn wrong_value(&self) -> Option<(&'static str, String)> {
        let files = [
            ("ca_file", &self.ca_file),
            ("client_certificate", &self.client_certificate),
            ("client_key", &self.client_key),
        ];
        let relative = files.into_iter().find_map(|(key, path)| {
            let path = path.as_ref().filter(|path| !path.is_absolute())?;
            Some((key, format!("{} must be an absolute path", path.display())))
        });
        let lone = (self.client_key.is_some() && self.client_certificate.is_none())
            .then(|| ("client_key", "means nothing without client_certificate".to_owned()));
        relative.or(lone).or_else(|| Some(("url", submit::wrong_url(self.url.as_ref()?)?)))
    }
}

/// `[spool]`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spool {
    /// Bytes of entries kept, newest first.
    pub bytes: Size,
    /// Entries that are older are dropped.
    pub age: Span,
}

/// `[metrics]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// A file in the folder that node_exporter's textfile collector reads.
    pub textfile: Option<PathBuf>,
}

impl Default for Spool {
    fn default() -> Self {
        Self { bytes: Size(8 << 20), age: Span::seconds(30 * 86400) }
    }
}

impl Default for Config {
    fn default() -> Self {
        let root = if cfg!(target_os = "macos") { "/Library/code" } else { "/var/lib/ldi" };
        Self {
            root: root.into(),
            tags: Vec::new(),
            sync: Sync::default(),
            run: Run::default(),
            history: History::default(),
            daemon: Daemon::default(),
            update: Update::default(),
            server: Server::default(),
            spool: Spool::default(),
            metrics: Metrics::default(),
            file: DEFAULT_FILE.into(),
            text: String::new(),
        }
    }
}

impl Default for Run {
    fn default() -> Self {
        Self {
            timeout: Span::seconds(3600),
            kill_after: Span::seconds(10),
            output_limit: 1 << 20,
            parallel: 4,
            retry_delay: Span::seconds(10),
            gate_interval: Span::seconds(60),
            gate_splay: Span::seconds(60),
            path: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            breaker: 5,
            breaker_for: Span::seconds(86400),
            memory: None,
            cpu: None,
            processes: None,
            secrets: "/etc/ldi/secrets".into(),
        }
    }
}

impl Default for History {
    fn default() -> Self {
        Self { runs: 20_000, logs: 2_000, log_bytes: 256 << 20 }
    }
}

impl Default for Daemon {
    fn default() -> Self {
        Self { stop_deadline: Span::seconds(30), resume_splay: Span::seconds(60) }
    }
}

impl Default for Update {
    fn default() -> Self {
        Self { enabled: true, deadline: Span::seconds(15 * 60), hold: Span::seconds(30 * 60) }
    }
}

impl Config {
    /// Reads and checks `file`.
    pub fn load(file: &Path) -> Result<Self> {
        let bytes = parse::read_bounded(file, 1 << 20).map_err(|e| {
            Failure::config(format!(
                "cannot read the configuration {}: {e}; name another with --config or LDI_CONFIG",
                file.display()
            ))
        })?;
        Self::of(file, bytes)
    }

    /// Checks `bytes`, which were read from `file`.
    pub fn of(file: &Path, bytes: Vec<u8>) -> Result<Self> {
        let text = String::from_utf8(bytes)
            .map_err(|_| Failure::config(format!("{} is not UTF-8 text", file.display())))?;
        let mut config = Self::parse(&file.display().to_string(), &text)
            .map_err(|w| Failure::config(w.to_string()))?;
        config.file = file.to_owned();
        config.text = text;
        Ok(config)
    }

    /// What can be told of a `file` that cannot be used: its root, everything else by default.
    /// For looking only.
    pub fn guess(file: &Path) -> Self {
        let text = parse::read_bounded(file, 1 << 20).unwrap_or_default();
        let root = String::from_utf8_lossy(&text).lines().find_map(|line| {
            let value = line.strip_prefix("root")?.trim_start().strip_prefix('=')?.trim_start();
            let path = PathBuf::from(value.strip_prefix('"')?.split('"').next()?);
            path.is_absolute().then_some(path)
        });
        let default = Self::default();
        Self { root: root.unwrap_or(default.root), file: file.to_owned(), ..Self::default() }
    }

    /// Reads and checks `text`, which is called `file` in errors.
    pub fn parse(file: &str, text: &str) -> Result<Self, Wrong> {
        let config: Self = parse::toml(file, text)?;
        match config.wrong_value() {
            None => Ok(config),
            Some((key, what)) => {
                let line = text
                    .lines()
                    .position(|l| l.split('=').next().is_some_and(|k| k.trim() == key))
                    .map_or(0, |at| at + 1);
                Err(Wrong { file: file.to_owned(), line, key: Some(key.to_owned()), what })
            }
        }
    }

    fn wrong_value(&self) -> Option<(&'static str, String)> {
        let absolute = |key, path: &Path| {
            (!path.is_absolute())
                .then(|| (key, format!("{} must be an absolute path", path.display())))
        };
        absolute("root", &self.root)
            .or_else(|| absolute("secrets", &self.run.secrets))
            .or_else(|| self.run.ration().check().err())
            .or_else(|| self.sync.wrong_value())
            .or_else(|| self.server.wrong_value())
            .or_else(|| absolute("textfile", self.metrics.textfile.as_ref()?))
            .or_else(|| {
                (self.run.parallel == 0).then(|| ("parallel", "must be at least 1".to_owned()))
            })
            .or_else(|| {
                (!(4096..=1 << 30).contains(&self.run.output_limit)).then(|| {
                    ("output_limit", "must be between 4096 and 1073741824 bytes".to_owned())
                })
            })
            .or_else(|| {
                (self.run.timeout.0.is_zero())
                    .then(|| ("timeout", "must be longer than 0s".to_owned()))
            })
            .or_else(|| {
                (self.run.gate_interval.0.is_zero())
                    .then(|| ("gate_interval", "must be longer than 0s".to_owned()))
            })
            .or_else(|| {
                (self.update.deadline.0.is_zero())
                    .then(|| ("deadline", "must be longer than 0s".to_owned()))
            })
    }

    /// The settings of a sync.
    pub fn sync_settings(&self) -> codesync::pull::Settings {
        self.sync.settings(&self.root)
    }

    /// This machine's tags: those of the file, and the names of the files in `ROOT/tags`.
    pub fn all_tags(&self) -> Vec<String> {
        let mut tags = self.tags.clone();
        if let Ok(entries) = std::fs::read_dir(self.root.join("tags")) {
            tags.extend(
                entries.flatten().take(1000).filter_map(|e| e.file_name().into_string().ok()),
            );
        }
        tags.sort();
        tags.dedup();
        tags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_defaults_are_the_defaults() {
        let printed = Config::parse("defaults", &Config::print_defaults()).unwrap();
        let known = Config { file: printed.file.clone(), ..Config::default() };
        assert_eq!(format!("{printed:?}"), format!("{known:?}"));
    }

    #[test]
    fn unknown_keys_are_refused_with_the_nearest_known_one() {
        let wrong = Config::parse("ldi.toml", "[sync]\nsorce = [\"file:///x\"]\n").unwrap_err();
        assert_eq!(
            wrong.to_string(),
            "ldi.toml line 2, key sorce: is not a known key; did you mean source?"
        );
    }

    #[test]
    fn wrong_values_are_refused_by_line_and_key() {
        for (text, line, key) in [
            ("root = \"x\"", 1, "root"),
            ("[sync]\nsource = [\"http://x/y\"]", 2, "source"),
            ("[sync]\nsource = \"ssh://host/path\"", 2, "source"),
            ("[sync]\nring = \"../x\"", 2, "ring"),
            ("[sync]\nmax_rate = \"fast\"", 2, "max_rate"),
            ("[sync]\nmax_rate = \"1K\"", 2, "max_rate"),
            ("[sync]\nca_file = \"ca.pem\"", 2, "ca_file"),
            ("[sync]\nclient_key = \"/k\"", 2, "client_key"),
            ("[sync]\nproxy_command = [\"nc\"]", 2, "proxy_command"),
            ("[server]\nurl = \"http://fleet.example.com\"", 2, "url"),
            ("[server]\nclient_key = \"/k\"", 2, "client_key"),
            ("[server]\nca_file = \"ca.pem\"", 2, "ca_file"),
            ("[run]\nparallel = 0", 2, "parallel"),
            ("[run]\ntimeout = \"soon\"", 2, "timeout"),
        ] {
            let wrong = Config::parse("f", text).unwrap_err();
            assert_eq!((wrong.line, wrong.key.as_deref()), (line, Some(key)), "{wrong}");
        }
    }
}
