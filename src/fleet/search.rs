//! The search of hosts: each state once.

use std::collections::BTreeMap;
use std::ops::Deref;

use super::bound::HostKey;
use super::room::Room;
use super::{FleetHost, FleetOptions, HostKind, HostRefusal, each, kind};
use crate::engine::recommend::{Infeasible, first, recommend, unmet};
use crate::host::Host;
use crate::question::Question;
use crate::request::Request;

/// Searches hosts, those in the same state once.
pub(super) struct Search<'a, H, R> {
    pub(super) hosts: &'a [FleetHost<H>],
    pub(super) request: &'a R,
    pub(super) options: &'a FleetOptions,
    /// What was found on hosts, by their numbers. Nothing goes by the order of the keys.
    pub(super) known: BTreeMap<State<'a>, Vec<(usize, Asked)>>,
}

/// A topology and a request, where there is one, and what is free.
pub(super) type State<'a> = (Option<HostKind>, &'a Room);

/// How a host stands, or its number and why the VM does not fit.
pub(super) type Asked = Result<HostKey, (usize, HostRefusal)>;

impl<'a, 'r, H, R> Search<'a, H, R>
where
    H: Deref<Target = Host> + Sync,
    R: Fn(usize) -> Option<&'r Request> + Sync,
{
    pub(super) fn all(&mut self, bounds: &[HostKey]) -> Vec<Asked> {
        let hosts = self.hosts;
        let alike = |a: usize, b: usize| hosts[a].usage.leaves_the_same(&hosts[b].usage);
        let key = |at: usize| {
            let kind = (self.request)(at).map(|request| kind(&hosts[at].host, request));
            (kind, &hosts[at].room)
        };
        // The first of each state is searched, unless that was done before.
        let mut firsts: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        let mut new = Vec::new();
        for bound in bounds {
            let (at, key) = (bound.host, key(bound.host));
            let known = self.known.get(&key).into_iter().flatten();
            let firsts = firsts.entry(key).or_default();
            let mut seen = known.map(|(other, _)| *other).chain(firsts.iter().copied());
            if !seen.any(|other| alike(at, other)) {
                firsts.push(at);
                new.push(at);
            }
        }
        let asked = each(new.len(), |i| Some((new[i], self.one(new[i]))));
        for (at, asked) in asked {
            self.known.entry(key(at)).or_default().push((at, asked));
        }
        let of = |bound: &HostKey| {
            let at = bound.host;
            let known = self.known.get(&key(at)).into_iter().flatten();
            let (_, found) = { known }.find(|(other, _)| alike(at, *other))?;
            Some(match found {
                Ok(standing) => {
                    let standing = HostKey { host: at, ..*standing };
                    debug_assert!(*bound <= standing, "{bound:?} bounds {standing:?}");
                    Ok(standing)
                }
                Err((_, refusal)) => Err((at, refusal.clone())),
            })
        };
        bounds.iter().filter_map(of).collect()
    }

    fn one(&self, at: usize) -> Asked {
        let FleetHost { host, usage, room } = &self.hosts[at];
        let engine = &self.options.engine;
        let none = |rejected| (at, HostRefusal::Infeasible(Infeasible { rejected }));
        let request = (self.request)(at).ok_or_else(|| none(Vec::new()))?;
        let Some(first) = first(Question::new(host, usage, request).with(engine)) else {
            // Why not takes more than that it does not.
            let why = recommend(Question::new(host, usage, request).with(engine)).err();
            return Err(none(why.map_or_else(Vec::new, |why| why.rejected)));
        };
        let unmet = unmet(request, &first.profile).len();
        Ok(HostKey::found(room, at, &first, unmet, self.options))
    }
}
