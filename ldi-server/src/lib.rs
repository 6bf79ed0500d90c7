//! The fleet server: machines enrol, and tell what they are and what they did.
//!
//! Holds no signing key of a library, and runs no code on clients that a person did not sign.

pub mod api;
pub mod ca;
pub mod calendar;
pub mod cli;
pub mod clients;
pub mod condition;
pub mod config;
pub mod db;
pub mod error;
pub mod inventory;
pub mod rules;
pub mod serve;
pub mod span;
pub mod tokens;
pub mod trail;

pub use error::{Failure, Result};

/// A moment as the database keeps it: milliseconds since 1970.
fn time(millis: i64) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp_millis(millis).unwrap_or_default()
}
