//! The program `pinwise`: where inside a host a GPU virtual machine should live, and what its guest
//! should see.
//!
//! A subcommand is a module with its arguments and a function `run` from these to an [`Outcome`].
//! [`input`] reads what a command line names; the library makes all decisions.
//!
//! Exit statuses: 0 done, 1 an audit found something, 2 bad input, 3 the request does not fit. Bad
//! input is reported in one sentence on standard error.

mod audit;
mod capacity;
mod capture;
mod fleet;
mod input;
mod outcome;
mod recommend;
mod said;
mod shell;
mod simulate;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};

use outcome::{Failure, Outcome, Status, sentence};

/// Where inside a host a GPU virtual machine should live, and what its guest should see.
#[derive(Debug, Parser)]
#[command(name = "pinwise", version, after_help = EXAMPLES)]
struct Program {
    /// Say nothing but answers and errors: no notes, and no warnings beside XML.
    #[arg(long, short, global = true)]
    quiet: bool,
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
    Completions(shell::CompletionArgs),
    Man(shell::ManArgs),
}

/// Shown below the subcommands.
const EXAMPLES: &str = "\
Examples:
  pinwise recommend --host live --vcpus 8 --memory 16GiB --gpus 1
  pinwise recommend --host live --domain vm.xml --diff
  pinwise audit --host live --domain vm.xml
  pinwise fleet hosts/ --vcpus 16 --memory 64GiB --gpus 1

Exit status of all subcommands: 0, done; 1, an audit found something; 2, bad input; 3, the VM does not fit.";

fn main() -> ExitCode {
    let program = match Program::try_parse() {
        Ok(program) => program,
        Err(error) => return unparsed(&error).into(),
    };
    if program.quiet {
        said::be_quiet();
    }
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
        Command::Completions(args) => shell::completions(args, Program::command()),
        Command::Man(args) => shell::man(args, Program::command()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        Program::command().debug_assert();
    }

    /// Every line of a help's examples that runs the program, up to a pipe or a redirection.
    #[test]
    fn the_examples_of_each_help_are_accepted() {
        let program = Program::command();
        let helps = program.get_subcommands().chain([&program]).filter_map(|c| c.get_after_help());
        let helps: Vec<String> = helps.map(ToString::to_string).collect();
        let mut tried = 0;
        for line in helps.iter().flat_map(|help| help.lines()) {
            let Some((_, call)) = line.split_once("pinwise ").filter(|_| line.starts_with("  "))
            else {
                continue;
            };
            // In a loop over hosts, the call on each is another program's argument.
            let call = call.rsplit("| pinwise ").next().unwrap_or(call);
            let call = call.split(['|', '>', ';']).next().unwrap_or_default();
            let words = ["pinwise"].into_iter().chain(call.split_whitespace());
            let parsed = Program::try_parse_from(words);
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
            tried += 1;
        }
        assert!(tried > 15, "{tried}");
    }
}
