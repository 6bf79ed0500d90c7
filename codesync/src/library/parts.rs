//! Releases that several roles make together: whose parts a release has, and what they come to.

use serde_json::Value;

use super::{Library, Published};
use crate::{
    Error, Kind, Result, disk,
    manifest::{Manifest, sha256},
    name,
    older::{self, Patches},
    trust::{self, Target, Versions},
    union,
};

/// A delegation of the top-level targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Team {
    /// Its name.
    pub name: String,
    /// Globs of the paths that it may publish.
    pub paths: Vec<String>,
    /// Ids of the keys of which one must sign.
    pub keys: Vec<String>,
}

impl Published {
    /// The signed hash of the manifest, empty where it is odd, and its file in `targets/`.
    pub(crate) fn manifest(&self) -> (&str, String) {
        let name = format!("{}manifest", trust::prefix(&self.role));
        let hash = self.signed["targets"][&name]["hashes"]["sha256"].as_str();
        let hash = hash.filter(|hash| name::is_sha256(hash)).unwrap_or_default();
        (hash, format!("{hash}.{name}"))
    }

    /// The patches that it offers itself.
    pub(crate) fn patches(&self) -> Patches {
        let prefix = trust::prefix(&self.role);
        let targets = self.signed["targets"].as_object().into_iter().flatten();
        targets
            .filter_map(|(name, target)| {
                let span =
                    name.strip_prefix(&prefix)?.strip_suffix(".patch.zst")?.split_once('-')?;
                let span = (span.0.parse().ok()?, span.1.parse().ok()?);
                Some((span, target_of(name, target)?))
            })
            .collect()
    }

    /// The target `name` of a role's own, without its prefix.
    pub(crate) fn target(&self, name: &str) -> Option<Target> {
        let name = format!("{}{name}", trust::prefix(&self.role));
        target_of(&name, &self.signed["targets"][&name])
    }

    /// The teams to which it delegates.
    pub fn teams(&self) -> Vec<Team> {
        teams(&self.signed["delegations"])
    }
}

fn target_of(name: &str, target: &Value) -> Option<Target> {
    let mut sha256 = [0; 32];
    hex::decode_to_slice(target["hashes"]["sha256"].as_str()?, &mut sha256).ok()?;
    Some(Target { name: name.to_owned(), sha256, length: target["length"].as_u64()? })
}

/// The teams that `delegations` of targets metadata name.
pub fn teams(delegations: &Value) -> Vec<Team> {
    let texts = |list: &Value| -> Vec<String> {
        let all = list.as_array().into_iter().flatten();
        all.filter_map(|one| one.as_str().map(str::to_owned)).collect()
    };
    let roles = delegations["roles"].as_array().into_iter().flatten();
    roles
        .filter_map(|role| {
            let name = role["name"].as_str().filter(|name| name::is_team(name))?.to_owned();
            let carried = trust::carried(&name);
            let mut paths = texts(&role["paths"]);
            paths.retain(|glob| *glob != carried);
            Some(Team { name, paths, keys: texts(&role["keyids"]) })
        })
        .collect()
}

impl Library {
    /// The parts of release `number` of `ring`, the top-level one first; `None` when there is no such
    /// release, or when it can no longer be told what it was.
    pub fn parts(&self, ring: &str, number: u64) -> Result<Option<Vec<Published>>> {
        let versions = self.versions(ring)?;
        let Some(top) = self.last(ring, "targets", &versions, number)? else { return Ok(None) };
        let teams = top.teams();
        let mut parts = vec![top];
        for team in teams {
            parts.extend(self.last(ring, &team.name, &versions, number)?);
        }
        Ok(parts.iter().any(|part| part.release == number).then_some(parts))
    }

    /// The patches of earlier releases that `published` lists; none where the list is not here.
    pub(crate) fn older(&self, ring: &str, published: &Published) -> Result<Patches> {
        let Some(target) = published.target(older::NAME) else { return Ok(Patches::new()) };
        let path = self.ring(ring)?.join("targets").join(target.file());
        let text = disk::read_bounded(&path, older::LIST_MAX)?.unwrap_or_default();
        if sha256(&text) != target.sha256 {
            return Ok(Patches::new());
        }
        older::parse(&text, &trust::prefix(&published.role))
    }

    /// What `role` has signed last.
    pub(crate) fn newest(&self, ring: &str, role: &str, versions: &Versions) -> Result<Published> {
        let version = versions.of(role);
        self.signed(ring, role, version)?.ok_or_else(|| {
            let what = format!("{version}.{role}.json of ring {ring} is missing");
            Error::new(Kind::Io, format!("{what}; restore it from a copy"))
        })
    }

    /// What `role` had signed last when release `number` was made.
    fn last(
        &self,
        ring: &str,
        role: &str,
        versions: &Versions,
        number: u64,
    ) -> Result<Option<Published>> {
        let newest = versions.of(role);
        for version in (1..=newest).rev() {
            let found = match version == newest {
                true => Some(self.newest(ring, role, versions)?),
                false => self.signed(ring, role, version)?,
            };
            match found {
                Some(part) if part.release <= number => return Ok(Some(part)),
                Some(_) => {}
                // A copy lacks some: what they were part of is not known here.
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The releases of `ring`, newest first, each as the part that made it. A copy lacks some.
    pub fn history(&self, ring: &str) -> Result<impl Iterator<Item = Result<Published>>> {
        let versions = self.versions(ring)?;
        let roles = std::iter::once("targets".to_owned()).chain(versions.teams.keys().cloned());
        // Of each role, the newest part that was not told yet.
        let mut next: Vec<(String, u64, Option<Published>)> =
            roles.map(|role| (role.clone(), versions.of(&role), None)).collect();
        let (library, ring) = (self.clone(), ring.to_owned());
        Ok(std::iter::from_fn(move || {
            for (role, version, part) in &mut next {
                while part.is_none() && *version > 0 {
                    match library.signed(&ring, role, *version) {
                        Ok(found) => *part = found,
                        Err(error) => return Some(Err(error)),
                    }
                    *version -= 1;
                }
            }
            let newest = next
                .iter_mut()
                .max_by_key(|(_, _, part)| part.as_ref().map(|part| part.release))?;
            newest.2.take().map(Ok)
        }))
    }

    /// The tree that `parts` make.
    pub fn tree(&self, ring: &str, parts: &[Published]) -> Result<Manifest> {
        let manifests = parts
            .iter()
            .filter(|part| !part.manifest().0.is_empty())
            .map(|part| Ok((part.role.as_str(), self.manifest(ring, part)?)))
            .collect::<Result<Vec<_>>>()?;
        let named: Vec<_> = manifests.iter().map(|(role, manifest)| (*role, manifest)).collect();
        union::union(&named)
    }
}
