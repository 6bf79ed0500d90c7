//! A release that is about to be signed: who may, what the whole tree is then, and in which order it
//! comes to the disk.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    Lifetimes, NOTE_MAX, Place, Progress, Report, after, bundles::store_targets, delegate, export,
    online::sign_online, root_expires, rotate, stamp,
};
use crate::{
    Error, Kind, Result, disk,
    library::{self, Library, Published, Team},
    manifest::Manifest,
    sign::{Key, Keys, Role, envelope},
    trust::{Paths, Versions},
    union::union,
};

/// What a role of a ring published last, upon which the next release follows.
pub(crate) struct Newest {
    versions: Versions,
    pub(super) published: Option<Published>,
    pub(crate) manifest: Manifest,
}

impl Newest {
    /// What the role of `place` published last; an empty manifest where that is nothing.
    pub(crate) fn of(library: &Library, place: Place<'_>) -> Result<Self> {
        let versions = library.versions(place.ring)?;
        let published = match versions.of(place.role()) {
            0 => None,
            version => library.signed(place.ring, place.role(), version)?,
        };
        let manifest = match &published {
            Some(published) => library.manifest(place.ring, published)?,
            None => Manifest::default(),
        };
        Ok(Self { versions, published, manifest })
    }
}

/// A release that is about to be signed.
pub(super) struct Issue<'a> {
    pub(super) library: &'a Library,
    pub(super) keys: &'a Keys,
    pub(super) place: Place<'a>,
    pub(super) note: &'a str,
    pub(super) lifetimes: Lifetimes,
    pub(super) now: DateTime<Utc>,
    /// Other delegations than the release before has; null for none.
    pub(super) delegations: Option<Value>,
    pub(super) newest: Newest,
    pub(super) progress: &'a Progress<'a>,
}

impl Issue<'_> {
    /// The key that signs it.
    pub(super) fn key(&self) -> Result<Key> {
        let Place { ring, team } = self.place;
        let key = self.keys.signer(self.place.role())?;
        match team {
            None => rotate::check_authorized(self.library, ring, Role::Targets, &key)?,
            Some(team) => {
                let found = self.team(team)?.ok_or_else(|| delegate::unknown(ring, team))?;
                if !found.keys.iter().any(|id| id == key.id()) {
                    return Err(Error::new(
                        Kind::Config,
                        format!(
                            "the key {} is none of those that ring {ring} delegates {team}'s paths to; clients would refuse what it signs",
                            self.keys.path(team).display()
                        ),
                    ));
                }
            }
        }
        Ok(key)
    }

    /// Whether the ring delegates paths to teams.
    pub(super) fn has_teams(&self) -> Result<bool> {
        let ring = self.place.ring;
        let top = self.library.published(ring, self.library.versions(ring)?.targets)?;
        Ok(top.is_some_and(|top| !top.teams().is_empty()))
    }

    fn team(&self, team: &str) -> Result<Option<Team>> {
        let ring = self.place.ring;
        let top = self.library.published(ring, self.library.versions(ring)?.targets)?;
        Ok(top.and_then(|top| top.teams().into_iter().find(|one| one.name == team)))
    }

    /// The tree with `manifest` as this role's part: nobody publishes what is not his, or what is
    /// another's already.
    pub(super) fn whole(&self, manifest: &Manifest, versions: &Versions) -> Result<Manifest> {
        let Self { library, place, .. } = self;
        if let Some(team) = place.team {
            let found = self.team(team)?.ok_or_else(|| delegate::unknown(place.ring, team))?;
            Paths::of(team, &found.paths)?.check(manifest)?;
        }
        let top = match versions.targets {
            0 => None,
            version => library.published(place.ring, version)?,
        };
        let teams = match (&self.delegations, &top) {
            (Some(delegations), _) => library::teams(delegations),
            (None, Some(top)) => top.teams(),
            (None, None) => Vec::new(),
        };
        let mut manifests = Vec::new();
        let others = std::iter::once("targets").chain(teams.iter().map(|team| team.name.as_str()));
        for role in others.filter(|role| *role != place.role() && versions.of(role) > 0) {
            let part = library.newest(place.ring, role, versions)?;
            if !part.manifest().0.is_empty() {
                manifests.push((role, library.manifest(place.ring, &part)?));
            }
        }
        let others = manifests.iter().map(|(role, one)| (*role, one));
        let all: Vec<_> = others.chain([(place.role(), manifest)]).collect();
        union(&all)
    }

    /// Signs `manifest`, whose contents are stored, as the next release. `content_of` is the
    /// earlier release that it repeats.
    pub(super) fn sign(
        &self,
        key: &Key,
        manifest: &Manifest,
        content_of: Option<u64>,
    ) -> Result<Report> {
        let Self { library, keys, place, note, lifetimes, now, ref newest, progress, .. } = *self;
        let Place { ring, team } = place;
        if note.len() > NOTE_MAX {
            return Err(Error::new(Kind::Usage, "the note is longer than 4,096 bytes; shorten it"));
        }
        let Newest { versions, published: former, manifest: old } = newest;
        let whole = self.whole(manifest, versions)?;
        let changed = manifest.changes(old).len();
        let mut report = Report {
            ring: ring.to_owned(),
            team: team.map(str::to_owned),
            release: versions.release(),
            files: manifest.len(),
            changed,
            bytes: 0,
            note: note.to_owned(),
            root_expires: root_expires(library, ring)?,
            targets_expires: after(now, lifetimes.targets),
        };
        // A team's new key has to sign before the former one can go.
        let signed = |former: &Published| team.is_none() || former.signers == [key.id()];
        let same = changed == 0 && self.delegations.is_none();
        let standing = |one: &&Published| same && signed(one) && !ending(one, now);
        if let Some(former) = former.as_ref().filter(standing) {
            sign_online(library, keys, ring, versions.clone(), lifetimes, now)?;
            let word = |key: &str| former.signed[key].as_str().unwrap_or_default().to_owned();
            report.note = word("note");
            report.targets_expires = word("expires");
            return Ok(report);
        }

        // Contents and bundles are on the disk before anything points to them. That includes what
        // was here already, but not in the newest release: nobody knows whether it was synced.
        let mut written = disk::Unsynced::default();
        for file in manifest.missing(old) {
            written.add(library.object(&file.sha256));
        }
        report.release = versions.release() + 1;
        let version = versions.of(place.role()) + 1;
        let (targets, bytes) =
            store_targets(library, place, version, manifest, newest, &mut written, progress)?;
        written.sync(library.folder())?;
        report.bytes = bytes;
        let mut signed = json!({
            "_type": "targets", "spec_version": "1.0.0", "version": version,
            "expires": report.targets_expires, "ring": ring, "published": stamp(now),
            "note": note, "targets": targets,
        });
        if let Some(number) = content_of {
            signed["content_of"] = json!(number);
        }
        if report.release != version {
            signed["release"] = json!(report.release);
        }
        let kept = former.as_ref().map(|former| former.signed["delegations"].clone());
        if let Some(delegations) = self.delegations.clone().or(kept)
            && !delegations.is_null()
        {
            signed["delegations"] = delegations;
        }
        let file = library.ring(ring)?.join(format!("{version}.{}.json", place.role()));
        disk::replace(&file, &envelope(&signed, &[key])?, 0o644)?;
        // From here on the release can be seen.
        let mut named = versions.clone();
        match team {
            None => named.targets = version,
            Some(team) => _ = named.teams.insert(team.to_owned(), version),
        }
        sign_online(library, keys, ring, named, lifetimes, now)?;
        // What the export has, unless the teams are others now: then it is compared as a whole.
        let before = self.whole(old, versions).ok();
        export::update(library, ring, &whole, before.as_ref())?;
        Ok(report)
    }
}

/// Whether a release expires within 30 days: then the same content is worth a new one.
fn ending(release: &Published, now: DateTime<Utc>) -> bool {
    let expires = release.signed["expires"].as_str().unwrap_or_default();
    DateTime::parse_from_rfc3339(expires)
        .is_ok_and(|time| time.to_utc() < now + chrono::TimeDelta::days(30))
}
