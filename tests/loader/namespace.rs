//! What a bash script sees.

use anyhow::Result;

use crate::setting::{Library, end, out, run, words};

const GUARD: &str = "[ -z $autoinit ] && { . /Library/code/lib/modules/autoinit.sh; autoinit; }\n";

fn library() -> Result<Library> {
    let mut library = Library::new()?;
    library
        .file("modules/a.sh", "greeting=hello\ngreet() { say \"$greeting\" \"$1\"; }\n")?
        .file("modules/b.sh", "say() { printf '%s, %s\\n' \"$@\"; }\n")?
        .file("modules/c.sh", "unused() { :; }\n")?
        .file("modules/d.sh", "call_it() { \"$@\"; }\n")?
        .file("modules/autoinit.sh", include_str!("../../modules/autoinit.sh"))?;
    Ok(library)
}

#[test]
fn a_script_gets_what_it_reaches_and_no_more() -> Result<()> {
    let mut library = library()?;
    library.file("scripts/x.sh", "#!/bin/bash\ngreet you\ndeclare -F | wc -l >/dev/null\n")?;
    library.file("scripts/y.sh", "#!/bin/bash\ngreet you\n")?;
    library.file("scripts/z.sh", "#!/bin/bash\necho start\n")?;
    for namespace in [library.release()?, library.working()?] {
        assert_eq!(out(&namespace, "scripts/y.sh", &[])?, "hello, you\n");
        let reached = namespace.reach("scripts/y.sh", &[])?;
        let expected = vec!["modules/a.sh".to_owned(), "modules/b.sh".to_owned()];
        assert_eq!(reached, Some(expected));
        assert_eq!(namespace.reach("scripts/z.sh", &[])?, Some(vec![]));
        // Who lists functions sees all of them.
        assert_eq!(namespace.reach("scripts/x.sh", &[])?, None);
    }
    Ok(())
}

#[test]
fn names_formed_at_run_time_resolve() -> Result<()> {
    let mut library = library()?;
    library
        .file("scripts/var.sh", "#!/bin/bash\nread -r f <<< \"gre${1}\"\n\"$f\" you\n")?
        .file("scripts/arg.sh", "#!/bin/bash\n\"$@\"\n")?
        .file("scripts/pass.sh", "#!/bin/bash\ncall_it greet you\n")?
        .file("scripts/part.sh", "#!/bin/bash\nx=ee\n\"gr${x}t\" you\n")?
        .file("scripts/eval.sh", "#!/bin/bash\nx=gre; eval \"${x}et you\"\n")?
        .file("scripts/deep.sh", "#!/bin/bash\nx=gre; call_it \"${x}et\" you\n")?
        .file("scripts/lit.sh", "#!/bin/bash\nf=greet\n$f you\n")?
        .file("scripts/indirect.sh", "#!/bin/bash\nv=greet; v=${v}ing; echo \"${!v}, you\"\n")?;
    let namespace = library.release()?;
    for (script, args) in [
        ("var", vec!["et"]),
        ("arg", vec!["greet", "you"]),
        ("pass", vec![]),
        ("part", vec![]),
        ("eval", vec![]),
        ("deep", vec![]),
        ("lit", vec![]),
        ("indirect", vec![]),
    ] {
        let path = format!("scripts/{script}.sh");
        assert_eq!(out(&namespace, &path, &args)?, "hello, you\n", "{script}");
    }
    // What can be followed costs nothing more.
    for script in ["pass", "lit", "part"] {
        assert!(namespace.reach(&format!("scripts/{script}.sh"), &[])?.is_some(), "{script}");
    }
    Ok(())
}

#[test]
fn the_guard_of_old_scripts_runs_unmodified() -> Result<()> {
    let mut library = library()?;
    let text = format!(
        "#!/bin/bash\n{GUARD}greet you\necho \"$code|$lib|$logs|$modules|$scripts|$autoinit\"\n\
         env | grep -cE '^(code|lib|logs|modules|scripts|autoinit)='\nexit 0\n"
    );
    library.file("scripts/old.sh", text)?;
    let root = library.root().display().to_string();
    let expected = format!(
        "hello, you\n{root}|{root}/lib|{root}/logs|{root}/lib/modules|{root}/lib/scripts|true\n0\n"
    );
    assert_eq!(out(&library.release()?, "scripts/old.sh", &[])?, expected);
    assert_eq!(out(&library.working()?, "scripts/old.sh", &[])?, expected);
    // Also when the caller has such variables and exports them.
    let mut command = library.release()?.script("scripts/old.sh", &[])?.command();
    let done = end(command.env("code", "x").env("autoinit", "").env("LDI_ROOT", "/elsewhere"))?;
    assert_eq!(done.out.lines().nth(1).map(|l| l.split('|').next()), Some(Some("/elsewhere")));
    assert_eq!(done.out.lines().nth(2), Some("0"));
    Ok(())
}

#[test]
fn the_published_autoinit_serves_scripts_without_the_loader() -> Result<()> {
    let library = library()?;
    let script = "[ -z $autoinit ] && { . \"$1/modules/autoinit.sh\"; autoinit; }\n\
                  greet you\necho \"$code|$lib|$modules|$autoinit\"; autoinit; greet again\n";
    let root = library.root().display().to_string();
    let mut command = std::process::Command::new("/bin/bash");
    command.args(["-c", script, "x"]).arg(library.tree()).env_remove("LDI_ROOT");
    let done = end(&mut command)?;
    let expected = format!("hello, you\n{root}|{root}/lib|{root}/lib/modules|true\nhello, again\n");
    assert_eq!((done.out, done.err), (expected, String::new()));
    Ok(())
}

#[test]
fn strict_scripts_run_and_end_with_their_own_status() -> Result<()> {
    let mut library = library()?;
    library
        .file("modules/e.sh", "#!/bin/bash\nfails() { false; }\n")?
        .file(
            "scripts/strict.sh",
            format!("#!/bin/bash\nset -euo pipefail\n{GUARD}greet you\nfails\necho no\n"),
        )?
        .file(
            "scripts/line.sh",
            "#!/bin/bash -eu\ngreet you\necho \"$-\" | grep -q e\nfails\necho no\n",
        )?
        .file("scripts/trap.sh", "#!/bin/bash\ntrap 'echo bye $?' EXIT\ngreet you\nexit 7\n")?
        .file("scripts/kill.sh", "#!/bin/bash\nkill -TERM $$\nsleep 5\n")?
        .file("scripts/self.sh", "#!/bin/bash\necho $PPID $$\n")?;
    let namespace = library.release()?;
    let strict = run(namespace.script("scripts/strict.sh", &[])?)?;
    // `$autoinit` is set, so the guard ends with 1, which `set -e` forgives in a list.
    assert_eq!((strict.out.as_str(), strict.code), ("hello, you\n", Some(1)), "{strict:?}");
    let line = run(namespace.script("scripts/line.sh", &[])?)?;
    assert_eq!((line.out.as_str(), line.code), ("hello, you\n", Some(1)), "{line:?}");
    let trap = run(namespace.script("scripts/trap.sh", &[])?)?;
    assert_eq!((trap.out.as_str(), trap.code), ("hello, you\nbye 7\n", Some(7)));
    assert_eq!(run(namespace.script("scripts/kill.sh", &[])?)?.signal, Some(15));
    // No shell stays around: the script's parent is this test.
    let own = run(namespace.script("scripts/self.sh", &[])?)?.out;
    assert_eq!(own.split(' ').next(), Some(std::process::id().to_string().as_str()));
    Ok(())
}

#[test]
fn the_last_definition_wins_and_top_levels_take_effect() -> Result<()> {
    let mut library = Library::new()?;
    library
        .file("modules/10.sh", "f() { echo first; }\nx=1\n")?
        .file("modules/20.sh", "f() { echo second; }\nx=\"${x}2\"\n")?
        .file(
            "modules/30.sh",
            "export FROM_MODULE=yes\nif [ -n \"$HOME\" ]; then g() { f; }; fi\n",
        )?
        .file("modules/40.sh", "list+=(a)\n")?
        .file("modules/50.sh", "list+=(b)\n")?
        .file(
            "modules/60.sh",
            "[ -n \"$ONCE\" ] && return 0\nONCE=1\nonce() { echo \"$ONCE\"; }\n",
        )?
        .file(
            "scripts/x.sh",
            "#!/bin/bash\ng\necho $x\nsh -c 'echo $FROM_MODULE'\necho \"${list[@]}\"\nonce\n",
        )?;
    assert_eq!(out(&library.release()?, "scripts/x.sh", &[])?, "second\n12\nyes\na b\n1\n");
    Ok(())
}

#[test]
fn a_file_outside_the_tree_and_a_function_get_the_namespace() -> Result<()> {
    let library = library()?;
    let outside = library.root().join("o.sh");
    std::fs::write(&outside, "#!/bin/bash\ngreet \"$1\"; echo \"$0 ${BASH_SOURCE[0]}\"\n")?;
    let namespace = library.release()?;
    let done = run(namespace.outside(&outside, &words(&["you"]))?)?;
    let path = outside.display();
    assert_eq!(done.out, format!("hello, you\n{path} {path}\n"));
    let done = run(namespace.function("greet", &words(&["a  b*"]))?)?;
    assert_eq!((done.out.as_str(), done.code), ("hello, a  b*\n", Some(0)));
    let unknown = namespace.function("gret", &[]).err().map(|e| e.to_string());
    let said = "there is no function gret in the library; did you mean greet?";
    assert_eq!(unknown.as_deref(), Some(said));
    assert!(namespace.outside(&library.root().join("none.sh"), &[]).is_err());
    Ok(())
}

#[test]
fn a_library_of_many_modules_is_given_whole_to_who_needs_it() -> Result<()> {
    let mut library = Library::new()?;
    for n in 0..300 {
        let back = if n % 7 == 0 { "[ -n \"$none\" ] && return\n" } else { "" };
        library.file(&format!("modules/m{n:03}.sh"), format!("{back}f{n}() {{ echo f{n}; }}\n"))?;
    }
    library.file("modules/m999.sh", "broken( {\n")?;
    library.file(
        "scripts/all.sh",
        "#!/bin/bash\nfor n in 0 7 150 299; do \"f$n\"; done\ndeclare -F | wc -l\n",
    )?;
    let done = run(library.release()?.script("scripts/all.sh", &[])?)?;
    assert_eq!(done.out, "f0\nf7\nf150\nf299\n301\n", "{done:?}");
    assert!(done.err.contains("syntax error"));
    Ok(())
}

#[test]
fn the_shipped_scripts_reach_few_modules() -> Result<()> {
    let repository = e2e::parts::repository();
    let namespace = loader::Namespace::working(&repository)?;
    for folder in std::fs::read_dir(repository.join("scripts"))? {
        for file in std::fs::read_dir(folder?.path())? {
            let file = file?.path();
            let path = file.strip_prefix(&repository)?.display().to_string();
            namespace.script(&path, &[])?;
            let text = std::fs::read_to_string(&file)?;
            if text.starts_with("#!/bin/bash") || text.starts_with("#!/usr/bin/env bash") {
                let reached = namespace.reach(&path, &[])?;
                eprintln!("{path}: {reached:?}");
                anyhow::ensure!(reached.is_some(), "{path} is given every module");
            }
        }
    }
    Ok(())
}
