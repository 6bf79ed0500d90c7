//! What scripts rely on: JSON members, exit codes, output on the right stream.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use e2e::Sandbox;
use serde_json::Value;

use crate::setting::{Setting, Way};

fn members(value: &Value) -> BTreeSet<&str> {
    value.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn reports_have_their_members() -> Result<()> {
    let Some(setting) = Setting::empty(Way::File)? else { return Ok(()) };
    setting.sandbox.put("modules/one.sh", "one() { :; }\n")?;
    let done = setting.sandbox.publish_command()?.success()?;
    ensure!(done.err().is_empty(), "{done}");
    let report = done.json()?;
    let published =
        ["bytes", "changed", "files", "note", "release", "ring", "root_expires", "targets_expires"];
    let missing: Vec<_> =
        published.iter().filter(|name| !members(&report).contains(*name)).collect();
    ensure!(missing.is_empty(), "publish --json lacks {missing:?}: {report}");

    let done = setting.sandbox.sync()?.success()?;
    ensure!(done.out().lines().count() == 1, "more than one line: {done}");
    let report = done.json()?;
    let synced = [
        "bytes_received",
        "bytes_sent",
        "files_changed",
        "files_total",
        "outcome",
        "previous",
        "reason",
        "release",
        "seconds",
        "source",
        "stale",
        "transfer",
    ];
    let missing: Vec<_> = synced.iter().filter(|name| !members(&report).contains(*name)).collect();
    ensure!(missing.is_empty(), "sync --json lacks {missing:?}: {report}");
    Ok(())
}

#[test]
fn log_and_show_name_every_release() -> Result<()> {
    let Some(mut setting) = Setting::published(Way::File, 5)? else { return Ok(()) };
    setting.next_release(1)?;
    for words in [["log", "--json"], ["show", "--json"]] {
        let done = setting.sandbox.codesync(&words)?.success()?;
        let text = done.json()?.to_string();
        ensure!(text.contains("\"release\":2"), "{done}");
    }
    let first = setting.scripts.first().context("no script")?.path.clone();
    let done = setting.sandbox.codesync(&["show", "1"])?.success()?;
    ensure!(done.out().contains(&first), "{done}");
    setting.sandbox.codesync(&["show", "99"])?.expect_code(2).map(drop)
}

#[test]
fn wrong_words_are_usage_errors() -> Result<()> {
    let Some(setting) = Setting::published(Way::File, 3)? else { return Ok(()) };
    for words in [
        vec!["no-such-command"],
        vec!["publish"],
        vec!["publish", "--tree", "/", "--ring", "../stable"],
        vec!["log", "--ring", "nowhere"],
        vec!["init"],
    ] {
        let done = setting.sandbox.codesync(&words)?.expect_code(2)?;
        ensure!(!done.err().is_empty() && done.stdout.is_empty(), "{done}");
    }
    let none = Sandbox::new()?;
    let done = none.codesync(&["log"])?.expect_code(78)?;
    ensure!(done.err().contains("codesync init"), "says not what to do: {done}");
    Ok(())
}

#[test]
fn rings_are_apart() -> Result<()> {
    let Some(setting) = Setting::empty(Way::File)? else { return Ok(()) };
    let sandbox = &setting.sandbox;
    std::fs::remove_dir_all(sandbox.library())?;
    std::fs::remove_dir_all(sandbox.keys())?;
    sandbox.codesync(&["init", "--ring", "canary", "--ring", "stable"])?.success()?;
    let tree = sandbox.tree();
    let tree = tree.to_str().context("not UTF-8")?;
    sandbox.put("a", "stable\n")?;
    sandbox.codesync(&["publish", "--tree", tree, "--ring", "stable"])?.success()?;
    sandbox.put("a", "canary\n")?;
    sandbox.codesync(&["publish", "--tree", tree, "--ring", "canary"])?.success()?;
    sandbox.synced()?;
    ensure!(std::fs::read_to_string(sandbox.lib().join("a"))? == "stable\n");
    Ok(())
}

#[test]
fn private_keys_stay_private() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let Some(setting) = Setting::empty(Way::File)? else { return Ok(()) };
    let keys = setting.sandbox.keys();
    let mut count = 0;
    for item in std::fs::read_dir(&keys)? {
        let path = item?.path();
        if path.extension().is_some_and(|extension| extension == "pem") {
            count += 1;
            let mode = path.metadata()?.permissions().mode();
            ensure!(mode & 0o077 == 0, "{} has mode {mode:o}", path.display());
        }
    }
    ensure!(count >= 4, "only {count} keys");
    // A key that others can read is not used.
    std::fs::set_permissions(keys.join("targets.pem"), std::fs::Permissions::from_mode(0o644))?;
    setting.sandbox.put("a", "a\n")?;
    let done = setting.sandbox.publish_command()?.expect_code(78)?;
    ensure!(done.err().contains("targets.pem"), "{done}");
    // Nothing secret lies in what is handed out.
    for path in e2e::tree::read(&setting.sandbox.library())?.keys() {
        ensure!(path.extension().is_none_or(|extension| extension != "pem"), "{}", path.display());
    }
    Ok(())
}

#[test]
fn odd_folders_are_fine() -> Result<()> {
    let Some(setting) = Setting::published(Way::File, 3)? else { return Ok(()) };
    let sandbox = &setting.sandbox;
    let root = sandbox.path("a client's \"root\" ü");
    let config = sandbox.path("odd.toml");
    sandbox.configure_at(&config, &root, &[&sandbox.file_url()], None)?;
    let mut command = sandbox.ldi_command(&config, &["sync", "--json"])?;
    e2e::run(command.current_dir("/"))?.success()?;
    e2e::tree::same(&sandbox.tree(), &std::fs::canonicalize(root.join("lib"))?)
}
