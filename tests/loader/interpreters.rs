//! Everything that is neither bash nor Python, and interpreters that are not there.

use std::os::unix::fs::PermissionsExt;

use anyhow::Result;
use e2e::parts;
use loader::Error;

use crate::setting::{Library, out};

#[test]
fn a_missing_interpreter_is_named() -> Result<()> {
    let mut library = Library::new()?;
    library
        .file("scripts/a", "#!/opt/none/bin/tcl -x\n")?
        .file("scripts/b", "#!/usr/bin/env no-such-interpreter\n")?
        .file("scripts/c", "just text\n")?
        .file("scripts/d", "#!\n")?;
    let namespace = library.release()?;
    for (path, wanted) in [("scripts/a", "/opt/none/bin/tcl"), ("scripts/b", "no-such-interpreter")]
    {
        match namespace.script(path, &[]) {
            Err(Error::NoInterpreter { path: said, interpreter }) => {
                assert_eq!((said.as_str(), interpreter.as_str()), (path, wanted));
            }
            other => panic!("{other:?}"),
        }
    }
    let error = namespace.script("scripts/c", &[]).err().map(|e| e.to_string());
    let said = "scripts/c does not say what runs it; give it a first line such as #!/bin/bash";
    assert_eq!(error.as_deref(), Some(said));
    assert!(matches!(namespace.script("scripts/d", &[]), Err(Error::NoInterpreter { .. })));
    for path in ["scripts/none", "../etc/passwd", "/etc/passwd", "", "scripts"] {
        assert!(matches!(namespace.script(path, &[]), Err(Error::NotFound(_))), "{path}");
        assert!(!namespace.contains(path));
    }
    Ok(())
}

#[test]
fn other_interpreters_and_programs_run_the_signed_bytes() -> Result<()> {
    if !parts::need(&["perl"])? {
        return Ok(());
    }
    let mut library = Library::new()?;
    let program = std::fs::read(parts::program("printf")?)?;
    library
        .file("modules/m.sh", "helper() { :; }\n")?
        .file("scripts/p", "#!/usr/bin/perl -w\nprint join('|', @ARGV), \"\\n\";\n")?
        .file(
            "scripts/s",
            "#!/bin/sh\nprintf '%s|' \"$0\" \"$@\"; type helper 2>/dev/null || echo none\n",
        )?
        .file("scripts/bin", &program)?;
    let full = library.tree().join("scripts/bin");
    std::fs::set_permissions(&full, std::fs::Permissions::from_mode(0o755))?;
    let own = library.tree().join("scripts/s");
    for namespace in [library.release()?, library.working()?] {
        assert_eq!(out(&namespace, "scripts/p", &["a b", ""])?, "a b|\n");
        let said = out(&namespace, "scripts/s", &["a b"])?;
        assert!(said.starts_with(&format!("{}|a b|", own.display())), "{said}");
        assert_eq!(out(&namespace, "scripts/bin", &["%s\\n", "x"])?, "x\n");
    }
    Ok(())
}
