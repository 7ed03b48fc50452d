//! The tests of the engine and the readers, in one program: `cargo test --test it rules::` runs
//! those of a file.
#![allow(
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests draw small numbers, ask the environment how long to look, show what they found, \
              and stop at what they did not expect"
)]

mod audit;
mod capabilities;
mod capacity;
mod cards;
mod cases;
mod changes;
mod corpus;
mod domains;
mod emit;
mod emulator;
mod facts;
mod fixtures;
mod fleet;
mod floaters;
mod guest_topology;
mod held;
mod host_memory;
mod hostile;
mod isolation;
mod kinds;
mod lessons;
mod listings;
mod lscpu;
mod lstopo;
mod mutations;
mod near;
mod odd_nodes;
mod oracle;
mod overlay;
mod patch;
mod properties;
mod readers;
mod rebalance;
mod refused;
mod rules;
mod schema;
mod shared;
mod slots;
mod splits;
mod structure;
mod supply;
mod switches;
mod sysfs;
mod tenants;
mod virtual_functions;
mod whole_cores;
mod wishes;
