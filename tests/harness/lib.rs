//! What end-to-end tests and benchmarks share: sandboxes, a real sshd, processes with time-outs,
//! tree comparison and seeded script text.
//!
//! Owns nothing that a user needs, and links no other crate of the workspace: it drives the
//! built programs as an administrator would. Contacts nothing but loopback.

pub mod container;
pub mod cut;
pub mod disk;
pub mod fleet;
pub mod parts;
pub mod postgres;
pub mod process;
pub mod rng;
pub mod sandbox;
pub mod script_text;
pub mod sshd;
pub mod tree;

pub use container::Container;
pub use parts::{bin, need, program};
pub use process::{Done, command, run, run_within};
pub use sandbox::Sandbox;
pub use sshd::{Access, Sshd};
