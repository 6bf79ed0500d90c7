//! A TCP relay on loopback that goes away after a number of bytes: a server gone in mid transfer.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Result;

/// The relay; its threads end with the connections they carry, or when this is dropped.
#[derive(Debug)]
pub struct Cut {
    port: u16,
    over: Arc<AtomicBool>,
}

impl Cut {
    /// Relays to `target` on loopback and cuts each connection after `limit` bytes from it.
    pub fn start(target: u16, limit: u64) -> Result<Self> {
        Self::with(target, u64::MAX, limit)
    }

    /// Relays to `target` on loopback and cuts each connection after `limit` bytes to it.
    pub fn uploads(target: u16, limit: u64) -> Result<Self> {
        Self::with(target, limit, u64::MAX)
    }

    fn with(target: u16, up: u64, down: u64) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&over);
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((client, _)) => {
                        relay(client, target, (up, down)).ok();
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

fn relay(client: TcpStream, target: u16, (up, down): (u64, u64)) -> Result<()> {
    client.set_nonblocking(false)?;
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, target))?;
    let count = Arc::new(AtomicU64::new(0));
    let (client_in, server_out) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || copy(client_in, server_out, up, &AtomicU64::new(0)));
    thread::spawn(move || copy(server, client, down, &count));
    Ok(())
}

fn copy(mut from: TcpStream, mut to: TcpStream, limit: u64, count: &AtomicU64) {
    let mut buffer = [0; 8192];
    while let Ok(read) = from.read(&mut buffer) {
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        let total = count.fetch_add(read as u64, Ordering::Relaxed) + read as u64;
        if total > limit || to.write_all(bytes).is_err() {
            break;
        }
    }
    from.shutdown(Shutdown::Both).ok();
    to.shutdown(Shutdown::Both).ok();
}
