//! `codesync mirror`: from the command line to [`codesync::mirror`], and what it prints.

use chrono::{DateTime, Utc};
use codesync::{
    Error, Kind, Result,
    mirror::{Report, Settings},
    source::Access,
};

use crate::{
    cli::MirrorOptions,
    report::{print, print_json},
};

/// Updates the copy and tells what was fetched.
pub fn mirror(options: &MirrorOptions, now: DateTime<Utc>) -> Result<()> {
    let stable = ["stable".to_owned()];
    let settings = Settings {
        source: &options.source,
        folder: &options.folder,
        rings: if options.rings.is_empty() { &stable } else { &options.rings },
        trusted_root: options.trusted_root.as_deref(),
        access: Access {
            identity: options.identity.as_deref(),
            known_hosts: options.known_hosts.as_deref(),
            ca_file: options.ca_file.as_deref(),
            client_certificate: options.client_certificate.as_deref(),
            client_key: options.client_key.as_deref(),
            ..Access::default()
        },
        max_rate: options.max_rate,
        prune: options.prune,
    };
    let reports = codesync::mirror::mirror(&settings, now)?;
    if options.json {
        let value = serde_json::to_value(&reports)
            .map_err(|error| Error::new(Kind::Io, format!("cannot print: {error}")))?;
        return print_json(&value);
    }
    for Report { ring, release, targets, objects, removed, bytes_received } in &reports {
        print(&format!(
            "{}: ring {ring} is at release {release}; {targets} bundles and manifests and {objects} contents fetched in {bytes_received} B",
            options.folder.display()
        ))?;
        print(&if *removed > 0 {
            format!("; {removed} files removed.\n")
        } else {
            ".\n".to_owned()
        })?;
    }
    Ok(())
}
