//! `pinwise completions` and `pinwise man`: what a package installs beside the program.

use std::path::{Path, PathBuf};

use clap_complete::Shell;
use clap_mangen::Man;

use crate::input::at;
use crate::outcome::{Failure, Outcome};

/// Prints the completions of a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = COMPLETIONS)]
pub(crate) struct CompletionArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Shown below the arguments.
const COMPLETIONS: &str = "\
Examples:
  pinwise completions bash > ~/.local/share/bash-completion/completions/pinwise
  pinwise completions zsh > ~/.zfunc/_pinwise
  pinwise completions fish > ~/.config/fish/completions/pinwise.fish";

/// Prints the man page, or writes those of the program and its subcommands.
#[derive(Debug, clap::Args)]
#[command(after_help = MAN)]
pub(crate) struct ManArgs {
    /// The folder for the pages of the program and of each subcommand.
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Shown below the arguments.
const MAN: &str = "\
Examples:
  pinwise man | man -l -
  pinwise man ~/.local/share/man/man1";

pub(crate) fn completions(
    args: &CompletionArgs,
    mut program: clap::Command,
) -> Result<Outcome, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut program, "pinwise", &mut text);
    Ok(Outcome::done(String::from_utf8(text)?))
}

pub(crate) fn man(args: &ManArgs, mut program: clap::Command) -> Result<Outcome, Failure> {
    program.build();
    let Some(folder) = &args.folder else { return Ok(Outcome::done(page(program)?)) };
    // Built, a subcommand knows its whole name: pinwise-recommend.
    let pages = program.get_subcommands().filter(|command| command.get_name() != "help");
    for command in pages.chain([&program]) {
        let name = command.get_display_name().unwrap_or("pinwise").to_owned();
        written(folder, &name, &page(command.clone())?)?;
    }
    Ok(Outcome::done(String::new()))
}

/// The man page of a command.
fn page(command: clap::Command) -> Result<String, Failure> {
    let mut text = Vec::new();
    Man::new(command).render(&mut text)?;
    Ok(String::from_utf8(text)?)
}

fn written(folder: &Path, name: &str, page: &str) -> Result<(), Failure> {
    let file = folder.join(format!("{name}.1"));
    std::fs::write(&file, page).map_err(|e| at(&file, e))
}
