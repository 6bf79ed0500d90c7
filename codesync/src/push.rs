//! `codesync push`: brings the newest releases of a library on this machine to a server.
//!
//! Reads the library; private keys stay out of it. Sends what the server says that it lacks, and
//! only what belongs to the releases that are pushed.

use std::{
    collections::{BTreeMap, HashMap},
    io::{Read, Write},
    path::PathBuf,
};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::{
    Error, Kind, Result,
    library::{Library, Published},
    manifest::sha256,
    name, publish,
    sign::Keys,
    source::Remote,
    trust::Versions,
    upload::{Committed, Contents, Op, State},
};

mod link;

use link::{Link, Uploads};

/// Rounds of asking for contents; each names up to 10,000.
const ROUNDS_MAX: usize = 1000;

/// What a push did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Each ring: the server's newest release before and now.
    pub rings: Vec<crate::upload::Step>,
    /// Files whose bytes were sent.
    pub files: u64,
    /// Bytes of files that an earlier push had sent already.
    pub resumed: u64,
    /// Bytes written to the connection.
    pub bytes_sent: u64,
    /// Bytes read from the connection.
    pub bytes_received: u64,
    /// On the first push to an empty library: the SHA-256 of the root that the server now trusts.
    pub trusted_root: Option<String>,
    /// Ids of that root's keys.
    pub trusted_keys: Vec<String>,
}

/// Told how many of how many bytes were sent.
pub type Progress<'a> = dyn Fn(u64, u64) + 'a;

/// Pushes `rings` (all with a release, if empty) of `library` to the `codesync receive` at
/// `remote`.
///
/// With `keys`, timestamp and snapshot are signed anew where the server's own `codesync refresh`
/// is ahead; without them that is refused.
pub fn push<S: Read + Write>(
    library: &Library,
    remote: &mut Remote<S>,
    rings: &[String],
    keys: Option<&Keys>,
    now: DateTime<Utc>,
    progress: &Progress<'_>,
) -> Result<Report> {
    // No publication changes what is being sent.
    let _lock = publish::lock(library)?;
    let mut own = chosen(library, rings)?;
    let mut link =
        Link { remote, unanswered: 0, sent: 0, total: 0, files: 0, resumed: 0, progress };
    let names: Vec<String> = own.keys().cloned().collect();
    let theirs: State = link.ask(&Op::Begin { rings: names.clone() })?;
    for (ring, versions) in &mut own {
        let held = theirs.rings.get(ring).cloned().unwrap_or_default().into();
        *versions = catch_up(library, ring, versions.clone(), &held, keys, now)?;
    }
    // Everything is offered before anything is sent: a refusal costs no upload.
    let mut bundles = Vec::new();
    for (ring, versions) in &own {
        let held: Versions = theirs.rings.get(ring).cloned().unwrap_or_default().into();
        let lacking = link.offer(library, ring, versions, held.root)?;
        let parts = parts(library, ring, versions)?;
        bundles.push((ring, targets(&parts), lacking));
    }
    let mut uploads = Uploads::default();
    for (ring, known, lacking) in bundles {
        for bundle in lacking.bundles {
            let hash = bundle.name.split('.').next().unwrap_or_default().to_owned();
            let length = known.get(&bundle.name).copied().ok_or_else(unasked)?;
            let path = library.ring(ring)?.join("targets").join(&bundle.name);
            uploads.add(hash, path, length, bundle.have);
        }
    }
    link.put_all(&mut uploads)?;
    for (ring, versions) in &own {
        contents(&mut link, library, ring, versions, &mut uploads)?;
    }
    let done: Committed = link.ask(&Op::Commit)?;
    let Link { files, resumed, .. } = link;
    let traffic = crate::source::Source::traffic(remote);
    let (trusted_root, trusted_keys) = match (&theirs.root, names.first()) {
        (None, Some(ring)) => first_root(library, ring)?,
        _ => (None, Vec::new()),
    };
    Ok(Report {
        rings: done.rings,
        files,
        resumed,
        bytes_sent: traffic.sent,
        bytes_received: traffic.received,
        trusted_root,
        trusted_keys,
    })
}

/// The rings to push, with the versions that are newest here.
fn chosen(library: &Library, rings: &[String]) -> Result<BTreeMap<String, Versions>> {
    let all = if rings.is_empty() { library.rings()? } else { rings.to_vec() };
    let mut chosen = BTreeMap::new();
    for ring in all {
        let versions = library.versions(&ring)?;
        if versions.targets > 0 {
            chosen.insert(ring, versions);
        } else if !rings.is_empty() {
            return Err(Error::new(
                Kind::Usage,
                format!("ring {ring} has no release to push; publish one first"),
            ));
        }
    }
    if chosen.is_empty() {
        let what = format!("no ring of {} has a release to push", library.folder().display());
        return Err(Error::new(Kind::Usage, what));
    }
    Ok(chosen)
}

/// Compares versions before anything is sent. A server that signs its own timestamps may be ahead
/// in those.
fn catch_up(
    library: &Library,
    ring: &str,
    own: Versions,
    theirs: &Versions,
    keys: Option<&Keys>,
    now: DateTime<Utc>,
) -> Result<Versions> {
    let mut compared = vec![
        ("release".to_owned(), own.release(), theirs.release()),
        ("root".to_owned(), own.root, theirs.root),
        ("targets.json".to_owned(), own.targets, theirs.targets),
    ];
    let teams = theirs.teams.iter();
    compared.extend(teams.map(|(team, there)| (format!("{team}.json"), own.of(team), *there)));
    for (what, here, there) in compared {
        if there > here {
            return Err(Error::refused(format!(
                "ring {ring}: the server has {what} {there}, this library {what} {here}; versions never go back: fetch the server's library with codesync mirror and publish from that copy"
            )));
        }
    }
    let same = Versions { root: own.root, ..theirs.clone() } == own;
    if same || (own.timestamp > theirs.timestamp && own.snapshot >= theirs.snapshot) {
        return Ok(own);
    }
    let Some(keys) = keys else {
        return Err(Error::refused(format!(
            "ring {ring}: the server's timestamp is version {}, this library's {}: it was refreshed there; push with --keys, so that a newer one can be signed",
            theirs.timestamp, own.timestamp
        )));
    };
    publish::raise(library, keys, ring, theirs, now)
}

/// The parts of the newest release.
fn parts(library: &Library, ring: &str, versions: &Versions) -> Result<Vec<Published>> {
    let missing = || {
        let file = format!("{}.targets.json of ring {ring}", versions.targets);
        Error::new(Kind::Io, format!("{file} is missing here; run codesync doctor"))
    };
    library.parts(ring, versions.release())?.ok_or_else(missing)
}

/// The files in `targets/` of a release, with their signed lengths.
fn targets(parts: &[Published]) -> HashMap<String, u64> {
    let mut files = HashMap::new();
    let named = parts.iter().filter_map(|part| part.signed["targets"].as_object());
    for (name, target) in named.flatten() {
        let hash = target["hashes"]["sha256"].as_str().unwrap_or_default();
        let file = format!("{hash}.{name}");
        if let (Some(length), true) = (target["length"].as_u64(), name::is_target_file(&file)) {
            files.insert(file, length);
        }
    }
    files
}

fn unasked() -> Error {
    Error::refused("the server asked for something that does not belong to what is pushed")
}

/// Sends what the server lacks of the contents, in as many rounds as it takes.
fn contents<S: Read + Write>(
    link: &mut Link<'_, S>,
    library: &Library,
    ring: &str,
    versions: &Versions,
    uploads: &mut Uploads,
) -> Result<()> {
    let mut known: Option<(HashMap<String, u64>, HashMap<String, PathBuf>)> = None;
    for _ in 0..ROUNDS_MAX {
        let lacking: Contents = link.ask(&Op::Contents { ring: ring.to_owned() })?;
        if lacking.contents.is_empty() {
            return Ok(());
        }
        let (sizes, manifests) = match &known {
            Some(known) => known,
            None => {
                let parts = parts(library, ring, versions)?;
                let tree = library.tree(ring, &parts)?;
                let sizes = tree.files().map(|file| (hex::encode(file.sha256), file.size));
                let folder = library.ring(ring)?.join("targets");
                let manifests = parts.iter().map(Published::manifest);
                let manifests =
                    manifests.map(|(hash, file)| (hash.to_owned(), folder.join(file))).collect();
                &*known.insert((sizes.collect(), manifests))
            }
        };
        for content in lacking.contents {
            let path = if let Some(path) = manifests.get(&content.sha256) {
                path.clone()
            } else if sizes.get(&content.sha256) == Some(&content.length) {
                let mut hash = [0; 32];
                hex::decode_to_slice(&content.sha256, &mut hash).map_err(|_| unasked())?;
                library.object(&hash)
            } else {
                return Err(unasked());
            };
            uploads.add(content.sha256, path, content.length, content.have);
        }
        link.put_all(uploads)?;
    }
    Err(Error::refused("the server asks for the same contents again and again"))
}

fn first_root(library: &Library, ring: &str) -> Result<(Option<String>, Vec<String>)> {
    let bytes = library.metadata(ring, "1.root.json")?.unwrap_or_default();
    let json: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let ids = json["signed"]["roles"]["root"]["keyids"].as_array().cloned().unwrap_or_default();
    let ids = ids.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect();
    Ok((Some(hex::encode(sha256(&bytes))), ids))
}
