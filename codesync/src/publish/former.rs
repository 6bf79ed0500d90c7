//! Reading back what this library published, quickly: manifests of 100,000 lines, nine at a time.
//!
//! Only for comparing with: what is to be signed anew is read and checked by [`Manifest::parse`].

use crate::{
    Result, disk,
    library::{Library, Published},
    manifest::{File, MANIFEST_MAX, Manifest, sha256},
    name,
};

/// The manifest of `published`, compared with its hash.
pub(super) fn manifest(library: &Library, ring: &str, published: &Published) -> Result<Manifest> {
    let hash = published.signed["targets"]["manifest"]["hashes"]["sha256"].as_str();
    if let Some(hash) = hash.filter(|hash| name::is_sha256(hash)) {
        let path = library.ring(ring)?.join("targets").join(format!("{hash}.manifest"));
        let text = disk::read_bounded(&path, MANIFEST_MAX)?.unwrap_or_default();
        if hex::encode(sha256(&text)) == hash
            && let Some(manifest) = std::str::from_utf8(&text).ok().and_then(parse)
        {
            return Ok(manifest);
        }
    }
    // Says what is wrong.
    library.manifest(ring, published)
}

/// Reads the one text form (docs/format.md). Its names were checked when its hash was signed.
fn parse(text: &str) -> Option<Manifest> {
    let lines = text.strip_prefix("{\"format\":1,\"files\":[\n")?.strip_suffix("]}\n")?;
    let mut files = Vec::with_capacity(lines.len() / 150);
    for line in lines.lines() {
        let line = line.strip_suffix(',').unwrap_or(line);
        let (path, rest) = line.strip_prefix("{\"path\":\"")?.split_once("\",\"sha256\":\"")?;
        let (hash, rest) = rest.split_at_checked(64)?;
        let (size, mode) = rest.strip_prefix("\",\"size\":")?.split_once(",\"mode\":\"")?;
        let mut sha256 = [0; 32];
        hex::decode_to_slice(hash, &mut sha256).ok()?;
        let executable = match mode {
            "0644\"}" => false,
            "0755\"}" => true,
            _ => return None,
        };
        // Only quotes are escaped, and backslashes, which no name has.
        let path = if path.contains('\\') { path.replace("\\\"", "\"") } else { path.to_owned() };
        files.push(File { path, sha256, size: size.parse().ok()?, executable });
    }
    Some(Manifest { files })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_as_the_strict_reader_reads_it() {
        let file = |path: &str, executable| File {
            path: path.into(),
            sha256: sha256(path.as_bytes()),
            size: path.len() as u64,
            executable,
        };
        for files in [
            vec![],
            vec![file("a", true)],
            vec![
                file("a\",\"sha256\":\"", true),
                file("b\"", false),
                file("ä/ö ,\"mode\":", false),
            ],
        ] {
            let manifest = Manifest::new(files).unwrap();
            let text = manifest.text();
            assert_eq!(parse(&text).as_ref(), Some(&manifest), "{text}");
            assert_eq!(Manifest::parse(text.as_bytes()).unwrap(), manifest);
        }
        assert_eq!(parse("{\"format\":1,\"files\":[\n{\"path\":\"a\"}\n]}\n"), None);
    }
}
