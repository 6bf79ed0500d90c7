//! What a tree says has to run, and when: `conf/tiers.toml`, header comments, cron expressions.
//!
//! Pure readings of text, for the machine that runs the jobs and for the tools of those who write
//! them. Knows no machine, no clock and no file: what of it runs here and now is the daemon's.

pub mod header;
pub mod order;
pub mod parse;
pub mod schedule;
pub mod tiers;
