//! Finding a target among delegated roles (TUF 5.6.7): in the order in which they are named, each
//! fetched only when it is reached, each once.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sigstore_tuf::{TargetFile, Targets};

use super::{Fetch, TARGETS_MAX, Target, Trust, clock};
use crate::{Error, Result, disk, manifest::Hash};

/// Most roles that one search looks into, the top-level targets included.
const ROLES_MAX: usize = 32;
/// File systems take 255 bytes; a version and `.json` come to it.
const ENCODED_MAX: usize = 200;

/// `name` with everything but letters, digits and `-_.~` percent-encoded: safe as one part of a
/// path and of a URL.
pub fn encode(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// A role and the one that delegates to it.
type Edge = (String, String);

impl Trust {
    /// Looks for the target called `name`: first in the top-level targets, then in the roles that may
    /// speak for its path. Call it after [`Trust::update`].
    ///
    /// `None` means that no role which may name it does. A role that is expired, forged or not the
    /// one that the snapshot names ends the search with an error.
    pub fn find_target(
        &mut self,
        name: &str,
        fetch: &mut Fetch<'_>,
        now: DateTime<Utc>,
    ) -> Result<Option<Target>> {
        let mut ahead: Vec<Edge> = vec![("targets".to_owned(), String::new())];
        let mut seen: BTreeSet<String> = BTreeSet::new();
        // The next role to look into is the last of `ahead`.
        while let Some((role, delegator)) = ahead.pop() {
            if seen.contains(&role) {
                continue;
            }
            if seen.len() == ROLES_MAX {
                break;
            }
            if !delegator.is_empty()
                && !self.load_role(&role, &delegator, TARGETS_MAX, fetch, now)?
            {
                continue;
            }
            seen.insert(role.clone());
            let Some(targets) = self.set.targets_role(&role) else {
                return Err(self.lacking(&format!("{role}.json")));
            };
            if let Some(file) = targets.target(name) {
                return self.target(name, file).map(Some);
            }
            let (children, terminated) = self.children(&role, targets, name)?;
            if terminated {
                ahead.clear();
            }
            ahead.extend(children.into_iter().rev());
        }
        Ok(None)
    }

    /// Every target that any role names, the delegated ones included: what a copy has to hold. Call
    /// it after [`Trust::update`].
    pub fn every_target(
        &mut self,
        fetch: &mut Fetch<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Target>> {
        let mut ahead: Vec<Edge> = vec![("targets".to_owned(), String::new())];
        let mut seen: BTreeSet<String> = BTreeSet::new();
        let mut found = Vec::new();
        while let Some((role, delegator)) = ahead.pop() {
            if seen.contains(&role) || seen.len() == ROLES_MAX {
                continue;
            }
            if !delegator.is_empty()
                && !self.load_role(&role, &delegator, TARGETS_MAX, fetch, now)?
            {
                continue;
            }
            let Some(targets) = self.set.targets_role(&role) else {
                return Err(self.lacking(&format!("{role}.json")));
            };
            for (name, file) in &targets.targets {
                found.push(self.target(name, file)?);
            }
            let children = targets.delegations.iter().flat_map(|delegations| &delegations.roles);
            let children = children.filter(|child| may_be_stored(&child.name));
            ahead.extend(children.map(|child| (child.name.clone(), role.clone())));
            seen.insert(role);
        }
        Ok(found)
    }

    /// The metadata that was accepted last, by the name under which it is handed out, in the order in
    /// which a copy may let it be seen. Roots are not in it.
    pub fn accepted(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut files = Vec::new();
        let named = self.set.snapshot().into_iter().flat_map(|snapshot| &snapshot.meta);
        for (name, meta) in named {
            let Some(role) = name.strip_suffix(".json").filter(|role| *role != "targets") else {
                continue;
            };
            if self.set.targets_role(role).is_some() {
                let path = self.folder.join(format!("{}.json", encode(role)));
                let bytes = disk::read_bounded(&path, TARGETS_MAX)?;
                files.extend(bytes.map(|bytes| (self.file(role, meta.version), bytes)));
            }
        }
        let versions = self.versions();
        for (name, file) in [
            ("targets.json", self.file("targets", versions.targets)),
            ("snapshot.json", self.file("snapshot", versions.snapshot)),
            ("timestamp.json", "timestamp.json".to_owned()),
        ] {
            let bytes = self.cached.get(name).ok_or_else(|| self.lacking(name))?;
            files.push((file, bytes.clone()));
        }
        Ok(files)
    }

    /// The roles to which `role` delegates the path `name`, in order, and whether the search ends
    /// with them.
    fn children(&self, role: &str, targets: &Targets, name: &str) -> Result<(Vec<Edge>, bool)> {
        let mut children = Vec::new();
        let delegated = targets.delegations.iter().flat_map(|delegations| &delegations.roles);
        for child in delegated.filter(|child| may_be_stored(&child.name)) {
            let matches = child
                .matches_path(name)
                .map_err(|error| self.refusal(&format!("{role}.json"), &error))?;
            if matches {
                children.push((child.name.clone(), role.to_owned()));
                if child.terminating {
                    return Ok((children, true));
                }
            }
        }
        Ok((children, false))
    }

    /// Makes the metadata of a delegated role available: from here if it is the version that the
    /// snapshot names, otherwise from the carrier. `false` when the snapshot names none.
    pub(super) fn load_role(
        &mut self,
        role: &str,
        delegator: &str,
        longest: u64,
        fetch: &mut Fetch<'_>,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        let now = clock(now)?;
        let Some(pinned) = self.pin(role) else { return Ok(false) };
        let file = format!("{}.json", encode(role));
        if self.set.targets_role(role).is_some() {
            // Reached by another way before: this delegator has to vouch for it too.
            let vouched = self.set.verify_delegated_targets(role, delegator, now).map(|_| ());
            return vouched.map(|()| true).map_err(|error| self.refusal(&file, &error));
        }
        let limit = pinned.length.unwrap_or(longest).min(longest);
        if let Ok(Some(bytes)) = disk::read_bounded(&self.folder.join(&file), limit)
            && self.check_ring(&file, &bytes).is_ok()
            && self.set.update_delegated_targets(&bytes, role, delegator, now).is_ok()
        {
            return Ok(true);
        }
        let name = self.file(role, pinned.version);
        let bytes = fetch(&name, limit)?.ok_or_else(|| self.lacking(&name))?;
        self.check_ring(&name, &bytes)?;
        let parent = self.set.targets_role(delegator).and_then(|role| role.delegations.as_ref());
        if let Some(delegations) = parent {
            let keys = delegations.roles.iter().find(|child| child.name == role);
            let keys = keys.map(|child| child.role_keys());
            self.check_distinct::<Targets>(&name, &bytes, &delegations.keys, keys.as_ref())?;
        }
        let taken = self.set.update_delegated_targets(&bytes, role, delegator, now).map(|_| ());
        taken.map_err(|error| self.refusal(&file, &error))?;
        self.store(&file, &bytes)?;
        Ok(true)
    }

    fn target(&self, name: &str, file: &TargetFile) -> Result<Target> {
        let mut sha256: Hash = [0; 32];
        let hashed = file
            .hashes
            .get("sha256")
            .is_some_and(|text| hex::decode_to_slice(text, &mut sha256).is_ok());
        if !hashed {
            return Err(Error::refused(format!("the target {name:?} has no SHA-256")));
        }
        Ok(Target { name: name.to_owned(), sha256, length: file.length })
    }
}

/// Whether a delegated role of this name can be kept beside the four others. Names that differ from
/// theirs by case only are the same file on some systems.
fn may_be_stored(role: &str) -> bool {
    let top = ["root", "timestamp", "snapshot", "targets"];
    !role.is_empty()
        && encode(role).len() <= ENCODED_MAX
        && !top.iter().any(|name| role.eq_ignore_ascii_case(name))
}
