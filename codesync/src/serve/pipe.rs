//! Stdin and stdout with a limit on silence: a client that stops reading or asking ends the
//! session instead of keeping a process for ever.

use std::{
    fs::File,
    io::{self, ErrorKind, Read, Write},
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use crate::{Error, Kind, Result};

/// One end of the session, not blocking longer than its limit.
#[derive(Debug)]
pub struct Pipe<T> {
    inner: T,
    silence: Duration,
}

/// Stdin and stdout, with [`super::SILENCE`].
pub fn stdio() -> Result<(Pipe<File>, Pipe<File>)> {
    let ends = |error: io::Error| {
        Error::new(Kind::Io, format!("stdin and stdout cannot be used: {error}"))
    };
    // Not std's own handles, which buffer by line.
    let clone = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().map(File::from);
    let stdin = clone(io::stdin().as_fd()).map_err(ends)?;
    let stdout = clone(io::stdout().as_fd()).map_err(ends)?;
    let reader = Pipe::new(stdin, super::SILENCE).map_err(ends)?;
    let writer = Pipe::new(stdout, super::SILENCE).map_err(ends)?;
    Ok((reader, writer))
}

impl<T: AsFd> Pipe<T> {
    /// Wraps `inner`, which becomes non-blocking.
    pub fn new(inner: T, silence: Duration) -> io::Result<Self> {
        let flags = OFlag::from_bits_truncate(fcntl(inner.as_fd(), FcntlArg::F_GETFL)?);
        fcntl(inner.as_fd(), FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        Ok(Self { inner, silence })
    }

    fn wait(&self, fd: BorrowedFd<'_>, flags: PollFlags) -> io::Result<()> {
        let deadline = Instant::now() + self.silence;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(fd, flags)], timeout) {
                Ok(0) => return Err(ErrorKind::TimedOut.into()),
                Ok(_) => return Ok(()),
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl<T: AsFd + Read> Read for Pipe<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.inner.read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.wait(self.inner.as_fd(), PollFlags::POLLIN)?;
                }
                other => return other,
            }
        }
    }
}

impl<T: AsFd + Write> Write for Pipe<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.inner.write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.wait(self.inner.as_fd(), PollFlags::POLLOUT)?;
                }
                other => return other,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn who_neither_asks_nor_reads_ends_the_session() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let mut pipe = Pipe::new(ours, Duration::from_millis(50)).unwrap();
        assert_eq!(pipe.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::TimedOut);
        let error = loop {
            if let Err(error) = pipe.write(&[0; 4096]) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}
