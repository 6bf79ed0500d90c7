//! The limited account of a code-sync server: what an SSH client may have run, and nothing else.
//!
//! [`decide`] is the pure core: the client's words and a [`Policy`] in, a [`Decision`] out; it
//! touches no file, no clock and no environment, and is the entry to fuzz. [`session::run`] is the
//! story around it: read the call, decide, record, build the walls, exec.
//! Refuses to start a shell, to run two programs, and to name any path outside the library.

pub mod call;
pub mod client;
pub mod export;
pub mod policy;
pub mod record;
pub mod rsync;
pub mod session;
pub mod settings;
pub mod wall;
pub mod words;

pub use policy::{Decision, Policy, Refusal, decide};
