//! The question with something changed.

use crate::engine::recommend::recommend;
use crate::host::Host;
use crate::question::Question;
use crate::request::RequestSpec;
use crate::usage::Usage;

/// A refused question, to be asked again with one thing changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a>(pub(super) Question<'a>);

impl<'a> Ask<'a> {
    pub(super) fn host(&self) -> &'a Host {
        self.0.host
    }

    pub(super) fn usage(&self) -> &'a Usage {
        self.0.usage
    }

    pub(super) fn spec(&self) -> &'a RequestSpec {
        self.0.request.spec()
    }

    /// Whether the request fits after `change`.
    pub(super) fn fits(&self, change: impl FnOnce(&mut RequestSpec)) -> bool {
        let mut changed = self.spec().clone();
        change(&mut changed);
        changed
            .build()
            .is_ok_and(|request| recommend(Question { request: &request, ..self.0 }).is_ok())
    }

    /// Whether the request fits on another host.
    pub(super) fn fits_on(&self, host: &Host) -> bool {
        recommend(Question { host, ..self.0 }).is_ok()
    }
}
