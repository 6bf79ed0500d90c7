//! Teams: roles to which the top-level targets delegate paths of the tree. Each signs its own
//! manifest; the tree is the union.
//!
//! A ring's tree needs all its teams, so a refresh takes them all in, where a search for a target
//! ([`Trust::find_target`]) fetches a role only when it is reached. What a team delegates further is
//! no part of a tree.

use chrono::{DateTime, Utc};
use sigstore_tuf::metadata::DelegatedRole;

use super::{Fetch, Offer, TEAM_MAX, TEAMS_MAX, Target, Trust};
use crate::{Error, Kind, Result, disk, manifest::Manifest, name};

/// What the accepted metadata offers: a release, and the parts that make it.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// The release.
    pub release: u64,
    /// The part of the top-level targets, then those of teams, in the order of the delegations.
    pub parts: Vec<Part>,
}

impl Tree {
    /// The large patches that any part offers; see [`Offer::large`].
    pub fn large(&self) -> impl Iterator<Item = ((u64, u64), &Target)> {
        self.parts.iter().flat_map(|part| part.offer.large.iter().map(|(&of, target)| (of, target)))
    }
}

/// One role's part of a tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// `targets`, or a team's name.
    pub role: String,
    /// The paths that it may name.
    pub paths: Paths,
    /// What it offers.
    pub offer: Offer,
}

/// The paths of the tree that a role may name.
#[derive(Debug, Clone, PartialEq)]
pub struct Paths {
    role: Option<DelegatedRole>,
}

impl Paths {
    /// The top-level role may name every path.
    pub fn all() -> Self {
        Self { role: None }
    }

    /// What `globs` match (TUF 4.5: `*`, `?` and `[…]` do not cross `/`). A glob that is none is
    /// refused.
    pub fn of(team: &str, globs: &[String]) -> Result<Self> {
        let role = serde_json::json!({"name": team, "keyids": [], "threshold": 1, "paths": globs});
        let paths = serde_json::from_value(role).ok().map(Self::delegated);
        let paths = paths.ok_or_else(|| Error::refused(format!("{globs:?} are no globs")))?;
        for glob in globs {
            if glob.is_empty() || glob.len() > 1024 || glob.starts_with('/') {
                return Err(Error::new(
                    Kind::Usage,
                    format!("{glob:?} is not a glob of paths such as modules/web_*"),
                ));
            }
        }
        paths.allows("x").map_err(|error| Error::new(Kind::Usage, error.to_string())).map(|_| paths)
    }

    fn delegated(mut role: DelegatedRole) -> Self {
        // This one is for what travels and lets no file of the tree in.
        let carried = carried(&role.name);
        if let Some(globs) = &mut role.paths {
            globs.retain(|glob| *glob != carried);
        }
        Self { role: Some(role) }
    }

    /// Whether `path` may be named.
    pub fn allows(&self, path: &str) -> Result<bool> {
        match &self.role {
            None => Ok(true),
            Some(role) => role.matches_path(path).map_err(|error| {
                Error::refused(format!("the delegation to {} is damaged: {error}", role.name))
            }),
        }
    }

    /// Refuses a manifest with a path that may not be named.
    pub fn check(&self, manifest: &Manifest) -> Result<()> {
        let Some(role) = &self.role else { return Ok(()) };
        for file in manifest.files() {
            if !self.allows(&file.path)? {
                return Err(Error::refused(format!(
                    "the path {:?} is not the team {}'s to publish: the paths delegated to it are {}",
                    file.path,
                    role.name,
                    role.paths.as_deref().unwrap_or_default().join(" ")
                )));
            }
        }
        Ok(())
    }
}

/// The glob of the targets that carry a team's part.
pub fn carried(team: &str) -> String {
    format!("{team}.*")
}

impl Trust {
    /// The teams that the accepted targets delegate to, in order. Other names are no teams.
    pub(super) fn teams(&self) -> impl Iterator<Item = &DelegatedRole> {
        let top = self.set.targets_role("targets").filter(|_| self.ring.is_some());
        let delegations = top.and_then(|targets| targets.delegations.as_ref());
        let roles = delegations.into_iter().flat_map(|delegations| &delegations.roles);
        roles.filter(|role| name::is_team(&role.name))
    }

    fn team_names(&self) -> Vec<String> {
        self.teams().map(|team| team.name.clone()).collect()
    }

    /// Takes what was accepted earlier as what is here. See [`Trust::load_cached`].
    pub(super) fn load_cached_teams(&mut self, always: jiff::Timestamp) {
        for team in self.team_names() {
            let file = format!("{team}.json");
            if let Ok(Some(bytes)) = disk::read_bounded(&self.folder.join(&file), TEAM_MAX)
                && self.check_ring(&file, &bytes).is_ok()
            {
                let _ = self.set.update_delegated_targets(&bytes, &team, "targets", always);
            }
        }
    }

    /// The metadata of every team that the snapshot names. A team that has not published yet has
    /// none.
    pub(super) fn update_teams(&mut self, fetch: &mut Fetch<'_>, now: DateTime<Utc>) -> Result<()> {
        let teams = self.team_names();
        if teams.len() > TEAMS_MAX {
            return Err(Error::refused(format!(
                "{}targets.json delegates to {} teams; {TEAMS_MAX} are the most",
                self.prefix(),
                teams.len()
            )));
        }
        for team in teams {
            self.load_role(&team, "targets", TEAM_MAX, fetch, now)?;
        }
        Ok(())
    }

    /// See [`super::Versions::teams`].
    pub(super) fn team_versions(&self) -> std::collections::BTreeMap<String, u64> {
        let named = self.set.snapshot().filter(|_| self.ring.is_some());
        let named = named.into_iter().flat_map(|snapshot| &snapshot.meta);
        named
            .filter_map(|(file, meta)| Some((file.strip_suffix(".json")?, meta.version)))
            .filter(|(role, _)| *role != "targets")
            .map(|(role, version)| {
                let lacking = self.set.targets_role(role).is_none()
                    && self.teams().any(|team| team.name == role);
                (role.to_owned(), if lacking { 0 } else { version })
            })
            .collect()
    }

    /// What the accepted metadata offers. Call it after [`Trust::update`].
    pub fn tree(&self) -> Result<Tree> {
        let top = self.offer_of("targets")?.ok_or_else(|| {
            Error::refused(format!("{}targets.json names no manifest", self.prefix()))
        })?;
        let mut parts = vec![Part { role: "targets".into(), paths: Paths::all(), offer: top }];
        for team in self.teams().filter(|team| self.set.targets_role(&team.name).is_some()) {
            if let Some(offer) = self.offer_of(&team.name)? {
                let (role, paths) = (team.name.clone(), Paths::delegated(team.clone()));
                parts.push(Part { role, paths, offer });
            }
        }
        Ok(Tree { release: self.versions().release(), parts })
    }
}
