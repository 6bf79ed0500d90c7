//! What a Python script sees.

use anyhow::Result;
use e2e::parts;

use crate::setting::{Library, end, out, run, words};

fn library() -> Result<Library> {
    let mut library = Library::new()?;
    library
        .file("modules/a_tools.py", "import b_tools\ndef twice(x):\n    return b_tools.join(x, x)\n")?
        .file("modules/b_tools.py", "def join(*parts):\n    return '-'.join(parts)\ndef fails():\n    raise ValueError('no')\ndef nothing():\n    pass\n")?
        .file("modules/broken_tools.py", "def broken(:\n")?
        .file("modules/pack/__init__.py", "from . import inner\nfrom .inner import value\n")?
        .file("modules/pack/inner.py", "value = 7\n")?
        .file("modules/loose/part.py", "value = 8\n")?
        .file("scripts/tier/helper.py", "name = 'helper'\n")?;
    Ok(library)
}

#[test]
fn modules_packages_and_neighbours_import() -> Result<()> {
    let mut library = library()?;
    library.file(
        "scripts/tier/x.py",
        "import a_tools, pack, loose.part, helper, json, sys, inspect\n\
         print(a_tools.twice('x'), pack.value, loose.part.value, helper.name)\n\
         print(a_tools.__file__, pack.inner.__file__)\n\
         print([m for m in ('broken_tools',) if m in sys.modules])\n\
         print('def twice' in inspect.getsource(a_tools))\n",
    )?;
    let tree = library.tree().display().to_string();
    let expected = format!(
        "x-x 7 8 helper\n{tree}/modules/a_tools.py {tree}/modules/pack/inner.py\n[]\nTrue\n"
    );
    for namespace in [library.release()?, library.working()?] {
        assert_eq!(out(&namespace, "scripts/tier/x.py", &[])?, expected);
    }
    let litter = library.tree().join("modules/__pycache__");
    assert!(!litter.exists(), "bytecode was written into the tree");
    Ok(())
}

#[test]
fn a_broken_module_harms_only_its_users() -> Result<()> {
    let mut library = library()?;
    library
        .file("scripts/good.py", "import a_tools\nprint(a_tools.twice('x'))\n")?
        .file("scripts/bad.py", "import broken_tools\n")?;
    let namespace = library.release()?;
    assert_eq!(out(&namespace, "scripts/good.py", &[])?, "x-x\n");
    let bad = run(namespace.script("scripts/bad.py", &[])?)?;
    assert_eq!(bad.code, Some(1));
    assert!(bad.err.contains("SyntaxError") && bad.err.contains("broken_tools.py"), "{bad:?}");
    Ok(())
}

#[test]
fn endings_are_pythons_own() -> Result<()> {
    let mut library = library()?;
    library
        .file("scripts/raise.py", "import b_tools\ndef f():\n    b_tools.fails()\nf()\n")?
        .file(
            "scripts/exit.py",
            "import sys, atexit\natexit.register(print, 'bye')\nsys.exit(5)\n",
        )?
        .file("scripts/term.py", "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n")?
        .file("scripts/int.py", "raise KeyboardInterrupt\n")?
        .file("scripts/syntax.py", "x = = 1\n")?
        .file(
            "scripts/clean.py",
            "import sys\nprint(sorted(k for k in globals()), sys.path[0] != '', __spec__)\n",
        )?;
    let namespace = library.release()?;
    let ended = |path: &str| run(namespace.script(path, &[])?);
    let raised = ended("scripts/raise.py")?;
    assert_eq!(raised.code, Some(1));
    // The trace names the script's own files and lines, and nothing of the loader.
    assert!(raised.err.contains("scripts/raise.py\", line 4, in <module>"), "{}", raised.err);
    assert!(raised.err.contains("modules/b_tools.py\", line 4, in fails"), "{}", raised.err);
    assert!(!raised.err.contains("importlib") && !raised.err.contains("/dev/fd"), "{}", raised.err);
    let left = ended("scripts/exit.py")?;
    assert_eq!((left.out.as_str(), left.code), ("bye\n", Some(5)));
    assert_eq!(ended("scripts/term.py")?.signal, Some(15));
    assert_eq!(ended("scripts/int.py")?.signal, Some(2));
    let syntax = ended("scripts/syntax.py")?;
    assert!(syntax.code == Some(1) && syntax.err.contains("scripts/syntax.py\", line 1"));
    let clean = ended("scripts/clean.py")?;
    let names = "['__builtins__', '__doc__', '__file__', '__loader__', '__name__', '__package__', '__spec__', 'sys']";
    assert_eq!(clean.out, format!("{names} True None\n"));
    Ok(())
}

#[test]
fn functions_are_called_by_name() -> Result<()> {
    let library = library()?;
    let namespace = library.release()?;
    let call = |name: &str, args: &[&str]| run(namespace.function(name, &words(args))?);
    let done = call("a_tools.twice", &["x y"])?;
    assert_eq!((done.out.as_str(), done.code), ("x y-x y\n", Some(0)), "{done:?}");
    let done = call("b_tools.nothing", &[])?;
    assert_eq!((done.out.as_str(), done.code), ("", Some(0)));
    let done = call("b_tools.fails", &[])?;
    assert!(done.code == Some(1) && done.err.contains("ValueError: no"));
    let unknown = namespace.function("a_tools.twise", &[]).err().map(|e| e.to_string());
    let said = "there is no function a_tools.twise in the library; did you mean a_tools.twice?";
    assert_eq!(unknown.as_deref(), Some(said));
    Ok(())
}

#[test]
fn a_virtual_environment_keeps_its_packages() -> Result<()> {
    if !parts::need(&["python3"])? {
        return Ok(());
    }
    let mut library = library()?;
    let venv = library.root().join("venv");
    let mut make = std::process::Command::new(parts::program("python3")?);
    let made = end(make.args(["-m", "venv", "--without-pip"]).arg(&venv))?;
    if made.code != Some(0) {
        anyhow::ensure!(!parts::strict(), "python3 cannot make a virtual environment: {made:?}");
        eprintln!("left out: python3 has no venv module");
        return Ok(());
    }
    let python = venv.join("bin/python3");
    let mut which = std::process::Command::new(&python);
    let site = end(which.args(["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]))?;
    std::fs::write(format!("{}/only_here.py", site.out.trim()), "value = 9\n")?;
    let text = format!(
        "#!{}\nimport only_here, a_tools, sys\nprint(only_here.value, a_tools.twice('x'), sys.prefix)\n",
        python.display()
    );
    library.file("scripts/v.py", text)?;
    let expected = format!("9 x-x {}\n", venv.display());
    assert_eq!(out(&library.release()?, "scripts/v.py", &[])?, expected);
    Ok(())
}
