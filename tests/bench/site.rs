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

/// The binary of [`Site::binary`], its length, and how much of it changes in one place.
const AGENT: &str = "agent/tool";
const BINARY: usize = 50_000_000;
const REGION: usize = 8 << 10;
/// Tells this program to run its words and to print their peak memory.
const PEAK_OF: &str = "BENCH_PEAK_OF";

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

    /// An empty library.
    pub fn empty() -> Result<Self> {
        let sandbox = Sandbox::with_library()?;
        let (sshd, limited) = sandbox.serve()?;
        let any = sshd.key("any", &Access::Any)?;
        let (scripts, rng) = (Vec::new(), Rng::new(0));
        let first_publication = Duration::ZERO;
        Ok(Self { files: 0, first_publication, sandbox, sshd, limited, any, scripts, rng })
    }

    /// A library of one binary.
    pub fn binary(seed: u64) -> Result<Self> {
        let mut site = Self::empty()?;
        site.rng = Rng::new(seed);
        let content = site.noise(BINARY);
        e2e::tree::put(&site.sandbox.tree(), AGENT, &content, true)?;
        site.files = 1;
        site.publish()?;
        Ok(site)
    }

    fn noise(&mut self, length: usize) -> Vec<u8> {
        let words = (0..length.div_ceil(8)).flat_map(|_| self.rng.bits().to_le_bytes());
        let mut bytes: Vec<u8> = words.collect();
        bytes.truncate(length);
        bytes
    }

    /// Changes one part in a hundred of the binary: regions of 8 KB become others, of which no byte
    /// can be guessed, and a few bytes come in before them. Returns the old and the new content.
    pub fn change_binary(&mut self) -> Result<(Vec<u8>, Vec<u8>)> {
        let old = std::fs::read(self.sandbox.tree().join(AGENT))?;
        let mut new = old.clone();
        for _ in 0..BINARY / 100 / REGION {
            let at = self.rng.below(new.len() - REGION);
            let region = self.noise(REGION);
            new[at..at + REGION].copy_from_slice(&region);
        }
        let few = self.noise(13);
        let at = self.rng.below(new.len());
        new.splice(at..at, few);
        e2e::tree::put(&self.sandbox.tree(), AGENT, &new, true)?;
        Ok((old, new))
    }

    /// The published tree as a sorted tar.
    pub fn archive(&self, name: &str) -> Result<PathBuf> {
        let path = self.sandbox.path(name);
        let mut command = command(&program("tar")?);
        command.args(["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"]);
        command.arg("-C").arg(self.sandbox.tree()).arg("-cf").arg(&path).arg(".");
        run_within(&mut command, LIMIT)?.success()?;
        Ok(path)
    }

    /// The bytes that zstd needs to make the archive `new` from `old`.
    #[allow(clippy::cast_precision_loss)]
    pub fn difference(&self, old: &Path, new: &Path) -> Result<f64> {
        let patch = self.sandbox.path("difference.zst");
        let mut command = command(&program("zstd")?);
        // The highest level takes minutes and gigabytes where the archive is large.
        command.args([if self.files > 10_000 { "-3" } else { "-19" }, "--long=31", "-q", "-f"]);
        command.arg(format!("--patch-from={}", old.display())).arg(new).arg("-o").arg(&patch);
        run_within(&mut command, LIMIT)?.success()?;
        Ok(std::fs::metadata(patch)?.len() as f64)
    }

    /// The published tree as a compressed tar.
    pub fn pack(&self) -> Result<PathBuf> {
        let path = self.sandbox.path("packed.tar.zst");
        let mut command = command(&program("zstd")?);
        command.args(["-19", "--long=26", "-T0", "-q", "-f"]);
        command.arg(self.archive("packed.tar")?).arg("-o").arg(&path);
        run_within(&mut command, LIMIT)?.success()?;
        Ok(path)
    }

    /// Unpacks what [`Site::pack`] made into a fresh folder.
    pub fn unpack(&self, packed: &Path, name: &str) -> Result<Duration> {
        let folder = self.client(name);
        std::fs::create_dir_all(&folder)?;
        let mut command = command(&program("tar")?);
        command.arg("-I").arg(format!("{} -d --long=26", program("zstd")?.display()));
        command.arg("-xf").arg(packed).arg("-C").arg(&folder);
        Ok(run_within(&mut command, LIMIT)?.success()?.wall)
    }

    /// The most memory that a sync of `root` holds, in bytes.
    pub fn peak(&self, root: &Path) -> Result<f64> {
        let config = root.with_extension("toml");
        let mut command = command(&std::env::current_exe()?);
        command.env(PEAK_OF, "1").arg(e2e::bin("ldi")?).arg("--config").arg(config);
        let done = run_within(command.args(["sync", "--json"]), LIMIT)?.success()?;
        let kib: f64 = done.err().trim().parse().with_context(|| format!("no peak in {done}"))?;
        Ok(kib * 1024.0)
    }

    /// What stands around the library; for other contestants.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// The sshd, and a key of it that may run anything.
    pub fn sshd(&self) -> (&Sshd, &Path) {
        (&self.sshd, &self.any)
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

/// Runs this program's words if it was told to, and writes their peak memory (KiB) to standard
/// error: only the process that started a program is told this.
pub fn peak_of_words() -> Option<std::process::ExitCode> {
    std::env::var_os(PEAK_OF)?;
    let mut words = std::env::args_os().skip(1);
    let status = std::process::Command::new(words.next()?).args(words).status();
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN);
    if let Ok(usage) = usage {
        eprintln!("{}", usage.max_rss());
    }
    let done = status.is_ok_and(|status| status.success());
    Some(if done { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE })
}
