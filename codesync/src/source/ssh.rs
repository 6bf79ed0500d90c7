//! `ssh://user@host/path`: one connection, one channel, one `codesync serve`.
//!
//! The host key must be pinned: there is no first use that trusts. The user is the machine's key,
//! with the certificate beside it where there is one.

use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
};

use ssh2::{MethodType, Session};

use super::{Access, Remote};
use crate::{
    Error, Kind, Result, disk,
    known_hosts::{KNOWN_HOSTS_MAX, Pinned},
};

mod line;

use line::Line;

/// The two directions of the channel.
pub struct Stream {
    channel: ssh2::Channel,
    session: Session,
    line: Line,
}

/// Opens `codesync serve` at the other end.
pub fn connect(
    user: &str,
    host: &str,
    port: u16,
    path: &str,
    settings: &Access<'_>,
) -> Result<Remote<Stream>> {
    command(user, host, port, ("serve", path), settings)
}

/// Opens `codesync WORD` at the other end, for the library at `path`.
pub fn command(
    user: &str,
    host: &str,
    port: u16,
    (word, path): (&str, &str),
    settings: &Access<'_>,
) -> Result<Remote<Stream>> {
    let command = match path {
        "" => format!("codesync {word}"),
        path => format!("codesync {word} --library {path}"),
    };
    Ok(Remote::new(execute(user, host, port, &command, settings)?))
}

/// Runs `true` at the other end and waits for it.
pub fn bare(user: &str, host: &str, port: u16, settings: &Access<'_>) -> Result<()> {
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
    settings: &Access<'_>,
) -> Result<Stream> {
    let (pinned, file) = pinned(settings.known_hosts, host, port)?;
    let algorithms = pinned.algorithms();
    let identity = identity(settings.identity)?;
    let line = Line::open(host, port, settings)?;
    let lost = |what: &str| {
        let what = format!("{what} {host}:{port}");
        move |error: ssh2::Error| Error::new(Kind::Unreachable, format!("{what} failed: {error}"))
    };

    let mut session = Session::new().map_err(lost("preparing SSH for"))?;
    let millis = u32::try_from(settings.timeout.as_millis()).unwrap_or(u32::MAX);
    session.set_timeout(millis.max(1));
    session.method_pref(MethodType::HostKey, &algorithms).map_err(lost("preparing SSH for"))?;
    line.quick();
    line.give(&mut session)?;
    session.handshake().map_err(|error| {
        Error::new(
            Kind::Unreachable,
            format!(
                "no SSH with {host}:{port}: {error} (wanted a host key of kind {}; see {})",
                algorithms,
                file.display()
            ),
        )
    })?;
    check_host(&session, &pinned, file, (host, port))?;

    line.quick();
    session
        .userauth_pubkey_file(user, identity.public.as_deref(), &identity.private, None)
        .map_err(|error| {
            Error::new(Kind::Unreachable, format!(
                "{host}:{port} does not let {user} in with the key {}: {error}; is it in the account's authorized_keys?",
                identity.private.display()
            ))
        })?;
    line.quick();
    let mut channel = session.channel_session().map_err(lost("opening a channel to"))?;
    line.quick();
    channel.exec(command).map_err(lost("starting codesync serve on"))?;
    line.quick();
    Ok(Stream { channel, session, line })
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
        self.line.quick();
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Freeing a channel waits for the other end; with the socket shut it does not.
        let _ = self.session.disconnect(None, "done", None);
        self.line.shut();
    }
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

/// What is pinned for `host`, and the file that says so.
fn pinned<'a>(file: Option<&'a Path>, host: &str, port: u16) -> Result<(Pinned, &'a Path)> {
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
    let pinned = Pinned::parse(&String::from_utf8_lossy(&bytes), host, port);
    if pinned.is_empty() {
        return Err(Error::refused(format!(
            "the host key of {host}:{port} is not pinned in {}; it was not asked for anything",
            file.display()
        )));
    }
    Ok((pinned, file))
}

fn check_host(
    session: &Session,
    pinned: &Pinned,
    file: &Path,
    (host, port): (&str, u16),
) -> Result<()> {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let shown = session.host_key().ok_or("showed no host key");
    shown.and_then(|(key, _)| pinned.check(key, now)).map_err(|why| {
        Error::refused(format!(
            "{host}:{port} {why} (see {}): somebody may be in between, or its key was changed",
            file.display()
        ))
    })
}
