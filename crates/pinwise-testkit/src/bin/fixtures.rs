//! Writes the host descriptions in `fixtures/hosts`: `cargo run -p pinwise-testkit --bin fixtures`.
//!
//! They are synthetic; the `about` of each names the facts that it was made from. A test compares
//! the files with what this program makes.

use std::error::Error;

use pinwise::json::write_host;
use pinwise_testkit::{common, hosts};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = common::fixtures("hosts");
    for host in hosts::all() {
        let path = folder.join(format!("{}.json", host.name));
        std::fs::write(path, write_host(host.build()?.description()))?;
    }
    Ok(())
}
