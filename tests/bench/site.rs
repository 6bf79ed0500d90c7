//! What the cases run on: a generated library, a publisher, an sshd, and clients of both kinds.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use e2e::{
    Access, Done, Sandbox, Sshd, command, parts, program,
    rng::Rng,
    run_within,
    script_text::{self, Script},
};

const LIMIT: Duration = Duration::from_secs(600);

/// A published library and the way to it.
pub struct Site {
    /// How many files it has.
    pub files: usize,
    /// How long the first publication took.
    pub first_publication: Duration,
    /// Where everything is.
    pub sandbox: Sandbox,
    /// Its server.
    pub sshd: Sshd,
    limited: PathBuf,
    any: PathBuf,
    scripts: Vec<Script>,
    rng: Rng,
}

/// What one run cost.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Wall-clock time of the whole process.
    pub wall: Duration,
    /// Bytes that the client received.
    pub received: f64,
    /// Bytes that the client sent.
    pub sent: f64,
}

impl Site {
    /// Generates and publishes a library of `files` files and starts the sshd.
    pub fn new(seed: u64, files: usize) -> Result<Self> {
        let sandbox = Sandbox::with_library()?;
        let scripts = script_text::library(seed, files);
        script_text::write(&sandbox.tree(), &scripts)?;
        let (sshd, limited) = sandbox.serve()?;
        let any = sshd.key("any", &Access::Any)?;
        let rng = Rng::new(seed ^ 0xbe9c);
        let first_publication = Duration::ZERO;
        let mut site = Self { files, first_publication, sandbox, sshd, limited, any, scripts, rng };
        site.first_publication = site.publish()?;
        Ok(site)
    }

    /// Publishes the tree as it is.
    pub fn publish(&mut self) -> Result<Duration> {
        let tree = self.sandbox.tree();
        let tree = tree.to_str().context("a sandbox path that is not UTF-8")?;
        let mut command = self.sandbox.codesync_command(&["publish", "--json", "--tree", tree])?;
        Ok(run_within(&mut command, LIMIT)?.success()?.wall)
    }

    /// Changes ten files.
    pub fn change(&mut self) -> Result<()> {
        let tree = self.sandbox.tree();
        script_text::mutate(&tree, &mut self.scripts, &mut self.rng, 10).map(drop)
    }

    /// A folder for the client `name`.
    pub fn client(&self, name: &str) -> PathBuf {
        self.sandbox.path("clients").join(name)
    }

    /// `ldi sync` into the client folder `root`.
    pub fn ldi(&self, root: &Path) -> Result<Cost> {
        let config = root.with_extension("toml");
        std::fs::create_dir_all(root.parent().context("a root without a folder")?)?;
        let url = self.sshd.url(&self.sandbox.library());
        let pinned = self.sshd.known_hosts();
        self.sandbox.configure_at(&config, root, &[&url], Some((&self.limited, &pinned)))?;
        let mut command = self.sandbox.ldi_command(&config, &["sync", "--json"])?;
        let done = run_within(&mut command, LIMIT)?.success()?;
        let report = done.json()?;
        let count =
            |name: &str| report[name].as_f64().with_context(|| format!("no {name}: {done}"));
        Ok(Cost { wall: done.wall, received: count("bytes_received")?, sent: count("bytes_sent")? })
    }

    /// Stock rsync of the plain tree into `folder`, with `flags` beside `-a --delete`.
    pub fn rsync(&self, folder: &Path, flags: &[&str]) -> Result<Cost> {
        std::fs::create_dir_all(folder)?;
        let ssh = self.sshd.client_options(&self.any).join(" ");
        let export = self.sandbox.library().join("export/stable");
        let mut command = command(&program("rsync")?);
        command.args(["-a", "--delete", "--stats", "-e"]);
        command.arg(format!("{} {ssh}", program("ssh")?.display())).args(flags);
        command.arg(format!("{}@127.0.0.1:{}/", self.sshd.user(), export.display()));
        let done = run_within(command.arg(folder), LIMIT)?.success()?;
        Ok(Cost {
            wall: done.wall,
            received: stat(&done, "Total bytes received:")?,
            sent: stat(&done, "Total bytes sent:")?,
        })
    }

    /// Connecting, authenticating and running `true` with the code that `ldi` uses; none if that
    /// example is not built.
    pub fn bare(&self) -> Result<Option<Duration>> {
        let Ok(program) = parts::example("bare") else { return Ok(None) };
        let mut command = command(&program);
        command.arg(self.sshd.url(Path::new("/"))).arg(&self.any).arg(self.sshd.known_hosts());
        Ok(Some(run_within(&mut command, LIMIT)?.success()?.wall))
    }

    /// The same with stock ssh.
    pub fn ssh(&self) -> Result<Duration> {
        let mut command = command(&program("ssh")?);
        command.args(self.sshd.client_options(&self.any));
        command.arg(format!("{}@127.0.0.1", self.sshd.user())).arg("true");
        Ok(run_within(&mut command, LIMIT)?.success()?.wall)
    }

    /// Requires that the client's tree is the published one.
    pub fn check(&self, tree: &Path) -> Result<()> {
        e2e::tree::same(&self.sandbox.tree(), &std::fs::canonicalize(tree)?)
    }
}

/// A number from `rsync --stats`, which groups digits with commas.
fn stat(done: &Done, name: &str) -> Result<f64> {
    let text = done.out();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let digits: Option<String> =
        line.map(|line| line.chars().filter(char::is_ascii_digit).collect());
    digits.and_then(|digits| digits.parse().ok()).with_context(|| format!("no {name} in {done}"))
}
