//! Running tiers end to end: the built `ldi` on a library that `codesync` signed, with jobs that
//! behave, hang, fork away, flood, print binary, and with what administrators get wrong.

mod apart;
mod breaker;
mod client;
mod clock;
mod collect;
mod crash;
mod exec;
mod faults;
mod follow;
mod hostile;
mod limits;
mod logging;
mod refused;
mod secrets;
mod submit;
mod work;
