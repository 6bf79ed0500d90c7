//! The commands around a server: push, and looking after a library.

use chrono::{DateTime, Utc};
use std::{path::PathBuf, time::Duration};

use codesync::{
    Error, Kind, Result, doctor, gc,
    library::Library,
    push::{self, Report},
    sign::Keys,
    source::{self, Access, Address},
};

use crate::report::{bytes, plain, print, print_json};

/// Longest silence of the server. While it works it says so every 5 seconds.
const SILENCE: Duration = Duration::from_secs(60);

/// How to reach the server.
pub struct Way {
    pub url: String,
    pub identity: Option<PathBuf>,
    pub known_hosts: Option<PathBuf>,
    pub keys: Option<Keys>,
}

/// `push`.
pub fn push(library: &Library, way: &Way, rings: &[String], json: bool) -> Result<()> {
    let address = Address::parse(&way.url).map_err(|e| Error::new(Kind::Usage, e.to_string()))?;
    for (option, given) in [("--identity", &way.identity), ("--known-hosts", &way.known_hosts)] {
        if given.is_none() {
            return Err(Error::new(Kind::Usage, format!("a push needs {option} FILE")));
        }
    }
    let settings = Access {
        identity: way.identity.as_deref(),
        known_hosts: way.known_hosts.as_deref(),
        timeout: SILENCE,
        ..Access::default()
    };
    let began = std::time::Instant::now();
    let mut remote = source::receiver(&address, &settings)?;
    let bar = crate::bar::bytes("sent");
    let progress = |sent, total| {
        bar.set_length(total);
        bar.set_position(sent);
    };
    let now = chrono::Utc::now();
    let done = push::push(library, &mut remote, rings, way.keys.as_ref(), now, &progress);
    bar.finish_and_clear();
    pushed(&done?, began.elapsed(), json)
}

fn pushed(done: &Report, took: Duration, json: bool) -> Result<()> {
    if json {
        let value = serde_json::to_value(done)
            .map_err(|error| Error::new(Kind::Io, format!("cannot print: {error}")))?;
        return print_json(&value);
    }
    if let Some(root) = &done.trusted_root {
        print(&format!(
            "The server had no library and now trusts the root {root}\nwith the root keys {}. Compare it with: sha256sum KEYS/root.json\n",
            done.trusted_keys.join(", ")
        ))?;
    }
    for step in &done.rings {
        if step.previous == step.release {
            print(&format!("Ring {}: release {} stands.\n", step.ring, step.release))?;
        } else {
            print(&format!(
                "Pushed release {} of ring {} (the server had {}).\n",
                step.release,
                step.ring,
                if step.previous == 0 { "none".to_owned() } else { step.previous.to_string() }
            ))?;
        }
    }
    print(&format!(
        "{} files, {} sent, {} resumed, in {:.1} s.\n",
        done.files,
        bytes(done.bytes_sent),
        bytes(done.resumed),
        took.as_secs_f64()
    ))
}

/// `doctor`.
pub fn doctor(
    library: &Library,
    keys: Option<&Keys>,
    now: DateTime<Utc>,
    json: bool,
) -> Result<()> {
    let report = doctor::examine(library, keys, now)?;
    if json {
        let mut value = serde_json::to_value(&report)
            .map_err(|error| Error::new(Kind::Io, format!("cannot print: {error}")))?;
        value["wrong"] = report.is_wrong().into();
        print_json(&value)?;
    } else {
        for (ring, roles) in &report.expires {
            for (role, time) in roles {
                print(&format!("{ring:<12} {role:<10} until {}\n", time.format("%Y-%m-%d")))?;
            }
        }
        for finding in &report.findings {
            let level = match finding.level {
                doctor::Level::Note => "note",
                doctor::Level::Warning => "warning",
                doctor::Level::Wrong => "WRONG",
            };
            let doctor::Finding { place, what, remedy, .. } = finding;
            print(&format!("{level:<8} {}: {}; {remedy}\n", plain(place), plain(what)))?;
        }
        let hashed = bytes(report.bytes);
        print(&format!("{} files hashed, {hashed}.\n", report.files))?;
    }
    if report.is_wrong() {
        let count = report.findings.iter().filter(|one| one.level > doctor::Level::Note).count();
        return Err(Error::new(
            Kind::Io,
            format!("{count} things in {} need attention; see above", library.folder().display()),
        ));
    }
    Ok(())
}

/// `gc`.
pub fn gc(library: &Library, keep: u64, dry_run: bool, json: bool) -> Result<()> {
    let done = gc::gc(library, keep, dry_run)?;
    if json {
        let value = serde_json::to_value(&done)
            .map_err(|error| Error::new(Kind::Io, format!("cannot print: {error}")))?;
        return print_json(&value);
    }
    print(&format!(
        "{} {} targets, {} objects and {} leftovers, {}.\n",
        if dry_run { "Would remove" } else { "Removed" },
        done.targets,
        done.objects,
        done.leftovers,
        bytes(done.bytes)
    ))
}
