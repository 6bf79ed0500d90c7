//! The walls of this repository that neither the compiler nor clippy holds: who may depend on
//! whom, where a name may occur, what a file may contain, that the documents match what exists.

mod crates;
mod documents;
mod files;
mod scripts;
mod source;
