//! The question that every function of the engine answers or checks.

use std::sync::LazyLock;

use crate::engine::score::Options;
use crate::host::Host;
use crate::placement::Placement;
use crate::request::{Policy, Request};
use crate::usage::{Offer, Usage};

/// The options of a question that names none.
static DEFAULT_OPTIONS: LazyLock<Options> = LazyLock::new(Options::default);

/// A question to the engine: a host, its tenants, a request, and the caller's options.
///
/// Every function that answers, explains, warns or checks takes the same `Question`, so that an
/// explanation cannot refer to another usage than the answer's. It borrows its parts and is cheap
/// to copy.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Question<'a> {
    /// The host.
    pub host: &'a Host,
    /// The resources that its tenants hold. The VM itself must not be among them.
    pub usage: &'a Usage,
    /// The request.
    pub request: &'a Request,
    /// The options; [`Options::default`] unless [`with`](Self::with) sets others.
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

    /// The offer for [`Usage::accept`]: the claim of `placement`, an answer to this question, with
    /// the generation of the usage that it was computed against.
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
