//! The question that everything here answers or judges.

use std::sync::LazyLock;

use crate::engine::score::Options;
use crate::host::Host;
use crate::placement::Placement;
use crate::request::{Policy, Request};
use crate::usage::{Offer, Usage};

/// The options of a question that names none.
static DEFAULT_OPTIONS: LazyLock<Options> = LazyLock::new(Options::default);

/// Where should this VM live: a host, what its tenants hold, the request, and the caller's options.
///
/// Every function that answers, explains, warns or checks takes the same `Question`, so that a text
/// cannot be about another usage than the answer it explains. It borrows its parts and is cheap to
/// copy.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Question<'a> {
    /// The host.
    pub host: &'a Host,
    /// What its tenants hold. The VM itself must not be among them.
    pub usage: &'a Usage,
    /// What is asked for.
    pub request: &'a Request,
    /// How to choose; [`Options::default`] unless [`with`](Self::with) says otherwise.
    pub options: &'a Options,
}

impl<'a> Question<'a> {
    /// A question with the default options.
    #[must_use]
    pub fn new(host: &'a Host, usage: &'a Usage, request: &'a Request) -> Self {
        Self { host, usage, request, options: &DEFAULT_OPTIONS }
    }

    /// The same question with these options.
    #[must_use]
    pub const fn with(self, options: &'a Options) -> Self {
        Self { options, ..self }
    }

    /// What [`Usage::accept`] takes: the claim of `placement`, an answer to this question, with the
    /// generation of the usage that it was computed against.
    #[must_use]
    pub fn offer(self, placement: &Placement) -> Offer {
        let whole_cores = self.request.spec().policies.whole_cores == Policy::Require;
        Offer {
            host: self.host.name().to_owned(),
            tenant: placement.name.clone(),
            claim: placement.claim(),
            generation: self.usage.generation(),
            whole_cores: placement.dedicated && whole_cores,
        }
    }
}
