//! The tree that several roles sign together: the union of their manifests. Refuses a path that two
//! of them name, and paths of two that cannot stand side by side. Pure.

use crate::{Error, Result, manifest::Manifest};

/// The union of `parts`, each with the role that signed it.
pub fn union(mut parts: Vec<(&str, Manifest)>) -> Result<Manifest> {
    if parts.len() == 1
        && let Some((_, only)) = parts.pop()
    {
        return Ok(only);
    }
    let mut files = Vec::with_capacity(parts.iter().map(|(_, one)| one.files.len()).sum());
    for (role, manifest) in parts {
        files.extend(manifest.files.into_iter().map(|file| (role, file)));
    }
    files.sort_unstable_by(|(_, a), (_, b)| a.path.cmp(&b.path));
    if let Some([(one, file), (other, _)]) =
        files.array_windows().find(|[(_, a), (_, b)]| a.path == b.path)
    {
        let (one, other) = if *other == "targets" { (other, one) } else { (one, other) };
        return Err(Error::refused(format!(
            "the path {:?} is published twice, by {} and by {}: one of them must leave it out",
            file.path,
            words(one),
            words(other)
        )));
    }
    Manifest::new(files.into_iter().map(|(_, file)| file).collect())
}

fn words(role: &str) -> String {
    match role {
        "targets" => "the top-level publisher".to_owned(),
        team => format!("the team {team}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{File, sha256};

    fn manifest(paths: &[&str]) -> Manifest {
        let file = |path: &&str| File {
            path: (*path).to_owned(),
            sha256: sha256(path.as_bytes()),
            size: 1,
            executable: false,
        };
        Manifest::new(paths.iter().map(file).collect()).unwrap()
    }

    #[test]
    fn parts_come_together_in_order() {
        let parts = vec![
            ("targets", manifest(&["a", "m/x", "z"])),
            ("web", manifest(&["m/w"])),
            ("none", manifest(&[])),
        ];
        assert_eq!(union(parts).unwrap(), manifest(&["a", "m/w", "m/x", "z"]));
        assert_eq!(union(vec![("targets", manifest(&["a"]))]).unwrap(), manifest(&["a"]));
        assert_eq!(union(Vec::new()).unwrap(), Manifest::default());
    }

    #[test]
    fn what_cannot_stand_side_by_side_is_refused() {
        for (other, words) in [("m/x", "published twice"), ("M/X", "only by case"), ("m", "folder")]
        {
            let parts = vec![("web", manifest(&[other])), ("targets", manifest(&["m/x"]))];
            let error = union(parts).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
