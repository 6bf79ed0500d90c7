//! The service and its packages, on machines that boot a real systemd.

mod harness;
