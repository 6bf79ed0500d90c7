//! Trees that mean no good: lint ends, follows nothing out of the tree, and runs nothing of it.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink},
};

use anyhow::{Result, ensure};
use e2e::{Sandbox, run, tree};
use nix::sys::stat::Mode;

use crate::lint::{add, found, lint, with};

#[test]
fn links_pipes_and_odd_names_are_named_and_not_followed() -> Result<()> {
    let sandbox =
        with(&[("modules/a.sh", "a() { a; }\n"), ("scripts/daily/a", "#!/bin/bash\na\n")])?;
    let root = sandbox.tree();
    let outside = sandbox.path("outside");
    tree::put(&outside, "bad.sh", b"fi\n", false)?;
    symlink(&outside, root.join("modules/linked"))?;
    symlink(outside.join("bad.sh"), root.join("modules/bad.sh"))?;
    symlink("loop", root.join("scripts/loop"))?;
    symlink("..", root.join("scripts/daily/up"))?;
    nix::unistd::mkfifo(&root.join("modules/pipe.sh"), Mode::from_bits_truncate(0o644))?;
    fs::write(root.join("modules").join(OsStr::from_bytes(b"\xff.sh")), "f() { :; }\n")?;
    fs::write(root.join("scripts/daily/\u{1b}[2J"), "#!/bin/bash\n")?;
    let done = lint(&sandbox, &["--json", "--no-external"])?.expect_code(1)?;
    let found = found(&done)?;
    let expected = [
        "error not-a-file modules/bad.sh",
        "error not-a-file modules/linked",
        "error not-a-file modules/pipe.sh",
        "error path modules/\u{fffd}.sh",
        "error not-a-file scripts/daily/up",
        "error path scripts/daily/\u{1b}[2J",
        "error not-a-file scripts/loop",
    ];
    for one in expected {
        ensure!(found.iter().any(|other| other == one), "missing {one}: {done}");
    }
    ensure!(!found.iter().any(|one| one.contains("syntax")), "followed a link: {done}");
    let done = lint(&sandbox, &["--no-external"])?.expect_code(1)?;
    ensure!(!done.out().contains('\u{1b}'), "{:?}", done.out());
    Ok(())
}

#[test]
fn deep_folders_and_large_files_are_bounded() -> Result<()> {
    let sandbox = with(&[("scripts/daily/a", "#!/bin/bash\n")])?;
    let root = sandbox.tree();
    let deep = "d/".repeat(60);
    tree::put(&root, &format!("modules/{deep}x.sh"), b"fi\n", false)?;
    // Sparse: costs nothing on the disk.
    let large = fs::File::create(root.join("modules/large.sh"))?;
    large.set_len(3 << 30)?;
    let tiers = fs::File::create_new(tree_conf(&sandbox)?)?;
    tiers.set_len(1 << 30)?;
    let done = lint(&sandbox, &["--json", "--no-external"])?.expect_code(1)?;
    let found = found(&done)?;
    ensure!(found.iter().any(|one| one.starts_with("error too-many modules/d/d/")), "{done}");
    for one in ["note large-file modules/large.sh", "error tiers conf/tiers.toml"] {
        ensure!(found.iter().any(|other| other == one), "missing {one}: {done}");
    }
    Ok(())
}

fn tree_conf(sandbox: &Sandbox) -> Result<std::path::PathBuf> {
    let conf = sandbox.tree().join("conf");
    fs::create_dir_all(&conf)?;
    Ok(conf.join("tiers.toml"))
}

#[test]
fn nothing_of_the_tree_is_run() -> Result<()> {
    let sandbox = Sandbox::with_library()?;
    let mark = sandbox.path("ran");
    let touch = format!("touch '{}'\n", mark.display());
    let python = format!("open({:?}, 'w')\n", mark.display().to_string());
    let bash = |head: &str| format!("{head}{touch}}}\n{touch}fi\n{touch}$({touch})`{touch}`\n");
    add(
        &sandbox,
        &[
            ("modules/a.sh", &bash("")),
            ("modules/b.sh", &bash("set +n\nset +o noexec\ntrap 'touch x' EXIT ERR DEBUG\n")),
            ("modules/c.sh", &bash("}\n")),
            ("modules/d.sh", &bash("'\n\")\n")),
            ("modules/sitecustomize.py", &python),
            ("modules/ast.py", &python),
            ("modules/json.py", &python),
            ("modules/x_tools.py", &python),
            ("sitecustomize.py", &python),
            ("ast.py", &python),
            ("scripts/daily/x", &bash("#!/bin/bash\n")),
            ("ruff.toml", "nonsense"),
        ],
    )?;
    let mut command = sandbox.codesync_command(&["lint", "--tree", "."])?;
    let env = sandbox.tree().join("modules/a.sh");
    command.current_dir(sandbox.tree()).env("BASH_ENV", &env).env("ENV", &env);
    command.env("PYTHONPATH", sandbox.tree()).env("PYTHONSTARTUP", sandbox.tree().join("ast.py"));
    run(&mut command)?.expect_code(1)?;
    let mut command = sandbox.codesync_command(&["docs", "--tree", "."])?;
    run(command.current_dir(sandbox.tree()).env("PYTHONPATH", sandbox.tree()))?.success()?;
    ensure!(!mark.exists(), "a file of the tree was run");
    Ok(())
}

#[test]
fn a_file_that_breaks_its_reader_harms_no_other() -> Result<()> {
    let deep = format!("x = {}1{}\n", "(".repeat(200_000), ")".repeat(200_000));
    let nested = format!("{}:{}\n", "$(".repeat(3_000), ")".repeat(3_000));
    let sandbox = with(&[
        ("modules/a_tools.py", "x = 1\n"),
        ("modules/b_tools.py", &deep),
        ("modules/c_tools.py", "def f(:\n"),
        ("modules/a.sh", "a() { a; }\n"),
        ("modules/b.sh", &nested),
        ("modules/c.sh", "fi\n"),
    ])?;
    let done = lint(&sandbox, &["--json", "--no-external"])?.expect_code(1)?;
    let found = found(&done)?;
    for one in ["error python-syntax modules/c_tools.py:1", "error bash-syntax modules/c.sh:1"] {
        ensure!(found.iter().any(|other| other == one), "missing {one}: {done}");
    }
    ensure!(found.iter().any(|one| one.contains("modules/b_tools.py")), "{done}");
    Ok(())
}
