//! A process that is ready to start.

use std::{
    ffi::OsString,
    os::{fd::OwnedFd, unix::process::CommandExt},
    path::PathBuf,
    process::Command,
};

use command_fds::{CommandFdExt, FdMapping};

/// A process that is ready to start. The file descriptors live until it was spawned.
#[derive(Debug)]
pub struct Launch {
    /// Absolute path of the program.
    pub program: PathBuf,
    /// What stands as argv[0].
    pub arg0: Option<OsString>,
    /// Its arguments, without argv[0].
    pub args: Vec<OsString>,
    /// Variables to set beside the caller's.
    pub env: Vec<(OsString, OsString)>,
    /// Variables that the program must not see.
    pub env_remove: Vec<OsString>,
    /// Descriptors that the child inherits, with the numbers that it sees.
    pub fds: Vec<(OwnedFd, i32)>,
}

impl Launch {
    /// The command, with descriptors mapped; stdin, stdout, stderr, cwd, group and the rest of
    /// the environment are the caller's to set. `BASH_ENV` and `ENV` are removed for bash: a caller
    /// that builds a whole environment must not set them again.
    pub fn command(self) -> Command {
        let mut command = Command::new(self.program);
        if let Some(arg0) = self.arg0 {
            command.arg0(arg0);
        }
        command.args(self.args).envs(self.env);
        for name in self.env_remove {
            command.env_remove(name);
        }
        let mappings = self
            .fds
            .into_iter()
            .map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd })
            .collect();
        // Only two mappings to one number are refused, and each number is given out once. Were it
        // not so, the child would find no script and run nothing.
        let _ = command.fd_mappings(mappings);
        command
    }
}
