//! The tools of those who write a library, as they are called: lint, docs, tests, scaffolds.

mod new;
mod setting;
mod test;
mod test_words;
