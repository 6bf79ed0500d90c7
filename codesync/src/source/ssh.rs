//! `ssh://user@host/path`: one connection, one channel, one `codesync serve`.
//!
//! The host key must be pinned: there is no first use that trusts. The user is the machine's key,
//! with the certificate beside it where there is one.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream, ToSocketAddrs},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ssh2::{CheckResult, KnownHostFileKind, MethodType, Session};

use super::{Remote, SshSettings};
use crate::{Error, Kind, Result, disk};

const KNOWN_HOSTS_MAX: u64 = 4 << 20;

/// The two directions of the channel.
pub struct Stream {
    channel: ssh2::Channel,
    session: Session,
    socket: TcpStream,
}

/// Opens `codesync serve` at the other end.
pub fn connect(
    user: &str,
    host: &str,
    port: u16,
    path: &str,
    settings: &SshSettings<'_>,
) -> Result<Remote<Stream>> {
    let command = match path {
        "" => "codesync serve".to_owned(),
        path => format!("codesync serve --library {path}"),
    };
    Ok(Remote::new(execute(user, host, port, &command, settings)?))
}

/// Runs `true` at the other end and waits for it.
pub fn bare(user: &str, host: &str, port: u16, settings: &SshSettings<'_>) -> Result<()> {
    let mut stream = execute(user, host, port, "true", settings)?;
    let mut end = [0; 64];
    while stream.read(&mut end).map_err(|error| crate::wire::gone(&error))? > 0 {}
    Ok(())
}

fn execute(
    user: &str,
    host: &str,
    port: u16,
    command: &str,
    settings: &SshSettings<'_>,
) -> Result<Stream> {
    let pinned = Pinned::read(settings.known_hosts, host, port)?;
    let identity = identity(settings.identity)?;
    let socket = dial(host, port, settings.timeout)?;
    let lost = |what: &str| {
        let what = format!("{what} {host}:{port}");
        move |error: ssh2::Error| Error::new(Kind::Unreachable, format!("{what} failed: {error}"))
    };

    let mut session = Session::new().map_err(lost("preparing SSH for"))?;
    let millis = u32::try_from(settings.timeout.as_millis()).unwrap_or(u32::MAX);
    session.set_timeout(millis.max(1));
    // The server must offer a key of the kind that is pinned: libssh2 would otherwise take any,
    // certificates too, and call a good known_hosts a mismatch.
    session
        .method_pref(MethodType::HostKey, &pinned.algorithms)
        .map_err(lost("preparing SSH for"))?;
    let stream = socket.try_clone().map_err(|error| {
        Error::new(Kind::Unreachable, format!("cannot use the socket: {error}"))
    })?;
    quick(&socket);
    session.set_tcp_stream(stream);
    session.handshake().map_err(|error| {
        Error::new(
            Kind::Unreachable,
            format!(
                "no SSH with {host}:{port}: {error} (wanted a host key of kind {}; see {})",
                pinned.algorithms,
                pinned.file.display()
            ),
        )
    })?;
    pinned.check(&session, host, port)?;

    quick(&socket);
    session
        .userauth_pubkey_file(user, identity.public.as_deref(), &identity.private, None)
        .map_err(|error| {
            Error::new(Kind::Unreachable, format!(
                "{host}:{port} does not let {user} in with the key {}: {error}; is it in the account's authorized_keys?",
                identity.private.display()
            ))
        })?;
    quick(&socket);
    let mut channel = session.channel_session().map_err(lost("opening a channel to"))?;
    quick(&socket);
    channel.exec(command).map_err(lost("starting codesync serve on"))?;
    quick(&socket);
    Ok(Stream { channel, session, socket })
}

impl Read for Stream {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let read = self.channel.read(out)?;
        if read == 0 {
            // The server's last words, such as a refusal by the limited account.
            let mut words = Vec::new();
            let _ = self.channel.stderr().take(2048).read_to_end(&mut words);
            let words: String =
                String::from_utf8_lossy(&words).chars().filter(|c| !c.is_control()).collect();
            if !words.trim().is_empty() {
                return Err(std::io::Error::other(format!("the server said: {}", words.trim())));
            }
        }
        Ok(read)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.channel.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        quick(&self.socket);
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Freeing a channel waits for the other end; with the socket shut it does not.
        let _ = self.session.disconnect(None, "done", None);
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// Without it, Linux delays acknowledgements by 40 ms in the middle of the handshake.
fn quick(socket: &TcpStream) {
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(socket).set_tcp_quickack(true);
    #[cfg(not(target_os = "linux"))]
    let _ = socket;
}

fn dial(host: &str, port: u16, timeout: Duration) -> Result<TcpStream> {
    let unreachable =
        |why: String| Error::new(Kind::Unreachable, format!("cannot reach {host}:{port}: {why}"));
    let deadline = Instant::now() + timeout;
    let addresses =
        (host, port).to_socket_addrs().map_err(|error| unreachable(error.to_string()))?;
    let mut last = "its name has no address".to_owned();
    for address in addresses {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(socket) => {
                let _ = socket.set_nodelay(true);
                return Ok(socket);
            }
            Err(error) => last = error.to_string(),
        }
    }
    Err(unreachable(last))
}

struct Identity {
    private: PathBuf,
    public: Option<PathBuf>,
}

fn identity(path: Option<&Path>) -> Result<Identity> {
    let path = path.ok_or_else(|| {
        Error::new(Kind::Config, "sync.identity names no private key, which ssh:// sources need")
    })?;
    if !path.is_file() {
        return Err(Error::new(
            Kind::Config,
            format!(
                "the key {} does not exist; make one with: ssh-keygen -t ed25519 -N '' -f {0}",
                path.display()
            ),
        ));
    }
    let mut certificate = path.as_os_str().to_owned();
    certificate.push("-cert.pub");
    let certificate = PathBuf::from(certificate);
    let public = certificate.is_file().then_some(certificate);
    Ok(Identity { private: path.to_owned(), public })
}

/// The pinned keys of one host.
struct Pinned {
    file: PathBuf,
    lines: Vec<String>,
    revoked: Vec<String>,
    algorithms: String,
}

impl Pinned {
    fn read(file: Option<&Path>, host: &str, port: u16) -> Result<Self> {
        let file = file.ok_or_else(|| {
            Error::new(Kind::Config, "sync.known_hosts names no file, which ssh:// sources need")
        })?;
        let bytes = disk::read_bounded(file, KNOWN_HOSTS_MAX)?.ok_or_else(|| {
            Error::new(
                Kind::Config,
                format!(
                    "{} does not exist; put the server's host key there, as known_hosts has it",
                    file.display()
                ),
            )
        })?;
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = Vec::new();
        let mut revoked = Vec::new();
        let mut kinds: Vec<&str> = Vec::new();
        for line in text.lines().map(str::trim) {
            let mut words = line.split_ascii_whitespace();
            let Some(names) = words.next() else { continue };
            if names == "@revoked" {
                revoked.extend(words.nth(2).map(str::to_owned));
                continue;
            }
            // Comments, and marks that libssh2 does not know (see docs/daemon.md).
            if names.starts_with(['#', '@']) {
                continue;
            }
            let with_port = format!("[{host}]:{port}");
            let named = names.starts_with('|')
                || names.split(',').any(|n| n.eq_ignore_ascii_case(host) || n == with_port);
            if let (true, Some(kind)) = (named, words.next()) {
                lines.push(line.to_owned());
                let kind = if kind == "ssh-rsa" { "rsa-sha2-512,rsa-sha2-256" } else { kind };
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
        }
        if lines.is_empty() {
            return Err(Error::refused(format!(
                "the host key of {host}:{port} is not pinned in {}; it was not asked for anything",
                file.display()
            )));
        }
        let algorithms = kinds.join(",");
        Ok(Self { file: file.to_owned(), lines, revoked, algorithms })
    }

    fn check(&self, session: &Session, host: &str, port: u16) -> Result<()> {
        let refuse = |why: &str| {
            Error::refused(format!(
                "{host}:{port} {why} in {}: somebody may be in between, or its key was changed",
                self.file.display()
            ))
        };
        let (key, _) = session.host_key().ok_or_else(|| refuse("showed no host key to compare"))?;
        let failed =
            |error| Error::refused(format!("cannot read {}: {error}", self.file.display()));
        let mut known = session.known_hosts().map_err(failed)?;
        for line in &self.lines {
            known.read_str(line, KnownHostFileKind::OpenSSH).map_err(failed)?;
        }
        match known.check_port(host, port, key) {
            CheckResult::Match => {}
            _ => return Err(refuse("shows another host key than the one that is pinned")),
        }
        let mut revoked = session.known_hosts().map_err(failed)?;
        for key in &self.revoked {
            let kind = session.methods(MethodType::HostKey).unwrap_or("ssh-ed25519");
            let kind = if kind.starts_with("rsa") { "ssh-rsa" } else { kind };
            let _ = revoked.read_str(&format!("{host} {kind} {key}"), KnownHostFileKind::OpenSSH);
        }
        if matches!(revoked.check(host, key), CheckResult::Match) {
            return Err(refuse("shows a host key that is marked @revoked"));
        }
        Ok(())
    }
}
