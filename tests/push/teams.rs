//! Teams over the whole way: delegated, published, pushed, mirrored, synced, taken back.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use e2e::{Sandbox, run, tree};
use serde_json::Value;

use crate::setting::Setting;

fn text(path: &std::path::Path) -> Result<&str> {
    path.to_str().context("a path that is not UTF-8")
}

/// Publishes a team's tree as that team; what `publish --json` says.
fn publish_as(sandbox: &Sandbox, team: &str) -> Result<Value> {
    let tree = sandbox.path(&format!("{team}-tree"));
    sandbox
        .codesync(&["publish", "--json", "--as", team, "--tree", text(&tree)?])?
        .success()?
        .json()
}

/// A machine's release is the top-level tree, and the team's where there is one.
fn in_step(sandbox: &Sandbox, root: &Path, team: Option<&str>) -> Result<()> {
    let mut wanted = tree::read(&sandbox.tree())?;
    if let Some(team) = team {
        wanted.extend(tree::read(&sandbox.path(&format!("{team}-tree")))?);
    }
    let lines = tree::differences(&wanted, &tree::read(&fs::canonicalize(root.join("lib"))?)?);
    ensure!(lines.is_empty(), "{lines:?}");
    Ok(())
}

#[test]
fn a_team_publishes_its_part_and_machines_have_the_union() -> Result<()> {
    let Some(mut setting) = Setting::published(300)? else { return Ok(()) };
    setting.pushed()?;
    setting.in_step()?;
    let key = setting.sandbox.keys().join("web.pem");
    setting.sandbox.codesync(&["key", text(&key)?])?.success()?;
    let public = key.with_extension("pub");
    let paths = ["--paths", "modules/web_*", "conf/web/*"];
    let words = [&["delegate", "web"][..], &paths, &["--key", text(&public)?]].concat();
    setting.sandbox.codesync(&words)?.success()?;
    let web = setting.sandbox.path("web-tree");
    let mut lines: Vec<String> = (0..2000).map(|n| format!("setting_{n} = {}", n * 7919)).collect();
    tree::put(&web, "conf/web/site", lines.join("\n").as_bytes(), false)?;
    tree::put(&web, "modules/web_a.sh", b"web_a() { :; }\n", false)?;
    let done = publish_as(&setting.sandbox, "web")?;
    ensure!(done["release"] == 3 && done["team"] == "web", "{done}");
    let pushed = setting.pushed()?;
    ensure!(pushed["rings"][0]["release"] == 3, "{pushed}");
    let report = setting.sandbox.synced()?;
    ensure!(report["outcome"] == "updated" && report["release"] == 3, "{report}");
    let root = setting.sandbox.root();
    in_step(&setting.sandbox, &root, Some("web"))?;
    // Nothing new is as small as ever, and the metadata of a team comes with the rest.
    let report = setting.sandbox.synced()?;
    let sizes = (report["bytes_sent"].as_u64(), report["bytes_received"].as_u64());
    ensure!(report["outcome"] == "current" && sizes.1 == Some(5), "{report}");
    ensure!(sizes.0.is_some_and(|sent| sent < 150), "{report}");

    // One line of the team's, then both at once: patches of what changed.
    lines[1000] = "setting_1000 = changed".to_owned();
    tree::put(&web, "conf/web/site", lines.join("\n").as_bytes(), false)?;
    publish_as(&setting.sandbox, "web")?;
    setting.pushed()?;
    let report = setting.sandbox.synced()?;
    ensure!(report["transfer"] == "patch" && report["files_changed"] == 1, "{report}");
    ensure!(report["bytes_received"].as_u64().is_some_and(|bytes| bytes < 8_000), "{report}");
    tree::put(&web, "modules/web_b.sh", b"web_b() { :; }\n", false)?;
    publish_as(&setting.sandbox, "web")?;
    setting.next_release(5)?;
    setting.pushed()?;
    let report = setting.sandbox.synced()?;
    ensure!(report["transfer"] == "patch" && report["release"] == 6, "{report}");
    in_step(&setting.sandbox, &root, Some("web"))?;
    setting.healthy()?;

    // A copy hands on the same, and a new machine takes it all from there.
    let copy = setting.sandbox.path("copy");
    let source = format!("file://{}", setting.server().display());
    let pinned = setting.sandbox.keys().join("root.json");
    let words = ["mirror", &source, text(&copy)?, "--prune", "--trusted-root", text(&pinned)?];
    setting.sandbox.codesync(&words)?.success()?;
    let (config, other) = (setting.sandbox.path("other.toml"), setting.sandbox.path("other"));
    let copied = format!("file://{}", copy.display());
    setting.sandbox.configure_at(&config, &other, &[&copied], None)?;
    run(&mut setting.sandbox.ldi_command(&config, &["sync"])?)?.success()?;
    in_step(&setting.sandbox, &other, Some("web"))?;

    // Who signed what is told.
    let log: Value = setting.sandbox.codesync(&["log", "--json"])?.success()?.json()?;
    let roles: Vec<&str> = log["releases"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|r| r["role"].as_str())
        .collect();
    ensure!(roles == ["targets", "web", "web", "web", "targets", "targets"], "{log}");
    let show: Value = setting.sandbox.codesync(&["show", "--json", "4"])?.success()?.json()?;
    ensure!(show["role"] == "web" && show["teams"][0]["team"] == "web", "{show}");
    let diff: Value = setting.sandbox.codesync(&["diff", "--json", "4", "5"])?.success()?.json()?;
    ensure!(diff["changes"][0]["role"] == "web", "{diff}");

    // Taken back: its files go.
    setting.sandbox.codesync(&["undelegate", "web"])?.success()?;
    setting.pushed()?;
    let report = setting.sandbox.synced()?;
    ensure!(report["release"] == 7, "{report}");
    in_step(&setting.sandbox, &root, None)?;
    setting.healthy()
}

#[test]
fn the_wrong_hands_are_told_why() -> Result<()> {
    let Some(setting) = Setting::published(5)? else { return Ok(()) };
    let sandbox = &setting.sandbox;
    let key = sandbox.keys().join("web.pem");
    sandbox.codesync(&["key", text(&key)?])?.success()?;
    sandbox.codesync(&["key", text(&key)?])?.expect_code(2)?;
    let public = key.with_extension("pub");
    let delegate = ["delegate", "web", "--paths", "conf/*", "--key", text(&public)?];
    sandbox.codesync(&delegate)?.success()?;
    let web = sandbox.path("web-tree");
    tree::put(&web, "conf/site", b"x", false)?;
    tree::put(&web, "modules/web.sh", b"x", false)?;
    let publish = ["publish", "--as", "web", "--tree", text(&web)?];
    let done = sandbox.codesync(&publish)?.expect_code(76)?;
    ensure!(done.err().contains("modules/web.sh") && done.err().contains("conf/*"), "{done}");
    fs::remove_dir_all(web.join("modules"))?;
    sandbox.codesync(&publish)?.success()?;
    sandbox.put("conf/site", "y")?;
    let done = sandbox.publish_command()?.expect_code(76)?;
    ensure!(done.err().contains("published twice"), "{done}");
    let done = sandbox.codesync(&["undelegate", "ops"])?.expect_code(2)?;
    ensure!(done.err().contains("\"ops\""), "{done}");
    Ok(())
}
