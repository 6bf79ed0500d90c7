//! Tests of [`super`].

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use proptest::prelude::*;

use super::*;

fn secret(value: &[u8]) -> Secret {
    Secret { name: "s".into(), value: Zeroizing::new(value.to_vec()) }
}

fn blanked(secrets: &[Secret], pieces: &[&[u8]]) -> String {
    let mut blank = Blank::new(secrets);
    let mut out: Vec<u8> = pieces.iter().flat_map(|piece| blank.pass(piece)).collect();
    out.extend(blank.rest());
    String::from_utf8(out).unwrap()
}

#[test]
fn secrets_are_blanked_however_they_come() {
    let one = || secret(b"hunter22\n");
    assert_eq!(blanked(&[one()], &[b"a hunter22 b"]), "a *** b");
    assert_eq!(blanked(&[one()], &[b"a hun", b"ter", b"22 b hunter"]), "a *** b hunter");
    assert_eq!(blanked(&[one()], &[b"hhunter22hunter22"]), "h***");
    // One is the beginning of another; two overlap; one contains another.
    let two = [secret(b"abab"), secret(b"ababcdcd")];
    assert_eq!(blanked(&two, &[b"x abab", b"cdc"]), "x ***cdc");
    assert_eq!(blanked(&two, &[b"x abab", b"cdcd y"]), "x *** y");
    assert_eq!(blanked(&two, &[b"ababab x"]), "*** x");
    // The lines of a key, also one by one.
    let key = [secret(b"-----BEGIN KEY-----\r\nQUJDREVGR0g=\r\n-----END KEY-----\n")];
    assert_eq!(blanked(&key, &[b"key: QUJDREVGR0g= end"]), "key: *** end");
}

#[test]
fn nothing_is_kept_back_without_need() {
    let mut blank = Blank::new(&[secret(b"hunter22")]);
    assert_eq!(blank.pass(b"working\n"), b"working\n");
    assert_eq!(blank.pass(b"h"), b"");
    assert_eq!(blank.pass(b"i\n"), b"hi\n");
}

#[test]
fn files_that_others_could_read_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wifi_psk");
    let why = |wanted: &str| {
        let error = find("wifi_psk", dir.path()).unwrap_err();
        assert!(error.contains(wanted), "{error}");
    };
    why("not on this machine");
    fs::write(&path, "hunter22\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    why("chmod 600");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let found = find("wifi_psk", dir.path()).unwrap();
    assert_eq!(
        (format!("{found:?}").as_str(), found.value.as_slice()),
        ("Secret(wifi_psk)", b"hunter22\n".as_slice())
    );
    assert_eq!(found.variable(), "LDI_SECRET_WIFI_PSK_FD");
    let mut read = String::new();
    fs::File::from(found.pipe(None).unwrap()).read_to_string(&mut read).unwrap();
    assert_eq!(read, "hunter22\n");
    fs::write(&path, "pin\n").unwrap();
    why("shorter than 4 bytes");
    fs::write(&path, vec![b'x'; 40_000]).unwrap();
    why("at most 32768 bytes");
    fs::rename(&path, dir.path().join("other")).unwrap();
    symlink(dir.path().join("other"), &path).unwrap();
    why("cannot be used");
}

proptest! {
    /// However a stream is cut, what is shown is the same, and has no secret in it.
    #[test]
    fn cuts_change_nothing(
        text in "[ab]{0,60}",
        values in prop::collection::vec("[ab]{4,7}", 1..4),
        cuts in prop::collection::vec(0usize..60, 0..6),
    ) {
        let secrets: Vec<Secret> = values.iter().map(|v| secret(v.as_bytes())).collect();
        let whole = blanked(&secrets, &[text.as_bytes()]);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(text.len())).collect();
        cuts.sort_unstable();
        cuts.push(text.len());
        let mut from = 0;
        let pieces: Vec<&[u8]> = cuts.iter().map(|to| {
            let piece = &text.as_bytes()[from..*to];
            from = *to;
            piece
        }).collect();
        prop_assert_eq!(&blanked(&secrets, &pieces), &whole);
        for value in &values {
            prop_assert!(!whole.contains(value.as_str()), "{} in {}", value, whole);
        }
    }
}
