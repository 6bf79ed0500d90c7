//! `ldi profile`: its numbers against scripts whose cost is known.

use std::fs;

use anyhow::{Result, ensure};
use e2e::{Done, bin, command, need, parts::need_bins, run};
use serde_json::Value;

use crate::setting::Tree;

const SCRIPT: &str = r#"#!/bin/bash
echo "said $1"
greet you >&2
for i in 1 2 3; do /bin/echo "$i" >/dev/null; done
echo x >"$WHERE/written a"
mv "$WHERE/written a" "$WHERE/moved"
rm "$WHERE/moved"
cat "$LDI_LIB/conf/n.conf" >/dev/null
exit 7
"#;

fn tree() -> Result<Option<Tree>> {
    if !(need(&["bash", "python3"])? && need_bins(&["ldi"])?) {
        return Ok(None);
    }
    let tree = Tree::new()?;
    tree.file("modules/greet.sh", "greet() { echo \"hello $1\"; }\nother() { :; }\n")?
        .file("modules/unused.sh", "unused() { :; }\n")?
        .file(
            "modules/big_tools.py",
            "def take():\n    x = b\"x\" * (96 << 20)\n    return len(x)\n",
        )?
        .file("conf/n.conf", "a = 1\n")?
        .file("scripts/daily/known", SCRIPT)?
        .file("scripts/daily/killed", "#!/bin/bash\nkill -KILL $$\n")?
        .file("scripts/daily/plain", "#!/bin/sh\necho plain\n")?;
    Ok(Some(tree))
}

fn profile(tree: &Tree, words: &[&str]) -> Result<Done> {
    let mut command = command(&bin("ldi")?);
    command.args(["profile", "--tree"]).arg(tree.path()).args(words);
    command.env("WHERE", tree.path().join("scripts")).env("HOME", tree.path());
    run(command.current_dir("/"))
}

#[test]
fn processes_files_and_modules_are_named() -> Result<()> {
    let Some(tree) = tree()? else { return Ok(()) };
    if !(cfg!(target_os = "linux") && need(&["strace"])?) {
        return Ok(());
    }
    let done = profile(&tree, &["--json", "scripts/daily/known", "a b"])?.expect_code(7)?;
    ensure!(done.err() == "said a b\nhello you\n", "the script's own output: {done}");
    let said = done.json()?;
    let root = fs::canonicalize(tree.path())?.join("scripts").display().to_string();
    assert_eq!(said["exit_status"], 7);
    assert_eq!(said["modules"], serde_json::json!(["modules/greet.sh"]));
    // bash, 3 echo, mv, rm, cat.
    assert_eq!(said["processes"], 7, "{said}");
    let echo =
        said["programs"].as_object().into_iter().flatten().find(|(n, _)| n.ends_with("/echo"));
    ensure!(echo.is_some_and(|(_, times)| *times == 3), "{said}");
    let paths = |name: &str| said[name]["paths"].clone();
    let written = serde_json::json!([format!("{root}/moved"), format!("{root}/written a")]);
    assert_eq!(paths("files_written"), written);
    assert_eq!(paths("files_removed"), written);
    let read = serde_json::json!(["conf/n.conf", "modules/greet.sh", "scripts/daily/known"]);
    assert_eq!(paths("files_read"), read);
    ensure!(said["not_traced"].is_null(), "{said}");
    Ok(())
}

#[test]
fn what_a_script_leaves_in_the_background_goes_on_unharmed() -> Result<()> {
    let Some(tree) = tree()? else { return Ok(()) };
    let text = "#!/bin/bash\n(sleep 3; /bin/echo on >\"$WHERE/new\" && mv \"$WHERE/new\" \"$WHERE/left\") >/dev/null 2>&1 &\n";
    tree.file("scripts/daily/leaves", text)?;
    profile(&tree, &["scripts/daily/leaves"])?.success()?;
    for _ in 0..1200 {
        if tree.path().join("scripts/left").exists() {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    anyhow::bail!("it never came to its end")
}

#[test]
fn times_and_memory_are_measured_without_strace_too() -> Result<()> {
    let Some(tree) = tree()? else { return Ok(()) };
    let done = profile(&tree, &["--json", "--no-trace", "--call", "big_tools.take"])?.success()?;
    ensure!(done.err() == format!("{}\n", 96 << 20), "{done}");
    let said: Value = done.json()?;
    let number = |name: &str| said[name].as_f64().unwrap_or(-1.0);
    let megabytes = number("peak_memory_bytes") / f64::from(1 << 20);
    ensure!(
        (96.0..400.0).contains(&megabytes) && said["peak_memory_is_a_bound"] == false,
        "{said}"
    );
    ensure!(number("wall_seconds") >= number("start_seconds"), "{said}");
    ensure!(number("start_seconds") > 0.0, "{said}");
    ensure!(number("user_seconds") + number("system_seconds") > 0.0, "{said}");
    ensure!(said["not_traced"].is_string() && said.get("processes").is_none(), "{said}");
    Ok(())
}

#[test]
fn the_exit_status_is_the_scripts_own() -> Result<()> {
    let Some(tree) = tree()? else { return Ok(()) };
    for trace in [&["--no-trace"][..], &[]] {
        let of = |word: &str| profile(&tree, &[trace, &[word]].concat());
        let done = of("scripts/daily/known")?.expect_code(7)?;
        ensure!(done.out() == "said \n" && done.err().contains("exit status 7"), "{done}");
        of("scripts/daily/killed")?.expect_code(137)?;
        let plain = of("scripts/daily/plain")?.success()?;
        ensure!(
            plain.out() == "plain\n" && plain.err().contains("started without modules"),
            "{plain}"
        );
        let missing = of("scripts/daily/none")?.expect_code(2)?;
        ensure!(missing.err().contains("scripts/daily/none"), "{missing}");
    }
    let as_job = profile(&tree, &["--noop", "--as-job", "--call", "other"])?.success()?;
    ensure!(as_job.err().contains("other: exit status 0"), "{as_job}");
    Ok(())
}
