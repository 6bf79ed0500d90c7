//! Old clients: a stock rsync gets the exported tree, exactly.

use std::fs;

use anyhow::{Result, ensure};
use e2e::tree;

use crate::{Kind, server};

fn pulls(kind: Kind) -> Result<()> {
    let Some(server) = server(kind)? else { return Ok(()) };
    let tree_there = format!("server:{}/export/stable/", server.served());
    let want = tree::read(&server.library().join("export/stable"))?;
    for (number, options) in [
        &["-av"][..],
        &["-avz"],
        &["-av", "--delete"],
        &["-rtpv", "--checksum"],
        &["-aHW", "--numeric-ids", "--timeout=30"],
        &["-av", "--old-args"],
    ]
    .iter()
    .enumerate()
    {
        let to = server.path(&format!("pulled-{number}"));
        let to_text = format!("{}/", to.display());
        let mut args = options.to_vec();
        args.extend([tree_there.as_str(), &to_text]);
        server.rsync("machine", &args)?.success()?;
        same(&want, &to, options)?;
        // Local edits are overwritten and extras deleted, as IT-CPE's clients had it.
        fs::write(to.join("modules/a.sh"), "edited here\n")?;
        fs::write(to.join("extra"), "extra\n")?;
        args.extend(["--delete", "--ignore-times"]);
        server.rsync("machine", &args)?.success()?;
        same(&want, &to, options)?;
    }
    // The other accepted forms of a path.
    let to = server.path("forms");
    for (from, at) in [
        ("stable/", ""),
        ("stable", "stable"),
        ("stable/modules/", "modules"),
        (&format!("{}/export/stable", server.served()), "again/stable"),
    ] {
        let target = to.join(at);
        // Without the slash rsync sends the folder itself.
        let into = if from.ends_with('/') { &target } else { target.parent().unwrap_or(&to) };
        fs::create_dir_all(into)?;
        let args = ["-a", &format!("server:{from}"), &format!("{}/", into.display())];
        server.rsync("machine", &args)?.success()?;
        let part = if from.contains("modules") { "modules" } else { "" };
        let want = tree::read(&server.library().join("export/stable").join(part))?;
        let got = tree::read(&target)?;
        let missing: Vec<_> =
            want.iter().filter(|(path, entry)| got.get(*path) != Some(entry)).collect();
        ensure!(missing.is_empty(), "{from}: {missing:?}");
    }
    // A publisher's key reads as well.
    let to = format!("{}/", server.path("by-publisher").display());
    server.rsync("publisher", &["-a", &tree_there, &to])?.success()?;
    Ok(())
}

fn same(want: &tree::Tree, got: &std::path::Path, what: &[&str]) -> Result<()> {
    let lines = tree::differences(want, &tree::read(got)?);
    ensure!(lines.is_empty(), "{what:?}: {lines:?}");
    Ok(())
}

#[test]
fn a_stock_rsync_pulls_the_exported_tree_through_the_forced_command() -> Result<()> {
    pulls(Kind::Forced)
}

#[test]
fn a_stock_rsync_pulls_the_exported_tree_from_the_account() -> Result<()> {
    pulls(Kind::Account)
}
