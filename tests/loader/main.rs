//! The loader with real bash, Python and other interpreters: what a script sees, and that what
//! was signed is what runs.

mod arguments;
mod differential;
mod grammar;
mod interpreters;
mod namespace;
mod pyexec;
mod python;
mod python_differential;
mod setting;
mod swap;
mod tampered;
mod versions;
