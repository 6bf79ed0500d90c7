//! Tests of [`super`].

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn now() -> DateTime<Utc> {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn document() -> Value {
    json!({
        "last_seen": "2026-11-20T12:00:00Z",
        "os_info": { "distname": "debian", "version": "12.10" },
        "screenlock": { "users": [
            { "user": "a", "enabled": true, "delay": 300 },
            { "user": "b", "enabled": false, "delay": "unknown" },
        ] },
        "hd_encryption": [],
        "firewall": { "layers": { "iptables": { "status": "on" }, "nftables": { "status": "off" } } },
        "guest_session": null,
        "os_updates": { "release": "unknown", "patches": true },
        "network_devices": { "eth0": { "ipv4": ["10.0.0.1"] } },
        "odd-key.with dots": 1,
    })
}

fn truth(text: &str) -> Truth {
    Condition::parse(text).unwrap_or_else(|e| panic!("{text}: {e}")).of(&document(), now())
}

#[test]
fn what_holds() {
    for text in [
        "os_info.distname = \"debian\"",
        "os_info.distname == 'debian' and last_seen < 2d",
        "last_seen >= 24h and not last_seen > 24h",
        "os_info.distname in [\"fedora\", \"debian\"]",
        "os_info.distname like \"deb*\" and os_info.distname like \"d?bia?\"",
        "os_info.version > \"12.9\" and os_info.version < \"13\"",
        "os_info.version > 12",
        "any(screenlock.users, enabled = false)",
        "any(screenlock.users, not enabled and user = \"b\")",
        "any(firewall.layers, status = \"off\")",
        "all(hd_encryption, encrypted)",
        "any(screenlock.users, $.os_info.distname = \"debian\" and enabled)",
        "exists(os_info.version) and not exists(guest_session) and not exists(nothing.at.all)",
        "guest_session = null",
        "os_updates.patches",
        "os_updates.release = \"unknown\"",
        "network_devices contains \"eth0\"",
        "any(network_devices, ipv4 contains \"10.0.0.1\")",
        "\"odd-key.with dots\" = 1.0",
        "(os_updates.patches or os_updates.nonsense) and not (os_info.distname != \"debian\")",
    ] {
        assert_eq!(truth(text), Truth::True, "{text}");
    }
}

#[test]
fn what_does_not() {
    for text in [
        "last_seen < 3h",
        "any(hd_encryption, encrypted = false)",
        "all(screenlock.users, enabled)",
        "os_info.distname in [\"fedora\"]",
        "os_info.distname = 1",
        "os_info.distname like \"deb\"",
    ] {
        assert_eq!(truth(text), Truth::False, "{text}");
    }
}

#[test]
fn what_the_document_does_not_say_is_unknown() {
    for text in [
        "nothing = 1",
        "nothing != 1",
        "guest_session.enabled",
        "os_updates.release",
        "not os_updates.release",
        "os_updates.release != true",
        "any(guest_session, enabled)",
        "os_info.distname > 3",
        "nothing = 1 or os_info.distname = \"x\"",
        "nothing = 1 and os_info.distname = \"debian\"",
        "all(screenlock.users, delay < 600)",
    ] {
        assert_eq!(truth(text), Truth::Unknown, "{text}");
    }
    // What is known decides where it can.
    assert_eq!(truth("nothing = 1 and os_info.distname = \"x\""), Truth::False);
    assert_eq!(truth("nothing = 1 or os_updates.patches"), Truth::True);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (text, at, what) in [
        ("", 0, "the name of a value"),
        ("a = ", 4, "a text, a number"),
        ("a = debian", 4, "\"debian\""),
        ("a = 2d", 4, "duration"),
        ("a < true", 4, "a number, a duration"),
        ("a = 1 b = 2", 6, "`and`, `or` or the end"),
        ("a = \"x", 4, "does not end"),
        ("a = 1 and", 9, "the name of a value"),
        ("(a = 1", 6, "`)`"),
        ("some(a, b)", 0, "known: any, all, exists"),
        ("a = 5parsecs", 4, "neither a number nor a duration"),
        ("a & b", 2, "means nothing"),
        ("a in []", 6, "a text, a number"),
        ("a like 3", 7, "pattern in quotes"),
    ] {
        let wrong = Condition::parse(text).unwrap_err();
        assert!(wrong.at == at && wrong.what.contains(what), "{text:?}: {wrong:?}");
    }
    assert!(Condition::parse(&"(".repeat(100_000)).is_err());
    assert!(Condition::parse(&("not ".repeat(3000) + "a")).is_ok());
    assert!(Condition::parse(&("(".repeat(1000) + "a")).unwrap_err().what.contains("deeply"));
}

#[test]
fn versions_are_compared_by_their_numbers() {
    let version = |own: &str, other: &str| {
        Condition::parse(&format!("v < \"{other}\"")).unwrap().holds(&json!({ "v": own }), now())
    };
    for (less, more) in [
        ("9.9", "9.10"),
        ("1.0", "1.0.1"),
        ("1.0a", "1.0b"),
        ("5.4.0-99", "5.4.0-100"),
        ("2", "10"),
        ("00000000000000000000000000000001", "2"),
    ] {
        assert!(version(less, more) && !version(more, less), "{less} {more}");
    }
    assert!(!version("1.02", "1.2") && !version("1.2", "1.02"));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,60}") {
        if let Ok(condition) = Condition::parse(&text) {
            condition.of(&document(), now());
        }
    }

    #[test]
    fn words_of_the_language_in_any_order_are_read_or_refused(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "a", "and", "or", "not", "(", ")", "any", "all", "exists", ",", "=", "<", "in",
                "[", "]", "\"x\"", "1", "2d", "true", "$", ".", "like", "contains", "null",
            ]),
            0..20,
        ),
    ) {
        if let Ok(condition) = Condition::parse(&words.join(" ")) {
            let truth = condition.of(&document(), now());
            prop_assert_eq!(
                Condition::parse(&format!("not ({})", words.join(" "))).unwrap().of(&document(), now()),
                truth.not()
            );
        }
    }
}
