//! Trees that publish refuses, naming what is wrong with them; the library stays as it was.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::Path,
};

use anyhow::{Context, Result, ensure};
use e2e::{command, program, run};

use crate::setting::{Setting, Way};

/// Something that puts one bad entry into a tree.
type Spoil = fn(&Path) -> Result<()>;

const CASES: &[(&str, &str, Spoil)] = &[
    ("a symbolic link", "link", |tree| Ok(symlink("/etc/passwd", tree.join("link"))?)),
    ("a link to a folder", "folder", |tree| Ok(symlink("modules", tree.join("folder"))?)),
    ("a dangling link", "modules/dangling", |tree| {
        Ok(symlink("nowhere", tree.join("modules/dangling"))?)
    }),
    ("a pipe", "pipe", |tree| {
        run(command(&program("mkfifo")?).arg(tree.join("pipe")))?.success().map(drop)
    }),
    ("a line feed", "two", |tree| Ok(fs::write(tree.join("two\nlines"), "x")?)),
    ("an escape", "esc", |tree| Ok(fs::write(tree.join("esc\u{1b}[2J"), "x")?)),
    ("a leading minus", "-rf", |tree| Ok(fs::write(tree.join("-rf"), "x")?)),
    ("a backslash", "back", |tree| Ok(fs::write(tree.join("back\\slash"), "x")?)),
    ("no UTF-8", "latin", |tree| Ok(fs::write(tree.join(OsStr::from_bytes(b"latin\xe9")), "x")?)),
];

#[test]
fn bad_entries_are_named() -> Result<()> {
    let Some(setting) = Setting::published(Way::File, 5)? else { return Ok(()) };
    let sandbox = &setting.sandbox;
    fs::create_dir_all(sandbox.tree().join("modules"))?;
    let ring = sandbox.library().join("rings");
    let before = e2e::tree::read(&ring)?;
    for (what, name, spoil) in CASES {
        let clean = e2e::tree::read(&sandbox.tree())?;
        spoil(&sandbox.tree()).with_context(|| format!("cannot make {what}"))?;
        let done =
            sandbox.publish_command()?.expect_code(76).with_context(|| (*what).to_owned())?;
        ensure!(done.err().contains(name), "{what} is not named: {done}");
        ensure!(!done.err().contains('\u{1b}'), "{what}: control characters reach the terminal");
        for path in
            e2e::tree::read(&sandbox.tree())?.keys().filter(|path| !clean.contains_key(*path))
        {
            fs::remove_file(sandbox.tree().join(path))?;
        }
        let after = e2e::tree::read(&ring)?;
        ensure!(before == after, "{what} changed the library");
    }
    // Names that differ by case cannot even be made on every file system.
    fs::write(sandbox.tree().join("Same"), "x")?;
    fs::write(sandbox.tree().join("same"), "x")?;
    if fs::read_dir(sandbox.tree())?.count() >= 3 {
        let done = sandbox.publish_command()?.expect_code(76)?;
        ensure!(done.err().to_lowercase().contains("same"), "{done}");
    }
    Ok(())
}

#[test]
fn an_empty_or_missing_tree_is_no_release() -> Result<()> {
    let Some(setting) = Setting::empty(Way::File)? else { return Ok(()) };
    let done = setting.sandbox.publish_command()?;
    ensure!(done.code() != 0 && !done.err().is_empty(), "an empty tree was published: {done}");
    let done = setting.sandbox.codesync(&["publish", "--tree", "/nonexistent/tree"])?;
    ensure!(done.code() != 0 && done.err().contains("/nonexistent/tree"), "{done}");
    Ok(())
}

#[test]
fn the_same_tree_again_is_no_new_release() -> Result<()> {
    let Some(setting) = Setting::synced(Way::File, 5)? else { return Ok(()) };
    let report = setting.sandbox.publish()?;
    ensure!(report["release"] == 1 && report["changed"] == 0, "{report}");
    let report = setting.sandbox.synced()?;
    ensure!(report["outcome"] == "current", "{report}");
    Ok(())
}
