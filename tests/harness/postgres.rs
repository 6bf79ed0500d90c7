//! A PostgreSQL server of its own on loopback, ended with its test.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, Uid, User, chown},
};
use tempfile::TempDir;

use crate::{parts, process};

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    folder: TempDir,
    child: Option<Child>,
    port: u16,
}

/// The newest version's folder of programs.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    versions.map(|entry| entry.path().join("bin")).filter(|bin| bin.join("initdb").is_file()).max()
}

impl Postgres {
    /// A new one that takes connections; `None` where PostgreSQL is missing and need not be there.
    pub fn start() -> Result<Option<Self>> {
        let Some(bin) = programs() else {
            return parts::absent(&["postgresql"]).map(|_| None);
        };
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut server = Self { folder: tempfile::tempdir()?, child: None, port };
        let data = server.data();
        if Uid::effective().is_root() {
            let owner = User::from_name("postgres")?.context("no account postgres")?;
            chown(server.folder.path(), Some(owner.uid), Some(owner.gid))?;
        }
        let mut init = server.command(&bin.join("initdb"))?;
        init.args(["--auth=trust", "--username=ldi", "--no-sync", "--encoding=UTF8", "--pgdata"]);
        process::run_within(init.arg(&data), Duration::from_secs(120))?.success()?;
        server.serve()?;
        Ok(Some(server))
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// `program`, as an account that PostgreSQL accepts: not root.
    fn command(&self, program: &Path) -> Result<Command> {
        let mut command = if Uid::effective().is_root() {
            let mut command = process::command(&parts::program("setpriv")?);
            command
                .args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"])
                .arg(program);
            command
        } else {
            process::command(program)
        };
        command.current_dir(self.folder.path());
        Ok(command)
    }

    /// Starts it (again).
    pub fn serve(&mut self) -> Result<()> {
        let bin = programs().context("PostgreSQL is gone")?;
        let mut postgres = self.command(&bin.join("postgres"))?;
        postgres.arg("-D").arg(self.data()).arg("-k").arg(self.folder.path());
        postgres.args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-p"]);
        postgres.arg(self.port.to_string());
        postgres.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(postgres.spawn()?);
        let psql = bin.join("psql");
        let begun = Instant::now();
        loop {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                let mut ask = process::command(&psql);
                ask.args(["--no-psqlrc", "-c", "SELECT 1", &self.url()]);
                if process::run(&mut ask)?.code() == 0 {
                    return Ok(());
                }
            }
            ensure!(begun.elapsed() < Duration::from_secs(60), "PostgreSQL does not start");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Ends it at once; what it had written stays.
    pub fn stop(&mut self) -> Result<()> {
        let mut child = self.child.take().context("it does not run")?;
        // SIGQUIT: it ends its own processes and leaves its files as a crash would.
        kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGQUIT)?;
        child.wait()?;
        Ok(())
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("postgres://ldi@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.stop().ok();
        }
    }
}
