//! git beside us: publishing the same tree, and following the same history.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use e2e::{Done, command, program, run_within};

use crate::site::Site;

const LIMIT: Duration = Duration::from_secs(600);

/// git in `folder` (its own files, that is, not a working tree), untouched by whoever runs this.
fn git(folder: &Path) -> Result<Command> {
    let mut git = command(&program("git")?);
    git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    for who in ["AUTHOR", "COMMITTER"] {
        git.env(format!("GIT_{who}_NAME"), "bench")
            .env(format!("GIT_{who}_EMAIL"), "bench@localhost");
    }
    git.args([
        "-c",
        "gc.auto=0",
        "-c",
        "maintenance.auto=false",
        "-c",
        "protocol.file.allow=always",
    ]);
    git.arg("--git-dir").arg(folder);
    Ok(git)
}

fn done(git: &mut Command) -> Result<Done> {
    run_within(git, LIMIT)?.success()
}

/// The published tree under git, with a bare repository on this machine to push to.
pub struct Git {
    folder: PathBuf,
    tree: PathBuf,
}

impl Git {
    /// With everything that is there now committed and pushed.
    pub fn new(site: &Site) -> Result<Self> {
        let (folder, bare) =
            (site.sandbox().path("publisher.git"), site.sandbox().path("bare.git"));
        for folder in [&folder, &bare] {
            done(git(folder)?.args(["init", "-q", "--bare", "-b", "main"]).arg(folder))?;
        }
        done(git(&folder)?.args(["config", "core.bare", "false"]))?;
        done(git(&folder)?.args(["remote", "add", "origin"]).arg(&bare))?;
        let mut git = Self { folder, tree: site.sandbox().tree() };
        git.publish()?;
        Ok(git)
    }

    /// `git add`, `git commit`, `git push`.
    pub fn publish(&mut self) -> Result<Duration> {
        let mut wall = Duration::ZERO;
        for words in [
            &["add", "-A", "."][..],
            &["commit", "-q", "-m", "next"],
            &["push", "-q", "origin", "HEAD:main"],
        ] {
            let mut git = git(&self.folder)?;
            git.arg("--work-tree").arg(&self.tree).current_dir(&self.tree);
            wall += done(git.args(words))?.wall;
        }
        Ok(wall)
    }
}

/// The last commits of a repository, first parents only, oldest first.
pub struct History {
    repository: PathBuf,
    commits: std::vec::IntoIter<String>,
}

impl History {
    /// The last `steps` commits of the repository at `path`, and the one before them.
    pub fn of(path: &Path, steps: usize) -> Result<Self> {
        let mut find = command(&program("git")?);
        find.arg("-C").arg(path).args(["rev-parse", "--absolute-git-dir"]);
        let found =
            done(&mut find).with_context(|| format!("{} is no git repository", path.display()))?;
        let repository = PathBuf::from(found.out().trim_end());
        let count = (steps + 1).to_string();
        let mut list = git(&repository)?;
        let list = done(list.args(["rev-list", "--first-parent", "-n", &count, "HEAD"]))?;
        let mut commits: Vec<String> = list.out().lines().map(str::to_owned).collect();
        ensure!(commits.len() > 1, "{} has no history", path.display());
        commits.reverse();
        Ok(Self { repository, commits: commits.into_iter() })
    }

    /// A repository of this history behind the site's sshd, and a clone of it.
    pub fn remote(&self, site: &Site) -> Result<Remote> {
        let folder = site.sandbox().path("history.git");
        let clone = site.sandbox().path("clone.git");
        for folder in [&folder, &clone] {
            done(git(folder)?.args(["init", "-q", "--bare", "-b", "main"]).arg(folder))?;
        }
        let repository = self.repository.clone();
        let (sshd, key) = site.sshd();
        let ssh = program("ssh")?;
        let options = sshd.client_options(key).join(" ");
        let ssh = format!("{} -v {options}", ssh.display());
        let url = format!("ssh://{}@127.0.0.1:{}{}", sshd.user(), sshd.port(), folder.display());
        let mut remote = Remote { repository, folder, clone, ssh, url, nothing: 0.0 };
        remote.nothing = remote.fetched()?;
        Ok(remote)
    }

    /// Makes the next commit the site's tree and the remote's newest; false after the last.
    pub fn next(&mut self, site: &Site, remote: &mut Remote) -> Result<bool> {
        let Some(commit) = self.commits.next() else { return Ok(false) };
        let (tree, archive) = (site.sandbox().tree(), site.sandbox().path("commit.tar"));
        let mut make = git(&self.repository)?;
        done(make.args(["archive", "--format=tar", "-o"]).arg(&archive).arg(&commit))?;
        std::fs::remove_dir_all(&tree)?;
        std::fs::create_dir_all(&tree)?;
        done(command(&program("tar")?).arg("-C").arg(&tree).arg("-xf").arg(&archive))?;
        // A library has no links; a release without them is as good a step.
        let mut links = command(&program("find")?);
        done(links.arg(&tree).args(["-type", "l", "-delete"]))?;
        remote.advance(&commit)?;
        Ok(true)
    }
}

/// A repository that is fetched from over ssh.
pub struct Remote {
    repository: PathBuf,
    folder: PathBuf,
    clone: PathBuf,
    ssh: String,
    url: String,
    /// Bytes of a session that finds nothing.
    nothing: f64,
}

impl Remote {
    fn advance(&mut self, commit: &str) -> Result<()> {
        let mut push = git(&self.repository)?;
        push.args(["push", "-q", "--force"]).arg(&self.folder);
        done(push.arg(format!("{commit}:refs/heads/main")))?;
        Ok(())
    }

    /// Fetches; bytes received beside what an empty session costs.
    pub fn fetch(&self, _: &Site) -> Result<f64> {
        Ok((self.fetched()? - self.nothing).max(0.0))
    }

    fn fetched(&self) -> Result<f64> {
        let mut fetch = git(&self.clone)?;
        fetch.env("GIT_SSH_COMMAND", &self.ssh).args(["fetch", "-q"]).arg(&self.url);
        // An empty repository has no branch to fetch.
        let done = run_within(fetch.arg("+refs/heads/*:refs/heads/*"), LIMIT)?.success()?;
        let text = done.err();
        let line = text.lines().find(|line| line.starts_with("Transferred: "));
        let received = line.and_then(|line| line.split("received ").nth(1)?.split(' ').next());
        received
            .and_then(|bytes| bytes.parse().ok())
            .with_context(|| format!("ssh told no bytes: {done}"))
    }
}
