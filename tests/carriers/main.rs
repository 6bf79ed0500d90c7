//! Carriers that know nothing of us: a stock web server with our documented settings, a stock TUF
//! client, and the command line of the public conformance suite.

mod bucket;
mod conformance;
mod fleet;
mod nginx;
mod proxy;
mod stock;
mod web;
