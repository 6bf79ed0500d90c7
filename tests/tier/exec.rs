//! `ldi exec`, `ldi call`, `pyexec`, `autoinit`: the script's own exit status, verified bytes.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{
        fs::{PermissionsExt, symlink},
        process::CommandExt,
    },
};

use anyhow::{Result, ensure};
use e2e::{bin, command, run, tree};

use crate::client::Client;

fn library(client: &Client) -> Result<()> {
    client
        .file("modules/greet.sh", "greet() { printf 'hello <%s>\\n' \"$@\"; return 4; }\n")?
        .file("modules/greet_tools.py", "def greet(*names):\n    return 'hello ' + ' '.join(names)\n")?
        .script("scripts/tools/hi", "#!/bin/bash\ngreet \"$@\" || exit 9\n")?
        .script("scripts/tools/hi.py", "#!/usr/bin/env python3\nimport sys, greet_tools\nprint(greet_tools.greet(*sys.argv[1:]))\nsys.exit(5)\n")?
        .publish()?;
    client.ldi(0, &["sync"])?;
    Ok(())
}

#[test]
fn a_script_is_the_process() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    library(&client)?;
    let done = client.ldi(9, &["exec", "scripts/tools/hi", "a b", "-v", "--tree"])?;
    ensure!(done.out() == "hello <a b>\nhello <-v>\nhello <--tree>\n", "{done}");
    let by_path = client.sandbox.lib().join("scripts/tools/hi");
    client.ldi(9, &["exec", &by_path.display().to_string()])?;
    ensure!(client.ldi(5, &["exec", "scripts/tools/hi.py", "you"])?.out() == "hello you\n");
    ensure!(client.ldi(4, &["call", "greet", "x"])?.out() == "hello <x>\n");
    ensure!(client.ldi(0, &["call", "greet_tools.greet", "x"])?.out() == "hello x\n");
    let err = client.ldi(2, &["call", "gret"])?.err();
    ensure!(err.contains("greet"), "{err}");
    let own = client.sandbox.path("own.sh");
    fs::write(&own, "#!/bin/bash\ngreet own\n")?;
    ensure!(client.ldi(4, &["exec", &own.display().to_string()])?.out() == "hello <own>\n");
    client.ldi(2, &["exec", "scripts/none"])?;

    tree::put(&client.sandbox.tree(), "modules/greet.sh", b"greet() { echo working; }\n", false)?;
    let work = client.sandbox.tree().display().to_string();
    ensure!(client.ldi(0, &["exec", "--tree", &work, "scripts/tools/hi"])?.out() == "working\n");
    ensure!(client.ldi(0, &["call", "--tree", &work, "greet"])?.out() == "working\n");
    Ok(())
}

#[test]
fn the_old_names_are_the_same_program() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    library(&client)?;
    for name in ["pyexec", "autoinit"] {
        symlink(bin("ldi")?, client.sandbox.path(name))?;
    }
    let old = |name: &str, words: &[&str]| {
        run(command(&client.sandbox.path(name))
            .env("LDI_CONFIG", client.sandbox.config())
            .args(words))
    };
    let done = old("pyexec", &["scripts/tools/hi.py", "old"])?.expect_code(5)?;
    ensure!(done.out() == "hello old\n", "{done}");
    let done = old("autoinit", &["scripts/tools/hi", "old"])?.expect_code(9)?;
    ensure!(done.out() == "hello <old>\n", "{done}");
    ensure!(old("autoinit", &[])?.success()?.out().contains("autoinit FILE"));
    Ok(())
}

#[test]
fn a_tampered_file_is_refused_and_noted() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    library(&client)?;
    let lib = fs::canonicalize(client.sandbox.lib())?;
    fs::remove_file(lib.join("modules/greet.sh"))?;
    tree::put(&lib, "modules/greet.sh", b"greet() { echo evil; }\n", false)?;
    let done = client.ldi(76, &["exec", "scripts/tools/hi"])?;
    ensure!(done.out().is_empty() && done.err().contains("modules/greet.sh"), "{done}");
    ensure!(client.json(0, &["status"])?["damaged"] == true);
    let verified = client.json(76, &["verify"])?;
    ensure!(verified["damaged"][0] == "modules/greet.sh", "{verified}");
    client.ldi(0, &["sync"])?;
    client.ldi(9, &["exec", "scripts/tools/hi"])?;
    Ok(())
}

#[test]
fn people_without_rights_can_exec() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("left out: only root can become another user");
        return Ok(());
    }
    library(&client)?;
    fs::set_permissions(client.sandbox.path(""), fs::Permissions::from_mode(0o755))?;
    // The built program may stand in a folder that only root can reach.
    let program = client.sandbox.path("ldi");
    fs::copy(bin("ldi")?, &program)?;
    let as_nobody = |words: &[&str]| {
        let mut command = command(&program);
        command.env("LDI_CONFIG", client.sandbox.config()).args(words).uid(65534).gid(65534);
        run(command.current_dir("/"))
    };
    let done = as_nobody(&["exec", "scripts/tools/hi", "you"])?.expect_code(9)?;
    ensure!(done.out() == "hello <you>\n", "{done}");
    as_nobody(&["run", "daily", "--no-sync"])?.expect_code(77)?;
    as_nobody(&["history"])?.expect_code(77)?;
    Ok(())
}

/// `NAME=value` of what a script saw, and where it stood.
fn seen(bytes: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().filter_map(|line| line.split_once('='));
    lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn as_a_job_a_script_sees_what_the_job_sees() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    let look = "#!/bin/bash\nenv\necho \"place=$PWD\"\necho \"mask=$(umask)\"\necho \"in=$(cat)\"\necho \"n=$#\"\n";
    client
        .file("modules/m.sh", "look() { env; echo \"place=$PWD\"; echo \"mask=$(umask)\"; }\n")?
        .script("scripts/daily/look", look)?
        .publish()?;
    let report = client.daily(0)?;
    let job = seen(&client.output("daily/look")?);
    ensure!(job.len() > 12 && job["LDI_JOB"] == "daily/look", "{report} {job:?}");

    fs::create_dir(client.sandbox.path("home"))?;
    let exec = |words: &[&str]| {
        let mut command = command(&bin("ldi")?);
        command.arg("--config").arg(client.sandbox.config()).args(words);
        command.env("SECRET_OF_THE_CALLER", "x").env("HOME", client.sandbox.path("home"));
        run(command.current_dir("/tmp").stdin(std::process::Stdio::null()))?.success()
    };
    let by_hand = seen(&exec(&["exec", "--as-job", "scripts/daily/look"])?.stdout);
    let names = |of: &BTreeMap<String, String>| of.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&by_hand), names(&job));
    for (name, value) in &job {
        ensure!(
            name == "LDI_RUN" || by_hand[name] == *value,
            "{name}: {value:?}, by hand {:?}",
            by_hand[name]
        );
    }

    // A trial of an unpublished tree has a state of its own.
    let tree = client.sandbox.tree().display().to_string();
    let trial = seen(&exec(&["exec", "--as-job", "--tree", &tree, "scripts/daily/look"])?.stdout);
    assert_eq!(names(&trial), names(&job));
    assert_eq!((trial["LDI_RELEASE"].as_str(), trial["LDI_LIB"].as_str()), ("0", tree.as_str()));
    let state = client.sandbox.path("home").join(".local/state/ldi/var/daily/look");
    assert_eq!(trial["LDI_STATE_DIR"], state.display().to_string());
    ensure!(state.is_dir(), "there is no {}", state.display());
    let call = seen(&exec(&["call", "--as-job", "look"])?.stdout);
    assert_eq!((call["LDI_JOB"].as_str(), call["place"].as_str()), ("exec/look", "/"));

    // Without it, as ever: the caller's surroundings.
    let plain = seen(&exec(&["exec", "scripts/daily/look"])?.stdout);
    assert_eq!((plain["SECRET_OF_THE_CALLER"].as_str(), plain["place"].as_str()), ("x", "/tmp"));
    ensure!(!plain.contains_key("LDI_RUN") && !plain.contains_key("LDI_NOOP"), "{plain:?}");
    Ok(())
}

#[test]
fn a_dry_run_is_told_to_the_script() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    client
        .file("modules/m.sh", "dry() { echo \"noop=${LDI_NOOP:-}\"; }\n")?
        .script("scripts/daily/dry", "#!/bin/bash\ndry \"$@\"\n")?
        .publish()?;
    client.ldi(0, &["sync"])?;
    for (words, expected) in [
        (&["exec", "--noop", "scripts/daily/dry"][..], "noop=1\n"),
        (&["exec", "--noop", "--as-job", "scripts/daily/dry"], "noop=1\n"),
        (&["exec", "scripts/daily/dry", "--noop"], "noop=\n"),
        (&["call", "--noop", "dry"], "noop=1\n"),
        (&["call", "dry"], "noop=\n"),
    ] {
        assert_eq!(client.ldi(0, words)?.out(), expected, "{words:?}");
    }
    Ok(())
}
