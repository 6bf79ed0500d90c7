//! Everything else that a client may try: nothing gets through, nothing changes.

use std::{fs, os::unix::fs::symlink};

use anyhow::{Result, bail, ensure};
use e2e::process::Done;

use crate::{Kind, Server, forwarding, server};

/// Commands in the words of OpenSSH's client. LIB stands for the library's folder.
const COMMANDS: &[&str] = &[
    "sh",
    "/bin/sh -c id",
    "bash -i",
    "id",
    "cat /etc/passwd",
    "cat LIB/rings/stable/1.root.json",
    "codesync serve; id",
    "codesync serve && id",
    "codesync serve || id",
    "codesync serve | id",
    "codesync serve & id",
    "codesync serve $(id)",
    "codesync serve `id`",
    "codesync serve\nid",
    "codesync serve\r\nid",
    "\ncodesync serve",
    "codesync\tserve",
    "codesync serve > LIB/x",
    "codesync serve < /etc/passwd",
    "codesync serve #",
    "codesync 'serve'",
    "\"codesync\" serve",
    "codesync\\ serve",
    "codesync serve ~",
    "codesync serve *",
    "codesync serve $HOME",
    "codesync serve \u{1b}[2J",
    "codesync serve \u{7f}",
    "codesync serv\u{e9}",
    "\u{441}odesync serve",
    "codesync\u{a0}serve",
    "codesync serve --library /etc",
    "codesync serve --library LIB/..",
    "codesync serve --library LIB/../codesync",
    "codesync serve --library LIB --library /etc",
    "codesync serve --keys /etc",
    "codesync serve LIB",
    "codesync --library LIB serve",
    "codesync publish --library LIB --tree /etc",
    "codesync push",
    "codesync receive",
    "codesync receive --library LIB",
    "/usr/local/bin/codesync serve",
    "./codesync serve",
    "../codesync serve",
    "env codesync serve",
    "PATH=/tmp codesync serve",
    "LD_PRELOAD=/tmp/x.so codesync serve",
    "exec codesync serve",
    "codesync-shell --library / --publish",
    "codesync-shell -c id",
    " -c id",
    "internal-sftp",
    "/usr/lib/openssh/sftp-server",
    "scp -f /etc/passwd",
    "scp -t LIB",
    "git-upload-pack /etc",
    "git-shell -c id",
    "rsync",
    "rsync --version",
    "rsync --daemon",
    "rsync --server --daemon .",
    "rsync --server --daemon --config=/etc/rsyncd.conf .",
    "rsync --server -vlogDtpre.iLsfxCIvu . LIB/export/stable/",
    "rsync --server -vlogDtpre.iLsfxCIvu --delete . LIB/export/stable/",
    "rsync --sender --server -re.iLsfxCIvu . LIB/export/stable/",
    "rsync --server --sender -slogDtpre.iLsfxCIvu",
    "rsync --server --sender -slogDtpre.iLsfxCIvu . LIB/export/stable/",
    "rsync --server --sender --secluded-args -re.iLsfxCIvu",
    "rsync --server --sender -Lre.iLsfxCIvu . LIB/export/stable/",
    "rsync --server --sender -kre.iLsfxCIvu . LIB/export/stable/",
    "rsync --server --sender -re.iLsfxCIvu --copy-unsafe-links . LIB/export/stable/",
    "rsync --server --sender -re.iLsfxCIvu --remove-source-files . LIB/export/stable/",
    "rsync --server --sender -re.iLsfxCIvu --files-from=/etc/passwd . LIB/export/stable/",
    "rsync --server --sender -re.iLsfxCIvu --files-from=- --from0 . LIB/export/stable/",
    "rsync --server --sender -re.iLsfxCIvu --log-file=LIB/x . LIB/export/stable/",
    "rsync --server --sender -re.iLsfxCIvu --write-batch=LIB/x . LIB/export/stable/",
    "rsync --server --sender -re.iLsfxCIvu -T LIB . LIB/export/stable/",
    "rsync --server --sender -re.iLsfxCIvu --temp-dir=LIB . LIB/export/stable/",
    "rsync --server --sender -re.iLsfxCIvu --rsh=sh . LIB/export/stable/",
    "rsync --server --sender -re sh . LIB/export/stable/",
    "rsync --server --sender -e.iLsfxCIvu --no-sender . LIB/export/stable/",
    "rsync --server --sender -re.iLsfxCIvu . LIB/export/stable/ /etc/",
    "rsync --server --sender -re.iLsfxCIvu /etc LIB/export/stable/",
    "rsync --server --sender -re.iLsfxCIvu . LIB/export/stable/ --copy-links",
    "rsync --server --sender -re.iLsfxCIvu . /etc/",
    "rsync --server --sender -re.iLsfxCIvu . /",
    "rsync --server --sender -re.iLsfxCIvu . .",
    "rsync --server --sender -re.iLsfxCIvu . ../",
    "rsync --server --sender -re.iLsfxCIvu . LIB/",
    "rsync --server --sender -re.iLsfxCIvu . LIB/rings/",
    "rsync --server --sender -re.iLsfxCIvu . LIB/export/",
    "rsync --server --sender -re.iLsfxCIvu . LIB/export/stable/../../rings/",
    "rsync --server --sender -re.iLsfxCIvu . LIB/export/stable/../../../secret",
    "rsync --server --sender -re.iLsfxCIvu . LIB/export/../../secret",
    "rsync --server --sender -re.iLsfxCIvu . stable/../../rings/",
    "rsync --server --sender -re.iLsfxCIvu . LIB/export/stable/out/",
    "rsync --server --sender -re.iLsfxCIvu . LIB/export/stable/out",
    "rsync --server --sender -re.iLsfxCIvu . LIB/export/stable/modules/passwd",
    "rsync --server --sender -re.iLsfxCIvu . stable/up/",
    "rsync --server --sender -re.iLsfxCIvu . LIB/export/early/",
    "rsync --server --sender -re.iLsfxCIvu . LIB/export/stable/*",
    "rsync --server --sender -re.iLsfxCIvu . ~/",
    "rsync --server --sender -re.iLsfxCIvu . :/etc/",
    "rsync://127.0.0.1/etc",
];

/// What programs of a client's side try. DST is a folder there, SRC a file there.
const PROGRAMS: &[(&str, &[&str])] = &[
    ("ssh", &["-T", "server"]),
    ("ssh", &["-tt", "server"]),
    ("ssh", &["-tt", "server", "sh"]),
    ("ssh", &["-s", "server", "sftp"]),
    ("ssh", &["-s", "server", "netconf"]),
    ("ssh", &["-o", "SetEnv=SSH_ORIGINAL_COMMAND=id BASH_ENV=/etc/passwd", "server", "id"]),
    ("ssh", &["-o", "SetEnv=LD_PRELOAD=/tmp/x.so LD_LIBRARY_PATH=/tmp", "server", "id"]),
    ("sftp", &["-q", "-b", "BATCH", "server"]),
    ("sftp", &["-q", "-s", "/usr/lib/openssh/sftp-server", "-b", "BATCH", "server"]),
    ("sftp", &["-q", "server:/etc/passwd", "DST"]),
    ("scp", &["-q", "server:/etc/passwd", "DST"]),
    ("scp", &["-q", "-r", "server:LIB", "DST"]),
    ("scp", &["-q", "SRC", "server:LIB/x"]),
    ("scp", &["-q", "-O", "server:/etc/passwd", "DST"]),
    ("scp", &["-q", "-O", "-r", "server:LIB", "DST"]),
    ("scp", &["-q", "-O", "SRC", "server:LIB/x"]),
    ("rsync", &["-a", "SRC", "server:LIB/export/stable/"]),
    ("rsync", &["-a", "--delete", "DST/", "server:LIB/export/stable/"]),
    ("rsync", &["-a", "SRC", "server:stable/"]),
    ("rsync", &["-a", "--rsync-path=/bin/sh", "server:LIB/export/stable/", "DST/"]),
    ("rsync", &["-a", "--rsync-path=id; rsync", "server:LIB/export/stable/", "DST/"]),
    ("rsync", &["-a", "--rsync-path=sudo rsync", "server:LIB/export/stable/", "DST/"]),
    ("rsync", &["-a", "--remote-option=--log-file=LIB/x", "server:stable/", "DST/"]),
    ("rsync", &["-a", "--remote-option=--remove-source-files", "server:stable/", "DST/"]),
    ("rsync", &["-a", "--secluded-args", "server:LIB/export/stable/", "DST/"]),
    ("rsync", &["-a", "--secluded-args", "server:/etc/", "DST/"]),
    ("rsync", &["-a", "--copy-links", "server:LIB/export/stable/", "DST/"]),
    ("rsync", &["-a", "--copy-unsafe-links", "server:LIB/export/stable/", "DST/"]),
    ("rsync", &["-a", "--remove-source-files", "server:LIB/export/stable/", "DST/"]),
    ("rsync", &["-a", "--files-from=:/etc/passwd", "server:LIB/export/stable/", "DST/"]),
    ("rsync", &["-aR", "server:LIB/export/stable/", "DST/"]),
    ("rsync", &["-a", "server:/etc/", "DST/"]),
    ("rsync", &["-a", "server:../", "DST/"]),
    ("rsync", &["-a", "server:", "DST/"]),
    ("rsync", &["-a", "server:stable/$(id)", "DST/"]),
    ("rsync", &["-a", "server:LIB/export/stable/", ":/etc/", "DST/"]),
    ("rsync", &["-a", "server::stable", "DST/"]),
];

fn nothing_else(kind: Kind) -> Result<()> {
    let Some(server) = server(kind)? else { return Ok(()) };
    // Links that a released tree cannot have, but a careless hand could make.
    let ring = server.library().join("export/stable");
    symlink("/etc", ring.join("out"))?;
    symlink("/etc/passwd", ring.join("modules/passwd"))?;
    symlink("../../rings", ring.join("up"))?;
    let before = server.snapshot()?;
    let mut tried = 0;
    // One connection for all of them: each is a session of its own all the same.
    let socket = server.path("run/mux").display().to_string();
    let _master = forwarding::master(&server, "machine", &socket)?;
    for command in COMMANDS {
        let command = command.replace("LIB", &server.served());
        let done = server.ssh("machine", &["-S", &socket], &command)?;
        refused(&done, &command)?;
        tried += 1;
    }
    // What a publisher's key must not do either.
    for command in ["sh", "codesync receive --library /etc", "codesync publish", "scp -t ."] {
        refused(&server.ssh("publisher", &[], command)?, command)?;
        tried += 1;
    }
    for command in overlong() {
        let file = server.client("machine")?;
        let text = fs::read_to_string(&file)? + " RemoteCommand " + &command + "\n";
        let long = server.path("client-long");
        fs::write(&long, text)?;
        let mut ssh = e2e::command(&e2e::program("ssh")?);
        let done = e2e::run(ssh.arg("-F").arg(&long).arg("server"))?;
        nothing(&done)?;
        tried += 1;
    }
    for (name, args) in PROGRAMS {
        tried += 1;
        let got = server.path(&format!("got-{tried}"));
        fs::create_dir(&got)?;
        fs::write(server.path("sent"), "written by an attacker\n")?;
        fs::write(server.path("batch"), format!("ls\nput {}\n", server.path("sent").display()))?;
        let args: Vec<String> = args
            .iter()
            .map(|arg| {
                arg.replace("LIB", &server.served())
                    .replace("DST", &got.display().to_string())
                    .replace("SRC", &server.path("sent").display().to_string())
                    .replace("BATCH", &server.path("batch").display().to_string())
            })
            .collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let done = match *name {
            "rsync" => server.rsync("machine", &args)?,
            name => server.run(name, "machine", &args)?,
        };
        nothing(&done)?;
        let left = fs::read_dir(&got)?.count();
        ensure!(left == 0, "{left} files came back: {done}");
    }
    tried += forwarding::refused(&server)?;
    tried += through_filters(&server)?;
    let changed = e2e::tree::differences(&before, &server.snapshot()?);
    ensure!(changed.is_empty(), "the library changed: {changed:?}");
    ensure!(tried >= 30, "only {tried} attempts");
    println!("{tried} attempts, none got through");
    Ok(())
}

/// The client must hear codesync-shell's one sentence, and nothing else.
fn refused(done: &Done, command: &str) -> Result<()> {
    let sentence = done.err().lines().filter(|line| line.starts_with("codesync-shell: ")).count();
    if done.code() != 1 || !done.stdout.is_empty() || sentence != 1 {
        bail!("{command:?} was not refused as it should: {done}");
    }
    Ok(())
}

/// It failed and brought nothing.
fn nothing(done: &Done) -> Result<()> {
    let out = done.out();
    ensure!(!done.status.success(), "it succeeded: {done}");
    ensure!(!out.contains("uid=") && !out.contains("root:"), "something came back: {done}");
    Ok(())
}

/// One command beyond codesync-shell's bound, one beyond what Linux takes as one argument.
fn overlong() -> [String; 2] {
    [5_000, 200_000].map(|length| format!("codesync serve {}", "x".repeat(length)))
}

/// Filter rules travel over the protocol, past every check of the command, and can name files:
/// rsync reads them as rules and complains about their text.
fn through_filters(server: &Server) -> Result<usize> {
    let secret = match server.kind() {
        Kind::Forced => server.path("srv/secret").display().to_string(),
        Kind::Account => "/srv/secret".to_owned(),
    };
    let from = format!("server:{}/export/stable/", server.served());
    let rules = [format!(": {secret}"), format!(":C {secret}"), format!("dir-merge,- {secret}")];
    for rule in &rules {
        let to = format!("{}/", server.path("filtered").display());
        let done = server.rsync("machine", &["-a", "--filter", rule, &from, &to])?;
        let said = done.out() + &done.err();
        ensure!(!said.contains("SECRET") && !said.contains("filter rule"), "{done}");
    }
    Ok(rules.len())
}

#[test]
fn nothing_else_gets_through_the_forced_command() -> Result<()> {
    nothing_else(Kind::Forced)
}

#[test]
fn nothing_else_gets_out_of_the_account() -> Result<()> {
    nothing_else(Kind::Account)
}

/// With an unlimited key the same attempts succeed: the tests above can see a hole.
#[test]
fn the_attempts_are_real() -> Result<()> {
    let Some(server) = server(Kind::Forced)? else { return Ok(()) };
    ensure!(server.ssh("open", &[], "codesync serve 2>&1; id")?.out().contains("uid="));
    fs::write(server.path("batch"), "ls\n")?;
    let batch = server.path("batch").display().to_string();
    server.run("sftp", "open", &["-q", "-b", &batch, "server"])?.success()?;
    let to = format!("{}/", server.path("got").display());
    let from = format!("server:{}/rings/", server.served());
    server.rsync("open", &["-a", &from, &to])?.success()?;
    let rule = format!(": {}", server.path("srv/secret").display());
    let from = format!("server:{}/export/stable/", server.served());
    let done = server.rsync("open", &["-a", "--filter", &rule, &from, &to])?;
    ensure!(done.err().contains("filter rule"), "rsync no longer reads it: {done}");
    forwarding::succeeds(&server)
}
