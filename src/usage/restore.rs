//! A usage as plain values, to be stored and restored.

use super::claim::named;
use super::{Claim, ClaimError, Generation, Usage};
use crate::host::Host;
use crate::units::{NodeId, PageSize};

/// A whole [`Usage`] as plain values, from which [`Usage::restore`] makes an equal one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SavedUsage {
    /// The usage's generation.
    pub generation: Generation,
    /// The tenants; sorted by name if [`Usage::saved`] made the list.
    pub tenants: Vec<SavedTenant>,
    /// Unexplained pages; sorted by node and size if [`Usage::saved`] made the list.
    pub unexplained: Vec<UnexplainedPages>,
}

/// One tenant of a [`SavedUsage`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedTenant {
    /// The name of the tenant.
    pub name: String,
    /// The generation of its claim.
    pub since: Generation,
    /// The claim of the tenant.
    pub claim: Claim,
}

/// Pages that were in use when the host was described, and that no tenant held then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct UnexplainedPages {
    /// The node that they are on.
    pub node: NodeId,
    /// The page size.
    pub page_size: PageSize,
    /// The number of pages.
    pub count: u64,
}

/// The reason why saved values are not a usage of this host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// A claim that its tenant cannot hold.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// A generation that no claim of this tenant can have made.
    #[error(
        "tenant {} has generation {since}, which must be between 1 and the usage's \
         {generation} and belong to no other tenant",
        named(.tenant)
    )]
    Since {
        /// The tenant.
        tenant: String,
        /// The generation that is stored for its claim.
        since: Generation,
        /// The usage's generation.
        generation: Generation,
    },
    /// More unexplained pages than the tenants leave free.
    #[error(
        "{count} pages of {page_size} on node {node} are unexplained, but the tenants leave only {left}"
    )]
    Unexplained {
        /// The node.
        node: NodeId,
        /// The page size.
        page_size: PageSize,
        /// The number of unexplained pages.
        count: u64,
        /// The number of pages that no tenant holds there; 0 if there is no such pool.
        left: u64,
    },
}

impl Usage {
    /// The whole usage as plain values.
    #[must_use]
    pub fn saved(&self) -> SavedUsage {
        let tenant = |(name, claim): (&str, &Claim)| SavedTenant {
            name: name.to_owned(),
            since: self.since.get(name).copied().unwrap_or_default(),
            claim: claim.clone(),
        };
        let pages = |&((node, page_size), count): &((NodeId, PageSize), u64)| UnexplainedPages {
            node,
            page_size,
            count,
        };
        SavedUsage {
            generation: self.generation,
            tenants: self.tenants().map(tenant).collect(),
            unexplained: self.held.unexplained.iter().map(pages).collect(),
        }
    }

    /// The usage that was saved, with its generations.
    ///
    /// # Errors
    /// [`RestoreError`] if a tenant cannot hold its claim or has an impossible generation, or if
    /// more pages are unexplained than the tenants leave.
    pub fn restore(host: &Host, saved: SavedUsage) -> Result<Self, RestoreError> {
        let SavedUsage { generation, tenants, unexplained } = saved;
        let mut usage = Self::default();
        for SavedTenant { name, since, claim } in tenants {
            let known = usage.since.iter().any(|(_, other)| *other == since);
            if known || since == Generation(0) || since > generation {
                return Err(RestoreError::Since { tenant: name, since, generation });
            }
            usage.claim(host, &name, claim)?;
            usage.since.insert(name.into(), since);
        }
        usage.generation = generation;
        // Last, as in `with_running`: the unexplained pages did not keep the tenants of that time
        // from their claims.
        for UnexplainedPages { node, page_size, count } in unexplained {
            let left = usage.free_pages(host, node, page_size);
            if count > left {
                return Err(RestoreError::Unexplained { node, page_size, count, left });
            }
            if count > 0 {
                *usage.held.unexplained.entry((node, page_size)) += count;
            }
        }
        Ok(usage)
    }
}
