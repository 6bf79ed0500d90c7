//! The harness itself: what the other tests rely on.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Result, ensure};
use e2e::{
    Access, Sandbox, Sshd, command, need, program, rng::Rng, run, run_within, script_text, tree,
};

#[test]
fn sshd_lets_its_keys_do_what_they_may() -> Result<()> {
    if !need(&["sshd", "ssh", "ssh-keygen", "rsync"])? {
        return Ok(());
    }
    let sandbox = Sandbox::new()?;
    let sshd = Sshd::start(&sandbox.path("sshd"))?;
    let any = sshd.key("any", &Access::Any)?;
    let forced = sshd.key("forced", &Access::Forced("/bin/echo forced".into()))?;
    let stranger = sandbox.path("stranger");
    e2e::sshd::make_key(&stranger)?;
    let ssh = |key| -> Result<_> {
        let mut command = command(&program("ssh")?);
        command.args(sshd.client_options(key));
        run(command.arg(format!("{}@127.0.0.1", sshd.user())).args(["/bin/echo", "free"]))
    };
    ensure!(ssh(&any)?.success()?.out() == "free\n");
    ensure!(ssh(&forced)?.success()?.out() == "forced\n");
    ensure!(ssh(&stranger)?.code() == 255);

    sandbox.put("a/b", "text")?;
    let copy = sandbox.path("copy");
    std::fs::create_dir(&copy)?;
    let mut rsync = command(&program("rsync")?);
    rsync.arg("-ae").arg(format!("ssh {}", sshd.client_options(&any).join(" ")));
    rsync.arg(format!("{}@127.0.0.1:{}/", sshd.user(), sandbox.tree().display()));
    run(rsync.arg(&copy))?.success()?;
    tree::same(&sandbox.tree(), &copy)
}

#[test]
fn a_program_that_does_not_end_is_killed() -> Result<()> {
    let mut command = command(&program("sleep")?);
    let error = run_within(command.arg("60"), Duration::from_millis(200));
    ensure!(error.is_err_and(|error| error.to_string().contains("did not end")));
    Ok(())
}

#[test]
fn a_seed_gives_one_library() -> Result<()> {
    let mut library = script_text::library(1, 400);
    ensure!(library == script_text::library(1, 400));
    ensure!(library != script_text::library(2, 400));
    let paths: BTreeSet<&str> = library.iter().map(|script| script.path.as_str()).collect();
    ensure!(paths.len() == 400, "paths repeat");
    let bytes: usize = library.iter().map(|script| script.text.len()).sum();
    let average = bytes / library.len();
    ensure!((3400..4800).contains(&average), "{average} bytes on average");

    let sandbox = Sandbox::new()?;
    script_text::write(&sandbox.tree(), &library)?;
    let before = tree::read(&sandbox.tree())?;
    let paths = script_text::mutate(&sandbox.tree(), &mut library, &mut Rng::new(3), 10)?;
    let changed = tree::differences(&before, &tree::read(&sandbox.tree())?);
    ensure!(paths.len() == 10 && changed.len() == 10, "{changed:?}");
    Ok(())
}

#[test]
fn generated_text_compresses_as_scripts_do() -> Result<()> {
    if !need(&["gzip"])? {
        return Ok(());
    }
    let sandbox = Sandbox::new()?;
    let all: String = script_text::library(1, 400).into_iter().map(|script| script.text).collect();
    let path = sandbox.path("all");
    std::fs::write(&path, &all)?;
    let done = run(command(&program("gzip")?).arg("-c").arg(&path))?.success()?;
    let ratio = all.len() * 10 / done.stdout.len();
    ensure!((30..60).contains(&ratio), "gzip makes 1/{ratio} tenths of it");
    Ok(())
}

#[test]
fn trees_are_compared_by_content_mode_and_kind() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let (left, right) = (sandbox.path("left"), sandbox.path("right"));
    for side in [&left, &right] {
        tree::put(side, "a/b", b"text", false)?;
        tree::put(side, "c", b"", true)?;
    }
    tree::same(&left, &right)?;
    tree::put(&right, "c", b"", false)?;
    std::os::unix::fs::symlink("c", right.join("d"))?;
    let lines = tree::differences(&tree::read(&left)?, &tree::read(&right)?);
    ensure!(lines == ["differs: c", "only right: d"], "{lines:?}");
    Ok(())
}
