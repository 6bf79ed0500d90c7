//! Carriers that lie, with and without keys: old metadata, expired metadata, another library's
//! root, another host, endless files, hostile names.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use chrono::{TimeDelta, Utc};
use codesync::{
    library::Library,
    publish::{self, Lifetimes},
    sign::{Keys, Role, envelope},
};
use e2e::{Access, Sandbox, command, program, run};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::setting::{Setting, Way, refused};

fn copy(from: &Path, to: &Path) -> Result<()> {
    let done = run(command(&program("cp")?).arg("-a").arg("--").arg(from).arg(to))?;
    done.success().map(drop)
}

#[test]
fn another_host_key() -> Result<()> {
    let Some(setting) = Setting::synced(Way::Ssh, 10)? else { return Ok(()) };
    let sshd = setting.sshd.as_ref().context("no sshd")?;
    let other = e2e::sshd::make_key(&setting.sandbox.path("other"))?;
    fs::write(sshd.known_hosts(), sshd.known_hosts_line(&other)?)?;
    refused(setting.sandbox.sync()?, &["127.0.0.1", "known_hosts"])?;
    // A host that is not pinned at all is not trusted on first use.
    fs::write(sshd.known_hosts(), "")?;
    refused(setting.sandbox.sync()?, &["127.0.0.1", "known_hosts"])?;
    ensure!(setting.active()? == 1);
    Ok(())
}

#[test]
fn another_librarys_root() -> Result<()> {
    let Some(setting) = Setting::published(Way::Ssh, 10)? else { return Ok(()) };
    let other = Sandbox::with_library()?;
    fs::copy(other.keys().join("root.json"), setting.sandbox.keys().join("root.json"))?;
    refused(setting.sandbox.sync()?, &["root"])?;
    ensure!(!setting.sandbox.lib().exists(), "something became active");
    Ok(())
}

#[test]
fn another_library_behind_the_same_name() -> Result<()> {
    let Some(setting) = Setting::synced(Way::File, 10)? else { return Ok(()) };
    let other = Sandbox::with_library()?;
    for number in 0..4 {
        other.put("modules/evil.sh", &format!("evil() {{ echo {number}; }}\n"))?;
        other.publish()?;
    }
    fs::remove_dir_all(setting.sandbox.library())?;
    copy(&other.library(), &setting.sandbox.library())?;
    refused(setting.sandbox.sync()?, &[])?;
    ensure!(setting.active()? == 1);
    Ok(())
}

#[test]
fn metadata_that_goes_back() -> Result<()> {
    for way in [Way::Ssh, Way::File] {
        let Some(mut setting) = Setting::synced(way, 20)? else { return Ok(()) };
        let old = setting.sandbox.path("old");
        copy(&setting.sandbox.library(), &old)?;
        setting.next_release(1)?;
        setting.sandbox.synced()?;
        fs::remove_dir_all(setting.sandbox.library())?;
        copy(&old, &setting.sandbox.library())?;
        refused(setting.sandbox.sync()?, &["timestamp", "back"])?;
        ensure!(setting.active()? == 2);
    }
    Ok(())
}

/// Signs a new timestamp that names `snapshot` of version `version`.
fn sign_timestamp(sandbox: &Sandbox, number: u64, version: u64, snapshot: &[u8]) -> Result<()> {
    let signed = json!({
        "_type": "timestamp", "spec_version": "1.0.0", "version": number, "ring": "stable",
        "expires": (Utc::now() + TimeDelta::days(1)).format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "meta": {"snapshot.json": {"version": version, "length": snapshot.len(),
            "hashes": {"sha256": hash(snapshot)}}},
    });
    let key = Keys::new(&sandbox.keys()).role(Role::Timestamp)?;
    let path = sandbox.library().join("rings/stable/timestamp.json");
    Ok(fs::write(path, envelope(&signed, &[&key])?)?)
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_stolen_timestamp_key_cannot_take_the_snapshot_back() -> Result<()> {
    for way in [Way::Ssh, Way::File] {
        let Some(mut setting) = Setting::synced(way, 20)? else { return Ok(()) };
        let sandbox = &setting.sandbox;
        let old = fs::read(sandbox.library().join("rings/stable/1.snapshot.json"))?;
        setting.next_release(1)?;
        let sandbox = &setting.sandbox;
        sandbox.synced()?;
        sign_timestamp(sandbox, 99, 1, &old)?;
        refused(sandbox.sync()?, &["snapshot"])?;
        ensure!(setting.active()? == 2);
    }
    Ok(())
}

#[test]
fn expired_metadata_is_stale_and_the_last_good_release_stays() -> Result<()> {
    let Some(mut setting) = Setting::synced(Way::Ssh, 20)? else { return Ok(()) };
    setting.next_release(1)?;
    let sandbox = &setting.sandbox;
    let library = Library::open(&sandbox.library())?;
    let keys = Keys::new(&sandbox.keys());
    // As if the timer on the server had stopped three weeks ago.
    let then = Utc::now() - TimeDelta::days(21);
    publish::refresh(&library, &keys, "stable", Lifetimes::default(), then)?;
    let done = sandbox.sync()?;
    ensure!(done.json()?["stale"] == true, "{done}");
    refused(done, &["expired"])?;
    ensure!(setting.active()? == 1);
    // Repaired, it goes on.
    sandbox.codesync(&["refresh"])?.success()?;
    let report = sandbox.synced()?;
    ensure!(report["release"] == 2 && report["stale"] == false, "{report}");
    sandbox.in_step()
}

#[test]
fn another_rings_metadata() -> Result<()> {
    let Some(mut setting) = Setting::synced(Way::File, 10)? else { return Ok(()) };
    setting.next_release(1)?;
    let sandbox = &setting.sandbox;
    let ring = sandbox.library().join("rings/stable");
    let bytes = fs::read(ring.join("timestamp.json"))?;
    let json: Value = serde_json::from_slice(&bytes)?;
    let mut signed = json["signed"].clone();
    signed["ring"] = "canary".into();
    let key = Keys::new(&sandbox.keys()).role(Role::Timestamp)?;
    fs::write(ring.join("timestamp.json"), envelope(&signed, &[&key])?)?;
    refused(sandbox.sync()?, &["ring"])?;
    ensure!(setting.active()? == 1);
    Ok(())
}

/// Signs release 2 of a library whose manifest is `manifest`, with the real keys: what a stolen
/// targets key could do.
fn sign_release(sandbox: &Sandbox, manifest: &[u8]) -> Result<()> {
    let ring = sandbox.library().join("rings/stable");
    let keys = Keys::new(&sandbox.keys());
    let expires = (Utc::now() + TimeDelta::days(1)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    fs::write(ring.join(format!("targets/{}.manifest", hash(manifest))), manifest)?;
    let targets = json!({
        "_type": "targets", "spec_version": "1.0.0", "version": 2, "expires": expires,
        "ring": "stable", "published": "2026-01-01T00:00:00Z", "note": "",
        "targets": {"manifest": {"length": manifest.len(), "hashes": {"sha256": hash(manifest)}}},
    });
    fs::write(ring.join("2.targets.json"), envelope(&targets, &[&keys.role(Role::Targets)?])?)?;
    let snapshot = json!({
        "_type": "snapshot", "spec_version": "1.0.0", "version": 2, "expires": expires,
        "ring": "stable", "meta": {"targets.json": {"version": 2}},
    });
    let snapshot = envelope(&snapshot, &[&keys.role(Role::Snapshot)?])?;
    fs::write(ring.join("2.snapshot.json"), &snapshot)?;
    sign_timestamp(sandbox, 2, 2, &snapshot)
}

#[test]
fn signed_names_that_leave_the_tree() -> Result<()> {
    for path in [
        "../outside",
        "modules/../../outside",
        "/etc/outside",
        "modules//outside",
        "./outside",
        "nul\\u0000outside",
        "line\\noutside",
        "-outside",
        ".git/outside",
        "a\\\\outside",
        "",
    ] {
        let Some(setting) = Setting::synced(Way::File, 5)? else { return Ok(()) };
        let sandbox = &setting.sandbox;
        let content = b"outside\n";
        let object = sandbox.library().join("objects").join(&hash(content)[..2]);
        fs::create_dir_all(&object)?;
        fs::write(object.join(hash(content)), content)?;
        let manifest = format!(
            "{{\"format\":1,\"files\":[\n{{\"path\":\"{path}\",\"sha256\":\"{}\",\"size\":8,\"mode\":\"0644\"}}\n]}}\n",
            hash(content)
        );
        sign_release(sandbox, manifest.as_bytes())?;
        refused(sandbox.sync()?, &[]).with_context(|| format!("the name {path:?}"))?;
        ensure!(setting.active()? == 1);
        let strays =
            [sandbox.path("outside"), sandbox.root().join("outside"), "/etc/outside".into()];
        ensure!(strays.iter().all(|stray| !stray.exists()), "{path:?} got out");
    }
    Ok(())
}

#[test]
fn a_signed_plain_manifest_is_taken_file_by_file() -> Result<()> {
    // The counterpart of the test above: the same release with a clean name is accepted, so that
    // it is the name that was refused.
    let Some(setting) = Setting::synced(Way::File, 5)? else { return Ok(()) };
    let sandbox = &setting.sandbox;
    let content = b"outside\n";
    let object = sandbox.library().join("objects").join(&hash(content)[..2]);
    fs::create_dir_all(&object)?;
    fs::write(object.join(hash(content)), content)?;
    let manifest = format!(
        "{{\"format\":1,\"files\":[\n{{\"path\":\"inside\",\"sha256\":\"{}\",\"size\":8,\"mode\":\"0644\"}}\n]}}\n",
        hash(content)
    );
    sign_release(sandbox, manifest.as_bytes())?;
    let report = sandbox.synced()?;
    ensure!(report["release"] == 2 && report["transfer"] == "files", "{report}");
    ensure!(fs::read(sandbox.lib().join("inside"))? == content);
    Ok(())
}

#[test]
fn endless_metadata_from_files() -> Result<()> {
    for name in ["timestamp.json", "2.snapshot.json", "2.targets.json"] {
        let Some(mut setting) = Setting::synced(Way::File, 5)? else { return Ok(()) };
        setting.next_release(1)?;
        let path = setting.sandbox.library().join("rings/stable").join(name);
        fs::remove_file(&path)?;
        // Two gigabytes without a block on the disk.
        fs::File::create(&path)?.set_len(2 << 30)?;
        let done = setting.sandbox.sync()?;
        ensure!(done.wall.as_secs() < 10, "{done}");
        refused(done, &[name])?;
        ensure!(setting.active()? == 1);
    }
    Ok(())
}

fn frame(tag: u8, payload: &[u8]) -> Result<Vec<u8>> {
    let length = u32::try_from(payload.len())?;
    Ok([&[tag], length.to_be_bytes().as_slice(), payload].concat())
}

/// A server of docs/protocol.md that says `words` whatever it is asked.
fn answer_with(words: &[u8]) -> Result<Option<(Setting, e2e::Done)>> {
    let Some(setting) = Setting::synced(Way::Ssh, 5)? else { return Ok(None) };
    let sandbox = &setting.sandbox;
    let sshd = setting.sshd.as_ref().context("no sshd")?;
    let path = sandbox.path("words");
    fs::write(&path, words)?;
    let forced = format!("{} {}", program("cat")?.display(), path.display());
    let key = sshd.key("liar", &Access::Forced(forced))?;
    let url = sshd.url(&sandbox.library());
    sandbox.configure(&[&url], Some((&key, &sshd.known_hosts())))?;
    let done = sandbox.sync()?;
    ensure!(done.wall.as_secs() < 30, "{done}");
    ensure!(setting.active()? == 1, "release 1 is not active any more: {done}");
    Ok(Some((setting, done)))
}

#[test]
fn endless_metadata_over_ssh() -> Result<()> {
    for (name, length) in
        [("timestamp.json", 2_u64 << 30), ("2.root.json", u64::MAX), ("9.targets.json", 2 << 30)]
    {
        let head = json!({"name": name, "length": length}).to_string();
        let words = [frame(b'F', head.as_bytes())?, frame(b'D', &[b' '; 65536])?].concat();
        let Some((_, done)) = answer_with(&words)? else { return Ok(()) };
        refused(done, &[]).with_context(|| format!("{name} of {length} bytes"))?;
    }
    Ok(())
}

#[test]
fn nonsense_over_ssh() -> Result<()> {
    let good = frame(b'Z', b"")?;
    let head = |name: &str, length: u64| {
        frame(b'F', json!({"name": name, "length": length}).to_string().as_bytes())
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("an unknown type", frame(b'X', b"")?),
        ("a frame over its limit", [b"D".as_slice(), &u32::MAX.to_be_bytes()].concat()),
        ("an end with a payload", frame(b'Z', b"x")?),
        ("data without a file", frame(b'D', b"data")?),
        ("a login banner", b"Last login: Mon Jan  1 00:00:00\r\n$ ".to_vec()),
        (
            "a name that is no metadata's",
            [head("../../etc/passwd", 1)?, frame(b'D', b"x")?, good.clone()].concat(),
        ),
        (
            "more data than announced",
            [head("timestamp.json", 1)?, frame(b'D', b"xy")?, good.clone()].concat(),
        ),
        ("a head that is no JSON", frame(b'F', b"{{{{")?),
        ("a head without a length", frame(b'F', b"{\"name\":\"timestamp.json\"}")?),
        ("a negative length", frame(b'F', b"{\"name\":\"timestamp.json\",\"length\":-1}")?),
        ("an error that is no JSON", frame(b'E', b"\xff\xfe")?),
        (
            "an error with control characters",
            frame(b'E', br#"{"code":"internal","message":"\u001b[2J\u0007"}"#)?,
        ),
        ("nothing at all", Vec::new()),
        ("half a frame", b"F\x00\x00".to_vec()),
    ];
    for (what, words) in cases {
        let Some((_, done)) = answer_with(&words)? else { return Ok(()) };
        ensure!([69, 76].contains(&done.code()), "{what}: {done}");
        let reason = done.json()?["reason"].as_str().unwrap_or_default().to_owned();
        ensure!(!reason.is_empty() && !reason.contains(char::is_control), "{what}: {reason:?}");
    }
    Ok(())
}
