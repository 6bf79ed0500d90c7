//! Somebody who can write where he should not be able to: links, second names, pipes in the
//! client's root. Nothing outside of it may be written, removed or given another mode.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use e2e::{command, process, program};
use nix::{sys::stat::Mode, unistd::mkfifo};

use crate::{Plan, site::Site, tally::Tally};

type Trick = fn(&Place) -> Result<()>;

/// Where a trick is played.
struct Place {
    /// The client's root.
    root: PathBuf,
    /// What must stay as it is.
    outside: PathBuf,
    /// The active release.
    active: u64,
    /// A file of that release, relative to its tree.
    file: String,
    /// The hash of the bundle that comes next.
    bundle: String,
}

impl Place {
    fn tree(&self) -> PathBuf {
        self.root.join("releases").join(self.active.to_string())
    }

    fn meta(&self, name: &str) -> PathBuf {
        self.root.join("meta").join(self.active.to_string()).join(name)
    }

    fn damaged(&self) -> Result<()> {
        Ok(fs::write(self.meta("damaged"), &self.file)?)
    }

    /// `path` becomes a link to the folder outside.
    fn folder(&self, path: &Path) -> Result<()> {
        fs::remove_dir_all(path).ok();
        Ok(symlink(self.outside.join("folder"), path)?)
    }

    /// `path` becomes a link to the file outside.
    fn link(&self, path: &Path) -> Result<()> {
        fs::remove_file(path).ok();
        Ok(symlink(self.outside.join("folder/file"), path)?)
    }

    /// `path` becomes a link to what does not exist outside.
    fn dangling(&self, path: &Path) -> Result<()> {
        fs::remove_file(path).ok();
        Ok(symlink(self.outside.join("folder/new"), path)?)
    }

    /// `path` becomes a second name of the file outside.
    fn second(&self, path: &Path) -> Result<()> {
        fs::remove_file(path).ok();
        Ok(fs::hard_link(self.outside.join("folder/file"), path)?)
    }

    /// `path` becomes a pipe.
    fn pipe(&self, path: &Path) -> Result<()> {
        fs::remove_file(path).ok();
        Ok(mkfifo(path, Mode::from_bits_truncate(0o644))?)
    }
}

const TRICKS: &[(&str, Trick)] = &[
    ("staging leads outside", |p| p.folder(&p.root.join("staging"))),
    ("releases leads outside", |p| p.folder(&p.root.join("releases"))),
    ("meta leads outside", |p| p.folder(&p.root.join("meta"))),
    ("trust leads outside", |p| p.folder(&p.root.join("trust"))),
    ("lib leads outside", |p| p.link(&p.root.join("lib"))),
    ("the active release leads outside", |p| p.folder(&p.tree())),
    ("the active release leads outside, damaged", |p| p.damaged().and(p.folder(&p.tree()))),
    ("meta of the release leads outside", |p| p.folder(&p.root.join(format!("meta/{}", p.active)))),
    ("a folder of the release leads outside", |p| p.folder(&p.tree().join("modules"))),
    ("a folder of the release, damaged", |p| p.damaged().and(p.folder(&p.tree().join("modules")))),
    ("a file of the release leads outside", |p| p.link(&p.tree().join(&p.file))),
    ("a file of the release, damaged", |p| p.damaged().and(p.link(&p.tree().join(&p.file)))),
    ("a second name in the release", |p| p.second(&p.tree().join(&p.file))),
    ("a second name, damaged", |p| p.damaged().and(p.second(&p.tree().join(&p.file)))),
    ("a pipe in the release", |p| p.pipe(&p.tree().join(&p.file))),
    ("a pipe in the release, damaged", |p| p.damaged().and(p.pipe(&p.tree().join(&p.file)))),
    ("the spare's tree leads outside", |p| p.folder(&p.root.join("staging/spare/tree"))),
    ("the spare's meta leads outside", |p| p.folder(&p.root.join("staging/spare/meta"))),
    ("a folder of the spare leads outside", |p| {
        p.folder(&p.root.join("staging/spare/tree/modules"))
    }),
    ("the spare's folder has a second name", |p| {
        p.second(&p.root.join("staging/spare/tree").join(&p.file))
    }),
    ("partial leads outside", |p| p.folder(&p.root.join("staging/partial"))),
    ("a partial file leads outside", |p| p.link(&partial(p)?)),
    ("a partial file is to be made outside", |p| p.dangling(&partial(p)?)),
    ("a partial file with a second name", |p| p.second(&partial(p)?)),
    ("a partial file that is a pipe", |p| p.pipe(&partial(p)?)),
    ("the lock leads outside", |p| p.link(&p.root.join(".sync.lock"))),
    ("the lock is to be made outside", |p| p.dangling(&p.root.join(".sync.lock"))),
    ("the release's lock is to be made outside", |p| p.dangling(&p.meta("lock"))),
    ("the timestamp leads outside", |p| p.link(&p.root.join("trust/timestamp.json"))),
    ("the timestamp is a pipe", |p| p.pipe(&p.root.join("trust/timestamp.json"))),
    ("the root is a pipe", |p| p.pipe(&p.root.join("trust/root.json"))),
    ("the manifest leads outside", |p| p.link(&p.meta("manifest.json"))),
    ("the manifest is a pipe", |p| p.pipe(&p.meta("manifest.json"))),
    ("the note of damage leads outside", |p| p.dangling(&p.meta("damaged"))),
    ("the index leads outside", |p| p.damaged().and(p.link(&p.meta("index")))),
];

fn partial(place: &Place) -> Result<PathBuf> {
    let folder = place.root.join("staging/partial");
    fs::create_dir_all(&folder)?;
    Ok(folder.join(&place.bundle))
}

/// The case. Each trick twice: the next release is there, and it is not.
pub fn run(plan: Plan) -> Result<Vec<Tally>> {
    let mut site = Site::new(plan.seed, 60)?;
    // Large enough that its download is kept over a cut.
    let big: Vec<u8> = (0..700_000).map(|_| site.rng.bits().to_le_bytes()[0]).collect();
    for _ in 0..5 {
        site.next(10)?;
        site.recover()?;
    }
    let place = place(&site)?;
    copy(&site.sandbox.root(), &site.sandbox.path("client.good"))?;
    let mut tallies = Vec::new();
    for name in ["nothing new", "a new release"] {
        let mut tally = Tally::new(format!("links in the client's root, {name}"));
        for (what, trick) in TRICKS {
            tally.add(round(&site, &place, *trick).with_context(|| (*what).to_owned()));
            fs::remove_dir_all(site.sandbox.root())?;
            fs::remove_dir_all(site.sandbox.path("outside"))?;
            outside_at(&place.outside)?;
            copy(&site.sandbox.path("client.good"), &site.sandbox.root())?;
        }
        tallies.push(tally);
        e2e::tree::put(&site.sandbox.tree(), "agent/big", &big, false)?;
        site.publish()?;
    }
    Ok(tallies)
}

/// Makes what must stay as it is.
fn outside_at(outside: &Path) -> Result<()> {
    fs::create_dir_all(outside.join("folder/modules"))?;
    for path in ["folder/file", "folder/modules/mine.sh"] {
        fs::write(outside.join(path), "mine\n")?;
        fs::set_permissions(outside.join(path), fs::Permissions::from_mode(0o600))?;
    }
    Ok(fs::set_permissions(outside.join("folder"), fs::Permissions::from_mode(0o700))?)
}

fn place(site: &Site) -> Result<Place> {
    let outside = site.sandbox.path("outside");
    outside_at(&outside)?;
    let active = site.whole()?.context("nothing is active")?;
    let lib = fs::canonicalize(site.sandbox.lib())?;
    let file = e2e::tree::read(&lib)?;
    let file = file.keys().find(|path| path.starts_with("modules")).context("no module")?;
    let file = file.to_str().context("not UTF-8")?.to_owned();
    Ok(Place { root: site.sandbox.root(), outside, active, file, bundle: "0".repeat(64) })
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    process::run(command(&program("cp")?).arg("-a").arg("--").arg(from).arg(to))?.success()?;
    Ok(())
}

/// Everything outside: names, modes, owners, links, contents and when they were written.
fn look(folder: &Path) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let m = fs::symlink_metadata(&path)?;
            let text = if m.is_file() { fs::read(&path)? } else { Vec::new() };
            let shown = path.display();
            lines.push(format!("{shown} {:o} {} {:?} {text:?}", m.mode(), m.uid(), m.modified()?));
            if m.is_dir() {
                folders.push(path);
            }
        }
    }
    lines.sort();
    Ok(lines)
}

fn round(site: &Site, place: &Place, trick: Trick) -> Result<String> {
    let ring = site.sandbox.library().join("rings/stable/targets");
    let wanted = format!(".{}-{}.patch.zst", place.active, site.newest());
    let bundle =
        fs::read_dir(&ring)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let bundle = bundle.into_iter().find_map(|name| Some(name.strip_suffix(&wanted)?.to_owned()));
    let place = Place {
        bundle: bundle.unwrap_or_else(|| place.bundle.clone()),
        root: place.root.clone(),
        outside: place.outside.clone(),
        file: place.file.clone(),
        active: place.active,
    };
    let before = look(&place.outside)?;
    trick(&place).context("the trick itself")?;
    let done = site.sync()?;
    let known = [0, 1, 69, 76, 77, 78].contains(&done.code());
    ensure!(known && !done.err().contains("panicked"), "{done}");
    let after = look(&place.outside)?;
    let changed: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
    ensure!(before == after, "changed outside: {changed:?}, by {done}");
    if done.code() != 0 {
        return Ok("refused as it is".to_owned());
    }
    // What it says it brought, it brought; a file that nobody asked about is found by `verify`.
    let verify = site.sandbox.ldi(&["verify"])?;
    if verify.code() != 0 {
        let repaired = site.sync()?.success()?;
        ensure!(site.whole()? == Some(site.newest()), "not repaired: {repaired}");
        ensure!(look(&place.outside)? == before, "the repair changed something outside");
        return Ok("repaired after verify".to_owned());
    }
    ensure!(site.whole()? == Some(site.newest()), "not whole: {done}");
    Ok("harmless".to_owned())
}
