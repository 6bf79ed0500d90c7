//! The signed code library: what a publisher signs, what carriers hand out, and what a client
//! verifies, stores and activates.
//!
//! This crate owns the library's formats, their signatures and their transfer. It runs no code
//! from a library and knows neither tiers nor fleets.

pub mod error;
pub mod pull;
pub mod store;

pub use error::{Error, Kind, Result};
