//! What the active release is made of: each role's part of it, so that each can be patched.
//!
//! Where there are no teams, the release's manifest is all there is. With teams it is the union of
//! the parts, which are kept beside it: `ROOT/meta/N/parts/ROLE.VERSION`.

use std::{borrow::Cow, fs};

use crate::{
    Result, disk,
    manifest::{MANIFEST_MAX, Manifest, sha256},
    store::{Release, remove},
    trust::Tree,
    union::union,
};

/// One role's part of a release on disk.
pub(super) struct Known<'a> {
    pub(super) role: String,
    pub(super) version: u64,
    pub(super) manifest: Cow<'a, Manifest>,
}

/// The parts of `release`, whose manifest is `whole`; those that are damaged are left out.
pub(super) fn known<'a>(release: &Release, whole: &'a Manifest) -> Vec<Known<'a>> {
    let Ok(entries) = fs::read_dir(release.meta.join("parts")) else {
        let (role, version) = ("targets".to_owned(), release.number);
        return vec![Known { role, version, manifest: Cow::Borrowed(whole) }];
    };
    let read = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let (role, version) = name.split_once('.')?;
        let version = version.parse().ok()?;
        let text = disk::read_bounded(&entry.path(), MANIFEST_MAX).ok()??;
        let manifest = Cow::Owned(Manifest::parse(&text).ok()?);
        Some(Known { role: role.to_owned(), version, manifest })
    };
    entries.filter_map(|entry| read(entry.ok()?)).collect()
}

/// Whether `tree` is one role's, whose version is the release: then nothing is kept beside it.
fn is_simple(tree: &Tree) -> bool {
    matches!(tree.parts.as_slice(), [only] if only.offer.release == tree.release)
}

/// Keeps `manifests`, the parts of `tree`, in the side files at `meta`.
pub(super) fn keep(meta: &std::path::Path, tree: &Tree, manifests: &[Manifest]) -> Result<()> {
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
    Ok(())
}

/// The text of `release`'s manifest, if it is what `tree` signs.
pub(super) fn signed_text(release: &Release, tree: &Tree) -> Option<Vec<u8>> {
    let text = release.manifest_text().ok()?;
    if is_simple(tree) {
        let signed = tree.parts.first()?.offer.manifest.sha256;
        return (sha256(&text) == signed).then_some(text);
    }
    let mut manifests = Vec::new();
    for part in &tree.parts {
        let name = format!("parts/{}.{}", part.role, part.offer.release);
        let text = disk::read_bounded(&release.meta.join(name), MANIFEST_MAX).ok()??;
        if sha256(&text) != part.offer.manifest.sha256 {
            return None;
        }
        manifests.push(Manifest::parse(&text).ok()?);
    }
    let parts = tree.parts.iter().zip(&manifests);
    let parts: Vec<_> = parts.map(|(part, one)| (part.role.as_str(), one)).collect();
    let whole = union(&parts).ok()?;
    (whole.text().as_bytes() == text).then_some(text)
}

/// The tree that `manifests`, the parts of `tree`, make. Refuses a path that is not its role's.
pub(super) fn whole<'a>(tree: &Tree, manifests: &'a [Manifest]) -> Result<Cow<'a, Manifest>> {
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
    pub(super) fn with<'b>(&self, new: &'b Manifest) -> Cow<'b, Manifest> {
        if self.done.is_empty() && self.waiting.is_empty() {
            return Cow::Borrowed(new);
        }
        let all = |waiting: &[&Manifest]| {
            let others = self.done.iter().chain(waiting).chain([&new]);
            let all: Vec<_> = others.map(|one| ("", *one)).collect();
            union(&all).map(|all| Cow::Owned(all.into_owned()))
        };
        all(&self.waiting).or_else(|_| all(&[])).unwrap_or(Cow::Borrowed(new))
    }
}
