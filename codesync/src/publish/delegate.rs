//! Teams: handing paths of the tree over to somebody else's key, and taking them back.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{Issue, Lifetimes, Newest, lock};
use crate::{
    Error, Kind, Result,
    library::{Library, Published},
    name,
    sign::{Keys, PublicKey, verify},
    trust::{self, Paths, TEAMS_MAX, carried},
};

/// Most names that a ring's teams may have had: snapshots name them for ever.
const NAMES_MAX: usize = 256;
/// Most globs and keys of one team.
const GLOBS_MAX: usize = 64;
const KEYS_MAX: usize = 16;

/// What is handed over, and to whom.
#[derive(Debug, Clone, Copy)]
pub struct Delegation<'a> {
    /// The team's name.
    pub team: &'a str,
    /// Globs of the paths that it may publish; `*` does not cross `/`.
    pub paths: &'a [String],
    /// Its keys, of which one must sign.
    pub keys: &'a [PublicKey],
}

/// Lets a team publish paths of `ring`, or changes what it may; returns the release that says so.
pub fn delegate(
    library: &Library,
    keys: &Keys,
    ring: &str,
    what: Delegation<'_>,
    lifetimes: Lifetimes,
    now: DateTime<Utc>,
) -> Result<u64> {
    let Delegation { team, paths, keys: theirs } = what;
    let usage = |what: String| Error::new(Kind::Usage, what);
    name::check_team(team)?;
    if paths.is_empty() || paths.len() > GLOBS_MAX || theirs.is_empty() || theirs.len() > KEYS_MAX {
        return Err(usage(format!(
            "a team has 1 to {GLOBS_MAX} globs (--paths) and 1 to {KEYS_MAX} keys (--key)"
        )));
    }
    let allowed = Paths::of(team, paths)?;
    let _lock = lock(library)?;
    let top = top(library, ring)?;
    let versions = library.versions(ring)?;
    let mut teams = roles(&top);
    let known = teams.iter().any(|role| role["name"] == team);
    if !known && (teams.len() == TEAMS_MAX || versions.teams.len() == NAMES_MAX) {
        return Err(usage(format!(
            "ring {ring} has no room for more teams: {TEAMS_MAX} at a time"
        )));
    }
    if let Some(present) = present(library, ring, team, versions.of(team))? {
        check_present(library, ring, &present, theirs)?;
        // A team that has published nothing but stray paths would be refused by every client.
        allowed.check(&library.manifest(ring, &present)?)?;
    }
    let mut globs = paths.to_vec();
    globs.push(carried(team));
    let ids: Vec<&str> = theirs.iter().map(PublicKey::id).collect();
    let role = json!({
        "name": team, "keyids": ids, "threshold": 1, "terminating": false, "paths": globs,
    });
    match teams.iter_mut().find(|role| role["name"] == team) {
        Some(former) => *former = role,
        None => teams.push(role),
    }
    let mut public = top.signed["delegations"]["keys"].as_object().cloned().unwrap_or_default();
    public.extend(theirs.iter().map(|key| (key.id().to_owned(), key.object())));
    let note = format!("{} delegated to {team}", paths.join(" "));
    sign(library, keys, (ring, &note), (public, teams), lifetimes, now)
}

/// Takes back what `team` may publish in `ring`: its files go. Returns the release that says so.
pub fn undelegate(
    library: &Library,
    keys: &Keys,
    (ring, team): (&str, &str),
    lifetimes: Lifetimes,
    now: DateTime<Utc>,
) -> Result<u64> {
    let _lock = lock(library)?;
    let top = top(library, ring)?;
    let mut teams = roles(&top);
    let before = teams.len();
    teams.retain(|role| role["name"] != team);
    if teams.len() == before {
        return Err(unknown(ring, team));
    }
    let public = top.signed["delegations"]["keys"].as_object().cloned().unwrap_or_default();
    let note = format!("nothing delegated to {team} any more");
    sign(library, keys, (ring, &note), (public, teams), lifetimes, now)
}

pub(super) fn unknown(ring: &str, team: &str) -> Error {
    let what = format!("ring {ring} delegates nothing to a team {team:?}");
    Error::new(Kind::Usage, format!("{what}; codesync show names its teams"))
}

fn top(library: &Library, ring: &str) -> Result<Published> {
    let version = library.versions(ring)?.targets;
    library.published(ring, version)?.filter(|_| version > 0).ok_or_else(|| {
        Error::new(Kind::Usage, format!("ring {ring} has no release yet; publish one first"))
    })
}

fn roles(top: &Published) -> Vec<Value> {
    top.signed["delegations"]["roles"].as_array().cloned().unwrap_or_default()
}

/// What the team has published last, if it says anything about the tree.
fn present(library: &Library, ring: &str, team: &str, version: u64) -> Result<Option<Published>> {
    let found = match version {
        0 => None,
        version => library.signed(ring, team, version)?,
    };
    Ok(found.filter(|present| !present.manifest().0.is_empty()))
}

/// Clients verify what the team published last by the new delegation, from the moment it is seen.
fn check_present(
    library: &Library,
    ring: &str,
    present: &Published,
    theirs: &[PublicKey],
) -> Result<()> {
    let Published { role: team, version, .. } = present;
    let bytes = library.metadata(ring, &format!("{version}.{team}.json"))?.unwrap_or_default();
    let json: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let message = trust::canonical(&json["signed"])?;
    let signatures = json["signatures"].as_array().into_iter().flatten();
    let good = signatures.filter_map(|one| Some((one["keyid"].as_str()?, one["sig"].as_str()?)));
    let known = good.into_iter().any(|(id, signature)| {
        theirs.iter().any(|key| key.id() == id && verify(&key.object(), &message, signature))
    });
    if known {
        return Ok(());
    }
    Err(Error::new(
        Kind::Usage,
        format!(
            "none of these keys has signed what {team} published last in ring {ring}, so clients would refuse everything: name the former key too until the team has published with the new one, or, if it was stolen, undelegate {team} and choose a new name"
        ),
    ))
}

/// Signs the top-level part anew, with other delegations.
fn sign(
    library: &Library,
    keys: &Keys,
    (ring, note): (&str, &str),
    (mut public, teams): (Map<String, Value>, Vec<Value>),
    lifetimes: Lifetimes,
    now: DateTime<Utc>,
) -> Result<u64> {
    public.retain(|id, _| {
        teams.iter().filter_map(|role| role["keyids"].as_array()).flatten().any(|one| one == id)
    });
    let delegations = match teams.is_empty() {
        true => Value::Null,
        false => json!({"keys": public, "roles": teams}),
    };
    let place = ring.into();
    let (delegations, progress) = (Some(delegations), &|_| ());
    let newest = Newest::of(library, place)?;
    let manifest = newest.manifest.clone();
    let issue = Issue { library, keys, place, note, lifetimes, now, delegations, newest, progress };
    let key = issue.key()?;
    Ok(issue.sign(&key, &manifest, None)?.release)
}
