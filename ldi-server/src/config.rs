//! `ldi-server.toml`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{Failure, Result, calendar};

/// A longer file is none.
const MOST_BYTES: usize = 1 << 20;

/// All of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The name by which clients reach the server: it stands in its certificate.
    pub name: String,
    /// Where it listens.
    #[serde(default = "everywhere")]
    pub listen: Vec<SocketAddr>,
    /// `sqlite:PATH` or `postgres://…`; the folder's own SQLite file where it is missing.
    pub database: Option<String>,
    /// How long a machine's certificate lives, in days.
    #[serde(default = "ninety")]
    pub certificate_days: u32,
    /// When grace counts.
    #[serde(default)]
    pub calendar: calendar::Settings,
    /// The folder that it was read from; not a key.
    #[serde(skip)]
    pub folder: PathBuf,
}

fn everywhere() -> Vec<SocketAddr> {
    vec![([0, 0, 0, 0], 8443).into()]
}

fn ninety() -> u32 {
    90
}

impl Config {
    /// The settings of the server in `folder`.
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join("ldi-server.toml");
        let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Failure::config(format!(
                "there is no server in {}; `ldi-server init` makes one",
                folder.display()
            )),
            _ => Failure::io("read", &path, &error),
        })?;
        if text.len() > MOST_BYTES {
            return Err(Failure::config(format!("{} is too long", path.display())));
        }
        let mut config: Self = toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
            let what = error.message().trim_end().replace('\n', "; ");
            Failure::config(format!("{} line {line}: {what}", path.display()))
        })?;
        config.folder = folder.to_owned();
        let wrong = |key: &str, what: String| {
            Failure::config(format!("{}, key {key}: {what}", path.display()))
        };
        if config.listen.is_empty() {
            return Err(wrong("listen", "names no address".into()));
        }
        if !(1..=3650).contains(&config.certificate_days) {
            return Err(wrong("certificate_days", "must be between 1 and 3650".into()));
        }
        calendar::Calendar::new(&config.calendar).map_err(|(key, what)| wrong(key, what))?;
        Ok(config)
    }

    /// The database's address.
    pub fn database(&self) -> String {
        let own = || format!("sqlite:{}", self.folder.join("ldi-server.db").display());
        self.database.clone().unwrap_or_else(own)
    }
}
