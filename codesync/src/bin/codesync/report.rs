//! What the commands print: text for people, JSON for programs.

use std::{io::Write, path::Path, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};
use codesync::{
    Error, Kind, Result,
    library::{Library, Published},
    publish::{Report, Rotation},
    sign::{Keys, Role},
    trust::Versions,
};
use serde_json::{Value, json};

pub(crate) fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // `codesync log | head` is no failure.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::new(Kind::Io, format!("cannot print: {error}")))
        }
        _ => Ok(()),
    }
}

pub(crate) fn print_json(value: &Value) -> Result<()> {
    print(&format!("{value}\n"))
}

/// After `init`.
pub fn init(library: &Path, keys: &Keys, rings: &[String], json: bool) -> Result<()> {
    let root = keys.folder().join("root.json");
    if json {
        return print_json(&json!({
            "library": library, "keys": keys.folder(), "root": root, "rings": rings,
        }));
    }
    print(&format!(
        "Made the library {} with the rings {}.\n\
         Keys are in {}: keep root-*.pem offline, and a copy of all of them elsewhere.\n\
         Machines pin {} as their sync.trusted_root.\n\
         Next: codesync publish --library {0} --keys {2} --tree DIR\n",
        library.display(),
        rings.join(", "),
        keys.folder().display(),
        root.display(),
    ))
}

/// After `publish`.
pub fn published(done: &Report, took: Duration, json: bool) -> Result<()> {
    if json {
        let value = serde_json::to_value(done)
            .map_err(|error| Error::new(Kind::Io, format!("cannot print: {error}")))?;
        return print_json(&value);
    }
    if done.changed == 0 && done.bytes == 0 {
        return print(&format!(
            "Nothing has changed: release {} of ring {} stands. Its timestamp was signed anew.\n",
            done.release, done.ring
        ));
    }
    print(&format!(
        "Published release {} of ring {}: {} of {} files changed, {} to fetch, in {:.1} s.\n",
        done.release,
        done.ring,
        done.changed,
        done.files,
        bytes(done.bytes),
        took.as_secs_f64()
    ))
}

/// After `refresh`.
pub fn refreshed(done: &[(String, Versions)], until: DateTime<Utc>, json: bool) -> Result<()> {
    let until = until.to_rfc3339_opts(SecondsFormat::Secs, true);
    if json {
        let rings: Vec<Value> = done
            .iter()
            .map(|(ring, v)| {
                json!({"ring": ring, "release": v.targets, "timestamp": v.timestamp, "snapshot": v.snapshot, "expires": until})
            })
            .collect();
        return print_json(&json!({"rings": rings}));
    }
    for (ring, versions) in done {
        print(&format!(
            "Signed ring {ring} anew: release {} stands until {until}.\n",
            versions.targets
        ))?;
    }
    Ok(())
}

/// After `rotate`, `root renew` and `root import`.
pub fn rotated(keys: &Keys, role: Option<Role>, done: Rotation, json: bool) -> Result<()> {
    let Rotation { version, lacking } = done;
    if json {
        let role = role.map(|role| role.to_string());
        return print_json(&json!({"role": role, "root": version, "lacking": lacking}));
    }
    let folder = keys.folder().display();
    if lacking > 0 {
        return print(&format!(
            "Root {version} waits: it lacks {lacking} signatures of root keys. Next:\n\
             codesync root export root-{version}.json, then on the machine of each key\n\
             codesync root sign --key KEY root-{version}.json, then here\n\
             codesync root import root-{version}.json.*.sig\n"
        ));
    }
    match role {
        Some(role) => print(&format!(
            "Root {version} names new keys for {role}. They are in {folder}; the former ones are beside them as *.before-{version}.pem.\n\
             Machines follow at their next sync. Copy the new keys to where the former ones were kept.\n"
        )),
        None => {
            print(&format!("Root {version} is in force. Machines follow at their next sync.\n"))
        }
    }
}

/// After `root export`.
pub fn exported(version: u64, file: &Path) -> Result<()> {
    print(&format!("Root {version}, as it must be signed, is in {}.\n", file.display()))
}

/// After `root sign`.
pub fn signed(out: &Path, root: &Value) -> Result<()> {
    let word = |value: &Value| plain(value.as_str().unwrap_or_default());
    print(&format!(
        "Signed root {}, which expires on {}. It names\n",
        root["version"],
        word(&root["expires"])
    ))?;
    for (role, keys) in root["roles"].as_object().into_iter().flatten() {
        let ids: Vec<String> = keys["keyids"].as_array().into_iter().flatten().map(word).collect();
        print(&format!("  {:<10} {} of {}\n", plain(role), keys["threshold"], ids.join(", ")))?;
    }
    print(&format!("Compare this with what was announced, then bring {} back.\n", out.display()))
}

/// `log`.
pub fn log(library: &Library, ring: &str, limit: u64, json: bool) -> Result<()> {
    let newest = library.versions(ring)?.targets;
    let oldest = newest.saturating_sub(limit.saturating_sub(1)).max(1);
    let mut rows = Vec::new();
    for number in (oldest..=newest).rev() {
        if let Some(release) = library.published(ring, number)? {
            let files = library.manifest(ring, &release).map(|manifest| manifest.len());
            rows.push((release, files.ok()));
        }
    }
    if json {
        let releases: Vec<Value> = rows
            .iter()
            .map(|(release, files)| {
                json!({
                    "release": release.release, "published": release.signed["published"],
                    "note": release.signed["note"], "files": files,
                    "expires": release.signed["expires"], "signed_by": release.signers,
                })
            })
            .collect();
        return print_json(&json!({"ring": ring, "releases": releases}));
    }
    if rows.is_empty() {
        return print(&format!("Ring {ring} has no release yet.\n"));
    }
    for (release, files) in rows {
        print(&format!(
            "{:>6}  {}  {:>7} files  {}\n",
            release.release,
            text(&release, "published"),
            files.map_or("?".to_owned(), |files| files.to_string()),
            plain(&text(&release, "note")),
        ))?;
    }
    Ok(())
}

/// `show`.
pub fn show(library: &Library, ring: &str, release: Option<u64>, json: bool) -> Result<()> {
    let newest = library.versions(ring)?.targets;
    let number = release.unwrap_or(newest);
    let release =
        library.published(ring, number)?.filter(|_| number <= newest).ok_or_else(|| {
            Error::new(
                Kind::Usage,
                format!("ring {ring} has no release {number}; its newest is {newest}"),
            )
        })?;
    let manifest = library.manifest(ring, &release)?;
    if json {
        let files: Vec<Value> = manifest
            .files()
            .map(|file| {
                json!({
                    "path": file.path, "sha256": hex::encode(file.sha256), "size": file.size,
                    "mode": if file.executable { "0755" } else { "0644" },
                })
            })
            .collect();
        return print_json(&json!({
            "ring": ring, "release": number, "published": release.signed["published"],
            "note": release.signed["note"], "expires": release.signed["expires"],
            "signed_by": release.signers, "targets": release.signed["targets"], "files": files,
        }));
    }
    print(&format!(
        "release    {number} of ring {ring}\npublished  {}\nexpires    {}\nnote       {}\nsigned by  {}\n\n",
        text(&release, "published"),
        text(&release, "expires"),
        plain(&text(&release, "note")),
        release.signers.join(", "),
    ))?;
    if let Some(targets) = release.signed["targets"].as_object() {
        for (name, target) in targets {
            print(&format!("{:>12}  {name}\n", bytes(target["length"].as_u64().unwrap_or(0))))?;
        }
    }
    print("\n")?;
    for file in manifest.files() {
        let mode = if file.executable { "0755" } else { "0644" };
        print(&format!("{mode} {:>12}  {}\n", bytes(file.size), file.path))?;
    }
    Ok(())
}

fn text(release: &Published, key: &str) -> String {
    release.signed[key].as_str().unwrap_or_default().to_owned()
}

/// A note is somebody's words: on a terminal they stay words.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

pub(crate) fn bytes(count: u64) -> String {
    indicatif::HumanBytes(count).to_string()
}
