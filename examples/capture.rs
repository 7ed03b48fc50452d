//! Prints this machine's description, or that of a captured tree, as JSON:
//! `cargo run --example capture -- --name my-host > my-host.json`.

use std::error::Error;
use std::path::PathBuf;

use clap::Parser;
use pinwise::discover::{sysfs, write_host};

/// Prints the description of this machine as JSON.
#[derive(Parser)]
struct Arguments {
    /// The folder that has `sys` and, if possible, `proc`.
    #[arg(long, default_value = "/")]
    root: PathBuf,
    /// A name in place of the machine's own.
    #[arg(long)]
    name: Option<String>,
    /// A sentence about where the description comes from.
    #[arg(long)]
    about: Option<String>,
}

#[expect(clippy::print_stdout, reason = "printing is what it is for")]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let reading = sysfs::read(&arguments.root)?;
    for note in &reading.notes {
        eprintln!("note: {note}");
    }
    let mut host = reading.host;
    host.name = arguments.name.unwrap_or(host.name);
    host.about = arguments.about.unwrap_or(host.about);
    print!("{}", write_host(host.build()?.description()));
    Ok(())
}
