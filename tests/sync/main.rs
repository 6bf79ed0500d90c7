//! Publishing and syncing end to end: the built `codesync`, `codesync-shell` and `ldi`, a real
//! sshd, and carriers that break, lie or go away.

mod contract;
mod crash;
mod faults;
mod happy;
mod harness;
mod large;
mod limits;
mod lying;
mod pin;
mod relay;
mod seed;
mod setting;
mod tamper;
mod unpublishable;
mod unreachable;
