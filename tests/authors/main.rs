//! The tools of those who write a library, as they are called: lint, docs, tests, scaffolds.

mod docs;
mod guide;
mod lint;
mod lint_hostile;
mod lint_publish;
mod new;
mod profile;
mod setting;
mod test;
mod test_words;
