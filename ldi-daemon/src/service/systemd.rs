//! The systemd unit, and the link that starts it at boot. Runs nothing.

use std::path::{Path, PathBuf};

use super::{Content, Part, seal};

/// The unit's name.
pub const UNIT: &str = "ldi.service";
/// Where packages put units.
pub const PACKAGED: [&str; 2] =
    ["/usr/lib/systemd/system/ldi.service", "/lib/systemd/system/ldi.service"];

const FOLDER: &str = "/etc/systemd/system";
const TEXT: &str = include_str!("ldi.service");
/// The program's path in [`TEXT`].
const PROGRAM: &str = "/usr/bin/ldi";

/// The parts of the service that runs `program`: the unit, unless a package brought `packaged`,
/// and the link that enables it.
pub fn parts(program: &str, packaged: Option<&Path>) -> Vec<Part> {
    let folder = Path::new(FOLDER);
    let unit = packaged.map_or_else(|| folder.join(UNIT), PathBuf::from);
    let link = Part {
        path: folder.join("multi-user.target.wants").join(UNIT),
        content: Content::Link(unit.clone()),
    };
    if packaged.is_some() {
        return vec![link];
    }
    vec![Part { path: unit, content: Content::Sealed(unit_text(program)) }, link]
}

fn unit_text(program: &str) -> String {
    let start = format!("ExecStart={PROGRAM} ");
    seal(&TEXT.replace(&start, &format!("ExecStart={program} ")), "# ", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_runs_the_program_that_was_named() {
        let text = unit_text("/opt/ldi/bin/ldi");
        assert!(text.contains("\nExecStart=/opt/ldi/bin/ldi daemon\n"));
        assert!(!text.contains(PROGRAM));
        assert!(unit_text(PROGRAM).starts_with(TEXT));
    }

    #[test]
    fn a_packaged_unit_is_linked_to_and_not_shadowed() {
        let parts = parts(PROGRAM, Some(Path::new(PACKAGED[0])));
        assert_eq!(parts.len(), 1);
        assert_eq!(parts[0].content, Content::Link(PACKAGED[0].into()));
    }
}
