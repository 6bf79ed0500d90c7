//! What years do: expired roots and releases, clients that were away. The clock is moved.

use super::*;

fn library(house: &House) -> Library {
    Library::open(&house.path("library")).unwrap()
}

fn refresh(house: &House) {
    let life = Lifetimes::default();
    publish::refresh(&library(house), &house.keys(), "stable", life, house.now).unwrap();
}

#[test]
fn an_expired_root_is_replaced_and_clients_follow() {
    let mut house = House::new();
    house.publish();
    house.sync();
    house.now += TimeDelta::days(366);
    house.write("conf/x", "a year later");
    house.publish();
    let report = house.sync();
    assert_eq!((report.outcome, report.release), (Outcome::Refused, Some(1)));
    assert!(report.stale && report.reason.unwrap().contains("sign a new root"));
    // The old root's keys still sign its successor.
    let done =
        publish::rotate(&library(&house), &house.keys(), None, Lifetimes::default(), house.now);
    assert_eq!(done.unwrap().version, 2);
    let report = house.sync();
    assert_eq!((report.outcome, report.release, report.stale), (Outcome::Updated, Some(2), false));
    house.assert_in_sync();
}

#[test]
fn a_client_that_was_off_for_a_year_comes_back() {
    use crate::sign::Role;
    let mut house = House::new();
    house.publish();
    house.sync();
    for (month, role) in [Role::Timestamp, Role::Root, Role::Targets, Role::Snapshot, Role::Root]
        .into_iter()
        .cycle()
        .take(13)
        .enumerate()
    {
        house.now += TimeDelta::days(30);
        house.write("conf/x", &format!("month {month}"));
        house.publish();
        let life = Lifetimes::default();
        publish::rotate(&library(&house), &house.keys(), role, life, house.now).unwrap();
    }
    refresh(&house);
    let report = house.sync();
    assert_eq!((report.outcome, report.release), (Outcome::Updated, Some(14)));
    house.assert_in_sync();
}

#[test]
fn a_release_that_nears_its_end_is_published_anew_though_nothing_changed() {
    let mut house = House::new();
    house.publish();
    house.sync();
    house.now += TimeDelta::days(300);
    house.publish();
    assert_eq!(library(&house).versions("stable").unwrap().targets, 1);
    house.now += TimeDelta::days(60);
    assert_eq!(house.sync().outcome, Outcome::Refused, "the timestamp has expired");
    house.publish();
    let report = house.sync();
    assert_eq!((report.outcome, report.release), (Outcome::Updated, Some(2)));
    house.assert_in_sync();
}
