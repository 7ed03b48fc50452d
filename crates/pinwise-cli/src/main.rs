//! The program `pinwise`: where inside a host a GPU virtual machine should live, and what its guest
//! should see.
//!
//! A subcommand is a module with its arguments and a function `run` from these to an [`Outcome`].
//! [`input`] reads what a command line names; the library makes all decisions.
//!
//! Exit statuses: 0 done, 1 an audit found something, 2 bad input, 3 the request does not fit. Bad input is reported in one
//! sentence on standard error.

mod audit;
mod capacity;
mod capture;
mod fleet;
mod input;
mod outcome;
mod recommend;
mod simulate;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use outcome::{Failure, Outcome, Status, sentence};

/// Where inside a host a GPU virtual machine should live, and what its guest should see.
#[derive(Debug, Parser)]
#[command(name = "pinwise", version)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Recommend(Box<recommend::Args>),
    Audit(audit::Args),
    Fleet(fleet::Args),
    Capture(capture::Args),
    Simulate(simulate::Args),
    Capacity(capacity::Args),
}

fn main() -> ExitCode {
    let program = match Program::try_parse() {
        Ok(program) => program,
        Err(error) => return unparsed(&error).into(),
    };
    match run(&program.command).and_then(|outcome| outcome.print()) {
        Ok(status) => status.into(),
        Err(failure) => {
            eprintln!("error: {}", sentence(&*failure));
            Status::BadInput.into()
        }
    }
}

fn run(command: &Command) -> Result<Outcome, Failure> {
    match command {
        Command::Recommend(args) => recommend::run(args),
        Command::Audit(args) => audit::run(args),
        Command::Fleet(args) => fleet::run(args),
        Command::Capture(args) => capture::run(args),
        Command::Simulate(args) => simulate::run(args),
        Command::Capacity(args) => capacity::run(args),
    }
}

/// Prints help in full, but only the first paragraph of an error, as one line: clap's usage text
/// would hide the sentence.
fn unparsed(error: &clap::Error) -> Status {
    let help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if help || !error.use_stderr() {
        _ = error.print();
    } else {
        let text = error.to_string();
        let sentence: Vec<&str> =
            text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
        eprintln!("{}", sentence.join(" "));
    }
    if error.use_stderr() { Status::BadInput } else { Status::Done }
}
