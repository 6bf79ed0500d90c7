//! The tree that several roles sign together: the union of their manifests. Refuses a path that two
//! of them name, and paths of two that cannot stand side by side. Pure.

use std::borrow::Cow;

use crate::{Error, Result, manifest::Manifest};

/// The union of `parts`, each with the role that signed it. Costs nothing where there is one.
pub fn union<'a>(parts: &[(&str, &'a Manifest)]) -> Result<Cow<'a, Manifest>> {
    if let [(_, only)] = parts {
        return Ok(Cow::Borrowed(only));
    }
    let all = parts.iter().flat_map(|(role, one)| one.files.iter().map(move |file| (*role, file)));
    let mut files: Vec<_> = all.collect();
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
    Manifest::new(files.into_iter().map(|(_, file)| file.clone()).collect()).map(Cow::Owned)
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
        let (top, web, none) = (manifest(&["a", "m/x", "z"]), manifest(&["m/w"]), manifest(&[]));
        let parts = [("targets", &top), ("web", &web), ("none", &none)];
        assert_eq!(*union(&parts).unwrap(), manifest(&["a", "m/w", "m/x", "z"]));
        assert!(matches!(union(&parts[..1]), Ok(Cow::Borrowed(one)) if *one == top));
        assert_eq!(*union(&[]).unwrap(), Manifest::default());
    }

    #[test]
    fn what_cannot_stand_side_by_side_is_refused() {
        for (other, words) in [("m/x", "published twice"), ("M/X", "only by case"), ("m", "folder")]
        {
            let (web, top) = (manifest(&[other]), manifest(&["m/x"]));
            let error = union(&[("web", &web), ("targets", &top)]).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
