//! A repository whose every word can be changed before it is signed, and a client of it.

use std::{collections::BTreeMap, fs};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use crate::{
    Error, Kind, Result,
    manifest::sha256,
    sign::{Key, envelope},
    trust::{Trust, Versions, encode},
};

pub(super) const DAYS: i64 = 30;
pub(super) const TOP: [&str; 4] = ["root", "timestamp", "snapshot", "targets"];

/// A repository whose every word can be changed before it is signed, and a client of it.
pub(super) struct Repo {
    pub(super) folder: tempfile::TempDir,
    pub(super) now: DateTime<Utc>,
    pub(super) made: usize,
    pub(super) keys: BTreeMap<String, Vec<Key>>,
    pub(super) thresholds: BTreeMap<String, u64>,
    pub(super) versions: BTreeMap<String, u64>,
    pub(super) expires: BTreeMap<String, DateTime<Utc>>,
    /// `targets` and `delegations` of targets roles.
    pub(super) content: BTreeMap<String, (Map<String, Value>, Value)>,
    /// Whether the snapshot is pinned by length and hash.
    pub(super) hashes: bool,
    pub(super) files: BTreeMap<String, Vec<u8>>,
    pub(super) asked: Vec<String>,
    pub(super) trust: Option<Trust>,
}

impl Repo {
    pub(super) fn new() -> Self {
        let mut repo = Self {
            folder: tempfile::tempdir().unwrap(),
            now: Utc::now(),
            made: 0,
            keys: BTreeMap::new(),
            thresholds: BTreeMap::new(),
            versions: BTreeMap::new(),
            expires: BTreeMap::new(),
            content: BTreeMap::new(),
            hashes: true,
            files: BTreeMap::new(),
            asked: Vec::new(),
            trust: None,
        };
        for role in TOP {
            repo.rotate(role);
        }
        repo.content.insert("targets".into(), (Map::new(), Value::Null));
        repo.sign("root");
        repo.publish();
        fs::write(repo.folder.path().join("pinned"), &repo.files["1.root.json"]).unwrap();
        repo
    }

    pub(super) fn key(&mut self) -> Key {
        self.made += 1;
        Key::create(&self.folder.path().join(format!("{}.pem", self.made)), None).unwrap()
    }

    /// A new key in place of all that `role` had.
    pub(super) fn rotate(&mut self, role: &str) {
        let key = self.key();
        self.keys.insert(role.into(), vec![key]);
    }

    pub(super) fn bump(&mut self, role: &str) -> u64 {
        let version = self.versions.entry(role.into()).or_default();
        *version += 1;
        *version
    }

    pub(super) fn expiry(&self, role: &str) -> String {
        let usual = self.now + TimeDelta::days(DAYS);
        self.expires.get(role).unwrap_or(&usual).to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    }

    /// Signs the next version of root or of a targets role.
    pub(super) fn sign(&mut self, role: &str) {
        let version = self.bump(role);
        self.sign_as(role, version);
    }

    pub(super) fn sign_as(&mut self, role: &str, version: u64) {
        let mut signed = json!({
            "spec_version": "1.0.31", "version": version, "expires": self.expiry(role),
            "x-unknown": {"a": [1, "é\n"]},
        });
        if role == "root" {
            let mut public = Map::new();
            let mut roles = Map::new();
            for (role, keys) in self.keys.iter().filter(|(role, _)| TOP.contains(&role.as_str())) {
                for key in keys {
                    public.insert(key.id().into(), key.public());
                }
                let ids: Vec<&str> = keys.iter().map(Key::id).collect();
                let threshold = self.thresholds.get(role).unwrap_or(&1);
                roles.insert(role.clone(), json!({"keyids": ids, "threshold": threshold}));
            }
            public.insert(
                "odd".into(),
                json!({"keytype": "x", "scheme": "y", "keyval": {"public": "z"}}),
            );
            signed["_type"] = json!("root");
            signed["consistent_snapshot"] = json!(true);
            signed["keys"] = public.into();
            signed["roles"] = roles.into();
        } else {
            let (targets, delegations) = &self.content[role];
            signed["_type"] = json!("targets");
            signed["targets"] = targets.clone().into();
            if !delegations.is_null() {
                signed["delegations"] = delegations.clone();
            }
        }
        let keys: Vec<&Key> = self.keys[role].iter().collect();
        let bytes = envelope(&signed, &keys).unwrap();
        self.files.insert(format!("{version}.{}.json", encode(role)), bytes);
    }

    /// Signs all targets roles anew, then what names them.
    pub(super) fn publish(&mut self) {
        let roles: Vec<String> = self.content.keys().cloned().collect();
        for role in roles {
            self.sign(&role);
        }
        self.snapshot();
    }

    pub(super) fn snapshot(&mut self) {
        let version = self.bump("snapshot");
        self.snapshot_as(version);
        self.timestamp(version);
    }

    pub(super) fn snapshot_as(&mut self, version: u64) {
        let mut meta = Map::new();
        for role in self.content.keys() {
            meta.insert(format!("{role}.json"), json!({"version": self.versions[role]}));
        }
        let signed = json!({
            "_type": "snapshot", "spec_version": "1.0.31", "version": version,
            "expires": self.expiry("snapshot"), "meta": meta,
        });
        let keys: Vec<&Key> = self.keys["snapshot"].iter().collect();
        self.files.insert(format!("{version}.snapshot.json"), envelope(&signed, &keys).unwrap());
    }

    pub(super) fn timestamp(&mut self, snapshot: u64) {
        let version = self.bump("timestamp");
        let mut pin = json!({"version": snapshot});
        if let Some(bytes) =
            self.files.get(&format!("{snapshot}.snapshot.json")).filter(|_| self.hashes)
        {
            pin["length"] = json!(bytes.len());
            pin["hashes"] = json!({"sha256": hex::encode(sha256(bytes))});
        }
        let signed = json!({
            "_type": "timestamp", "spec_version": "1.0.31", "version": version,
            "expires": self.expiry("timestamp"), "meta": {"snapshot.json": pin},
        });
        let keys: Vec<&Key> = self.keys["timestamp"].iter().collect();
        self.files.insert("timestamp.json".into(), envelope(&signed, &keys).unwrap());
    }

    /// Lets `parent` delegate `paths` to `role`, which begins empty with a key of its own.
    pub(super) fn delegate(&mut self, parent: &str, role: &str, paths: &[&str], terminating: bool) {
        if !self.keys.contains_key(role) {
            self.rotate(role);
            self.content.insert(role.into(), (Map::new(), Value::Null));
        }
        let key = &self.keys[role][0];
        let (id, public) = (key.id().to_owned(), key.public());
        let (_, delegations) = self.content.get_mut(parent).unwrap();
        if delegations.is_null() {
            *delegations = json!({"keys": {}, "roles": []});
        }
        delegations["keys"][&id] = public;
        delegations["roles"].as_array_mut().unwrap().push(json!({
            "name": role, "keyids": [id], "threshold": 1,
            "terminating": terminating, "paths": paths,
        }));
    }

    pub(super) fn add(&mut self, role: &str, target: &str) {
        let entry =
            json!({"length": 3, "hashes": {"sha256": hex::encode(sha256(role.as_bytes()))}});
        self.content.get_mut(role).unwrap().0.insert(target.into(), entry);
    }

    /// One run of a client that begins with what is on its disk.
    pub(super) fn refresh(&mut self) -> Result<Versions> {
        let folder = self.folder.path().join("trust");
        fs::create_dir_all(&folder).unwrap();
        let mut trust = Trust::open(&folder, &self.folder.path().join("pinned"), None)?;
        self.asked.clear();
        let (files, asked) = (&self.files, &mut self.asked);
        let result = trust.update(&mut |name, limit| serve(files, asked, name, limit), self.now);
        let versions = trust.versions();
        self.trust = Some(trust);
        result.map(|()| versions)
    }

    pub(super) fn find(&mut self, target: &str) -> Result<Option<String>> {
        self.refresh()?;
        self.asked.clear();
        let (files, asked) = (&self.files, &mut self.asked);
        let trust = self.trust.as_mut().unwrap();
        let found = trust.find_target(
            target,
            &mut |name, limit| serve(files, asked, name, limit),
            self.now,
        )?;
        // The hash is that of the role's name: it says who answered.
        let roles = self.content.keys();
        Ok(found.map(|found| {
            roles.clone().find(|role| sha256(role.as_bytes()) == found.sha256).unwrap().clone()
        }))
    }

    pub(super) fn refused(&mut self) -> String {
        let error = self.refresh().unwrap_err();
        assert_eq!(error.kind(), Kind::Refused, "{error}");
        error.to_string()
    }

    /// The versions on the client's disk: root, timestamp, snapshot, targets.
    pub(super) fn stored(&self) -> [u64; 4] {
        TOP.map(|role| {
            let path = self.folder.path().join(format!("trust/{role}.json"));
            let Ok(bytes) = fs::read(path) else { return 0 };
            serde_json::from_slice::<Value>(&bytes).unwrap()["signed"]["version"].as_u64().unwrap()
        })
    }
}

fn serve(
    files: &BTreeMap<String, Vec<u8>>,
    asked: &mut Vec<String>,
    name: &str,
    limit: u64,
) -> Result<Option<Vec<u8>>> {
    asked.push(name.to_owned());
    let bytes = files.get(name).cloned();
    if bytes.as_ref().is_some_and(|bytes| bytes.len() as u64 > limit) {
        return Err(Error::refused(format!("{name} is too long")));
    }
    Ok(bytes)
}
