//! `doctor` and `gc` on libraries that were pushed.
