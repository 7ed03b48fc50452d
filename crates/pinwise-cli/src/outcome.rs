//! What a subcommand answers.

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// A reason for having no answer. It prints as one lower-case sentence that names the place and the
/// value.
pub(crate) type Failure = Box<dyn Error>;

/// The exit status of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// There is an answer: a recommendation, a ranking, a description, a result.
    Done,
    /// The input is wrong.
    BadInput,
    /// The answer is that nothing fits.
    NothingFits,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(match status {
            Status::Done => 0,
            Status::BadInput => 2,
            Status::NothingFits => 3,
        })
    }
}

/// The answer of a subcommand.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The exit status.
    pub(crate) status: Status,
    /// The text for standard output.
    pub(crate) text: String,
}

impl Outcome {
    /// An answer.
    pub(crate) fn done(text: String) -> Self {
        Self { status: Status::Done, text }
    }

    /// The answer that nothing fits.
    pub(crate) fn nothing_fits(text: String) -> Self {
        Self { status: Status::NothingFits, text }
    }

    /// Prints the text and returns the exit status. A reader that has seen enough (`| head`) is not
    /// a failure.
    pub(crate) fn print(&self) -> Result<Status, Failure> {
        let mut out = io::stdout().lock();
        match out.write_all(self.text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(format!("standard output: {error}").into())
            }
            _ => Ok(self.status),
        }
    }
}

/// The sentence of an error: what it says, and what its causes add to that.
pub(crate) fn sentence(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Some errors show their cause themselves.
        if !text.ends_with(&more) {
            text += ": ";
            text += &more;
        }
        cause = error.source();
    }
    text
}
