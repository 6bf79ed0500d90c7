//! Clients that were away, and downloads that were cut off.

use super::*;

#[test]
fn a_client_that_was_away_takes_full_and_patch() {
    let house = House::new();
    house.publish();
    house.sync();
    // Text that does not compress away, so that a patch is much smaller than everything.
    let noise: String = (0..4000_u32)
        .map(|n| format!("{}\n", hex::encode(crate::manifest::sha256(&u32::to_le_bytes(n)))))
        .collect();
    house.write("modules/noise.sh", &noise);
    for step in 0..20 {
        house.write("conf/x", &format!("{step}"));
        house.publish();
    }
    let report = house.sync();
    assert_eq!((report.release, report.transfer), (Some(21), Transfer::Full));
    house.assert_in_sync();
}

#[test]
fn a_client_that_was_away_for_long_takes_patches_in_a_row() {
    let house = House::new();
    let noise: String = (0..20_000_u64)
        .map(|n| hex::encode(&crate::manifest::sha256(&n.to_le_bytes())[..8]))
        .collect();
    house.write("modules/noise.sh", &noise);
    let from = |client: &str| {
        let settings = Settings { root: house.path(client), ..house.settings() };
        let report = sync(&settings, house.now, &|_| Ok(()), &|_, _| {}).unwrap();
        assert_eq!(contents(&house.path(client).join("lib")), contents(&house.path("tree")));
        report
    };
    for step in 0..40_u64 {
        house.write("conf/x", &format!("setting = {step}\n"));
        house.publish();
        let clients: &[&str] = match step {
            1 => &["a", "b", "c"],
            9 => &["d"],
            31 => &["e"],
            _ => &[],
        };
        clients.iter().for_each(|client| assert_eq!(from(client).transfer, Transfer::Full));
    }
    for client in ["a", "d", "e"] {
        let report = from(client);
        assert_eq!((report.outcome, report.transfer), (Outcome::Updated, Transfer::Patch));
        assert!(report.bytes_received < 20_000, "{report:?}");
    }
    // gc keeps what the newest release lists; what is gone all the same is gone around.
    let library = Library::open(&house.path("library")).unwrap();
    crate::gc::gc(&library, 2, false).unwrap();
    assert_eq!(from("b").transfer, Transfer::Patch);
    let targets = house.path("library/rings/stable/targets");
    let listed = fs::read_dir(&targets).unwrap().map(|entry| entry.unwrap().path());
    for path in listed.filter(|path| path.to_string_lossy().contains("-24.patch")) {
        fs::remove_file(path).unwrap();
    }
    assert_eq!(from("c").transfer, Transfer::Full);
    // The next release no longer lists what is gone.
    house.write("conf/x", "last");
    house.publish();
    let newest = library.versions("stable").unwrap().targets;
    let older = library.older("stable", &library.published("stable", newest).unwrap().unwrap());
    assert!(!older.unwrap().keys().any(|(_, to)| *to == 24));
}

#[test]
fn a_bundle_that_was_cut_off_is_resumed() {
    use crate::source::https::server::{Faults, Server};
    let house = House::new();
    let noise: String = (0..20_000_u32)
        .map(|n| hex::encode(crate::manifest::sha256(&u32::to_le_bytes(n))) + "\n")
        .collect();
    house.write("modules/noise.sh", &noise);
    house.publish();
    let server = Server::start(&house.path("library"));
    let mut settings = house.settings();
    settings.sources = vec![server.url()];
    let run = || sync(&settings, house.now, &|_| Ok(()), &|_, _| {}).unwrap();
    server.fault(Faults { cut_after: Some(400_000), ..Faults::default() });
    let report = run();
    assert_eq!((report.outcome, report.release), (Outcome::Unreachable, None));
    server.fault(Faults::default());
    server.asked();
    let report = run();
    assert_eq!((report.outcome, report.transfer), (Outcome::Updated, Transfer::Full));
    assert!(server.asked().iter().any(|path| path.ends_with("full.zst from 400000")));
    house.assert_in_sync();
    let left = fs::read_dir(house.path("client/staging/partial")).unwrap().count();
    assert_eq!(left, 0);

    // What an older release had begun goes as soon as another one is here.
    fs::write(house.path("client/staging/partial").join("a".repeat(64)), "x").unwrap();
    house.write("conf/x", "next");
    house.publish();
    assert_eq!(run().release, Some(2));
    assert_eq!(fs::read_dir(house.path("client/staging/partial")).unwrap().count(), 0);
}
