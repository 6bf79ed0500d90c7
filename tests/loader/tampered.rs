//! What was not signed does not run.

use anyhow::Result;
use loader::{Error, Namespace};

use crate::setting::{Library, run, words};

fn library() -> Result<Library> {
    let mut library = Library::new()?;
    library
        .file("modules/m.sh", "helper() { echo helped; }\n")?
        .file("modules/other.sh", "other() { echo other; }\n")?
        .file("modules/m_tools.py", "def helper():\n    return 'helped'\n")?
        .file("modules/pack/__init__.py", "")?
        .file("scripts/x.sh", "#!/bin/bash\necho started; helper\n")?
        .file("scripts/p", "#!/bin/sh\necho started\n")?
        .file("scripts/x.py", "print('started')\nimport m_tools\nprint(m_tools.helper())\n")?
        .file("scripts/evil.py", "import pack.evil\n")?;
    Ok(library)
}

#[test]
fn a_changed_script_or_module_is_refused() -> Result<()> {
    let library = library()?;
    let namespace = library.release()?;
    let tampered = |path: &str, namespace: &Namespace| match namespace.script(path, &[]) {
        Err(Error::Tampered { path }) => path,
        other => panic!("{other:?}"),
    };
    for (change, script) in [
        ("scripts/x.sh", "scripts/x.sh"),
        ("modules/m.sh", "scripts/x.sh"),
        ("scripts/x.py", "scripts/x.py"),
        ("scripts/p", "scripts/p"),
    ] {
        let full = library.tree().join(change);
        let good = std::fs::read(&full)?;
        let mut longer = good.clone();
        longer.extend_from_slice(b"echo evil\n");
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 1;
        for bad in [longer, flipped, Vec::new()] {
            std::fs::write(&full, bad)?;
            assert_eq!(tampered(script, &namespace), change);
        }
        std::fs::remove_file(&full)?;
        assert_eq!(tampered(script, &namespace), change);
        std::os::unix::fs::symlink("/dev/zero", &full)?;
        assert_eq!(tampered(script, &namespace), change);
        std::fs::remove_file(&full)?;
        std::fs::create_dir(&full)?;
        assert_eq!(tampered(script, &namespace), change);
        std::fs::remove_dir(&full)?;
        std::fs::write(&full, &good)?;
        assert_eq!(run(namespace.script(script, &[])?)?.code, Some(0));
    }
    // Who does not use a changed module still runs.
    std::fs::write(library.tree().join("modules/other.sh"), "other() { echo evil; }\n")?;
    assert_eq!(run(namespace.script("scripts/x.sh", &[])?)?.out, "started\nhelped\n");
    assert!(matches!(namespace.function("other", &[]), Err(Error::Tampered { .. })));
    Ok(())
}

#[test]
fn a_changed_python_module_is_refused_when_it_is_imported() -> Result<()> {
    let library = library()?;
    let namespace = library.release()?;
    let module = library.tree().join("modules/m_tools.py");
    std::fs::write(&module, "def helper():\n    return 'evil!!'\n")?;
    let done = run(namespace.script("scripts/x.py", &[])?)?;
    assert_eq!((done.out.as_str(), done.code), ("started\n", Some(1)));
    assert!(done.err.contains("modules/m_tools.py is not what was signed"), "{}", done.err);
    // A file that nobody signed is not found beneath a package, nor beside the modules.
    std::fs::write(library.tree().join("modules/pack/evil.py"), "print('evil')\n")?;
    std::fs::write(library.tree().join("modules/json.py"), "print('evil')\n")?;
    let done = run(namespace.script("scripts/evil.py", &[])?)?;
    assert_eq!((done.out.as_str(), done.code), ("", Some(1)));
    assert!(done.err.contains("No module named 'pack.evil'"), "{}", done.err);
    Ok(())
}

#[test]
fn what_is_opened_once_is_what_runs() -> Result<()> {
    let library = library()?;
    let namespace = library.release()?;
    // Between the check and the start everything is changed.
    let launches = ["scripts/x.sh", "scripts/p"].map(|path| namespace.script(path, &words(&[])));
    for path in ["scripts/x.sh", "scripts/p", "modules/m.sh"] {
        std::fs::write(library.tree().join(path), "#!/bin/sh\necho evil\n")?;
    }
    for launch in launches {
        let done = run(launch?)?;
        assert!(done.out.starts_with("started\n") && !done.out.contains("evil"), "{done:?}");
    }
    Ok(())
}

#[test]
fn a_damaged_index_is_an_error() -> Result<()> {
    let library = library()?;
    let _ = library.release()?;
    let path = library.root().join("index");
    let good = std::fs::read(&path)?;
    for at in (0..good.len()).step_by(13) {
        let mut bad = good.clone();
        bad[at] ^= 0x41;
        std::fs::write(&path, &bad)?;
        let opened = Namespace::release(&library.tree(), &path);
        assert!(matches!(opened, Err(Error::Damaged { .. })), "byte {at}");
        std::fs::write(&path, &good[..at])?;
        assert!(Namespace::release(&library.tree(), &path).is_err(), "cut at {at}");
    }
    std::fs::remove_file(&path)?;
    assert!(matches!(Namespace::release(&library.tree(), &path), Err(Error::Io { .. })));
    Ok(())
}
