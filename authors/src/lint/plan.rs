//! What machines would refuse or leave out of what the tree says has to run.

use std::{collections::BTreeSet, path::Path};

use jobs::{
    header,
    order::{Named, order},
    parse::{self, Wrong},
    tiers::{self, Job, Tiers, What},
};
use loader::survey;

use super::{finding::Finding, names::Names};
use crate::tree::Entry;

/// What `ldi` reads of `conf/tiers.toml`.
const MAX_TIERS: u64 = 4 << 20;
/// The first so many wrong jobs tell enough.
const MAX_FOUND: usize = 100;

/// `conf/tiers.toml`, and which files it says are jobs.
#[derive(Debug)]
pub struct Plan {
    tiers: Tiers,
    /// The file could not be read as it should be.
    broken: bool,
    /// Tier and script of each `[[job]]` that has one.
    listed: BTreeSet<(String, String)>,
}

impl Plan {
    /// The plan of the tree at `root`, and what is wrong with it.
    pub fn read(root: &Path) -> (Self, Vec<Finding>) {
        Self::of(text(root))
    }

    /// The plan that a text is, if there is one, and what is wrong with it.
    pub fn of(text: Result<Option<String>, String>) -> (Self, Vec<Finding>) {
        let (tiers, found) = match text {
            Ok(None) => (Tiers::built_in(), None),
            Ok(Some(text)) => match Tiers::of_release(&text) {
                Ok(tiers) => (tiers, None),
                Err(wrong) => (Tiers::built_in(), Some(of_wrong("tiers", &wrong))),
            },
            Err(what) => (Tiers::built_in(), Some(Finding::new("tiers", tiers::PATH, 0, what))),
        };
        let script = |job: &Job| match &job.what {
            What::Script(path) => Some((job.tier.clone(), path.clone())),
            _ => None,
        };
        let listed = tiers.jobs.iter().filter_map(script).collect();
        (Self { tiers, broken: found.is_some(), listed }, found.into_iter().collect())
    }

    /// The tier that `path` is a job of by where it stands: an executable file directly in the
    /// folder of a tier. The same files as `ldi` takes.
    fn tier<'a>(&self, path: &'a str) -> Option<&'a str> {
        let (tier, name) = path.strip_prefix("scripts/")?.split_once('/')?;
        let job = !name.contains('/') && !name.starts_with('.') && !name.ends_with('~');
        let known = self.tiers.tiers.contains_key(tier);
        let listed = || self.listed.contains(&(tier.to_owned(), path.to_owned()));
        (job && known && !listed()).then_some(tier)
    }

    /// Whether `entry` is a job by where it stands.
    pub fn is_job(&self, entry: &Entry) -> bool {
        entry.executable && self.tier(&entry.path).is_some()
    }

    /// Looks at one script whose content is, or begins with, `text`.
    pub fn script(&self, entry: &Entry, text: &[u8]) -> Vec<Finding> {
        let path = entry.path.as_str();
        let collector =
            path.strip_prefix("scripts/collect/").is_some_and(|name| !name.contains('/'));
        let Some(rest) = path.strip_prefix("scripts/") else { return Vec::new() };
        if self.tier(path).is_none() && !collector {
            return self.unknown_tier(path).into_iter().collect();
        }
        if !entry.executable {
            // What has no first line may be data, or a module that lies beside.
            let runs = survey::runner(path, text).named.is_some();
            let what = format!("has no run bit, so machines leave it out; chmod 755 {path}");
            return runs
                .then(|| Finding::new("not-executable", path, 0, what))
                .into_iter()
                .collect();
        }
        let mut found = Vec::new();
        if survey::runner(path, text).language == survey::Language::Unknown {
            let what = "does not say what runs it; begin with a line such as #!/bin/bash";
            found.push(Finding::new("no-first-line", path, 0, what));
        }
        if collector {
            return found;
        }
        if !tiers::good_name(rest) {
            let what =
                "has a name that no job may have (letters, digits and . _ - + @ only); rename it";
            found.push(Finding::new("job-name", path, 0, what));
        }
        if let Err(wrong) = header::keys(path, &said(text)) {
            found.push(of_wrong("header", &wrong));
        }
        found
    }

    /// A folder that is almost called as a tier is.
    fn unknown_tier(&self, path: &str) -> Option<Finding> {
        let (folder, name) = path.strip_prefix("scripts/")?.split_once('/')?;
        let known: Vec<&str> =
            self.tiers.tiers.keys().map(String::as_str).chain(["collect"]).collect();
        if known.contains(&folder) || name.contains('/') || self.broken || folder.len() < 4 {
            return None;
        }
        // The usual measure takes "daily2" and "weekday" for slips; names that differ more are meant.
        let near =
            parse::nearest(folder, &known).filter(|near| near.len().abs_diff(folder.len()) < 2)?;
        let what =
            format!("no tier is called {folder:?}, so nothing runs this; did you mean {near}?");
        Some(Finding::new("unknown-tier", path, 0, what))
    }

    /// The names that `[[job]]`s call: functions, and the modules of those of Python.
    pub fn functions(&self) -> BTreeSet<String> {
        let mut called = BTreeSet::new();
        for job in &self.tiers.jobs {
            if let What::Function(name) = &job.what {
                called.extend(name.split('.').next().map(str::to_owned));
                called.insert(name.clone());
            }
        }
        called
    }

    /// Looks at the `[[job]]`s. `has` tells whether the tree has a file; without `names` functions
    /// are not looked for.
    pub fn jobs(&self, has: impl Fn(&str) -> bool, names: Option<&Names>) -> Vec<Finding> {
        let of = |job: &Job| match &job.what {
            What::Script(path) if !has(path) => {
                let what = format!(
                    "job {}: {path} is not in the tree; add it or change the key script",
                    job.name
                );
                Some(Finding::new("job-script", tiers::PATH, job.line, what))
            }
            What::Function(name) => {
                let names = names?;
                if names.has_function(name)
                    || name.split_once('.').is_some_and(|(module, _)| names.has_module(module))
                {
                    return None;
                }
                let hint = names
                    .near(name)
                    .map_or("check its name".to_owned(), |near| format!("did you mean {near}?"));
                let what = format!("job {}: no module has a function {name}; {hint}", job.name);
                Some(Finding::new("job-function", tiers::PATH, job.line, what))
            }
            _ => None,
        };
        self.tiers.jobs.iter().filter_map(of).take(MAX_FOUND).collect()
    }

    /// Looks at names and order of all jobs: `scripts` are those that are jobs by where they stand,
    /// with what their headers say comes before them.
    pub fn order(&self, scripts: &[(String, Vec<String>)]) -> Option<Finding> {
        if self.broken {
            return None;
        }
        let configured = self.tiers.jobs.iter().map(|job| Named {
            tier: &job.tier,
            name: &job.name,
            after: &job.keys.after,
        });
        let found = scripts.iter().filter_map(|(path, after)| {
            let name = path.strip_prefix("scripts/")?;
            Some(Named { tier: self.tier(path)?, name, after })
        });
        let all: Vec<Named<'_>> = configured.chain(found).collect();
        let what = order(&all).err()?;
        // A job of a file is named in the sentence.
        let of_file = scripts.iter().find(|(path, _)| {
            let name = path.strip_prefix("scripts/").unwrap_or(path);
            what.starts_with(&format!("job {name},"))
        });
        let path = of_file.map_or(tiers::PATH, |(path, _)| path.as_str());
        Some(Finding::new("job-order", path, 0, what))
    }
}

/// The jobs that come before the one whose file begins with `text`.
pub fn after(path: &str, text: &[u8]) -> Vec<String> {
    header::keys(path, &said(text)).map(|keys| keys.after).unwrap_or_default()
}

fn said(text: &[u8]) -> Vec<(usize, String)> {
    header::words(text.get(..header::BYTES).unwrap_or(text))
}

fn text(root: &Path) -> Result<Option<String>, String> {
    match survey::read(&root.join(tiers::PATH), MAX_TIERS) {
        Err(e)
            if matches!(
                e.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(e) => Err(format!("cannot be read: {e}")),
        Ok(None) => Err("is no file of at most 4 MiB; machines refuse it".to_owned()),
        Ok(Some(bytes)) => String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| "is not UTF-8 text; convert it".to_owned()),
    }
}

fn of_wrong(code: &'static str, wrong: &Wrong) -> Finding {
    let key = wrong.key.as_ref().map_or(String::new(), |key| format!("key {key}: "));
    Finding::new(code, &wrong.file, wrong.line, format!("{key}{}", wrong.what))
}
