//! The tree that several roles sign together: the union of their manifests. Refuses a path that two
//! of them name, and paths of two that cannot stand side by side. Pure.

use crate::{
    Error, Result,
    manifest::{Builder, Manifest},
};

/// The union of `parts`, each with the role that signed it. Costs nothing where there is one.
pub fn union(parts: &[(&str, &Manifest)]) -> Result<Manifest> {
    if let [(_, only)] = parts {
        return Ok((*only).clone());
    }
    let length = parts.iter().map(|(_, one)| one.text().len()).sum();
    let mut whole = Builder::of(length);
    let mut next = vec![0; parts.len()];
    loop {
        let heads = parts.iter().zip(&next).enumerate();
        let heads = heads.filter(|(_, ((_, one), at))| **at < one.len());
        let mut heads: Vec<_> =
            heads.map(|(turn, ((role, one), at))| (one.path(*at), turn, *role)).collect();
        heads.sort_unstable();
        let Some((path, turn, one)) = heads.first() else { break };
        if let Some((_, _, other)) = heads.get(1).filter(|(other, ..)| other == path) {
            let (one, other) = if *other == "targets" { (other, one) } else { (one, other) };
            return Err(Error::refused(format!(
                "the path {path:?} is published twice, by {} and by {}: one of them must leave it out",
                words(one),
                words(other)
            )));
        }
        whole.line(parts[*turn].1.line(next[*turn]));
        next[*turn] += 1;
    }
    let whole = whole.finish();
    whole.check_set()?;
    Ok(whole)
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
        assert_eq!(union(&parts).unwrap(), manifest(&["a", "m/w", "m/x", "z"]));
        assert_eq!(union(&parts[..1]).unwrap(), top);
        assert_eq!(union(&[]).unwrap(), Manifest::default());
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
