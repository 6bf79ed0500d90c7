//! What holds for every shipped file, seen without running it.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt, path::PathBuf};

use anyhow::{Context, Result, ensure};

use crate::{is_bash, modules, name, shipped, text};

/// The keys of a header comment (`# ldi: …`).
const HEADER_KEYS: &[&str] = &[
    "wait_for",
    "wait_deadline",
    "timeout",
    "retries",
    "after",
    "parallel",
    "run_once",
    "os",
    "arch",
    "tags",
    "percent",
    "user",
    "nice",
];

/// What bash 3.2 of macOS lacks, each with what to write instead.
const TOO_NEW: &[(&str, &str)] = &[
    ("declare -A", "a case or two arrays"),
    ("local -A", "a case or two arrays"),
    ("local -n", "${!name}"),
    ("declare -n", "${!name}"),
    ("mapfile", "while read"),
    ("readarray", "while read"),
    ("coproc", "a pipe"),
    ("wait -n", "wait PID"),
    ("&>>", ">>FILE 2>&1"),
    ("|&", "2>&1 |"),
    (",,}", "tr"),
    ("^^}", "tr"),
    ("@Q}", "printf %q"),
    ("EPOCHSECONDS", "date +%s"),
    ("%(%", "date"),
    (";;&", "a second case"),
    ("globstar", "find"),
    ("inherit_errexit", "|| return"),
    ("date -d", "date on macOS has no -d"),
    ("readlink -f", "readlink in a loop"),
    ("sed -i", "a new file and mv"),
    ("grep -P", "grep -E"),
    ("stat -c", "ls or Python"),
    ("mktemp --", "mktemp TEMPLATE"),
];

#[test]
fn scripts_are_executable_and_name_their_interpreter() -> Result<()> {
    for script in shipped("scripts")? {
        let mode = script.metadata()?.permissions().mode() & 0o777;
        ensure!(mode == 0o755, "{} has mode {mode:o}, not 755", script.display());
        let first = text(&script)?.lines().next().unwrap_or_default().to_owned();
        ensure!(
            ["#!/bin/bash", "#!/usr/bin/env python3"].contains(&first.as_str()),
            "{} begins with {first:?}",
            script.display()
        );
        ensure!(
            !name(&script).contains('.'),
            "{} has an ending; the others have none",
            script.display()
        );
    }
    for file in shipped("modules")?.iter().chain(&shipped("conf")?) {
        let mode = file.metadata()?.permissions().mode() & 0o777;
        ensure!(mode == 0o644, "{} has mode {mode:o}, not 644", file.display());
    }
    Ok(())
}

#[test]
fn every_tier_has_a_job_and_is_configured() -> Result<()> {
    let path = e2e::parts::repository().join("conf/tiers.toml");
    let conf: toml::Table = text(&path)?.parse().context("conf/tiers.toml is not TOML")?;
    let tiers = conf["tier"].as_table().context("no [tier.X]")?;
    for tier in ["startup", "every15", "hourly", "daily", "weekly"] {
        let keys = tiers[tier].as_table().with_context(|| format!("no [tier.{tier}]"))?;
        for key in keys.keys() {
            let known = ["cron", "splay", "delay", "at", "timezone", "on_sync_failure"];
            ensure!(known.contains(&key.as_str()), "tier {tier} has an unknown key {key}");
        }
        ensure!(keys.contains_key("cron") != keys.contains_key("at"), "tier {tier}: cron or at");
        ensure!(!shipped(&format!("scripts/{tier}"))?.is_empty(), "tier {tier} has no job");
    }
    // The commented example must work when its comment signs are taken away.
    let example: String = text(&path)?
        .lines()
        .skip_while(|line| *line != "# [[job]]")
        .map(|line| format!("{}\n", line.trim_start_matches("# ")))
        .collect();
    let example: toml::Table = example.parse().context("the example is not TOML")?;
    ensure!(example["job"].as_array().is_some_and(|jobs| jobs.len() == 1), "no example");
    Ok(())
}

#[test]
fn header_keys_are_known() -> Result<()> {
    let mut headers = 0;
    for script in shipped("scripts")? {
        for line in text(&script)?.lines().take(20).filter_map(|l| l.strip_prefix("# ldi:")) {
            headers += 1;
            for word in line.split_whitespace() {
                let key = word.split('=').next().unwrap_or_default();
                ensure!(HEADER_KEYS.contains(&key), "{}: unknown key {key}", script.display());
            }
        }
    }
    ensure!(headers > 0, "no header was found");
    Ok(())
}

#[test]
fn nothing_needs_more_than_bash_3_2_and_both_systems() -> Result<()> {
    let mut found = Vec::new();
    let mut files = modules("sh")?;
    for script in shipped("scripts")? {
        if is_bash(&script)? {
            files.push(script);
        }
    }
    // What tests are driven with, and what `codesync new` begins with.
    for folder in ["authors/src/test", "authors/src/new"] {
        let bash = |path: &PathBuf| path.extension().is_some_and(|e| e == "sh");
        files.extend(shipped(folder)?.into_iter().filter(bash));
    }
    for file in files {
        for (number, line) in text(&file)?.lines().enumerate() {
            let code = line.trim_start();
            for (new, instead) in TOO_NEW {
                if !code.starts_with('#') && code.contains(new) {
                    found.push(format!("{}:{}: {new}; use {instead}", name(&file), number + 1));
                }
            }
        }
    }
    ensure!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}

/// Public functions (no leading `_`) of the bash and Python modules, with their files.
fn public_functions() -> Result<BTreeMap<String, Vec<String>>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in modules("sh")?.iter().chain(&modules("py")?) {
        let python = file.extension().is_some_and(|e| e == "py");
        for line in text(file)?.lines() {
            let function = if python {
                line.strip_prefix("def ").and_then(|rest| rest.split('(').next())
            } else {
                line.split_once("() {").map(|(name, _)| name)
            };
            let Some(function) = function.filter(|f| !f.starts_with('_') && !f.contains(' '))
            else {
                continue;
            };
            // Python functions live in their modules; bash functions share one namespace.
            let stem = name(file).trim_end_matches(".py").to_owned();
            let full = if python { format!("{stem}.{function}") } else { function.to_owned() };
            found.entry(full).or_default().push(name(file));
        }
    }
    Ok(found)
}

#[test]
fn every_public_name_is_defined_once_and_tested() -> Result<()> {
    let mut tests = String::new();
    for file in shipped("tests/library")? {
        if file.extension().is_some_and(|e| e == "sh" || e == "py") {
            tests.push_str(&text(&file)?);
        }
    }
    let mut faults = Vec::new();
    for (function, files) in public_functions()? {
        if files.len() > 1 {
            faults.push(format!("{function} is defined in {}", files.join(" and ")));
        }
        // autoinit has its tests with the loader.
        if files[0] != "autoinit.sh" && !tests.contains(function.trim_start_matches("modules.")) {
            faults.push(format!("{function} of {} has no test", files[0]));
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

#[test]
fn the_reference_names_everything() -> Result<()> {
    let reference = text(&e2e::parts::repository().join("docs/library.md"))?;
    let mut missing = Vec::new();
    for function in public_functions()?.into_keys() {
        let (module, short) = function.split_once('.').unwrap_or(("", &function));
        let named = ["`", "(", " "].iter().any(|end| reference.contains(&format!("`{short}{end}")));
        if !named || !reference.contains(module) {
            missing.push(function);
        }
    }
    for script in shipped("scripts")? {
        if !reference.contains(&format!("{}` |", name(&script))) {
            missing.push(name(&script));
        }
    }
    ensure!(missing.is_empty(), "docs/library.md does not name {}", missing.join(", "));
    Ok(())
}

/// The names that scripts of the original library call.
#[test]
fn the_old_names_are_there() -> Result<()> {
    let bash = "source_files_in_dir is_in_array start prep finish diff_replace check_corp \
        check_internet wait_for_corp wait_for_internet print_red print_lightred print_green \
        print_lightgreen print_yellow set_local_time";
    let python: &[(&str, &str)] = &[
        (
            "account_tools",
            "bind_to_ad is_bound_to_ad create_mobile_account make_admin flush_ad_cache",
        ),
        ("api_tools", "auth_init"),
        ("encrypt_tools", "status"),
        (
            "fs_tools",
            "copy create_file diff_replace get_creation_time get_pickle move mkdir mktempdir \
             read_file remove timestamp_file write_file write_pickle verify_pickle",
        ),
        ("net_tools", "check_corp_network check_network wait_for_corp"),
        ("shell_tools", "run sanitize_output get_unix_time"),
        (
            "sys_tools",
            "get_shard get_os_version get_serial get_model get_uptime get_total_memory \
             get_used_memory get_computer_name get_free_hd_space get_hd_capacity get_time_since \
             is_process_running kill_process log sleep enough_space configure_time install_pkg \
             launchctl_load launchctl_reload launchctl_unload query_profiler",
        ),
        ("user_tools", "prompt binary_prompt"),
    ];
    let known = public_functions()?;
    let python = python.iter().flat_map(|(module, names)| {
        names.split_whitespace().map(move |name| format!("{module}.{name}"))
    });
    let missing: Vec<String> = bash
        .split_whitespace()
        .map(str::to_owned)
        .chain(python)
        .filter(|name| !known.contains_key(name))
        .collect();
    ensure!(missing.is_empty(), "missing: {}", missing.join(", "));
    Ok(())
}
