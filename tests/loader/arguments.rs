//! Argument vectors arrive as they were given, and a script knows where it stands.

use anyhow::Result;

use crate::setting::{Library, end, out, run, words};

const HARD: [&str; 9] = ["a b", "", "new\nline", "*", "-v", "--", "$HOME `id`", "é'\"\\", "-c"];

#[test]
fn arguments_are_exact() -> Result<()> {
    let mut library = Library::new()?;
    let shell = "printf '<%s>' \"$@\"\n";
    library
        .file("modules/m.sh", "show() { printf '<%s>' \"$@\"; }\n")?
        .file(
            "modules/m_tools.py",
            "def show(*args):\n    print(''.join('<%s>' % a for a in args), end='')\n",
        )?
        .file("scripts/x.sh", format!("#!/bin/bash\n{shell}"))?
        .file("scripts/p.sh", format!("#!/bin/sh\n{shell}"))?
        .file("scripts/e.sh", format!("#!/usr/bin/env bash\n{shell}"))?
        .file(
            "scripts/x.py",
            "import sys\nprint(''.join('<%s>' % a for a in sys.argv[1:]), end='')\n",
        )?;
    let expected: String = HARD.iter().map(|a| format!("<{a}>")).collect();
    for namespace in [library.release()?, library.working()?] {
        for script in ["scripts/x.sh", "scripts/p.sh", "scripts/e.sh", "scripts/x.py"] {
            assert_eq!(out(&namespace, script, &HARD)?, expected, "{script}");
        }
        for function in ["show", "m_tools.show"] {
            assert_eq!(run(namespace.function(function, &words(&HARD))?)?.out, expected);
        }
    }
    Ok(())
}

#[test]
fn a_script_knows_its_own_place() -> Result<()> {
    let mut library = Library::new()?;
    library
        .file("modules/m.sh", "where_am_i() { echo \"${BASH_SOURCE[0]}\"; }\n")?
        .file("conf/data.txt", "data\n")?
        .file(
            "scripts/tier/x.sh",
            "#!/bin/bash\necho \"$0\"; echo \"${BASH_SOURCE[0]}\"; echo \"$BASH_SOURCE\"\n\
             f() { echo \"${BASH_SOURCE%/*}\"; }; f\nwhere_am_i\n\
             cat \"$(dirname \"${BASH_SOURCE[0]}\")/../../conf/data.txt\"\n\
             [[ \"${BASH_SOURCE[0]}\" == \"$0\" ]] && echo main\n\
             cat <<'END'\n${BASH_SOURCE[0]}\nEND\necho '$BASH_SOURCE' $LINENO\n",
        )?
        .file(
            "scripts/tier/x.py",
            "import sys, os\nprint(__file__)\nprint(sys.argv)\nprint(__name__)\n\
             print(open(os.path.join(os.path.dirname(__file__), '../../conf/data.txt')).read(), end='')\n",
        )?;
    let tree = library.tree().display().to_string();
    for namespace in [library.release()?, library.working()?] {
        let own = format!("{tree}/scripts/tier/x.sh");
        let expected = format!(
            "{own}\n{own}\n{own}\n{tree}/scripts/tier\n{tree}/modules/m.sh\ndata\nmain\n\
             ${{BASH_SOURCE[0]}}\n$BASH_SOURCE 10\n"
        );
        assert_eq!(out(&namespace, "scripts/tier/x.sh", &[])?, expected);
        let own = format!("{tree}/scripts/tier/x.py");
        let expected = format!("{own}\n['{own}', 'a']\n__main__\ndata\n");
        assert_eq!(out(&namespace, "scripts/tier/x.py", &["a"])?, expected);
    }
    Ok(())
}

#[test]
fn start_up_files_are_not_read_and_stdin_is_the_callers() -> Result<()> {
    let mut library = Library::new()?;
    library.file("scripts/x.sh", "#!/bin/bash\necho \"${MARK:-none}\"; cat\n")?;
    let start_up = library.root().join("startup");
    std::fs::write(&start_up, "MARK=read\n")?;
    let input = library.root().join("input");
    std::fs::write(&input, "input\n")?;
    let launch = library.release()?.script("scripts/x.sh", &[])?;
    // As `ldi exec` does it: the caller's own environment, minus what bash would read.
    let mut command = std::process::Command::new("/usr/bin/env");
    let inner = launch.command();
    assert!(inner.get_envs().any(|(name, value)| name == "BASH_ENV" && value.is_none()));
    command.env("BASH_ENV", &start_up).arg("true");
    assert_eq!(end(&mut command)?.code, Some(0));
    let mut inner = inner;
    let done = inner.stdin(std::fs::File::open(&input)?).output()?;
    assert_eq!(String::from_utf8_lossy(&done.stdout), "none\ninput\n");
    Ok(())
}
