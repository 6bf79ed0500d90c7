//! The service and its packages: on machines that boot a real systemd, and as files.

mod files;
mod installed;
mod packaged;
mod server;
mod site;
mod upgrade;
