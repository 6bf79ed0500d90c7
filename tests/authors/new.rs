//! `codesync new`: what it begins runs, passes its test and can be published as it stands.

use std::{fs, os::unix::fs::PermissionsExt};

use anyhow::{Result, ensure};
use e2e::{command, need, parts::need_bins, program, run};

use crate::setting::Tree;

const ALL: [(&str, &str, bool, &str, &str); 6] = [
    ("script", "disk_report", false, "scripts/weekly/disk_report", "tests/disk_report_test.sh"),
    ("script", "disk_state", true, "scripts/weekly/disk_state", "tests/test_disk_state.py"),
    ("module", "disks", false, "modules/disks.sh", "tests/disks_test.sh"),
    ("module", "disk", true, "modules/disk_tools.py", "tests/test_disk_tools.py"),
    ("collector", "kernel", false, "scripts/collect/kernel", "tests/kernel_test.sh"),
    ("collector", "kernel2", true, "scripts/collect/kernel2", "tests/test_kernel2.py"),
];

fn new(tree: &Tree, words: &[&str]) -> Result<e2e::Done> {
    run(&mut tree.codesync(&[&["new"], words].concat())?)
}

fn begin_all(tree: &Tree) -> Result<()> {
    for (kind, name, python, file, test) in ALL {
        let mut words = vec![kind, name];
        if python {
            words.push("--python");
        }
        if kind == "script" {
            words.extend(["--tier", "weekly"]);
        }
        let done = new(tree, &words)?.success()?;
        ensure!(done.out().contains(&format!("wrote {file} and {test}\nNext:\n")), "{done}");
        let mode = |path: &str| -> Result<u32> {
            Ok(fs::metadata(tree.path().join(path))?.permissions().mode() & 0o777)
        };
        assert_eq!(mode(file)?, if kind == "module" { 0o644 } else { 0o755 }, "{file}");
        assert_eq!(mode(test)?, 0o644, "{test}");
    }
    Ok(())
}

#[test]
fn every_kind_passes_its_test_and_is_clean() -> Result<()> {
    if !(need(&["bash", "python3", "shellcheck"])? && need_bins(&["codesync", "ldi"])?) {
        return Ok(());
    }
    // Without and with a library that scripts find by hand.
    for library in [false, true] {
        let tree = Tree::new()?;
        if library {
            let autoinit =
                fs::read_to_string(e2e::parts::repository().join("modules/autoinit.sh"))?;
            tree.file("modules/autoinit.sh", &autoinit)?;
        }
        begin_all(&tree)?;
        let results = tree.results(&[])?;
        ensure!(results.done.code() == 0, "{}", results.all);
        ensure!(results.all["passed"].as_u64() >= Some(9), "{}", results.all);
        let lint = run(&mut tree.codesync(&["lint"])?)?.success()?;
        ensure!(lint.out().contains(": 0 errors, 0 warnings"), "{lint}");
        let mut check = command(&program("shellcheck")?);
        check.args(["--severity=style", "--shell=bash", "--"]);
        for (_, _, python, file, test) in ALL {
            if !python {
                check.args([tree.path().join(file), tree.path().join(test)]);
            }
        }
        run(&mut check)?.success()?;
        for (kind, _, python, file, _) in ALL {
            if kind != "module" && (library || python) {
                // By hand.
                let done = run(&mut command(&tree.path().join(file)))?.success()?;
                ensure!(!done.stdout.is_empty() && done.stderr.is_empty(), "{done}");
            }
        }
    }
    Ok(())
}

#[test]
fn what_was_begun_can_be_published() -> Result<()> {
    if !(need(&["bash"])? && need_bins(&["codesync"])?) {
        return Ok(());
    }
    let (tree, place) = (Tree::new()?, tempfile::tempdir()?);
    begin_all(&tree)?;
    for words in [&["init"][..], &["publish", "--tree"]] {
        let mut command = command(&e2e::bin("codesync")?);
        command.args(words);
        if words.len() > 1 {
            command.arg(tree.path()).env("XDG_CACHE_HOME", place.path().join("cache"));
        }
        command.arg("--library").arg(place.path().join("library"));
        run(command.arg("--keys").arg(place.path().join("keys")))?.success()?;
    }
    Ok(())
}

#[test]
fn nothing_is_overwritten_and_wrong_words_are_refused() -> Result<()> {
    if !need_bins(&["codesync"])? {
        return Ok(());
    }
    let tree = Tree::new()?;
    tree.file("scripts/daily/mine", "mine\n")?
        .file("tests/other_test.sh", "mine\n")?
        .file("modules/all.sh", "#!/bin/bash\ntaken() { :; }\n")?
        .file("conf/tiers.toml", "[tier.night]\ncron = \"0 0 2 * * *\"\n")?;
    for (words, said) in [
        (&["script", "mine"][..], "scripts/daily/mine is there already"),
        (&["module", "other"], "tests/other_test.sh is there already"),
        (&["module", "taken"], "defines the function taken already"),
        (
            &["script", "x", "--tier", "nightly"],
            "no tier is called \"nightly\"; there are collect, daily,",
        ),
        (&["script", "../x"], "cannot be a name here"),
        (&["script", "1x"], "cannot be a name here"),
        (&["thing", "x"], "invalid value"),
    ] {
        let done = new(&tree, words)?;
        ensure!(done.code() == 2 && done.err().contains(said), "{words:?}: {done}");
    }
    new(&tree, &["script", "x", "--tier", "night"])?.success()?;
    for (path, text) in [("scripts/daily/mine", "mine\n"), ("tests/other_test.sh", "mine\n")] {
        assert_eq!(fs::read_to_string(tree.path().join(path))?, text);
    }
    ensure!(!tree.path().join("modules/other.sh").exists(), "half of it was written");
    Ok(())
}
