//! Thresholds count keys. The verification library counts key ids, and a root or a delegation may
//! list one key under several.

use std::collections::{BTreeMap, BTreeSet};

use sigstore_tuf::{Key, Metadata, RoleKeys, metadata::Role};

use super::Trust;
use crate::{Error, Result};

impl Trust {
    /// Refuses metadata that reaches its threshold only because one key signed under two ids.
    /// Everything else is the verification library's to say.
    pub(super) fn check_distinct<T: Role>(
        &self,
        name: &str,
        bytes: &[u8],
        keys: &BTreeMap<String, Key>,
        role: Option<&RoleKeys>,
    ) -> Result<()> {
        let (Some(role), Ok(metadata)) = (role, Metadata::<T>::from_slice(bytes)) else {
            return Ok(());
        };
        let mut materials: BTreeSet<String> = BTreeSet::new();
        let mut once = keys.clone();
        for id in metadata.signatures().iter().map(|signature| &signature.keyid) {
            if let (true, Some(key)) = (role.keyids.contains(id), once.get(id))
                && !materials.insert(material(key))
            {
                once.remove(id);
            }
        }
        if once.len() == keys.len() {
            return Ok(());
        }
        let distinct = metadata.verify_threshold(&once, role, name).is_ok();
        if !distinct && metadata.verify_threshold(keys, role, name).is_ok() {
            return Err(Error::refused(format!(
                "{}{name} is signed by one key under two names, which counts once",
                self.prefix()
            )));
        }
        Ok(())
    }
}

/// The key itself: hexadecimal digits and the line ends of PEM have several forms.
fn material(key: &Key) -> String {
    let text: String = key.keyval.public.chars().filter(|c| !c.is_whitespace()).collect();
    if text.starts_with('-') { text } else { text.to_ascii_lowercase() }
}
