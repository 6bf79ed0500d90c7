//! Where an exported path really is: the one look at the disk before rsync starts.
//!
//! Refuses what does not exist and what a symbolic link leads out of the exported trees.

use std::path::{Path, PathBuf};

use crate::{policy::Refusal, rsync::RsyncRequest};

/// The absolute path for rsync, with a trailing slash where the client wrote one.
pub fn resolve(library: &Path, request: &RsyncRequest) -> Result<PathBuf, Refusal> {
    let real = |path: &Path| path.canonicalize().map_err(|_| Refusal::Outside);
    let exports = real(&library.join("export"))?;
    // An `export` that leads out of the library would make every path below it look contained.
    if !exports.starts_with(real(library)?) {
        return Err(Refusal::Outside);
    }
    let asked = exports.join(&request.ring).join(&request.below);
    let found = real(&asked)?;
    // At least one component below `export`: a ring that links to `.` would be all rings.
    if found == exports || !found.starts_with(&exports) {
        return Err(Refusal::Outside);
    }
    if request.contents {
        // The empty component is a trailing slash.
        return if found.is_dir() { Ok(found.join("")) } else { Err(Refusal::Outside) };
    }
    // Without the slash rsync sends the last name itself, so it must stay the one asked for.
    let (Some(parent), Some(name)) = (asked.parent(), asked.file_name()) else {
        return Err(Refusal::Path);
    };
    let path = real(parent)?.join(name);
    if path.starts_with(&exports) { Ok(path) } else { Err(Refusal::Outside) }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn request(ring: &str, below: &str, contents: bool) -> RsyncRequest {
        RsyncRequest { options: vec![], ring: ring.into(), below: below.into(), contents }
    }

    #[test]
    fn only_what_stays_in_the_exported_trees_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().canonicalize().unwrap();
        let ring = library.join("export/stable");
        fs::create_dir_all(ring.join("modules")).unwrap();
        fs::create_dir_all(library.join("objects")).unwrap();
        fs::write(ring.join("modules/a.sh"), "a").unwrap();
        symlink("/etc", ring.join("out")).unwrap();
        symlink("../../objects", ring.join("up")).unwrap();
        symlink("/etc/passwd", ring.join("modules/p")).unwrap();
        symlink(".", library.join("export/dot")).unwrap();
        symlink("/etc", library.join("export/etc")).unwrap();
        symlink("stable", library.join("export/alias")).unwrap();

        let found = |ring, below, contents| resolve(&library, &request(ring, below, contents));
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        let base = text(ring.clone());
        assert_eq!(text(found("stable", "", true).unwrap()), format!("{base}/"));
        assert_eq!(text(found("stable", "", false).unwrap()), base);
        assert_eq!(text(found("alias", "", true).unwrap()), format!("{base}/"));
        let file = found("stable", "modules/a.sh", false).unwrap();
        assert_eq!(text(file), format!("{base}/modules/a.sh"));
        for (ring, below) in [
            ("stable", "out"),
            ("stable", "out/ssh"),
            ("stable", "up"),
            ("stable", "modules/p"),
            ("stable", "nothing"),
            ("dot", ""),
            ("etc", ""),
            ("early", ""),
        ] {
            for contents in [true, false] {
                let refused = found(ring, below, contents);
                assert_eq!(refused, Err(Refusal::Outside), "{ring} {below} {contents}");
            }
        }
        assert_eq!(found("stable", "modules/a.sh", true), Err(Refusal::Outside));
    }
}
