//! Building a release beside the active one, at a cost that grows with what changes.
//!
//! The tree of a retired release is changed into the new one where there is such a tree; what is
//! missing is linked from the active release; only what neither has is written. Links and the
//! spare's files are believed here by name: whoever runs a file compares its hash then.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs,
    io::{ErrorKind, Seek},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use crate::{
    Error, Kind, Result, disk,
    manifest::{File, Hash, Manifest},
    store::{Release, Staged, Store, is_intact, remove},
};

mod writers;

use writers::{Job, Writers, write};

/// Up to this many written files are synced one by one; more, all at once.
const SYNC_SINGLY: usize = 256;
/// Bytes that may wait for the writers while more is taken in: large contents arrive faster than a
/// disk takes them.
const QUEUED_MAX: usize = 32 << 20;

/// A tree that is being built.
pub struct Stage {
    work: tempfile::TempDir,
    tree: PathBuf,
    /// What the tree holds now, by path: only what was put there or found intact by name.
    present: Manifest,
    active: Option<(Release, Manifest)>,
    /// Compare contents before linking them: the active tree is known to be damaged.
    suspicious: bool,
    needed: HashMap<Hash, Vec<File>>,
    folders: HashSet<PathBuf>,
    touched: BTreeSet<PathBuf>,
    written: usize,
    /// Something was written and not synced.
    unsynced: bool,
    /// Bytes handed to the writers since they were last waited for.
    queued: usize,
    writers: Option<Writers>,
}

impl Stage {
    /// Begins a tree in `store`, upon its spare if there is one.
    pub fn begin(
        store: &Store,
        active: Option<(Release, Manifest)>,
        suspicious: bool,
    ) -> Result<Self> {
        let staging = store.staging();
        let fail = |error: std::io::Error| Error::io("write in", &staging, &error);
        let work = tempfile::Builder::new().prefix("new-").tempdir_in(&staging).map_err(fail)?;
        let tree = work.path().join("tree");
        let spare = store.spare();
        let mut present = Manifest::default();
        if spare.exists() {
            let old = Release { number: 0, tree: spare.join("tree"), meta: spare.join("meta") };
            match old.manifest() {
                // A crash may have come between taking the tree and removing the rest.
                Ok(manifest) if !suspicious && disk::is_folder(&old.tree) => {
                    fs::rename(&old.tree, &tree).map_err(fail)?;
                    present = manifest;
                }
                _ => {}
            }
            remove(&spare)?;
        }
        if !tree.exists() {
            fs::create_dir(&tree).map_err(fail)?;
        }
        fs::set_permissions(&tree, fs::Permissions::from_mode(0o755)).map_err(fail)?;
        Ok(Self {
            work,
            tree,
            present,
            active,
            suspicious,
            needed: HashMap::new(),
            folders: HashSet::new(),
            touched: BTreeSet::new(),
            written: 0,
            unsynced: false,
            queued: 0,
            writers: None,
        })
    }

    /// The content of `file`, from the tree or the active release, if either has it unchanged.
    pub fn content(&self, file: &File) -> Option<Vec<u8>> {
        let here = self.present.get(&file.path).filter(|mine| mine.sha256 == file.sha256);
        let mine = here.and_then(|_| crate::store::read_intact(&self.tree, file));
        mine.or_else(|| {
            let (release, manifest) = self.active.as_ref()?;
            let theirs = manifest.get(&file.path).filter(|theirs| theirs.sha256 == file.sha256)?;
            crate::store::read_intact(&release.tree, &theirs)
        })
    }

    /// A file of the active release whose content's hash begins with `short`, by name.
    pub fn former(&self, short: u64) -> Option<PathBuf> {
        let (release, manifest) = self.active.as_ref()?;
        let mut files = manifest.files();
        let file = files.find(|file| crate::large::short(&file.sha256) == short)?;
        Some(release.tree.join(&file.path))
    }

    /// Changes the tree towards `target`: removes what it lacks, links what the active release
    /// has. What is still missing is then in [`Stage::needed`].
    pub fn retarget(&mut self, target: &Manifest) -> Result<()> {
        self.settle()?;
        let mut changes = target.changes(&self.present);
        let paths = changes.iter().flat_map(|change| {
            let old = change.old.map(|at| self.present.path(at));
            [old, change.new.map(|at| target.path(at))].into_iter().flatten()
        });
        if leads_away(&self.tree, paths) {
            // Not the tree that was retired: nothing in it is believed.
            remove(&self.tree)?;
            disk::make_folder(&self.tree, 0o755)?;
            self.present = Manifest::default();
            self.touched.clear();
            changes = target.changes(&self.present);
        }
        let mut left = Vec::new();
        for at in changes.iter().filter_map(|change| change.old) {
            let path = self.tree.join(&*self.present.path(at));
            remove(&path)?;
            left.extend(path.parent().map(Path::to_owned));
        }
        self.leave(left);
        let mut todo: Vec<File> =
            changes.iter().filter_map(|change| target.at(change.new?)).collect();
        // What is the same in both, but did not come with the step before.
        let waiting = std::mem::take(&mut self.needed).into_values().flatten();
        todo.extend(waiting.filter(|file| target.get(&file.path).as_ref() == Some(file)));
        todo.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        todo.dedup_by(|a, b| a.path == b.path);
        for file in &todo {
            self.make_parent(&file.path)?;
        }
        let missing = self.link(&todo)?;
        for file in missing {
            self.needed.entry(file.sha256).or_default().push(file);
        }
        self.present = target.clone();
        Ok(())
    }

    /// Removes those of `folders`, from which files were removed, that are empty now, and then
    /// those above them.
    fn leave(&mut self, mut folders: Vec<PathBuf>) {
        self.folders.clear();
        while let Some(folder) = folders.pop() {
            if folder == self.tree || !folder.starts_with(&self.tree) {
                self.touched.insert(self.tree.clone());
                continue;
            }
            if fs::remove_dir(&folder).is_ok() {
                self.touched.remove(&folder);
                folders.extend(folder.parent().map(Path::to_owned));
            } else if folder.is_dir() {
                self.touched.insert(folder);
            }
        }
    }

    /// Links `files` from the active release, on all cores; returns those that it lacks.
    fn link(&self, files: &[File]) -> Result<Vec<File>> {
        let Some((release, manifest)) = &self.active else { return Ok(files.to_vec()) };
        let wanted: HashSet<Hash> = files.iter().map(|file| file.sha256).collect();
        let places = manifest.having(&wanted);
        let one = |file: &File| -> Result<bool> {
            let first = places.get(&file.sha256).and_then(|at| manifest.at(*at));
            let Some(mut theirs) = first else { return Ok(false) };
            // Of several with this content, the one of this path most likely has the right mode.
            if theirs.executable != file.executable {
                let own = manifest.get(&file.path).filter(|own| own.sha256 == file.sha256);
                theirs = own.unwrap_or(theirs);
            }
            let to = self.tree.join(&file.path);
            let copy = || match crate::store::read_intact(&release.tree, &theirs) {
                Some(content) => write(&to, &content, file.executable, true).map(|()| true),
                None => Ok(false),
            };
            // The same bytes under the other mode need a file of their own.
            if theirs.executable != file.executable {
                return copy();
            }
            if self.suspicious && !is_intact(&release.tree, &theirs) {
                return Ok(false);
            }
            match fs::hard_link(release.tree.join(&theirs.path), &to) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
                // Too many links to one inode: a copy does.
                Err(_) => copy(),
            }
        };
        let threads = if files.len() < 500 { 1 } else { cores() };
        let share = files.len().div_ceil(threads).max(1);
        std::thread::scope(|scope| {
            let parts: Vec<_> = files
                .chunks(share)
                .map(|part| {
                    let one = &one;
                    scope.spawn(move || {
                        let mut missing = Vec::new();
                        for file in part {
                            if !one(file)? {
                                missing.push(file.clone());
                            }
                        }
                        Ok::<_, Error>(missing)
                    })
                })
                .collect();
            let mut missing = Vec::new();
            for part in parts {
                let part =
                    part.join().map_err(|_| Error::new(Kind::Io, "linking failed unexpectedly"))?;
                missing.extend(part?);
            }
            Ok(missing)
        })
    }

    /// What the tree still lacks: one file for each content, in path order.
    pub fn needed(&self) -> Vec<File> {
        let mut files: Vec<File> =
            self.needed.values().filter_map(|files| files.first().cloned()).collect();
        files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        files
    }

    /// Takes in a content, if it is the one that was signed; writes it wherever it is needed.
    pub fn put(&mut self, file: &File, content: Vec<u8>) -> Result<()> {
        let Some(files) = self.needed.remove(&file.sha256) else { return Ok(()) };
        self.queued += content.len();
        self.written += files.len();
        // Counting what is still to come: one by one and then all at once would be paid twice.
        let singly = self.written + self.needed.len() <= SYNC_SINGLY;
        self.unsynced |= !singly;
        let writers = self.writers.get_or_insert_with(Writers::start);
        let paths = files.iter().map(|f| (self.tree.join(&f.path), f.executable)).collect();
        writers.send(Job {
            name: file.path.clone(),
            sha256: file.sha256,
            paths,
            content,
            singly,
        })?;
        if self.queued > QUEUED_MAX { self.settle() } else { Ok(()) }
    }

    /// Places a large content, whose hash was compared.
    pub fn put_large(&mut self, file: &File, mut content: fs::File) -> Result<()> {
        let Some(files) = self.needed.remove(&file.sha256) else { return Ok(()) };
        for file in &files {
            let to = self.tree.join(&file.path);
            let fail = |error: std::io::Error| Error::io("write", &to, &error);
            // A file each: links share a mode.
            let mode = if file.executable { 0o755 } else { 0o644 };
            let mut out = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(mode)
                .open(&to)
                .map_err(fail)?;
            content.rewind().map_err(fail)?;
            std::io::copy(&mut content, &mut out).map_err(fail)?;
            out.set_permissions(fs::Permissions::from_mode(mode)).map_err(fail)?;
        }
        self.unsynced = true;
        Ok(())
    }

    /// Waits until what was put is written; the first failure, if there was one.
    pub fn settle(&mut self) -> Result<()> {
        self.queued = 0;
        self.writers.take().map_or(Ok(()), Writers::finish)
    }

    /// Ends the building. The stage must be kept until the release was adopted, and what it wrote
    /// is on disk only after [`Stage::sync`].
    pub fn finish(&mut self, number: u64, target: &Manifest) -> Result<Staged> {
        self.settle()?;
        if let Some(file) = self.needed().first() {
            return Err(Error::refused(format!("the source did not hand out {}", file.path)));
        }
        let meta = self.work.path().join("meta");
        disk::make_folder(&meta, 0o755)?;
        let staged = Release { number, tree: self.tree.clone(), meta };
        staged.write_manifest(target)?;
        let Release { tree, meta, .. } = staged;
        Ok(Staged { number, tree, meta, manifest: target.clone(), before: self.active.clone() })
    }

    /// What makes the tree survive a power cut; to be called on any thread.
    pub fn sync(&self) -> impl FnOnce() -> Result<()> + Send + use<> {
        let many = self.unsynced || self.touched.len() > SYNC_SINGLY;
        let (tree, work) = (self.tree.clone(), self.work.path().to_owned());
        let touched = self.touched.clone();
        move || {
            if many {
                disk::sync_everything(&tree)?;
            } else {
                touched.iter().try_for_each(|folder| disk::sync_folder(folder))?;
            }
            disk::sync_folder(&work)
        }
    }

    fn make_parent(&mut self, path: &str) -> Result<()> {
        let to = self.tree.join(path);
        let Some(folder) = to.parent() else { return Ok(()) };
        if self.folders.contains(folder) {
            return Ok(());
        }
        let mut above: Vec<&Path> =
            folder.ancestors().take_while(|above| above.starts_with(&self.tree)).collect();
        above.reverse();
        for one in above {
            if self.folders.insert(one.to_owned()) {
                if one != self.tree && !one.is_dir() {
                    fs::create_dir(one)
                        .and_then(|()| fs::set_permissions(one, fs::Permissions::from_mode(0o755)))
                        .map_err(|error| Error::io("create", one, &error))?;
                }
                self.touched.insert(one.to_owned());
            }
        }
        Ok(())
    }
}

/// What a walk finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A regular file.
    File,
    /// A folder; told before what is in it.
    Folder,
    /// A link, a device: nothing that a release has.
    Other,
}

/// Calls `each` with the path of everything under `tree/folder`.
pub(crate) fn walk(
    tree: &Path,
    folder: &str,
    each: &mut dyn FnMut(&str, Entry) -> Result<()>,
) -> Result<()> {
    let here = tree.join(folder);
    let fail = |error: std::io::Error| Error::io("read", &here, &error);
    let entries: Vec<_> =
        fs::read_dir(&here).map_err(fail)?.collect::<Result<_, _>>().map_err(fail)?;
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let path = if folder.is_empty() { name.into_owned() } else { format!("{folder}/{name}") };
        let kind = entry.file_type().map_err(fail)?;
        if kind.is_dir() {
            each(&path, Entry::Folder)?;
            walk(tree, &path, each)?;
        } else {
            each(&path, if kind.is_file() { Entry::File } else { Entry::Other })?;
        }
    }
    Ok(())
}

/// Whether a folder above one of `paths` in `tree` is a link: what is done there would be done
/// elsewhere.
fn leads_away<'a>(tree: &Path, paths: impl Iterator<Item = std::borrow::Cow<'a, str>>) -> bool {
    let mut seen = HashSet::new();
    for path in paths {
        for folder in Path::new(&*path).ancestors().skip(1) {
            if !seen.insert(folder.to_owned()) {
                break;
            }
            if fs::symlink_metadata(tree.join(folder)).is_ok_and(|found| found.is_symlink()) {
                return true;
            }
        }
    }
    false
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(4)
}
