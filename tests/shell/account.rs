//! The account that `ssh_server/setup` makes, and what `ssh_server/verify` says about it.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use e2e::{parts::repository, process::Done};

use crate::{Kind, Server, server};

#[test]
fn setup_twice_changes_nothing_more() -> Result<()> {
    let Some(server) = server(Kind::Account)? else { return Ok(()) };
    let passwd = fs::read_to_string(server.path("etc/passwd"))?;
    let account = passwd.lines().find(|line| line.starts_with("util:")).context("no account")?;
    ensure!(account.ends_with(":/:/usr/local/bin/codesync-shell"), "{account}");
    let shadow = fs::read_to_string(server.path("etc/shadow"))?;
    ensure!(shadow.lines().any(|line| line.starts_with("util:*:")), "the password is not off");
    let keys = server.path("etc/codesync/authorized_keys");
    let found = keys.metadata()?;
    ensure!(found.uid() == 0 && found.mode() & 0o022 == 0, "the account could edit its keys");
    let library = server.library().metadata()?;
    ensure!(library.uid() != 0 && library.mode() & 0o022 == 0, "the library's folder");

    let setup = repository().join("ssh_server/setup");
    let before = e2e::tree::read(&server.path("etc"))?;
    let done = server.inside(&server.setup_words(&setup, &[])?)?.success()?;
    ensure!(done.out().lines().count() == 1, "a second run changed something: {done}");
    let changed = e2e::tree::differences(&before, &e2e::tree::read(&server.path("etc"))?);
    ensure!(changed.is_empty(), "{changed:?}");
    Ok(())
}

#[test]
fn setup_changes_and_removes_keys() -> Result<()> {
    let Some(server) = server(Kind::Account)? else { return Ok(()) };
    let setup = repository().join("ssh_server/setup").display().to_string();
    let machine = server.path("machine.pub").display().to_string();
    let shell = ["--no-reload", "--shell", "/usr/local/bin/codesync-shell"];
    let call = |args: &[&str]| -> Result<Done> {
        let words = [&[setup.as_str()][..], &shell, args].concat();
        let words: Vec<String> = words.into_iter().map(String::from).collect();
        server.inside(&words)
    };
    server.ssh("machine", &[], "codesync receive")?.expect_code(1)?;
    call(&["--publisher-key", &machine])?.success()?;
    server.ssh("machine", &[], "codesync receive")?.success()?;
    call(&["--remove-key", &machine])?.success()?;
    server.ssh("machine", &[], "codesync serve")?.expect_code(255)?;

    // A certificate of an authority, for the account's name only.
    let authority = server.path("probe.pub").display().to_string();
    call(&["--machine-ca", &authority])?.success()?;
    for (principal, code) in [("root", 255), ("util", 0)] {
        let keygen = e2e::program("ssh-keygen")?;
        let mut sign = e2e::command(&keygen);
        sign.args(["-q", "-s"]).arg(server.path("probe"));
        e2e::run(sign.args(["-I", "x", "-n", principal]).arg(&machine))?.success()?;
        server.ssh("machine", &[], "codesync serve")?.expect_code(code)?;
    }
    let records = server.records();
    let last = records.lines().last().unwrap_or_default();
    ensure!(last.contains("allowed key=SHA256:"), "{last}");

    // Files that are no keys, and options, are refused before anything is touched.
    let bad = server.path("bad.pub");
    for text in ["", "command=\"sh\" ssh-ed25519 AAAA\n", "ssh-ed25519 AAAA\n", "hello\n"] {
        fs::write(&bad, text)?;
        call(&["--machine-key", &bad.display().to_string()])?.expect_code(2)?;
    }
    call(&["--user", "root"])?.expect_code(2)?;
    call(&["--library", "/srv/a b"])?.expect_code(2)?;
    Ok(())
}

#[test]
fn a_bad_sshd_configuration_is_taken_back() -> Result<()> {
    let Some(server) = server(Kind::Account)? else { return Ok(()) };
    let dropin = server.path("etc/ssh/sshd_config.d/10-codesync.conf");
    let setup = repository().join("ssh_server/setup");
    let words = server.setup_words(&setup, &[])?;
    // Something else of the keeper's is wrong.
    fs::write(server.path("etc/ssh/sshd_config.d/00-bad.conf"), "NoSuchOption yes\n")?;
    fs::write(&dropin, "# as it was\n")?;
    let done = server.inside(&words)?.expect_code(78)?;
    ensure!(done.err().contains("NoSuchOption"), "{done}");
    ensure!(fs::read_to_string(&dropin)? == "# as it was\n");
    // A line that would let clients forge the login shell's words.
    fs::write(server.path("etc/ssh/sshd_config.d/00-bad.conf"), "AcceptEnv SSH_*\n")?;
    let done = server.inside(&words)?.expect_code(78)?;
    ensure!(done.err().contains("AcceptEnv"), "{done}");
    // The drop-in would not be read at all.
    fs::remove_file(server.path("etc/ssh/sshd_config.d/00-bad.conf"))?;
    fs::write(server.path("etc/ssh/sshd_config"), "")?;
    let done = server.inside(&words)?.expect_code(78)?;
    ensure!(done.err().contains("include "), "{done}");
    Ok(())
}

#[test]
fn the_login_shell_alone_holds() -> Result<()> {
    let Some(server) = server(Kind::Account)? else { return Ok(()) };
    // A key without a forced command: what was sent reaches the login shell as -c.
    let done = server.ssh("open", &[], "codesync serve")?.success()?;
    ensure!(
        done.out().trim() == "serve --library /srv/codesync --log /var/log/shell.log",
        "{done}"
    );
    for command in [
        "sh",
        "codesync receive",
        "codesync serve; id",
        "codesync-shell --library /srv/codesync --publish",
        "codesync-shell --library / --publish",
        "/usr/lib/openssh/sftp-server",
    ] {
        let done = server.ssh("open", &[], command)?;
        ensure!([1, 78].contains(&done.code()) && done.stdout.is_empty(), "{command}: {done}");
    }
    let done = server.run("sftp", "open", &["-q", "server:/etc/passwd", "."])?;
    ensure!(!done.status.success(), "{done}");
    // Anybody could have written these settings: nothing runs.
    let conf = server.path("etc/codesync/shell.conf");
    fs::set_permissions(&conf, fs::Permissions::from_mode(0o666))?;
    server.ssh("machine", &[], "codesync serve")?.expect_code(78)?;
    Ok(())
}

fn verify(server: &Server, key: &str, publisher: Option<&str>) -> Result<Done> {
    let mut command = e2e::command(&repository().join("ssh_server/verify"));
    command.args(["--host", "127.0.0.1", "--port", &server.port().to_string()]);
    command.args(["--user", &server.user()?, "--library", &server.served()]);
    command.arg("--identity").arg(server.path(key));
    if let Some(publisher) = publisher {
        command.arg("--publisher-identity").arg(server.path(publisher));
    }
    command.arg("--known-hosts").arg(server.path("known_hosts"));
    // Some sixty sessions, one after the other, on a machine that may have other work.
    e2e::run_within(&mut command, Duration::from_secs(330))
}

/// Puts the real codesync and a published library in place of the stand-ins.
fn publish(server: &Server) -> Result<()> {
    let real = e2e::bin("codesync")?;
    let library = server.library();
    let uid = library.metadata()?.uid();
    fs::remove_dir_all(&library)?;
    fs::rename(server.path("bin/codesync"), server.path("bin/echo"))?;
    fs::copy(&real, server.path("bin/codesync"))?;
    let tree = server.path("tree");
    fs::create_dir_all(tree.join("modules"))?;
    fs::write(tree.join("modules/a.sh"), "a() { :; }\n")?;
    let keys = server.path("keys");
    let call = |more: &[&str]| -> Result<()> {
        let mut command = e2e::command(&real);
        command.arg(more[0]).arg("--library").arg(&library).arg("--keys").arg(&keys);
        e2e::run(command.args(&more[1..]))?.success()?;
        Ok(())
    };
    call(&["init"])?;
    call(&["publish", "--tree", &tree.display().to_string()])?;
    let owner = format!("{uid}:{uid}");
    e2e::run(e2e::command(&e2e::program("chown")?).args(["-R", &owner]).arg(&library))?
        .success()?;
    Ok(())
}

#[test]
fn verify_passes_the_account() -> Result<()> {
    let Some(server) = server(Kind::Account)? else { return Ok(()) };
    if !e2e::parts::need_bins(&["codesync"])? {
        return Ok(());
    }
    publish(&server)?;
    let before = server.snapshot()?;
    let done = verify(&server, "machine", Some("publisher"))?.success()?;
    let passed = done.out().lines().filter(|line| line.starts_with("PASS")).count();
    ensure!(passed > 100, "{done}");
    let changed = e2e::tree::differences(&before, &server.snapshot()?);
    ensure!(changed.is_empty(), "the library changed: {changed:?}");
    Ok(())
}

#[test]
fn verify_sees_an_open_account() -> Result<()> {
    let Some(server) = server(Kind::Forced)? else { return Ok(()) };
    let done = verify(&server, "open", None)?.expect_code(1)?;
    let out = done.out();
    // `echo` in codesync's place answers no refresh, and that is noticed too.
    for hole in
        ["not run: id", "no sftp", "no rsync of /etc/", "no forwarding to", "no forwarding from"]
    {
        let seen = out.lines().any(|line| line.starts_with("FAIL") && line.contains(hole));
        ensure!(seen, "{hole} was not noticed: {out}");
    }
    Ok(())
}
