//! `ldi sync` and `ldi run`: the two commands that change something, by hand.

use std::sync::Arc;

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{
    Failure, Result,
    cli::{print, print_json, runtime},
    config::Config,
    error::code,
    inventory, logging,
    machine::Machine,
    release, submit, supervise,
    table::{self, table},
    tier::{self, Order, TierReport, World},
};

/// `ldi sync`.
pub fn sync(config: &Config, json: bool) -> Result<u8> {
    logging::to_stderr("warn");
    let machine = Machine::this();
    let progress = progress();
    let result = release::sync(config, &|done, all| {
        progress.set_length(all);
        progress.set_position(done);
    });
    progress.finish_and_clear();
    // The journal is made after the store, and a sync without it is still a sync.
    match crate::journal::Journal::open(&config.root, &machine) {
        Ok(journal) => {
            let journal = journal.spooling(config.server.url.is_some());
            if let Err(error) = release::remember(&journal, &result) {
                tracing::warn!("the sync could not be written down: {error}");
            }
        }
        Err(error) if result.is_ok() => {
            tracing::warn!("the sync could not be written down: {error}");
        }
        Err(_) => {}
    }
    let report = result?;
    if json {
        print_json(&report)?;
    } else if report.exit_code() == 0 {
        print(&format!("{}\n", release::sentence(&report)))?;
    } else {
        return Err(Failure::new(report.exit_code(), release::sentence(&report)));
    }
    Ok(report.exit_code())
}

fn progress() -> indicatif::ProgressBar {
    let bar = indicatif::ProgressBar::new(0);
    if let Ok(style) =
        indicatif::ProgressStyle::with_template("{bytes} of {total_bytes} {wide_bar}")
    {
        bar.set_style(style);
    }
    bar
}

/// `ldi run`.
pub fn run_tier(config: Config, order: &Order, json: bool) -> Result<u8> {
    let report = ran(config, order)?;
    if json {
        print_json(&report)?;
    } else {
        print(&shown(&report))?;
    }
    Ok(report.exit_code())
}

/// `ldi collect`: the tier of that name, on the release that is there.
pub fn collect(config: &Config, submit: bool) -> Result<u8> {
    if submit && config.server.url.is_none() {
        return Err(Failure::config("no fleet server is configured: set url in [server]"));
    }
    let tier = inventory::TIER.to_owned();
    let order = Order { tier, no_sync: true, ..Order::default() };
    let report = ran(config.clone(), &order)?;
    for note in &report.notes {
        tracing::error!("{note}");
    }
    print(&inventory::read(&config.root)?)?;
    if submit {
        submit::visit(config)?;
    }
    Ok(report.exit_code())
}

fn ran(config: Config, order: &Order) -> Result<TierReport> {
    logging::to_stderr("error");
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    if let Err(why) = supervise::adopt_orphans() {
        tracing::warn!("{why}");
    }
    crate::cgroup::settle(&config.root);
    let runtime = runtime()?;
    let result = runtime.block_on(async {
        let world = Arc::new(World::open(config, Machine::this())?);
        let (sender, stop) = watch::channel(false);
        let mut terminate = signal(SignalKind::terminate()).map_err(signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(signals)?;
        let run = tier::run(&world, order, stop);
        tokio::pin!(run);
        loop {
            tokio::select! {
                result = &mut run => return result,
                _ = terminate.recv() => { sender.send_replace(true); }
                _ = interrupt.recv() => { sender.send_replace(true); }
            }
        }
    });
    runtime.shutdown_background();
    result
}

#[allow(clippy::needless_pass_by_value)] // As map_err hands it over.
fn signals(error: std::io::Error) -> Failure {
    Failure::new(code::FAILED, format!("cannot listen for signals: {error}"))
}

fn shown(report: &TierReport) -> String {
    let mut text = String::new();
    if let Some(sync) = &report.sync {
        text.push_str(&format!("sync: {}\n", release::sentence(sync)));
    }
    if let Some(error) = &report.sync_error {
        text.push_str(&format!("sync: failed, release {} stays active: {error}\n", report.release));
    }
    for note in &report.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    if !report.jobs.is_empty() {
        let mut rows = table(&["JOB", "OUTCOME", "TIME", "OUTPUT", "REASON"]);
        for job in &report.jobs {
            let ran = job.run.is_some();
            rows.add_row(vec![
                job.job.clone().into(),
                table::outcome(job.outcome),
                if ran { tier::seconds(job.seconds) } else { String::new() }.into(),
                if ran { bytes(job.stdout_bytes + job.stderr_bytes) } else { String::new() }.into(),
                job.reason.clone().unwrap_or_default().into(),
            ]);
        }
        text.push('\n');
        text.push_str(&table::text(&rows));
        text.push('\n');
    }
    text.push_str(&format!(
        "tier {} of release {}: {} in {}\n",
        report.tier,
        report.release,
        report.summary(),
        tier::seconds(report.seconds)
    ));
    if let Some(job) =
        report.jobs.iter().find(|j| j.run.is_some() && !["ok", "skipped"].contains(&j.outcome))
    {
        text.push_str(&format!("see: ldi logs {}\n", job.run.as_deref().unwrap_or_default()));
    }
    text
}

fn bytes(n: u64) -> String {
    match n {
        n if n < 10_000 => format!("{n} B"),
        n if n < 10_000_000 => format!("{} kB", n / 1000),
        n => format!("{} MB", n / 1_000_000),
    }
}
