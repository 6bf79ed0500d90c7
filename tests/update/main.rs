//! Self-update end to end: agents in a signed library, good and bad ones, taken up by a real
//! daemon that something starts again whenever it ends.

mod agent;
mod booted;
mod failures;
mod machine;
mod success;
