//! A server with a library, a real sshd, and clients of it. Two kinds:
//! `Kind::Forced` runs as whoever tests, with an sshd that allows all it can, so that only the
//! line in authorized_keys stands in the way; `Kind::Account` is what `ssh_server/setup` makes of
//! Debian's own configuration, in a mount namespace that leaves this machine's files alone.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use e2e::{
    bin,
    parts::{program, repository},
    process::{self, Done, run_within},
    tree::{self, Tree},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, User, getuid},
};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(40);

/// Who guards the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The forced command alone.
    Forced,
    /// The account, its login shell, its keys and its sshd drop-in.
    Account,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    dir: TempDir,
    kind: Kind,
    port: u16,
    sshd: Option<Child>,
}

impl Server {
    /// A server whose keys `machine` and `publisher` are set up and whose key `open` is not
    /// limited by its line.
    pub fn start(kind: Kind) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("codesync-shell-").tempdir()?;
        let mut server = Self { dir, kind, port: 0, sshd: None };
        server.fill()?;
        for key in ["host", "machine", "publisher", "open", "probe"] {
            process::run(
                process::command(&program("ssh-keygen")?)
                    .args(["-q", "-t", "ed25519", "-N", "", "-C", key, "-f"])
                    .arg(server.path(key)),
            )?
            .success()?;
        }
        match kind {
            Kind::Forced => server.forced()?,
            Kind::Account => server.account()?,
        }
        server.boot()?;
        Ok(server)
    }

    /// A path in the server's own folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The library as this process sees it.
    pub fn library(&self) -> PathBuf {
        self.path("srv/codesync")
    }

    /// The library as the server's keys name it.
    pub fn served(&self) -> String {
        match self.kind {
            Kind::Forced => self.library().display().to_string(),
            Kind::Account => "/srv/codesync".to_owned(),
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn user(&self) -> Result<String> {
        Ok(match self.kind {
            Kind::Forced => User::from_uid(getuid())?.context("no account entry")?.name,
            Kind::Account => "util".to_owned(),
        })
    }

    /// Everything under the library.
    pub fn snapshot(&self) -> Result<Tree> {
        tree::read(&self.library())
    }

    /// The records of codesync-shell.
    pub fn records(&self) -> String {
        fs::read_to_string(self.path("log/shell.log")).unwrap_or_default()
    }

    fn fill(&self) -> Result<()> {
        let ring = self.library().join("export/stable");
        fs::create_dir_all(ring.join("modules/deep/er"))?;
        for folder in ["objects/ab", "rings/stable"] {
            fs::create_dir_all(self.library().join(folder))?;
        }
        for (name, text) in [("modules/a.sh", "a() { :; }\n"), ("run", "#!/bin/sh\n"), ("e", "")] {
            fs::write(ring.join(name), text)?;
        }
        fs::write(ring.join("modules/deep/er/big"), vec![7u8; 300_000])?;
        fs::write(ring.join("modules/sp ace \u{e9}.sh"), "odd name\n")?;
        fs::set_permissions(ring.join("run"), fs::Permissions::from_mode(0o755))?;
        fs::write(self.library().join("objects/ab/object"), "an object\n")?;
        fs::write(self.library().join("rings/stable/1.root.json"), "{}\n")?;
        // What nobody may get, beside the library and where rsync filters could look for it.
        fs::write(self.path("srv/secret"), "SECRET of the keeper\n")?;
        for name in ["log", "bin", "run"] {
            fs::create_dir(self.path(name))?;
        }
        fs::set_permissions(self.path("log"), fs::Permissions::from_mode(0o777))?;
        // Stands for codesync: shows its words, so that a test sees what was run.
        fs::copy(program("echo")?, self.path("bin/codesync"))?;
        fs::copy(bin("codesync-shell")?, self.path("bin/codesync-shell"))?;
        Ok(())
    }

    fn forced(&self) -> Result<()> {
        let shell = self.path("bin/codesync-shell");
        let line = format!(
            "{} --library {} --log {}",
            shell.display(),
            self.served(),
            self.path("log/shell.log").display()
        );
        let bash = program("bash")?;
        let probe = format!("{line} --publish --codesync {}", bash.display());
        let mut keys = String::new();
        for (key, command) in [
            ("machine", Some(line.clone())),
            ("publisher", Some(format!("{line} --publish"))),
            ("probe", Some(probe)),
            ("open", None),
        ] {
            if let Some(command) = command {
                keys.push_str(&format!("restrict,command=\"{command}\" "));
            }
            keys.push_str(&self.public(key)?);
        }
        fs::write(self.path("authorized_keys"), keys)?;
        // As permissive as sshd can be.
        let text = format!(
            "AuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n\
             Subsystem sftp internal-sftp\nExposeAuthInfo yes\nAcceptEnv *\nPermitTTY yes\n\
             PermitUserRC yes\nPermitUserEnvironment yes\nPermitTunnel yes\nGatewayPorts yes\n\
             AllowTcpForwarding yes\nAllowStreamLocalForwarding yes\nAllowAgentForwarding yes\n\
             X11Forwarding yes\n",
            self.path("authorized_keys").display()
        );
        fs::write(self.path("sshd_config"), text)?;
        Ok(())
    }

    fn account(&self) -> Result<()> {
        process::run(process::command(&program("cp")?).args(["-a", "/etc"]).arg(self.path("etc")))?
            .success()?;
        fs::set_permissions(self.path("srv"), fs::Permissions::from_mode(0o755))?;
        let setup = repository().join("ssh_server/setup");
        self.inside(&self.setup_words(&setup, &["--dry-run"])?)?.success()?;
        ensure!(!self.path("etc/codesync").exists(), "--dry-run must change nothing");
        self.inside(&self.setup_words(&setup, &[])?)?.success()?;
        // What a careless keeper adds by hand: a key without its line's limits.
        let keys = self.path("etc/codesync/authorized_keys");
        fs::write(&keys, fs::read_to_string(&keys)? + &self.public("open")?)?;
        let conf = self.path("etc/codesync/shell.conf");
        fs::write(&conf, fs::read_to_string(&conf)? + "log = /var/log/shell.log\n")?;
        Ok(())
    }

    /// The words that set this server up.
    pub fn setup_words(&self, setup: &Path, more: &[&str]) -> Result<Vec<String>> {
        let mut words = vec![setup.display().to_string()];
        for key in ["machine", "publisher"] {
            let file = self.path(key).with_extension("pub");
            words.extend([format!("--{key}-key"), file.display().to_string()]);
        }
        words.extend(["--no-reload", "--shell", "/usr/local/bin/codesync-shell"].map(String::from));
        words.extend(more.iter().map(|word| (*word).to_owned()));
        Ok(words)
    }

    fn public(&self, key: &str) -> Result<String> {
        Ok(fs::read_to_string(self.path(key).with_extension("pub"))?)
    }

    /// Runs words on the server's side.
    pub fn inside(&self, words: &[String]) -> Result<Done> {
        process::run(&mut self.namespace(words)?)
    }

    /// The command that runs `words` with the server's /etc, /srv, /usr/local/bin and /var/log.
    fn namespace(&self, words: &[String]) -> Result<Command> {
        // Arguments, not text: $0 is the folder, "$@" the words.
        let script = "set -e; mount --bind \"$0/etc\" /etc; mount --bind \"$0/srv\" /srv; \
             mount --bind \"$0/bin\" /usr/local/bin; mount --bind \"$0/log\" /var/log; \
             mkdir -p /run/sshd; exec \"$@\"";
        let mut command = process::command(&program("unshare")?);
        command.args(["--mount", "--"]).arg(program("sh")?).args(["-c", script]);
        command.arg(self.dir.path()).args(words);
        Ok(command)
    }

    fn boot(&mut self) -> Result<()> {
        for _ in 0..5 {
            // Between choosing a free port and sshd's own bind somebody else may take it.
            self.port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            let sshd = program("sshd")?.display().to_string();
            let config = match self.kind {
                Kind::Forced => self.path("sshd_config"),
                Kind::Account => "/etc/ssh/sshd_config".into(),
            };
            let words: Vec<String> = [
                sshd.as_str(),
                "-D",
                "-e",
                "-f",
                &config.display().to_string(),
                "-p",
                &self.port.to_string(),
                "-h",
                &self.path("host").display().to_string(),
                "-o",
                "ListenAddress=127.0.0.1",
                "-o",
                "PidFile=none",
                "-o",
                "UsePAM=no",
                "-o",
                "MaxStartups=100",
                "-o",
                "LogLevel=VERBOSE",
            ]
            .map(String::from)
            .to_vec();
            let mut command = match self.kind {
                Kind::Forced => {
                    if getuid().is_root() {
                        fs::create_dir_all("/run/sshd")?;
                    }
                    let mut command = process::command(Path::new(&sshd));
                    command.args(&words[1..]);
                    command
                }
                Kind::Account => self.namespace(&words)?,
            };
            let log = fs::File::create(self.path("sshd.log"))?;
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
            let mut child = command.spawn().context("cannot start sshd")?;
            if answers(&mut child, self.port)? {
                self.sshd = Some(child);
                let host = fs::read_to_string(self.path("host.pub"))?;
                let line = format!("[127.0.0.1]:{} {host}", self.port);
                fs::write(self.path("known_hosts"), line)?;
                return Ok(());
            }
            child.kill().ok();
            child.wait().ok();
        }
        bail!("sshd does not start: {}", fs::read_to_string(self.path("sshd.log"))?)
    }

    /// A client's configuration for one key; the host is called `server`.
    pub fn client(&self, key: &str) -> Result<PathBuf> {
        let file = self.path(&format!("client-{key}"));
        let text = format!(
            "Host server\n HostName 127.0.0.1\n Port {}\n User {}\n IdentityFile {}\n \
             IdentitiesOnly yes\n UserKnownHostsFile {}\n StrictHostKeyChecking yes\n \
             BatchMode yes\n ConnectTimeout 20\n LogLevel ERROR\n",
            self.port,
            self.user()?,
            self.path(key).display(),
            self.path("known_hosts").display()
        );
        fs::write(&file, text)?;
        Ok(file)
    }

    /// Runs a client program with `-F CONFIG` as its first words.
    pub fn run(&self, name: &str, key: &str, args: &[&str]) -> Result<Done> {
        let mut command = self.start_client(name, key)?;
        run_within(command.args(args), LIMIT)
    }

    /// The command of [`Server::run`].
    pub fn start_client(&self, name: &str, key: &str) -> Result<Command> {
        let mut command = process::command(&program(name)?);
        command.arg("-F").arg(self.client(key)?).current_dir(self.path("run"));
        Ok(command)
    }

    /// `ssh ARGS server COMMAND` with a key.
    pub fn ssh(&self, key: &str, args: &[&str], command: &str) -> Result<Done> {
        let mut all = args.to_vec();
        all.extend(["server", command]);
        self.run("ssh", key, &all)
    }

    /// A stock rsync over ssh with a key.
    pub fn rsync(&self, key: &str, args: &[&str]) -> Result<Done> {
        let mut command = process::command(&program("rsync")?);
        let rsh = format!("{} -F {}", program("ssh")?.display(), self.client(key)?.display());
        command.arg("-e").arg(rsh).args(args).current_dir(self.path("run"));
        run_within(&mut command, LIMIT)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(mut child) = self.sshd.take() else { return };
        if let Ok(pid) = i32::try_from(child.id()) {
            kill(Pid::from_raw(pid), Signal::SIGTERM).ok();
        }
        let start = Instant::now();
        while matches!(child.try_wait(), Ok(None)) && start.elapsed() < Duration::from_secs(5) {
            thread::sleep(Duration::from_millis(5));
        }
        child.kill().ok();
        child.wait().ok();
    }
}

fn answers(child: &mut Child, port: u16) -> Result<bool> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(true);
        }
        if child.try_wait()?.is_some() {
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(false)
}
