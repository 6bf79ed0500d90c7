//! Taking over the host keys that the library ships (IT-03).
//!
//! They come through the channel that they protect, so they count only as part of a release that
//! was verified, only if the file is whole, and only if it still lets this machine back in.

use std::path::Path;

use super::Attempt;
use crate::{
    disk,
    known_hosts::{KNOWN_HOSTS_MAX, Pinned, validate},
    manifest::Manifest,
    source::Address,
    store::read_intact,
};

const SHIPPED: &str = "conf/ssh_known_hosts";

impl Attempt<'_> {
    /// Replaces the pinned host keys by those of the release in `tree`, keeping a backup. Says what
    /// was done, or why not; `None` when there was nothing to do.
    pub(super) fn adopt_known_hosts(
        &self,
        number: u64,
        tree: &Path,
        manifest: &Manifest,
    ) -> Option<String> {
        let file = manifest.get(SHIPPED)?;
        let path = self.settings.known_hosts.as_deref()?;
        let kept = |why: &str| {
            Some(format!(
                "{SHIPPED} of release {number} was not adopted: {why}; {} stays",
                path.display()
            ))
        };
        if file.size > KNOWN_HOSTS_MAX {
            return kept("it is too long");
        }
        let bytes = read_intact(tree, &file)?;
        let Ok(old) = disk::read_bounded(path, KNOWN_HOSTS_MAX) else {
            return kept("the present file cannot be read");
        };
        if old.as_deref() == Some(&bytes) {
            return None;
        }
        let Ok(text) = String::from_utf8(bytes) else { return kept("it is not text") };
        if let Err(error) = validate(&text) {
            return kept(&error.to_string());
        }
        for url in &self.settings.sources {
            if let Ok(Address::Ssh { host, port, .. }) = Address::parse(url)
                && Pinned::parse(&text, &host, port).is_empty()
            {
                return kept(&format!("it does not name the source {host}:{port}"));
            }
        }
        let mut backup = path.as_os_str().to_owned();
        backup.push(".before");
        let saved = old.map_or(Ok(()), |old| disk::replace(Path::new(&backup), &old, 0o644));
        match saved.and_then(|()| disk::replace(path, text.as_bytes(), 0o644)) {
            Ok(()) => Some(format!(
                "adopted {SHIPPED} of release {number}; the former file is {}",
                Path::new(&backup).display()
            )),
            Err(error) => kept(&error.to_string()),
        }
    }
}
