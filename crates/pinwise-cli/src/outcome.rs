//! The answer of a subcommand.

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// The reason why there is no answer. It prints as one lower-case sentence with the place and the
/// value.
pub(crate) type Failure = Box<dyn Error>;

/// The exit status of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// There is an answer: a recommendation, a ranking, a description, a result.
    Done,
    /// An audit found something.
    Found,
    /// The input is wrong.
    BadInput,
    /// The request does not fit.
    NothingFits,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(match status {
            Status::Done => 0,
            Status::Found => 1,
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

    /// What an audit found.
    pub(crate) fn found(text: String) -> Self {
        Self { status: Status::Found, text }
    }

    /// The answer that the request does not fit.
    pub(crate) fn nothing_fits(text: String) -> Self {
        Self { status: Status::NothingFits, text }
    }

    /// Prints the text and returns the exit status. A reader that closes early (`| head`) is not an
    /// error.
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

/// The message of an error, followed by what its causes add.
pub(crate) fn sentence(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Some errors already show their cause.
        if !text.ends_with(&more) {
            text += ": ";
            text += &more;
        }
        cause = error.source();
    }
    text
}
