//! A TCP relay on loopback for connections that go wrong: cut or silent after a number of bytes,
//! or passed on a few bytes at a time.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Result;

/// What the relay does to each connection.
#[derive(Debug, Clone, Copy)]
pub struct Harm {
    /// Bytes to the target before it is over.
    pub up: u64,
    /// Bytes from the target before it is over.
    pub down: u64,
    /// When it is over: silence on an open connection, rather than its end.
    pub stall: bool,
    /// Most bytes passed on at once.
    pub piece: usize,
    /// Pause after each piece.
    pub pause: Duration,
}

impl Default for Harm {
    fn default() -> Self {
        Self { up: u64::MAX, down: u64::MAX, stall: false, piece: 8192, pause: Duration::ZERO }
    }
}

/// The relay; its threads end with the connections they carry, or when this is dropped.
#[derive(Debug)]
pub struct Cut {
    port: u16,
    over: Arc<AtomicBool>,
}

impl Cut {
    /// Relays to `target` on loopback and cuts each connection after `limit` bytes from it.
    pub fn start(target: u16, limit: u64) -> Result<Self> {
        Self::harm(target, Harm { down: limit, ..Harm::default() })
    }

    /// Relays to `target` on loopback and cuts each connection after `limit` bytes to it.
    pub fn uploads(target: u16, limit: u64) -> Result<Self> {
        Self::harm(target, Harm { up: limit, ..Harm::default() })
    }

    /// Relays to `target` on loopback and does `harm` to each connection.
    pub fn harm(target: u16, harm: Harm) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&over);
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((client, _)) => {
                        relay(client, target, harm, &stop).ok();
                    }
                    Err(_) => thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Ok(Self { port, over })
    }

    /// Where the relay listens.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn relay(client: TcpStream, target: u16, harm: Harm, over: &Arc<AtomicBool>) -> Result<()> {
    client.set_nonblocking(false)?;
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, target))?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let (client_in, server_out) = (client.try_clone()?, server.try_clone()?);
    for (from, to, limit) in [(client_in, server_out, harm.up), (server, client, harm.down)] {
        let over = Arc::clone(over);
        thread::spawn(move || copy(from, to, limit, harm, &over));
    }
    Ok(())
}

fn copy(mut from: TcpStream, mut to: TcpStream, limit: u64, harm: Harm, over: &AtomicBool) {
    let mut buffer = vec![0; harm.piece.max(1)];
    let mut left = limit;
    while left > 0 {
        let Some(bytes) = from.read(&mut buffer).ok().and_then(|read| buffer.get(..read)) else {
            break;
        };
        let passed = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        if bytes.is_empty() || to.write_all(bytes.get(..passed).unwrap_or_default()).is_err() {
            break;
        }
        left -= passed as u64;
        if !harm.pause.is_zero() {
            thread::sleep(harm.pause);
        }
    }
    while left == 0 && harm.stall && !over.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(20));
    }
    from.shutdown(Shutdown::Both).ok();
    to.shutdown(Shutdown::Both).ok();
}
