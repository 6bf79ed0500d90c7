//! What the kernel refuses the program that is about to be started, whatever a client makes of it.
//!
//! Readers cannot write a byte anywhere but to their log; nobody gains rights or leaves a core file.
//! On Linux with Landlock, readers see the library and the system's shared libraries only, cannot
//! change, remove or create anything, cannot start another program and cannot open connections;
//! publishers write below the library only. This matters for rsync: filter rules arrive over the
//! protocol, after every check of the command, and can name files (`merge`).

use std::{io, path::Path};

use nix::sys::{
    resource::{Resource, setrlimit},
    stat::{Mode, umask},
};

/// What the program may do with the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read it.
    Read,
    /// Write it too.
    Write,
}

/// Builds the walls around this process, for the program that it becomes and that may append to
/// `log`, which exists.
pub fn build(library: &Path, program: &Path, access: Access, log: Option<&Path>) -> io::Result<()> {
    umask(Mode::from_bits_truncate(0o022));
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    if access == Access::Read && log.is_none() {
        // A regular file that grows ends the program; pipes and sockets do not count.
        setrlimit(Resource::RLIMIT_FSIZE, 0, 0)?;
    }
    kernel::build(library, program, access, log)
}

#[cfg(target_os = "linux")]
mod kernel {
    use std::{io, path::Path};

    use landlock::{
        ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath,
        PathFd, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
    };

    use super::Access;

    /// Newest Landlock interface whose rights are named here; older kernels get what they know.
    const KNOWN: ABI = ABI::V6;

    // Shared libraries, the dynamic loader's list of them, and what OpenSSL reads at its start.
    const LIBRARIES: &[&str] =
        &["/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64", "/nix/store"];
    const FILES: &[&str] = &[
        "/etc/ld.so.cache",
        "/etc/ssl/openssl.cnf",
        "/dev/null",
        "/dev/zero",
        "/dev/random",
        "/dev/urandom",
    ];

    pub(super) fn build(
        library: &Path,
        program: &Path,
        access: Access,
        log: Option<&Path>,
    ) -> io::Result<()> {
        nix::sys::prctl::set_no_new_privs()?;
        if access == Access::Write && !moves_between_folders() {
            return Ok(());
        }
        restrict(library, program, access, log).map_err(io::Error::other)
    }

    /// Linux before 5.19 forbids every move between folders once Landlock is on, and a publisher's
    /// upload is moved into place.
    fn moves_between_folders() -> bool {
        Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::Refer)
            .is_ok()
    }

    fn restrict(
        library: &Path,
        program: &Path,
        access: Access,
        log: Option<&Path>,
    ) -> Result<(), RulesetError> {
        let run = AccessFs::from_read(KNOWN);
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let mut rules = Ruleset::default()
            .handle_access(AccessFs::from_all(KNOWN))?
            .handle_access(AccessNet::from_all(KNOWN))?
            .scope(Scope::from_all(KNOWN))?
            .create()?;
        for folder in LIBRARIES {
            rules = allow(rules, Path::new(folder), run)?;
        }
        for file in FILES {
            rules = allow(rules, Path::new(file), AccessFs::ReadFile.into())?;
        }
        let null = AccessFs::ReadFile | AccessFs::WriteFile;
        rules = allow(rules, Path::new("/dev/null"), null)?;
        rules = allow(rules, program, AccessFs::ReadFile | AccessFs::Execute)?;
        if let Some(log) = log {
            rules = allow(rules, log, AccessFs::WriteFile.into())?;
        }
        let own = match access {
            Access::Read => read,
            // Everything but running what was uploaded.
            Access::Write => AccessFs::from_all(KNOWN) & !BitFlags::from(AccessFs::Execute),
        };
        rules = allow(rules, library, own)?;
        rules.restrict_self().map(drop)
    }

    fn allow(
        rules: RulesetCreated,
        path: &Path,
        access: BitFlags<AccessFs>,
    ) -> Result<RulesetCreated, RulesetError> {
        // What does not exist needs no rule; what cannot be opened gets none and stays closed.
        match PathFd::new(path) {
            Ok(opened) => rules.add_rule(PathBeneath::new(opened, access)),
            Err(_) => Ok(rules),
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    use std::{io, path::Path};

    use super::Access;

    /// No Landlock here: the command's check and the file modes are the walls.
    pub(super) fn build(
        _library: &Path,
        _program: &Path,
        _access: Access,
        _log: Option<&Path>,
    ) -> io::Result<()> {
        Ok(())
    }
}
