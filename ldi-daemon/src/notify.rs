//! sd_notify(3): readiness, status text and the watchdog, when a service manager asks for them.

use std::{
    env,
    ffi::OsString,
    os::unix::{ffi::OsStrExt, net::UnixDatagram},
    time::Duration,
};

/// Between the last job's end and the daemon's own.
const STOP_MARGIN: Duration = Duration::from_secs(10);

/// The service manager, or nobody.
#[derive(Debug)]
pub struct Notifier {
    socket: Option<(UnixDatagram, OsString)>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// The one that the environment names.
    pub fn from_environment() -> Self {
        let watchdog = env::var("WATCHDOG_USEC")
            .ok()
            .and_then(|usec| usec.parse().ok())
            .filter(|_| {
                env::var("WATCHDOG_PID").map_or(true, |pid| pid == std::process::id().to_string())
            })
            .map(Duration::from_micros);
        Self::to(env::var_os("NOTIFY_SOCKET"), watchdog)
    }

    fn to(address: Option<OsString>, watchdog: Option<Duration>) -> Self {
        let socket = address.and_then(|address| {
            let socket = UnixDatagram::unbound().ok()?;
            // A manager that stopped reading must not stop us.
            socket.set_nonblocking(true).ok()?;
            Some((socket, address))
        });
        Self { socket, watchdog }
    }

    /// How often [`Notifier::alive`] must be called, at the latest.
    pub fn interval(&self) -> Option<Duration> {
        self.socket.as_ref()?;
        self.watchdog.map(|limit| limit / 2)
    }

    /// Work begins, or goes on after a reload.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    /// The end has begun, and may take `deadline` and a little more.
    pub fn stopping(&self, deadline: Duration) {
        let limit = (deadline + STOP_MARGIN).as_micros();
        self.send(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={limit}"));
    }

    /// Still alive.
    pub fn alive(&self) {
        if self.watchdog.is_some() {
            self.send("WATCHDOG=1");
        }
    }

    /// One line for `systemctl status`.
    pub fn status(&self, text: &str) {
        self.send(&format!("STATUS={}", text.replace('\n', " ")));
    }

    fn send(&self, words: &str) {
        let Some((socket, address)) = &self.socket else { return };
        // A manager that does not listen is no reason to stop.
        let _ = match address.as_bytes() {
            [b'@', name @ ..] => abstract_address(name)
                .and_then(|address| socket.send_to_addr(words.as_bytes(), &address).ok()),
            _ => socket.send_to(words.as_bytes(), address).ok(),
        };
    }
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &[u8]) -> Option<std::os::unix::net::SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    std::os::unix::net::SocketAddr::from_abstract_name(name).ok()
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_name: &[u8]) -> Option<std::os::unix::net::SocketAddr> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_arrive() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::to(Some(path.into()), Some(Duration::from_secs(10)));
        assert_eq!(notifier.interval(), Some(Duration::from_secs(5)));
        notifier.ready();
        notifier.status("two\nlines");
        notifier.alive();
        let mut buffer = [0; 100];
        notifier.stopping(Duration::from_secs(30));
        let stopping = "STOPPING=1\nEXTEND_TIMEOUT_USEC=40000000";
        for words in ["READY=1", "STATUS=two lines", "WATCHDOG=1", stopping] {
            let n = manager.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..n], words.as_bytes());
        }
        Notifier::to(None, None).ready();
    }
}
