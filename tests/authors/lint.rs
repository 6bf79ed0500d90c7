//! `codesync lint`: each code at its place, exit codes, silencing, other linters, the shapes of
//! JSON and SARIF, and the library of this repository.

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result, ensure};
use e2e::{Done, Sandbox, need, parts::repository, tree};
use serde_json::Value;

/// `codesync lint WORDS --tree TREE`.
pub fn lint(sandbox: &Sandbox, words: &[&str]) -> Result<Done> {
    let folder = sandbox.tree();
    let folder = folder.to_str().context("a path that is not UTF-8")?;
    sandbox.codesync(&[&["lint", "--tree", folder], words].concat())
}

/// What it found, as `SEVERITY CODE FILE:LINE`.
pub fn found(done: &Done) -> Result<Vec<String>> {
    let list = done.json()?;
    let list = list.as_array().with_context(|| format!("no array: {done}"))?;
    let text = |one: &Value, key: &str| one[key].as_str().unwrap_or("?").to_owned();
    let shown = list.iter().map(|one| {
        let line = one["line"].as_u64().map_or(String::new(), |line| format!(":{line}"));
        format!("{} {} {}{line}", text(one, "severity"), text(one, "code"), text(one, "file"))
    });
    Ok(shown.collect())
}

/// A tree with files as they are given; what begins with `#!` gets the run bit.
pub fn with(files: &[(&str, &str)]) -> Result<Sandbox> {
    let sandbox = Sandbox::with_library()?;
    add(&sandbox, files)?;
    Ok(sandbox)
}

/// More files.
pub fn add(sandbox: &Sandbox, files: &[(&str, &str)]) -> Result<()> {
    for (path, text) in files {
        tree::put(&sandbox.tree(), path, text.as_bytes(), text.starts_with("#!"))?;
    }
    Ok(())
}

/// Spelled so that nobody takes it for real.
const TOKEN: &str = concat!("gh", "p_", "a9Kd82mQpL0zXcVbN4tR7yUiOe3sWq1FgHjk");

#[test]
fn each_fault_has_its_code_and_its_place() -> Result<()> {
    let secret = format!("# A token.\ntoken = \"{TOKEN}\"\n");
    let sandbox = with(&[
        ("modules/a.sh", "one() { :; }\ntest() { :; }\nused() { one; }\n"),
        ("modules/b.sh", "used() { :; }\ndefine_me() { prnt_error x; }\n"),
        ("modules/broken.sh", "f() {\n  if true; then\n}\n"),
        ("modules/loud.sh", "echo loud\n"),
        ("modules/lonely.sh", "lonely_function() { :; }\n"),
        ("modules/dos.sh", "dos() {\r\n  :\r\n}\r\n"),
        ("modules/bom.sh", "\u{feff}bom() { :; }\n"),
        ("modules/json.py", "\"\"\"Mine.\"\"\"\n"),
        ("modules/pair_tools.py", ""),
        ("modules/pair_tools/__init__.py", ""),
        ("modules/bad_tools.py", "x = 1\ndef f(:\n"),
        ("modules/warned_tools.py", "x = 1\ny = x is 1\n"),
        ("scripts/daily/no_bit", "one\n"),
        ("scripts/daily/header", "#!/bin/bash\n# ldi: timeuot=5m\nused\n"),
        ("scripts/daily/name with blanks", "#!/bin/bash\n"),
        ("scripts/daily/relative", "#!bash\n"),
        ("scripts/daily/missing", "#!/opt/no/such/interpreter\n"),
        ("scripts/daily/typo", "#!/bin/bash\nuesd\ndefine_me\ndos\n"),
        ("scripts/daily/sh", "#!/bin/sh\nused\n"),
        ("scripts/daily/after", "#!/bin/bash\n# ldi: after=nobody\n"),
        ("scripts/daliy/x", "#!/bin/bash\n# nothing\n"),
        ("scripts/lib/helper", "#!/bin/bash\n"),
        (
            "scripts/collect/facts",
            "#!/usr/bin/env python3\nimport bad_tools, json, pair_tools, warned_tools\n",
        ),
        ("conf/token.conf", &secret),
        ("conf/pass.conf", "user=x\npassword='Tr0ub4dor&3xQ'\n"),
        ("conf/broken.toml", "a = 1\nb = \n"),
        (
            "conf/tiers.toml",
            "[[job]]\ntier = \"daily\"\nscript = \"scripts/gone\"\n\n[[job]]\ntier = \"daily\"\nfunction = \"useed\"\n",
        ),
        ("agent/any/ldi", "\u{0}whatever\r\n"),
        ("notes/of the author\\", "#!/bin/bash\nfi\n"),
    ])?;
    for (path, text) in
        [("scripts/daily/no_run_bit", "#!/bin/bash\n"), ("modules/latin1.sh", "latin1() { :; }\n")]
    {
        tree::put(&sandbox.tree(), path, text.as_bytes(), false)?;
    }
    tree::put(&sandbox.tree(), "scripts/daily/what", b"no first line\n", true)?;
    tree::put(&sandbox.tree(), "modules/run.sh", b"run_it() { latin1; }\nrun_it\n", true)?;
    tree::put(&sandbox.tree(), "modules/latin1.sh", b"latin1() {\n  echo '\xe4'\n}\n", false)?;
    tree::put(&sandbox.tree(), "modules/Case.sh", b"case_a() { :; }\n", false)?;
    tree::put(&sandbox.tree(), "modules/case.sh", b"case_b() { case_a; case_b; }\n", false)?;
    let done = lint(&sandbox, &["--json", "--no-external"])?.expect_code(1)?;
    let found = found(&done)?;
    let expected = [
        "error job-script conf/tiers.toml:1",
        "warning job-function conf/tiers.toml:5",
        "error toml-syntax conf/broken.toml:2",
        "warning password conf/pass.conf:2",
        "error secret conf/token.conf:2",
        "warning shadowed-command modules/a.sh:2",
        "error python-syntax modules/bad_tools.py:2",
        "warning duplicate-function modules/b.sh:1",
        "warning undefined-function modules/b.sh:2",
        "error bom modules/bom.sh:1",
        "error bash-syntax modules/broken.sh:3",
        "error path modules/case.sh",
        "note unreachable-module modules/case.sh",
        "error crlf modules/dos.sh:1",
        "warning shadowed-module modules/json.py:1",
        "note not-utf8 modules/latin1.sh:2",
        "note unreachable-module modules/lonely.sh",
        "note always-sourced modules/loud.sh",
        "warning duplicate-module modules/pair_tools.py",
        "note executable-module modules/run.sh",
        "note always-sourced modules/run.sh",
        "warning python-warning modules/warned_tools.py:2",
        "error header scripts/daily/header:2",
        "error job-order scripts/daily/after",
        "error job-name scripts/daily/name with blanks",
        "warning not-executable scripts/daily/no_run_bit",
        "error first-line scripts/daily/relative:1",
        "note no-interpreter scripts/daily/missing:1",
        "warning undefined-function scripts/daily/sh:2",
        "warning undefined-function scripts/daily/typo:2",
        "warning no-first-line scripts/daily/what",
        "warning unknown-tier scripts/daliy/x",
    ];
    // Where a block is not closed, versions of bash name other lines.
    let same = |one: &str, other: &str| {
        one == other
            || one.starts_with("error bash-syntax")
                && one.split(':').next() == other.split(':').next()
    };
    for one in expected {
        ensure!(found.iter().any(|other| same(one, other)), "missing {one} in {found:#?}");
    }
    // A broken module's names are not compared; its file is unreachable for that reason or another.
    let may = |one: &str| {
        ["modules/broken.sh", "modules/bom.sh"].iter().any(|path| one.ends_with(path))
            && one.starts_with("note unreachable-module")
    };
    for one in &found {
        ensure!(
            expected.iter().any(|other| same(one, other)) || may(one),
            "unexpected {one} in {found:#?}"
        );
    }
    Ok(())
}

#[test]
fn a_clean_tree_is_clean_and_warnings_count_when_they_are_asked_to() -> Result<()> {
    let sandbox = with(&[
        ("modules/a.sh", "# greet NAME: says hello.\ngreet() { echo \"hello ${1:-}\"; }\n"),
        ("scripts/daily/hello", "#!/bin/bash\n# ldi: timeout=5m\ngreet you\n"),
    ])?;
    let done = lint(&sandbox, &[])?.success()?;
    ensure!(done.out() == "0 findings in 2 files: 0 errors, 0 warnings, 0 notes\n", "{done}");
    let done = lint(&sandbox, &["--json"])?.success()?;
    ensure!(done.json()?.as_array().is_some_and(Vec::is_empty), "{done}");

    add(&sandbox, &[("scripts/daily/typo", "#!/bin/bash\ngreeet you\n")])?;
    let done = lint(&sandbox, &["--no-external"])?.success()?;
    ensure!(done.out().contains("scripts/daily/typo:2: warning undefined-function: greeet is defined nowhere; did you mean greet?\n"), "{done}");
    lint(&sandbox, &["--strict", "--no-external"])?.expect_code(1)?;
    Ok(())
}

#[test]
fn files_may_be_named_by_their_place_in_the_tree_or_in_the_file_system() -> Result<()> {
    let sandbox = with(&[
        ("modules/a.sh", "greet() { :; }\n"),
        ("modules/twin.sh", "greet() { :; }\n"),
        ("scripts/daily/bad", "#!/bin/bash\nfi\n"),
        ("scripts/daily/good", "#!/bin/bash\ngreet\n"),
    ])?;
    lint(&sandbox, &["--no-external", "scripts/daily/good"])?.success()?;
    let whole = sandbox.tree().join("scripts/daily/bad");
    let whole = whole.to_str().context("a path that is not UTF-8")?;
    for named in [whole, "scripts/daily/bad", "scripts"] {
        let done = lint(&sandbox, &["--no-external", "--json", named])?.expect_code(1)?;
        ensure!(found(&done)? == ["error bash-syntax scripts/daily/bad:2"], "{done}");
    }
    let done = lint(&sandbox, &["/etc/passwd"])?.expect_code(2)?;
    ensure!(done.err().contains("is no file of the tree"), "{done}");
    let empty = Sandbox::new()?;
    let done = lint(&empty, &[])?.expect_code(1)?;
    ensure!(done.err().contains("none of the folders modules, scripts, conf, agent"), "{done}");
    Ok(())
}

#[test]
fn comments_silence_what_they_name_and_never_what_machines_refuse() -> Result<()> {
    let sandbox = with(&[
        ("modules/a.sh", "# lint: allow unreachable-module\nf() { :; }\n"),
        (
            "scripts/daily/x",
            "#!/bin/bash\n# lint: allow undefined-function\nuncommon_tool_of_ours --now\nother_tool_of_ours # lint: allow undefined-function: ours\n",
        ),
        (
            "scripts/daily/y",
            "#!/bin/bash\n# lint: allow header\n# ldi: tmeout=5m\n# lint: allow nonsense\n",
        ),
    ])?;
    let done = lint(&sandbox, &["--no-external", "--json"])?.expect_code(1)?;
    ensure!(
        found(&done)?
            == ["error header scripts/daily/y:3", "warning unknown-code scripts/daily/y:4"],
        "{done}"
    );
    Ok(())
}

#[test]
fn sarif_has_what_its_schema_requires() -> Result<()> {
    let sandbox = with(&[("scripts/daily/a b", "#!/bin/bash\nfi\n"), ("conf/x.toml", "a = \n")])?;
    let done = lint(&sandbox, &["--no-external", "--sarif"])?.expect_code(1)?;
    let sarif = done.json()?;
    // Required by sarif-schema-2.1.0: version and runs; tool; driver; name; message; text or id.
    ensure!(sarif["version"] == "2.1.0" && sarif["$schema"].is_string(), "{done}");
    let runs = sarif["runs"].as_array().context("no runs")?;
    ensure!(runs.len() == 1, "{done}");
    let run = &runs[0];
    ensure!(run["tool"]["driver"]["name"] == "codesync lint", "{done}");
    ensure!(
        ["utf16CodeUnits", "unicodeCodePoints"].iter().any(|kind| run["columnKind"] == *kind),
        "{done}"
    );
    let rules = run["tool"]["driver"]["rules"].as_array().context("no rules")?;
    let ids: BTreeSet<&str> = rules.iter().filter_map(|rule| rule["id"].as_str()).collect();
    ensure!(ids.len() == rules.len(), "rules without an id, or twice: {done}");
    let results = run["results"].as_array().context("no results")?;
    ensure!(results.len() == 3, "{done}");
    for result in results {
        ensure!(
            result["message"]["text"].as_str().is_some_and(|text| !text.is_empty()),
            "{result}"
        );
        ensure!(result["ruleId"].as_str().is_some_and(|id| ids.contains(id)), "{result}");
        ensure!(
            ["none", "note", "warning", "error"].iter().any(|level| result["level"] == *level),
            "{result}"
        );
        let place = &result["locations"][0]["physicalLocation"];
        let uri = place["artifactLocation"]["uri"].as_str().context("no uri")?;
        ensure!(!uri.contains(' ') && !uri.starts_with('/'), "{uri}");
        if !place["region"].is_null() {
            ensure!(
                place["region"]["startLine"].as_u64().is_some_and(|line| line >= 1),
                "{result}"
            );
        }
    }
    ensure!(
        results[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "conf/x.toml",
        "{done}"
    );
    Ok(())
}

#[test]
fn other_linters_are_asked_where_they_are() -> Result<()> {
    if !need(&["shellcheck"])? {
        return Ok(());
    }
    let sandbox = with(&[
        ("modules/a.sh", "greet() {\n  echo $1\n}\n"),
        ("scripts/daily/x", "#!/bin/bash\n. \"$(dirname \"$0\")/more\"\ngreet\n"),
        ("modules/x_tools.py", "import os\n"),
    ])?;
    // ruff as it answers; on a machine that has it, the same finding comes from it.
    let ruff = sandbox.path("bin");
    fs::create_dir_all(&ruff)?;
    let answer = serde_json::json!([{
        "cell": null, "code": "F401", "end_location": {"column": 10, "row": 1},
        "filename": fs::canonicalize(sandbox.tree())?.join("modules/x_tools.py"),
        "fix": null, "location": {"column": 8, "row": 1},
        "message": "`os` imported but unused", "noqa_row": 1, "url": "https://example.test/"
    }]);
    tree::put(&ruff, "ruff", format!("#!/bin/sh\ncat <<'EOF'\n{answer}\nEOF\n").as_bytes(), true)?;
    let mut command = sandbox.codesync_command(&["lint", "--json", "--tree"])?;
    let path = format!("{}:{}", ruff.display(), std::env::var("PATH").unwrap_or_default());
    let done = e2e::run(command.arg(sandbox.tree()).env("PATH", path))?.success()?;
    let found = found(&done)?;
    for one in ["note shellcheck:SC2086 modules/a.sh:2", "warning ruff:F401 modules/x_tools.py:1"] {
        ensure!(found.iter().any(|other| other == one), "missing {one}: {done}");
    }
    ensure!(!found.iter().any(|one| one.contains("SC109")), "{done}");
    let done = lint(&sandbox, &["--json", "--no-external"])?.success()?;
    ensure!(!done.out().contains("shellcheck:") && !done.out().contains("ruff:"), "{done}");
    Ok(())
}

#[test]
fn every_code_is_listed_and_described() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let done = sandbox.codesync(&["lint", "--list"])?.success()?;
    let guide = fs::read_to_string(repository().join("docs/lint.md"))?;
    let out = done.out();
    ensure!(out.lines().count() > 30, "{done}");
    for line in out.lines() {
        let mut words = line.split_whitespace();
        let (code, severity) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let row = format!("| `{code}` | {severity} |");
        ensure!(guide.contains(&row), "docs/lint.md has no row {row}");
    }
    let rows =
        guide.lines().filter(|line| line.starts_with("| `") && !line.starts_with("| `--")).count();
    ensure!(rows == out.lines().count(), "docs/lint.md describes {rows} codes");
    Ok(())
}

#[test]
fn the_library_that_ships_is_clean() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let done =
        sandbox.codesync(&["lint", "--strict", "--tree", &repository().display().to_string()])?;
    ensure!(done.code() == 0, "{done}");
    // Nothing but modules that only authors call.
    ensure!(
        done.out()
            .lines()
            .all(|line| line.contains(" unreachable-module: ") || line.contains(" findings in ")),
        "{done}"
    );
    Ok(())
}
