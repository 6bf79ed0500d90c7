//! Tests of [`super`]: tiers.

use super::*;

#[test]
fn the_built_in_tiers_are_known_by_name() {
    let names: Vec<String> = Tiers::built_in().tiers.into_keys().collect();
    assert_eq!(names, ["collect", "daily", "every15", "hourly", "startup", "update", "weekly"]);
}

#[test]
fn a_file_adds_to_and_overrides_them() {
    let tiers = Tiers::of_release(
        "[tier.daily]\ncron = \"30 2 * * *\"\ntimezone = \"Europe/Vienna\"\non_sync_failure = \"skip\"\n\
         [tier.nightly]\ncron = \"0 3 * * *\"\n\
         [[job]]\ntier = \"nightly\"\nfunction = \"recon\"\nargs = [\"a b\", \"\"]\ntimeout = \"10m\"\n",
    )
    .unwrap();
    assert_eq!(tiers.tiers.len(), 8);
    assert_eq!(tiers.tiers["daily"].on_sync_failure, OnSyncFailure::Skip);
    assert_eq!(tiers.jobs[0].name, "nightly/recon");
    assert_eq!(tiers.jobs[0].keys.args, ["a b", ""]);
}

#[test]
fn what_is_wrong_is_named_with_line_and_key() {
    for (text, says) in [
        (
            "[tier.daily]\ncorn = \"* * * * *\"\n",
            "conf/tiers.toml line 2, key corn: is not a known key; did you mean cron?",
        ),
        (
            "[tier.daily]\ncron = \"61 * * * *\"\n",
            "conf/tiers.toml line 2, key cron: \"61 * * * *\" is not a cron expression",
        ),
        ("[tier.daily]\nsplay = \"4h\"\n", "conf/tiers.toml line 1, key cron: tier daily needs"),
        (
            "\n[[job]]\ntier = \"dayly\"\nscript = \"x\"\n",
            "conf/tiers.toml line 2, key tier: no tier is called \"dayly\"; did you mean daily?",
        ),
        (
            "[[job]]\ntier = \"daily\"\n",
            "conf/tiers.toml line 1, key job: a job has exactly one of",
        ),
        (
            "[[job]]\ntier = \"daily\"\nscript = \"x\"\ntimout = \"1s\"\n",
            "line 4, key timout: is not a known key; did you mean timeout?",
        ),
        (
            "[[job]]\ntier = \"daily\"\ncommand = [\"ls\"]\n",
            "line 1, key command: \"ls\" must be an absolute path",
        ),
        (
            "[[job]]\ntier = \"daily\"\nscript = \"x\"\nos = [\"linus\"]\n",
            "key os: \"linus\" is not known; did you mean linux?",
        ),
        (
            "[[job]]\ntier = \"daily\"\nscript = \"x\"\nwait_for = [\"vpn\"]\n",
            "line 4, key wait_for: unknown variant `vpn`",
        ),
        (
            "[[job]]\ntier = \"daily\"\nscript = \"x\"\nhosts = [\"lab-[\"]\n",
            "line 1, key hosts: \"lab-[\" is no glob of host names",
        ),
        (
            "[[job]]\ntier = \"daily\"\nscript = \"x\"\npercent = 101\n",
            "key percent: is at most 100",
        ),
        (
            "[[job]]\nname = \"../x\"\ntier = \"daily\"\nscript = \"x\"\n",
            "key name: \"../x\" cannot be",
        ),
        (
            "[[job]]\ntier = \"daily\"\nscript = \"a\"\n[[job]]\ntier = \"daily\"\nscript = \"a\"\n",
            "line 4, key name: \"a\" is already the job of line 1",
        ),
        ("not toml", "conf/tiers.toml line 1"),
    ] {
        let wrong = Tiers::of_release(text).unwrap_err().to_string();
        assert!(wrong.contains(says), "{wrong}\n  is not\n{says}");
    }
}
