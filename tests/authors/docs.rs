//! `codesync docs`, and the functions behind `ldi call <TAB>`.

use std::fs;

use anyhow::{Context, Result, ensure};
use e2e::{
    Sandbox, need,
    parts::{bin, repository},
    program, run,
};

use crate::lint::with;

const CONF: &str = "[tier.daily]\ncron = \"0 0 10 * * *\"\nsplay = \"4h\"\n\n[[job]]\ntier = \"daily\"\nfunction = \"greet\"\ntimeout = \"5m\"\n";

fn small() -> Result<Sandbox> {
    with(&[
        (
            "modules/greet.sh",
            "#!/bin/bash\n# Greetings.\n\n# greet NAME: says hello.\n#   twice if asked\ngreet() { echo \"hello $1\"; }\n_own() { :; }\n",
        ),
        (
            "modules/box_tools.py",
            "\"\"\"Boxes <b>.\"\"\"\n\ndef open_box(name, *more, lid=None):\n    \"\"\"Opens it.\"\"\"\n\ndef _own():\n    pass\n",
        ),
        ("modules/broken_tools.py", "x = (\n"),
        ("scripts/daily/report", "#!/bin/bash\n# Reports.\n# ldi: wait_for=internet\ngreet you\n"),
        ("scripts/collect/facts", "#!/usr/bin/env python3\n\"\"\"Facts.\"\"\"\n"),
        ("conf/tiers.toml", CONF),
    ])
}

fn docs(sandbox: &Sandbox, words: &[&str]) -> Result<e2e::Done> {
    let folder = sandbox.tree();
    let folder = folder.to_str().context("a path that is not UTF-8")?;
    sandbox.codesync(&[&["docs", "--tree", folder], words].concat())
}

#[test]
fn the_namespace_is_written_down() -> Result<()> {
    let sandbox = small()?;
    let out = docs(&sandbox, &[])?.success()?.out();
    for line in [
        "### `modules/greet.sh`",
        "#### `greet NAME` (line 6)",
        "says hello.\n  twice if asked",
        "#### `box_tools.open_box(name, *more, lid=None)` (line 3)",
        "### daily: 0 0 10 \\* \\* \\* local, spread over 4h",
        "#### `daily/greet`: `greet` (timeout = 5m)",
        "#### `daily/report`: `scripts/daily/report` (wait\\_for = internet)",
        "#### `facts`: `scripts/collect/facts`",
    ] {
        ensure!(out.contains(line), "no {line} in {out}");
    }
    ensure!(!out.contains("_own"), "{out}");

    let json = docs(&sandbox, &["--json"])?.success()?.json()?;
    ensure!(json["modules"][0]["file"] == "modules/box_tools.py", "{json}");
    ensure!(json["modules"][2]["functions"][0]["line"] == 6, "{json}");
    let tiers = json["tiers"].as_array().context("no tiers")?;
    ensure!(tiers.iter().any(|tier| tier["name"] == "weekly"), "{json}");
    Ok(())
}

#[test]
fn the_page_stands_alone() -> Result<()> {
    let sandbox = small()?;
    let folder = sandbox.path("site");
    fs::create_dir(&folder)?;
    let out = folder.to_str().context("a path that is not UTF-8")?;
    docs(&sandbox, &["--html", "--out", out])?.success()?;
    let page = fs::read_to_string(folder.join("library.html"))?;
    ensure!(page.contains("Boxes &lt;b&gt;.") && !page.contains("Boxes <b>"), "{page}");
    for reference in ["http:", "https:", "src=", "@import", "url("] {
        ensure!(!page.contains(reference), "the page refers to {reference}");
    }
    let file = folder.join("mine.md");
    docs(&sandbox, &["--out", file.to_str().context("not UTF-8")?])?.success()?;
    ensure!(fs::read_to_string(file)?.starts_with("# The library\n"));
    Ok(())
}

#[test]
fn every_public_function_of_the_library_says_what_it_does() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let tree = repository().display().to_string();
    let json = sandbox.codesync(&["docs", "--json", "--tree", &tree])?.success()?.json()?;
    let modules = json["modules"].as_array().context("no modules")?;
    ensure!(modules.len() > 10, "{json}");
    for module in modules {
        for one in module["functions"].as_array().into_iter().flatten() {
            // One-liners of a kind share what their module says.
            let says =
                |value: &serde_json::Value| value.as_str().is_some_and(|about| !about.is_empty());
            ensure!(
                says(&one["about"]) || says(&module["about"]),
                "{} of {} has no comment",
                one["name"],
                module["file"]
            );
        }
    }
    Ok(())
}

/// What bash offers at the end of `words`, by the completions that `ldi completions bash` prints.
fn offered(sandbox: &Sandbox, words: &[&str]) -> Result<Vec<String>> {
    let ldi = bin("ldi")?;
    let folder = ldi.parent().context("no folder")?;
    let script = "eval \"$(ldi completions bash)\"\nCOMP_WORDS=(\"$@\") COMP_CWORD=$(($# - 1))\n\
                  _ldi_call ldi \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD - 1]}\"\n\
                  printf '%s\\n' \"${COMPREPLY[@]}\"\n";
    let mut command = e2e::command(&program("bash")?);
    command.args(["-c", script, "bash"]).args(words).current_dir(sandbox.tree());
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    command.env("PATH", path).env("LDI_CONFIG", sandbox.config());
    let done = run(&mut command)?.success()?;
    Ok(done.out().lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

#[test]
fn tab_offers_the_functions_of_the_release_or_of_a_tree() -> Result<()> {
    if !need(&["bash"])? {
        return Ok(());
    }
    let sandbox = small()?;
    let all = ["box_tools.open_box", "greet"];
    ensure!(offered(&sandbox, &["ldi", "call", "--tree", ".", ""])? == all);
    ensure!(offered(&sandbox, &["ldi", "call", "--tree", "=", ".", "gr"])? == ["greet"]);
    // No release yet, a function that is named already, other commands.
    ensure!(offered(&sandbox, &["ldi", "call", ""])?.is_empty());
    ensure!(offered(&sandbox, &["ldi", "call", "--tree", ".", "greet", "gr"])?.is_empty());
    ensure!(offered(&sandbox, &["ldi", "ca"])? == ["call"]);

    fs::remove_file(sandbox.tree().join("modules/broken_tools.py"))?;
    sandbox.publish()?;
    sandbox.configure(&[&sandbox.file_url()], None)?;
    sandbox.synced()?;
    ensure!(offered(&sandbox, &["ldi", "call", ""])? == all);
    // Listing calls nothing, wherever its word stands.
    let done = sandbox.ldi(&["call", "--list", "greet", "you"])?.success()?;
    ensure!(done.out().is_empty(), "{done}");
    let done = sandbox.ldi(&["call", "greet", "--list"])?.success()?;
    ensure!(done.out() == "hello --list\n", "{done}");
    Ok(())
}
