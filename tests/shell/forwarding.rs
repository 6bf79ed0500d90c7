//! Forwarding in every direction, and what else rides along with a session.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use crate::Server;

const CANARY: &[u8] = b"CANARY\n";

/// A service on the server's loopback that nobody may reach; counts who does.
struct Canary {
    port: u16,
    visits: Arc<AtomicUsize>,
}

impl Canary {
    fn listen() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let visits = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&visits);
        // Ends with the test process; at most 50 visits.
        thread::spawn(move || {
            for stream in listener.incoming().take(50).flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let mut stream = stream;
                stream.write_all(CANARY).ok();
            }
        });
        Ok(Self { port, visits })
    }
}

/// A client in the background, ended by pid.
pub struct Background(pub Child);

impl Drop for Background {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A connection that further sessions can share by its socket.
pub fn master(server: &Server, key: &str, socket: &str) -> Result<Background> {
    let mut command = server.start_client("ssh", key)?;
    command.args(["-M", "-N", "-S", socket, "server"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let master = Background(command.spawn()?);
    let start = Instant::now();
    while !std::path::Path::new(socket).exists() {
        ensure!(start.elapsed() < Duration::from_secs(20), "no connection to share");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(master)
}

/// Tries all of them; returns how many.
pub fn refused(server: &Server) -> Result<usize> {
    let canary = Canary::listen()?;
    let target = format!("127.0.0.1:{}", canary.port);
    let done = server.run("ssh", "machine", &["-W", &target, "server"])?;
    ensure!(done.stdout.is_empty() && !done.status.success(), "-W: {done}");
    for via in [Via::Local, Via::Socks] {
        ensure!(!reaches(server, "machine", via, &canary)?, "{via:?} reached the canary");
    }
    let socket = server.path("run/socket").display().to_string();
    for listen in [format!("0:{target}"), format!("{socket}:{target}"), "0".to_owned()] {
        let args = [
            "-N",
            "-o",
            "ExitOnForwardFailure=yes",
            "-o",
            "LogLevel=INFO",
            "-R",
            &listen,
            "server",
        ];
        let done = server.run("ssh", "machine", &args)?;
        ensure!(!done.status.success(), "-R {listen}: {done}");
    }
    ensure!(!server.path("run/socket").exists(), "-R made a socket");
    ensure!(canary.visits.load(Ordering::SeqCst) == 0, "the canary was visited");
    // Offered together with an allowed command: refused, and the command itself still runs.
    for args in ["-A", "-X", "-Y"] {
        let done = server.ssh("machine", &[args], "codesync serve")?.success()?;
        let start = format!("serve --library {} --log ", server.served());
        ensure!(done.out().starts_with(&start), "{args}: {done}");
    }
    Ok(9)
}

/// The same ways with an unlimited key.
pub fn succeeds(server: &Server) -> Result<()> {
    let canary = Canary::listen()?;
    for via in [Via::Local, Via::Socks] {
        ensure!(reaches(server, "open", via, &canary)?, "{via:?} does not even work");
    }
    Ok(())
}

#[derive(Debug, Clone, Copy)]
enum Via {
    Local,
    Socks,
}

fn reaches(server: &Server, key: &str, via: Via, canary: &Canary) -> Result<bool> {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let forward = match via {
        Via::Local => format!("-L127.0.0.1:{free}:127.0.0.1:{}", canary.port),
        Via::Socks => format!("-D127.0.0.1:{free}"),
    };
    let mut command = server.start_client("ssh", key)?;
    command.args(["-N", &forward, "server"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _client = Background(command.spawn()?);
    let start = Instant::now();
    let mut stream = loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, free)) {
            Ok(stream) => break stream,
            Err(_) if start.elapsed() < Duration::from_secs(20) => {
                thread::sleep(Duration::from_millis(20));
            }
            Err(error) => return Err(error.into()),
        }
    };
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    if matches!(via, Via::Socks) {
        // SOCKS4 CONNECT to 127.0.0.1.
        let [high, low] = canary.port.to_be_bytes();
        stream.write_all(&[4, 1, high, low, 127, 0, 0, 1, 0])?;
    }
    let mut got = Vec::new();
    match stream.take(64).read_to_end(&mut got) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => return Err(error.into()),
    }
    Ok(got.ends_with(CANARY))
}
