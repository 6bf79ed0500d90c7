use std::{fs, process::Command};

use super::*;

#[test]
fn addresses_are_repeated_only_when_they_are_some() {
    let of = |text: &str| Client::new(Some(OsStr::new(text)), None).address;
    assert_eq!(of("203.0.113.5 51234 198.51.100.1 22"), "203.0.113.5 51234");
    assert_eq!(of("fe80::1%eth0 51234 fe80::2 22"), "fe80::1%eth0 51234");
    for bad in ["", "x", "a\nb 1", "UNKNOWN 65536 x", "\" 22 "] {
        assert_eq!(of(bad), UNKNOWN, "{bad:?}");
    }
}

/// The same words as ssh-keygen's, for keys and for the certificates made of them.
#[test]
fn fingerprints_are_those_of_ssh_keygen() {
    let keygen = Path::new("/usr/bin/ssh-keygen");
    if !keygen.exists() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "ssh-keygen is missing");
        println!("left out: {} is missing", keygen.display());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let call = |args: &[&str]| {
        let done = Command::new(keygen).current_dir(&folder).args(args).output().unwrap();
        assert!(done.status.success(), "{args:?}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    };
    call(&["-q", "-t", "ed25519", "-N", "", "-f", "ca"]);
    for kind in ["ed25519", "rsa", "ecdsa"] {
        call(&["-q", "-t", kind, "-N", "", "-f", kind]);
        call(&["-q", "-s", "ca", "-I", "x", "-n", "util", &format!("{kind}.pub")]);
        let listed = call(&["-l", "-f", &format!("{kind}.pub")]);
        let wanted = listed.split(' ').nth(1).map(str::to_owned);
        for file in [format!("{kind}.pub"), format!("{kind}-cert.pub")] {
            let line = fs::read_to_string(folder.path().join(&file)).unwrap();
            assert_eq!(fingerprint(&format!("publickey {line}")), wanted, "{file}");
        }
    }
}

#[test]
fn damaged_auth_info_names_no_key() {
    for text in ["", "password", "publickey ", "publickey ssh-ed25519", "publickey x !!!!"] {
        assert_eq!(fingerprint(text), None, "{text:?}");
    }
    // A certificate cut short is fingerprinted as the bytes that it is.
    assert!(plain_key(b"\0\0\0\x20ssh-ed25519-cert-v01@openssh.com\0\0\0\x09").is_none());
    assert!(plain_key(b"\xff\xff\xff\xff").is_none());
}
