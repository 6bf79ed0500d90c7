//! What the active release is made of: each role's part of it, so that each can be patched.
//!
//! Where there are no teams, the release's manifest is all there is. With teams it is the union of
//! the parts, which are kept beside it: `ROOT/meta/N/parts/ROLE.VERSION`, and `ROOT/meta/N/parts/sum`
//! with the hash of the union and of each part.

use std::fmt::Write;

use crate::{
    Result, disk,
    manifest::{Hash, MANIFEST_MAX, Manifest, sha256},
    store::{Release, Summary, remove},
    trust::Tree,
    union::union,
};

/// Roles of one tree are some dozens.
const SUM_MAX: u64 = 1 << 20;

/// One role's part of a release on disk.
pub(super) struct Known {
    pub(super) role: String,
    pub(super) version: u64,
    pub(super) manifest: Manifest,
}

/// The parts of `release`, whose manifest is `whole`; those that are damaged are left out.
pub(super) fn known(release: &Release, whole: &Manifest) -> Vec<Known> {
    let Some(sum) = sum(release) else {
        let (role, version) = ("targets".to_owned(), release.number);
        return vec![Known { role, version, manifest: whole.clone() }];
    };
    let read = |line: &str| {
        let (role, version, hash) = fields(line)?;
        let path = release.meta.join(format!("parts/{role}.{version}"));
        let text = disk::read_bounded(&path, MANIFEST_MAX).ok()??;
        if hex::encode(sha256(&text)) != hash {
            return None;
        }
        let manifest = Manifest::read_back(&text).ok()?;
        Some(Known { role: role.to_owned(), version: version.parse().ok()?, manifest })
    };
    sum.lines().skip(1).filter_map(read).collect()
}

/// Whether `tree` is one role's, whose version is the release: then nothing is kept beside it.
fn is_simple(tree: &Tree) -> bool {
    matches!(tree.parts.as_slice(), [only] if only.offer.release == tree.release)
}

fn sum(release: &Release) -> Option<String> {
    let text = disk::read_bounded(&release.meta.join("parts/sum"), SUM_MAX).ok()??;
    String::from_utf8(text).ok()
}

fn fields(line: &str) -> Option<(&str, &str, &str)> {
    let (role, rest) = line.split_once(' ')?;
    let (version, hash) = rest.split_once(' ')?;
    Some((role, version, hash))
}

/// What `parts/sum` says of `tree`, whose union has the hash `whole`.
fn sum_of(tree: &Tree, whole: &Hash) -> String {
    let mut sum = format!("{}\n", hex::encode(whole));
    for part in &tree.parts {
        let hash = hex::encode(part.offer.manifest.sha256);
        // Writing to a string cannot fail.
        let _ = writeln!(sum, "{} {} {hash}", part.role, part.offer.release);
    }
    sum
}

/// Keeps `manifests`, the parts of `tree` whose union is `whole`, in the side files at `meta`.
pub(super) fn keep(
    meta: &std::path::Path,
    tree: &Tree,
    manifests: &[Manifest],
    whole: &Manifest,
) -> Result<()> {
    let folder = meta.join("parts");
    remove(&folder)?;
    if is_simple(tree) {
        return Ok(());
    }
    disk::make_folder(&folder, 0o755)?;
    for (part, manifest) in tree.parts.iter().zip(manifests) {
        let file = folder.join(format!("{}.{}", part.role, part.offer.release));
        disk::replace(&file, manifest.text().as_bytes(), 0o644)?;
    }
    disk::replace(&folder.join("sum"), sum_of(tree, &whole.hash()).as_bytes(), 0o644)
}

/// What the manifest of `release` is, if it is what `tree` signs.
pub(super) fn signed(release: &Release, tree: &Tree) -> Option<Summary> {
    let summary = release.summary()?;
    let is_signed = match tree.parts.as_slice() {
        [only] if is_simple(tree) => summary.hash == only.offer.manifest.sha256,
        _ => sum(release)? == sum_of(tree, &summary.hash),
    };
    is_signed.then_some(summary)
}

/// The tree that `manifests`, the parts of `tree`, make. Refuses a path that is not its role's.
pub(super) fn whole(tree: &Tree, manifests: &[Manifest]) -> Result<Manifest> {
    let mut parts = Vec::new();
    for (part, manifest) in tree.parts.iter().zip(manifests) {
        part.paths.check(manifest)?;
        parts.push((part.role.as_str(), manifest));
    }
    union(&parts)
}

/// The other parts of a tree while one is being built.
pub(super) struct Beside<'a> {
    pub(super) done: Vec<&'a Manifest>,
    /// As the active release has them.
    pub(super) waiting: Vec<&'a Manifest>,
}

impl Beside<'_> {
    /// What a stage is to hold while one part becomes `new`. On the way there what others have may
    /// stand in its place: then these are left out, and linked from the active release later.
    pub(super) fn with(&self, new: &Manifest) -> Manifest {
        if self.done.is_empty() && self.waiting.is_empty() {
            return new.clone();
        }
        let all = |waiting: &[&Manifest]| {
            let others = self.done.iter().chain(waiting).chain([&new]);
            let all: Vec<_> = others.map(|one| ("", *one)).collect();
            union(&all)
        };
        all(&self.waiting).or_else(|_| all(&[])).unwrap_or_else(|_| new.clone())
    }
}
