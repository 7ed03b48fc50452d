//! What is said beside an answer: notes and warnings, unless `--quiet` is given.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether nothing is said but answers and errors. Set once, before a subcommand runs.
static QUIET: AtomicBool = AtomicBool::new(false);

/// From now on, says only answers and errors.
pub(crate) fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Whether only answers and errors are said.
pub(crate) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Says a sentence on standard error.
pub(crate) fn aside(sentence: impl Display) {
    if !is_quiet() {
        eprintln!("{sentence}");
    }
}
