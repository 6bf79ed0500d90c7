//! The two pipes of a run, read side by side into its log.

use std::io::Result;

use tokio::io::{AsyncRead, AsyncReadExt};
use zeroize::Zeroizing;

use crate::{
    logs::{Log, Stream},
    secret::{Blank, Secret},
};

/// One pipe until its last writer has closed it.
pub(super) struct Pipe<P> {
    pipe: Option<P>,
    stream: Stream,
    /// What it carries may hold secrets.
    buffer: Zeroizing<Vec<u8>>,
    blank: Option<Blank>,
}

impl<P: AsyncRead + Unpin> Pipe<P> {
    /// `pipe`, in which `secrets` are not shown.
    pub(super) fn new(pipe: Option<P>, stream: Stream, secrets: &[Secret]) -> Self {
        let blank = (!secrets.is_empty()).then(|| Blank::new(secrets));
        Self { pipe, stream, buffer: Zeroizing::new(vec![0; 1 << 14]), blank }
    }

    /// Whether something may still come.
    pub(super) fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    /// Reads what is there; waits for ever when it is closed.
    pub(super) async fn read(&mut self) -> Result<usize> {
        match &mut self.pipe {
            Some(pipe) => pipe.read(&mut self.buffer).await,
            None => std::future::pending().await,
        }
    }

    /// Writes what was read to `log`.
    pub(super) fn take(&mut self, n: &Result<usize>, log: &mut Log) {
        match n {
            Ok(n) if *n > 0 => match &mut self.blank {
                Some(blank) => log.append(self.stream, &blank.pass(&self.buffer[..*n])),
                None => log.append(self.stream, &self.buffer[..*n]),
            },
            _ => self.pipe = None,
        }
    }

    /// Writes what was kept back.
    pub(super) fn finish(mut self, log: &mut Log) {
        if let Some(blank) = &mut self.blank {
            log.append(self.stream, &blank.rest());
        }
    }
}
