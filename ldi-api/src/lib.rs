//! The words that clients and the fleet server exchange: types, versions, limits. No input, no
//! output.

pub mod enrolment;
pub mod submission;
