//! A real sshd on a free loopback port, with its own configuration, host key and keys.
//!
//! As root or as any user; stopped by pid when dropped. sshd starts every command through the
//! account's login shell. Sessions get the server's folder as HOME, so that a bash with start-up
//! files does not add what they cost; compare times within one run only all the same.

use std::{
    fs,
    io::Read,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, User, getuid},
};

use crate::{parts::program, process};

/// What a key may do.
#[derive(Debug, Clone)]
pub enum Access {
    /// Only this forced command, with `restrict`.
    Forced(String),
    /// Anything: the baseline of benchmarks.
    Any,
}

/// A running sshd.
#[derive(Debug)]
pub struct Sshd {
    dir: PathBuf,
    port: u16,
    user: String,
    child: Child,
}

impl Sshd {
    /// Starts an sshd whose files live in `dir`, which must exist.
    pub fn start(dir: &Path) -> Result<Self> {
        let user = User::from_uid(getuid())?.context("this user has no account entry")?.name;
        if getuid().is_root() {
            fs::create_dir_all("/run/sshd").context("cannot create /run/sshd")?;
        }
        let authorized = dir.join("authorized_keys");
        if !authorized.exists() {
            fs::write(&authorized, "")?;
        }
        if !dir.join("host_key").exists() {
            make_key(&dir.join("host_key"))?;
        }
        // Between choosing a free port and sshd's own bind somebody else may take it.
        let mut last = None;
        for _ in 0..5 {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            match Self::start_on(dir, port, &user) {
                Ok(sshd) => return Ok(sshd),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("no free port for sshd")))
    }

    fn start_on(dir: &Path, port: u16, user: &str) -> Result<Self> {
        let config = dir.join("sshd_config");
        let at = |name: &str| dir.join(name).display().to_string();
        fs::write(
            &config,
            format!(
                "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\n\
                 PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
                 KbdInteractiveAuthentication no\nPubkeyAuthentication yes\n\
                 PermitRootLogin prohibit-password\nPermitUserRC no\nExposeAuthInfo yes\n\
                 UseDNS no\nPrintMotd no\nX11Forwarding no\nLogLevel VERBOSE\n\
                 MaxStartups 1000\nMaxSessions 50\nSetEnv HOME={}\n",
                at("host_key"),
                at("authorized_keys"),
                dir.display(),
            ),
        )?;
        let log = dir.join("sshd.log");
        let child = Command::new(program("sshd")?)
            .env_clear()
            .arg("-D")
            .arg("-f")
            .arg(&config)
            .arg("-E")
            .arg(&log)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start sshd")?;
        // Owned from here on, so that an early return stops it.
        let mut sshd = Self { dir: dir.to_owned(), port, user: user.to_owned(), child };
        sshd.wait_until_ready()?;
        let public = fs::read_to_string(dir.join("host_key.pub"))?;
        fs::write(sshd.known_hosts(), sshd.known_hosts_line(&public)?)?;
        Ok(sshd)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                bail!("sshd ended with {status}: {}", self.log());
            }
            if let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) {
                stream.set_read_timeout(Some(Duration::from_secs(5)))?;
                let mut banner = [0; 8];
                if stream.read_exact(&mut banner).is_ok() && banner.starts_with(b"SSH-2.0") {
                    return Ok(());
                }
            }
            thread::sleep(Duration::from_millis(20));
        }
        bail!("sshd does not answer on port {}: {}", self.port, self.log())
    }

    /// Lets the key `public` (the text of a `.pub` file) in.
    pub fn authorize(&self, public: &str, access: &Access) -> Result<()> {
        let path = self.dir.join("authorized_keys");
        let mut text = fs::read_to_string(&path).unwrap_or_default();
        match access {
            Access::Forced(forced) => {
                ensure!(!forced.contains('"'), "a quote in the forced command {forced}");
                text.push_str(&format!("restrict,command=\"{forced}\" {}\n", public.trim()));
            }
            Access::Any => text.push_str(&format!("{}\n", public.trim())),
        }
        fs::write(&path, text)?;
        Ok(())
    }

    /// Makes a key pair `name` beside the server's files and lets it in. Returns the private key.
    pub fn key(&self, name: &str, access: &Access) -> Result<PathBuf> {
        let private = self.dir.join(name);
        let public = make_key(&private)?;
        self.authorize(&public, access)?;
        Ok(private)
    }

    /// The line that pins `public` as this server's host key.
    pub fn known_hosts_line(&self, public: &str) -> Result<String> {
        let mut words = public.split_whitespace();
        let (kind, key) = (words.next(), words.next());
        let (kind, key) = kind.zip(key).context("a public key without two words")?;
        Ok(format!("[127.0.0.1]:{} {kind} {key}\n", self.port))
    }

    /// The file that pins this server.
    pub fn known_hosts(&self) -> PathBuf {
        self.dir.join("known_hosts")
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The listener's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The account that the keys open.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The URL of `path` on this server.
    pub fn url(&self, path: &Path) -> String {
        format!("ssh://{}@127.0.0.1:{}{}", self.user, self.port, path.display())
    }

    /// What sshd logged; its last 8,000 characters.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.dir.join("sshd.log")).unwrap_or_default();
        let from = bytes.len().saturating_sub(8000);
        String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()).into_owned()
    }

    /// The words of a stock OpenSSH client that uses `key` and only what belongs to this server.
    pub fn client_options(&self, key: &Path) -> Vec<String> {
        let mut words = vec!["-F".into(), "none".into(), "-i".into(), key.display().to_string()];
        for option in [
            "IdentitiesOnly=yes".to_owned(),
            "IdentityAgent=none".to_owned(),
            "BatchMode=yes".to_owned(),
            "StrictHostKeyChecking=yes".to_owned(),
            "GlobalKnownHostsFile=none".to_owned(),
            format!("UserKnownHostsFile={}", self.known_hosts().display()),
            "ConnectTimeout=20".to_owned(),
            format!("Port={}", self.port),
        ] {
            words.push("-o".into());
            words.push(option);
        }
        words
    }

    /// Ends every session, as a server that goes away; the listener stays.
    pub fn drop_sessions(&self) {
        for pid in descendants(self.child.id()) {
            stop(pid);
        }
    }

    /// Kills the program that a session runs, such as `codesync serve`, and nothing above it, as the
    /// system does when memory is short. How many there were.
    pub fn kill_programs(&self, words: &str) -> usize {
        let found: Vec<u32> =
            descendants(self.child.id()).into_iter().filter(|pid| runs(*pid, words)).collect();
        found.iter().for_each(|pid| stop(*pid));
        found.len()
    }

    /// Stops the server and every session.
    pub fn stop(&mut self) {
        let sessions = descendants(self.child.id());
        self.child.kill().ok();
        self.child.wait().ok();
        for pid in sessions {
            stop(pid);
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Makes an Ed25519 key pair without a passphrase; returns the text of the public half.
pub fn make_key(private: &Path) -> Result<String> {
    let mut command = process::command(&program("ssh-keygen")?);
    command.args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"]).arg(private);
    process::run(&mut command)?.success()?;
    let public = private.with_extension("pub");
    fs::read_to_string(&public).with_context(|| format!("cannot read {}", public.display()))
}

fn stop(pid: u32) {
    if let Ok(pid) = i32::try_from(pid) {
        kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
    }
}

/// Whether the command line of `pid` has `words` in it and is no shell's that starts them.
fn runs(pid: u32, words: &str) -> bool {
    let Ok(mut command) = program("ps").map(|path| process::command(&path)) else { return false };
    process::run(command.args(["-o", "args=", "-p", &pid.to_string()]))
        .is_ok_and(|done| done.out().contains(words) && !done.out().contains(" -c "))
}

/// All processes that descend from `root`, found through their parents.
fn descendants(root: u32) -> Vec<u32> {
    let Ok(mut command) = program("ps").map(|path| process::command(&path)) else {
        return Vec::new();
    };
    let Ok(done) = process::run(command.args(["-A", "-o", "pid=,ppid="])) else {
        return Vec::new();
    };
    let pairs: Vec<(u32, u32)> = done
        .out()
        .lines()
        .filter_map(|line| {
            let mut numbers = line.split_whitespace().filter_map(|word| word.parse().ok());
            numbers.next().zip(numbers.next())
        })
        .collect();
    let mut found = vec![root];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(pairs.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    found.split_off(1)
}
