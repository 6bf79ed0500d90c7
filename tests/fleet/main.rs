//! The fleet server and its clients, end to end: real programs, real TLS, real databases.

mod enrolment;
mod inventory;
mod site;
mod strangers;
