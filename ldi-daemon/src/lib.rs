//! The client daemon: which tier is due, which jobs it has, how they are run, and what is
//! written down about it.
//!
//! One story per file: [`cli`] reads the command line, [`tier`] runs one tier (sync, select,
//! run, report), [`daemon`] runs all of them by the clock. Jobs only ever come from a signed
//! release. Never listens on a socket and signs nothing.

pub mod act;
pub mod apart;
pub mod catalogue;
pub mod cgroup;
pub mod check;
pub mod cli;
pub mod config;
pub mod console;
pub mod daemon;
pub mod enrol;
pub mod error;
pub mod exec;
pub mod gate;
pub mod inspect;
pub mod inventory;
pub mod journal;
pub mod launch;
pub mod launcher;
pub mod logging;
pub mod logs;
pub mod machine;
pub mod metrics;
pub mod notify;
pub mod plan;
pub mod profile;
pub mod release;
pub mod secret;
pub mod select;
pub mod service;
pub mod status;
pub mod submit;
pub mod supervise;
pub mod table;
pub mod tier;
pub mod update;

pub use error::{Failure, Result};
pub use jobs::{parse, schedule, tiers};
