//! The signed code library: what a publisher signs, what carriers hand out, and what a client
//! verifies, stores and activates.
//!
//! This crate owns the library's formats, their signatures and their transfer. It runs no code
//! from a library and knows neither tiers nor fleets.

pub mod bundle;
pub mod disk;
pub mod doctor;
pub mod error;
pub mod fetch;
pub mod gc;
pub mod known_hosts;
pub mod large;
pub mod library;
pub mod manifest;
pub mod mirror;
pub mod name;
pub mod older;
pub mod publish;
pub mod pull;
pub mod push;
pub mod receive;
pub mod record;
pub mod serve;
pub mod sign;
mod skippable;
pub mod source;
pub mod stage;
pub mod store;
pub mod trust;
pub mod union;
pub mod upload;
pub mod wire;

pub use error::{Error, Kind, Result};
