//! Pushing to a real sshd behind `codesync-shell`, and looking after what was pushed.

mod crash;
mod cut;
mod figures;
mod keys;
mod memory;
mod record;
mod setting;
mod teams;
mod upkeep;
mod way;
