//! `codesync mirror`: from the command line to [`codesync::mirror`], and what it prints.

use chrono::{DateTime, Utc};
use codesync::{
    Error, Kind, Result,
    mirror::{Bucket, Report, Settings},
    source::Access,
};

use crate::{
    cli::MirrorOptions,
    report::{print, print_json},
};

/// Updates the copy and tells what was fetched.
pub fn mirror(options: &MirrorOptions, now: DateTime<Utc>) -> Result<()> {
    let stable = ["stable".to_owned()];
    let usage = |why: &str| Error::new(Kind::Usage, why);
    let target = options.target.to_str().unwrap_or_default();
    let (bucket, folder) = match (target.starts_with("s3:"), &options.copy) {
        (true, Some(copy)) => (Some(Bucket::open(target)?), copy),
        (true, None) => {
            return Err(usage(
                "a mirror in a bucket is made from a copy on disk; name its folder with --copy DIR",
            ));
        }
        (false, None) => (None, &options.target),
        (false, Some(_)) => return Err(usage("--copy goes with s3://bucket/prefix only")),
    };
    let settings = Settings {
        source: &options.source,
        folder,
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
        bucket: bucket.as_ref(),
    };
    let reports = codesync::mirror::mirror(&settings, now)?;
    if options.json {
        let value = serde_json::to_value(&reports)
            .map_err(|error| Error::new(Kind::Io, format!("cannot print: {error}")))?;
        return print_json(&value);
    }
    for report in &reports {
        print(&format!(
            "{}: ring {} is at release {}; {} bundles and manifests and {} contents fetched in {} B",
            options.target.display(),
            report.ring,
            report.release,
            report.targets,
            report.objects,
            report.bytes_received
        ))?;
        let Report { uploaded, bytes_uploaded, removed, .. } = report;
        if *uploaded > 0 {
            print(&format!("; {uploaded} files uploaded, {bytes_uploaded} B"))?;
        }
        if *removed > 0 {
            print(&format!("; {removed} files removed"))?;
        }
        print(".\n")?;
    }
    Ok(())
}
