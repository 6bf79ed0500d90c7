//! `ldi check`: the configuration, everything that it names, and the active release's tiers.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use serde::Serialize;

use crate::{
    Result, cgroup,
    cli::{print, print_json},
    config::Config,
    error::code,
    inspect, parse, secret,
    table::{self, table},
};

#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    verdict: &'static str,
    detail: String,
}

/// Checks `file`. The exit code is 78 when something is wrong.
pub fn check(file: &Path, json: bool) -> Result<u8> {
    let mut findings = Vec::new();
    match Config::load(file) {
        Err(failure) => findings.push(Finding {
            what: "configuration",
            verdict: "wrong",
            detail: failure.to_string(),
        }),
        Ok(config) => {
            findings.push(good("configuration", file.display().to_string()));
            findings.push(root(&config));
            findings.extend(sources(&config));
            findings.push(trusted_root(&config.sync.trusted_root));
            findings.extend(ssh_files(&config));
            findings.extend(secrets(&config));
            findings.push(limits(&config.root));
            findings.push(release(&config));
        }
    }
    let wrong = findings.iter().any(|f| f.verdict == "wrong");
    if json {
        print_json(&findings)?;
    } else {
        let mut rows = table(&["WHAT", "VERDICT", "DETAIL"]);
        for finding in &findings {
            rows.add_row(vec![
                finding.what.into(),
                table::outcome(finding.verdict),
                finding.detail.clone().into(),
            ]);
        }
        print(&table::text(&rows))?;
    }
    Ok(if wrong { code::CONFIG } else { 0 })
}

fn good(what: &'static str, detail: String) -> Finding {
    Finding { what, verdict: "good", detail }
}

fn wrong(what: &'static str, detail: String) -> Finding {
    Finding { what, verdict: "wrong", detail }
}

/// Whether what is run from here can be limited: a missing limit is no fault of the configuration.
fn limits(root: &Path) -> Finding {
    let missing = cgroup::missing(root);
    Finding {
        what: "limits",
        verdict: if missing.is_empty() { "good" } else { "missing" },
        detail: if missing.is_empty() {
            "memory, cpu and processes of jobs are enforced".to_owned()
        } else {
            format!("of jobs that are run from here: {}", missing.join("; "))
        },
    }
}

fn root(config: &Config) -> Finding {
    let path = config.root.display();
    match fs::metadata(&config.root) {
        Ok(meta) if !meta.is_dir() => wrong("root", format!("{path} is not a folder")),
        Ok(meta) if meta.permissions().mode() & 0o022 != 0 => wrong(
            "root",
            format!("{path} can be written by others than its owner; run: chmod go-w {path}"),
        ),
        Ok(_) => good("root", path.to_string()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            good("root", format!("{path} does not exist yet; the first sync makes it"))
        }
        Err(e) => wrong("root", format!("{path}: {e}")),
    }
}

fn sources(config: &Config) -> Vec<Finding> {
    if config.sync.source.is_empty() {
        return vec![wrong("source", "none; set source in [sync]".to_owned())];
    }
    // Their form was checked with the file.
    config.sync.source.iter().map(|source| good("source", source.clone())).collect()
}

fn trusted_root(path: &Path) -> Finding {
    let what = "trusted_root";
    let shown = path.display();
    let bytes = match parse::read_bounded(path, 1 << 20) {
        Ok(bytes) => bytes,
        Err(e) => return wrong(what, format!("{shown}: {e}; copy the publisher's root.json here")),
    };
    match serde_json::from_slice::<serde_json::Value>(&bytes) {
        Err(e) => wrong(what, format!("{shown} is not JSON: {e}")),
        Ok(root) if root["signed"]["_type"] != "root" => {
            wrong(what, format!("{shown} is not a root.json: it has no \"_type\": \"root\""))
        }
        Ok(root) => {
            let version = root["signed"]["version"].as_u64().unwrap_or(0);
            let expires = root["signed"]["expires"].as_str().unwrap_or("?").to_owned();
            good(what, format!("{shown}: version {version}, expires {expires}"))
        }
    }
}

fn ssh_files(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let ssh = config.sync.source.iter().any(|s| s.starts_with("ssh://"));
    match &config.sync.identity {
        Some(path) => findings.push(identity(path)),
        None if ssh => {
            findings.push(wrong("identity", "not set; an ssh:// source needs one".to_owned()));
        }
        None => {}
    }
    match &config.sync.known_hosts {
        Some(path) => findings.push(match fs::File::open(path) {
            Ok(_) => good("known_hosts", path.display().to_string()),
            Err(e) => wrong("known_hosts", format!("{}: {e}", path.display())),
        }),
        None if ssh => {
            findings.push(wrong("known_hosts", "not set; an ssh:// source needs one".to_owned()));
        }
        None => {}
    }
    findings
}

fn identity(path: &Path) -> Finding {
    let shown = path.display();
    match fs::metadata(path) {
        Err(e) => wrong("identity", format!("{shown}: {e}")),
        Ok(meta) if meta.mode() & 0o077 != 0 => {
            wrong("identity", format!("{shown} can be read by others; run: chmod 600 {shown}"))
        }
        Ok(_) => match fs::File::open(path) {
            Ok(_) => good("identity", shown.to_string()),
            Err(e) => wrong("identity", format!("{shown}: {e}")),
        },
    }
}

/// The secrets that the active release's jobs want and that cannot be had here. A job that does
/// not run here may want one, so that is no fault.
fn secrets(config: &Config) -> Vec<Finding> {
    let Ok((_, catalogue)) = inspect::catalogue(config, None) else { return Vec::new() };
    let wanted: BTreeSet<&String> =
        catalogue.jobs.iter().flat_map(|job| &job.keys.secrets).collect();
    wanted
        .into_iter()
        .filter_map(|name| secret::find(name, &config.run.secrets).err())
        .map(|detail| Finding { what: "secrets", verdict: "missing", detail })
        .collect()
}

fn release(config: &Config) -> Finding {
    match inspect::catalogue(config, None) {
        Ok((release, catalogue)) => {
            let mut detail = format!(
                "release {}: {} tiers, {} jobs",
                release.number,
                catalogue.tiers.tiers.len(),
                catalogue.jobs.len()
            );
            for note in &catalogue.notes {
                detail.push_str(&format!("; {note}"));
            }
            match catalogue.jobs.into_iter().find_map(|job| job.damaged) {
                Some((sentence, _)) => wrong("tiers", sentence),
                None => good("tiers", detail),
            }
        }
        Err(failure) if failure.code() == code::UNREACHABLE => {
            good("tiers", "no release yet; `ldi sync` fetches one".to_owned())
        }
        Err(failure) => wrong("tiers", failure.to_string()),
    }
}
