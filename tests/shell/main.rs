//! The limited account, end to end: a real sshd, OpenSSH's clients and stock rsync.

mod account;
mod attacks;
mod forwarding;
mod pull;
mod sshd;
mod walls;

use anyhow::Result;
use e2e::parts;
use sshd::{Kind, Server};

/// A server of this kind, or `None` where parts are missing (an error under `CI=true`).
fn server(kind: Kind) -> Result<Option<Server>> {
    let programs =
        ["sshd", "ssh", "ssh-keygen", "scp", "sftp", "rsync", "bash", "echo", "cp", "unshare"];
    if !parts::need(&programs)? || !parts::need_bins(&["codesync-shell"])? {
        return Ok(None);
    }
    if kind == Kind::Account && !may_mount() {
        if parts::strict() {
            anyhow::bail!("the account test needs root and mount namespaces");
        }
        eprintln!("left out: the account test needs root and mount namespaces");
        return Ok(None);
    }
    Server::start(kind).map(Some)
}

fn may_mount() -> bool {
    let tried = parts::program("unshare")
        .and_then(|unshare| e2e::run(e2e::command(&unshare).args(["--mount", "--", "/bin/true"])));
    nix::unistd::getuid().is_root() && tried.is_ok_and(|done| done.status.success())
}
