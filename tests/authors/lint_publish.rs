//! Publish refuses errors before anything is signed, and publishes with a reason.

use anyhow::{Context, Result, ensure};
use e2e::{Done, Sandbox, tree};

use crate::lint::{add, with};

fn publish(sandbox: &Sandbox, words: &[&str]) -> Result<Done> {
    let folder = sandbox.tree();
    let folder = folder.to_str().context("a path that is not UTF-8")?;
    sandbox.codesync(&[&["publish", "--json", "--tree", folder], words].concat())
}

fn refused(sandbox: &Sandbox, what: &str) -> Result<()> {
    let done = publish(sandbox, &[])?.expect_code(78)?;
    ensure!(done.err().contains(what), "no {what}: {done}");
    ensure!(
        done.err().contains("nothing was signed") && done.err().contains("--force REASON"),
        "{done}"
    );
    ensure!(done.stdout.is_empty(), "{done}");
    Ok(())
}

fn releases(sandbox: &Sandbox) -> Result<usize> {
    let log = sandbox.codesync(&["log", "--json"])?.success()?;
    Ok(log.json()?["releases"].as_array().context("no list of releases")?.len())
}

#[test]
fn what_cannot_work_is_refused_and_a_reason_publishes_it() -> Result<()> {
    let good = "#!/bin/bash\necho good\n";
    let sandbox = with(&[("scripts/daily/a", good), ("modules/a.sh", "f() { fi; }\n")])?;
    refused(&sandbox, "modules/a.sh:1: error bash-syntax: ")?;
    ensure!(releases(&sandbox)? == 0);

    let done = publish(&sandbox, &["--note", "first", "--force", "the old syntax is for later"])?
        .success()?;
    ensure!(done.err().contains("bash-syntax"), "{done}");
    let note = "first [1 error forced: the old syntax is for later]";
    ensure!(done.json()?["note"] == note, "{done}");
    let shown = sandbox.codesync(&["show", "--json"])?.success()?;
    ensure!(shown.json()?["note"] == note, "{shown}");

    // What was published is not judged again; what changes is.
    add(&sandbox, &[("scripts/daily/b", good)])?;
    let done = publish(&sandbox, &[])?.success()?;
    ensure!(done.json()?["release"] == 2 && done.json()?["note"] == "", "{done}");
    for (path, text, what) in [
        (
            "scripts/daily/b",
            "#!/bin/bash\n# ldi: timeuot=5m\n",
            "scripts/daily/b:2: error header: key timeuot",
        ),
        ("scripts/daily/b", "#!/bin/bash\r\necho\r\n", "scripts/daily/b:1: error crlf"),
        ("modules/b_tools.py", "def f(:\n", "modules/b_tools.py:1:7: error python-syntax"),
        (
            "conf/tiers.toml",
            "[tier.daily]\ncorn = \"@daily\"\n",
            "conf/tiers.toml:2: error tiers: key corn",
        ),
        (
            "conf/tiers.toml",
            "[[job]]\ntier = \"daily\"\nscript = \"scripts/gone\"\n",
            "error job-script",
        ),
        ("scripts/daily/b", "#!/bin/bash\n# ldi: after=gone\n", "scripts/daily/b: error job-order"),
    ] {
        let place = sandbox.tree().join(path);
        let before = std::fs::read_to_string(&place).ok();
        add(&sandbox, &[(path, text)])?;
        refused(&sandbox, what)?;
        match before {
            Some(text) => add(&sandbox, &[(path, &text)])?,
            None => std::fs::remove_file(&place)?,
        }
    }
    ensure!(releases(&sandbox)? == 2);
    // A reason that nothing needs is not recorded.
    add(&sandbox, &[("scripts/daily/c", good)])?;
    let done = publish(&sandbox, &["--note", "third", "--force", "in case"])?.success()?;
    ensure!(done.json()?["note"] == "third", "{done}");
    publish(&sandbox, &["--force", ""])?.expect_code(2)?;
    Ok(())
}

#[test]
fn a_job_that_others_wait_for_is_not_removed_unseen() -> Result<()> {
    let sandbox = with(&[
        ("scripts/daily/a", "#!/bin/bash\n:\n"),
        ("scripts/daily/b", "#!/bin/bash\n# ldi: after=a\n:\n"),
        ("scripts/extra", "#!/bin/bash\n:\n"),
        ("conf/tiers.toml", "[[job]]\ntier = \"daily\"\nscript = \"scripts/extra\"\n"),
    ])?;
    publish(&sandbox, &[])?.success()?;
    let root = sandbox.tree();
    std::fs::remove_file(root.join("scripts/daily/a"))?;
    refused(
        &sandbox,
        "scripts/daily/b: error job-order: job daily/b, key after: tier daily has no job \"a\"",
    )?;
    add(&sandbox, &[("scripts/daily/a", "#!/bin/bash\n# ldi: after=b\n:\n")])?;
    refused(&sandbox, "wait for each other")?;
    add(&sandbox, &[("scripts/daily/a", "#!/bin/bash\n:\n")])?;
    std::fs::remove_file(root.join("scripts/extra"))?;
    refused(
        &sandbox,
        "conf/tiers.toml:1: error job-script: job extra: scripts/extra is not in the tree",
    )?;
    Ok(())
}

#[test]
fn odd_but_possible_trees_are_published() -> Result<()> {
    let sandbox = with(&[
        ("modules/empty.sh", ""),
        ("scripts/daily/empty", ""),
        ("scripts/daily/perl", "#!/usr/bin/perl\nprint 1;\r\n"),
        (
            "scripts/daily/extglob",
            "#!/bin/bash\nshopt -s extglob\ncase $1 in !(a|b)) echo x ;; esac\n",
        ),
        ("scripts/daily/unpacks", "#!/bin/bash\necho unpack\nexit 0\nPK (payload\n"),
        ("scripts/weekly/calls", "#!/bin/bash\nuncommon_tool_of_ours\n"),
        ("elsewhere/broken.sh", "fi\n"),
        ("modules/warned_tools.py", "x = 1 is 1\n"),
    ])?;
    tree::put(&sandbox.tree(), "scripts/daily/binary", b"\x7fELF\x00\x01fi\r\n(", true)?;
    tree::put(
        &sandbox.tree(),
        "scripts/daily/noise.sh",
        b"#!/bin/bash\n\x00\xff\xfe if (\n",
        true,
    )?;
    tree::put(&sandbox.tree(), "modules/large.sh", &[b'#'; 5 << 20], false)?;
    publish(&sandbox, &[])?.success()?;
    Ok(())
}
