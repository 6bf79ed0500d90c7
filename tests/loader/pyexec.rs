//! `pyexec` with the options of the original.

use anyhow::{Context, Result};
use loader::{Namespace, pyexec};

use crate::setting::{End, Library, run, words};

fn library() -> Result<Library> {
    let mut library = Library::new()?;
    library
        .file("modules/a_tools.py", "def twice(x):\n    return x + x\n")?
        .file("modules/broken_tools.py", "def broken(:\n")?
        .file("scripts/show.py", "import sys, a_tools\nprint(sys.argv[1:], a_tools.twice('x'), __file__.rsplit('/', 1)[1])\n")?
        .file("scripts/raise.py", "def f():\n    secret = 41\n    return 1 / 0\nf()\n")?
        .file("scripts/late.py", "import sys\nprint('late', sys.last_type.__name__, sys.exc_info()[0].__name__)\nt = sys.exc_info()[2]\nwhile t.tb_next: t = t.tb_next\nprint(t.tb_frame.f_locals['secret'])\n")?
        .file("scripts/mortem.py", "import pdb\npdb.post_mortem()\n")?
        .file("scripts/pm.py", "import pdb\npdb.pm()\n")?;
    Ok(library)
}

fn done(namespace: &Namespace, args: &[&str]) -> Result<End> {
    run(pyexec(namespace, &words(args))?)
}

#[test]
fn a_file_takes_what_follows_it() -> Result<()> {
    let library = library()?;
    let namespace = library.release()?;
    let expected = "['-i', '--onerror', 'x', '-c'] xx show.py\n";
    let full = library.tree().join("scripts/show.py");
    let full = full.to_str().context("path")?;
    for file in ["scripts/show.py", full] {
        let end = done(&namespace, &[file, "-i", "--onerror", "x", "-c"])?;
        assert_eq!((end.out.as_str(), end.code), (expected, Some(0)), "{end:?}");
    }
    Ok(())
}

#[test]
fn code_and_prompt_have_the_tools_as_globals() -> Result<()> {
    let library = library()?;
    let namespace = library.release()?;
    for option in ["-c", "--eval"] {
        let end = done(&namespace, &[option, "print(a_tools.twice('y'))"])?;
        assert_eq!((end.out.as_str(), end.code), ("yy\n", Some(0)), "{end:?}");
    }
    let end = done(&namespace, &["-c", "import sys; print(sys.argv)", "a", "-i", "b"])?;
    assert_eq!(end.out, "['-c', 'a', '-i', 'b']\n");
    let end =
        done(&namespace, &["-c", "print(sorted(n for n in globals() if n.endswith('_tools')))"])?;
    assert_eq!(end.out, "['a_tools', 'broken_tools']\n");
    let end = done(&namespace, &["-c", "1 / 0"])?;
    assert!(end.code == Some(1) && end.err.contains("ZeroDivisionError"));

    for args in [vec!["-i"], vec!["--interp", "scripts/show.py"], vec!["-i", "scripts/raise.py"]] {
        let mut command = pyexec(&namespace, &words(&args))?.command();
        let input = library.root().join("input");
        std::fs::write(&input, "print(a_tools.twice('z'))\n")?;
        let output = command.stdin(std::fs::File::open(&input)?).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.ends_with("zz\n"), "{args:?}: {output:?}");
        assert_eq!(output.status.code(), Some(0));
    }
    Ok(())
}

#[test]
fn the_late_script_sees_the_dead() -> Result<()> {
    let library = library()?;
    let namespace = library.release()?;
    let end = done(&namespace, &["--onerror", "scripts/late.py", "scripts/raise.py"])?;
    assert_eq!(end.out, "late ZeroDivisionError ZeroDivisionError\n41\n", "{end:?}");
    assert_eq!(end.code, Some(1));
    assert!(end.err.contains("raise.py\", line 3, in f"));
    for script in ["scripts/mortem.py", "scripts/pm.py"] {
        let mut command =
            pyexec(&namespace, &words(&["--onerror", script, "scripts/raise.py"]))?.command();
        let input = library.root().join("input");
        std::fs::write(&input, "p secret + 1\nq\n")?;
        let output = command.stdin(std::fs::File::open(&input)?).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("42"), "{script}: {output:?}");
    }
    // Without an error it does not run.
    let end = done(&namespace, &["--onerror=scripts/late.py", "scripts/show.py"])?;
    assert_eq!(end.out, "[] xx show.py\n");
    Ok(())
}

#[test]
fn wrong_options_are_refused() -> Result<()> {
    let library = library()?;
    let namespace = library.release()?;
    for args in [vec![], vec!["-x", "f"], vec!["-c"], vec!["--onerror", "scripts/late.py"]] {
        assert!(
            matches!(pyexec(&namespace, &words(&args)), Err(loader::Error::Usage(_))),
            "{args:?}"
        );
    }
    let missing = pyexec(&namespace, &words(&["none.py"]));
    assert!(matches!(missing, Err(loader::Error::NotFound(_))));
    Ok(())
}

#[test]
fn shell_and_prompt_have_everything() -> Result<()> {
    let mut library = library()?;
    library.file("modules/m.sh", "hello() { echo \"hello $1\"; }\n")?;
    let namespace = library.release()?;
    let input = library.root().join("input");
    for (launch, text, expected) in [
        (namespace.shell()?, "hello you\nexit\n", "hello you\n"),
        (namespace.repl()?, "print(a_tools.twice('q'))\n", "qq\n"),
    ] {
        std::fs::write(&input, text)?;
        let mut command = launch.command();
        let output = command.stdin(std::fs::File::open(&input)?).output()?;
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{output:?}");
    }
    Ok(())
}
