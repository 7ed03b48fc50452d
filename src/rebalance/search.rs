//! The search for the fewest moves.

use std::ops::ControlFlow;

use super::advice::{Advice, MAX_QUESTIONS, MAX_STEPS, NoAdvice, Step};
use super::repin::repin;
use crate::engine::Options;
use crate::engine::recommend;
use crate::host::Host;
use crate::placement::{Placement, Style};
use crate::question::Question;
use crate::request::Request;
use crate::sets::{CpuSet, bits};
use crate::usage::{Claim, Usage};
use crate::verify::verify;

/// The largest number of node sets on which the refused request is tried.
const MAX_NODE_SETS: usize = 64;
/// The name of a placeholder tenant that holds the excluded nodes. No libvirt domain can have it.
const OUTSIDE: &str = "/outside";

/// The smallest set of moves among the VMs of a host after which a refused request fits.
///
/// `restartable` holds the requests of the tenants that may be stopped and placed again, matched by
/// name. Every tenant with dedicated pCPUs may be re-pinned while it runs. That moves no memory,
/// and a step says if vCPUs leave the nodes of their memory.
///
/// At most [`MAX_STEPS`] VMs are moved, and at most [`MAX_QUESTIONS`] recommendations are asked
/// for. An advice was tried: after its steps, each possible at its turn, the request fits.
///
/// # Errors
/// [`NoAdvice`] if the request fits as it is, would not fit even if every VM that may be moved were
/// gone, or the search found nothing within its bounds.
pub fn rebalance(question: Question<'_>, restartable: &[Request]) -> Result<Advice, NoAdvice> {
    let Question { host, usage, request, options } = question;
    let mut search = MoveSearch { host, usage, request, restartable, options, questions: 0 };
    if search.fits(usage) {
        return Err(NoAdvice::Fits);
    }
    let restarts: Vec<&Request> =
        restartable.iter().filter(|vm| usage.claim_of(&vm.spec().name).is_some()).collect();
    let pinned = usage.tenants().filter(|(_, claim)| !claim.dedicated.is_empty());
    let repins: Vec<(&str, &Claim)> = pinned.collect();
    let everyone = MoveSet { restarts: restarts.clone(), repins: repins.clone() };
    if !search.without(&everyone).is_some_and(|left| search.fits(&left)) {
        return Err(NoAdvice::Never);
    }
    for stops in 0..=MAX_STEPS.min(restarts.len()) {
        for moved in 0..=(MAX_STEPS - stops).min(repins.len()) {
            let tried = each_of(&restarts, stops, &mut Vec::new(), &mut |restarts| {
                let stays =
                    |(name, _): &(&str, &Claim)| restarts.iter().all(|vm| vm.spec().name != *name);
                let others: Vec<(&str, &Claim)> = repins.iter().copied().filter(stays).collect();
                each_of(&others, moved, &mut Vec::new(), &mut |repins| {
                    let set = MoveSet { restarts: restarts.to_vec(), repins: repins.to_vec() };
                    if let Some(advice) = search.advice(&set) {
                        return ControlFlow::Break(Ok(advice));
                    }
                    if search.questions >= MAX_QUESTIONS {
                        return ControlFlow::Break(Err(NoAdvice::NotFound { cut: true }));
                    }
                    ControlFlow::Continue(())
                })
            });
            if let ControlFlow::Break(found) = tried {
                return found;
            }
        }
    }
    Err(NoAdvice::NotFound { cut: false })
}

/// The VMs to move.
struct MoveSet<'a> {
    restarts: Vec<&'a Request>,
    repins: Vec<(&'a str, &'a Claim)>,
}

struct MoveSearch<'a> {
    host: &'a Host,
    usage: &'a Usage,
    request: &'a Request,
    restartable: &'a [Request],
    options: &'a Options,
    questions: u32,
}

impl MoveSearch<'_> {
    fn ask(&mut self, usage: &Usage, request: &Request) -> Vec<Placement> {
        self.questions += 1;
        let answer = recommend(Question::new(self.host, usage, request).with(self.options));
        let ranked = answer.into_iter().flat_map(|answer| answer.ranked);
        let placed = ranked.map(|ranked| ranked.placement);
        placed.filter(|placement| placement.style != Style::Default).collect()
    }

    fn fits(&mut self, usage: &Usage) -> bool {
        !self.ask(usage, self.request).is_empty()
    }

    /// The usage without what the VMs of the set can leave: a re-pinned VM keeps its memory and
    /// devices.
    fn without(&self, set: &MoveSet<'_>) -> Option<Usage> {
        let mut left = self.usage.clone();
        for vm in &set.restarts {
            left.release(&vm.spec().name).ok()?;
        }
        for (name, claim) in &set.repins {
            if left.release(name).is_ok() {
                let claim = Claim { dedicated: CpuSet::new(), ..(*claim).clone() };
                left.claim(self.host, name, claim).ok()?;
            }
        }
        Some(left)
    }

    fn advice(&mut self, set: &MoveSet<'_>) -> Option<Advice> {
        if set.restarts.is_empty() && set.repins.is_empty() {
            return None;
        }
        let left = self.without(set)?;
        if !self.fits(&left) {
            return None;
        }
        for outside in self.outsides(&left) {
            if self.questions >= MAX_QUESTIONS {
                return None;
            }
            let mut narrow = left.clone();
            if !outside.is_empty() {
                let claim = Claim { dedicated: outside, ..Claim::default() };
                narrow.claim(self.host, OUTSIDE, claim).ok()?;
            }
            for placement in self.ask(&narrow, self.request) {
                if let Some(advice) = self.around(set, &left, placement) {
                    return Some(advice);
                }
            }
        }
        None
    }

    /// Sets of pCPUs to withhold from the request: first none, so that it may use all nodes, and
    /// then all pCPUs outside of one node or of two.
    fn outsides(&self, left: &Usage) -> Vec<CpuSet> {
        let nodes = self.host.nodes();
        let count = nodes.len();
        let ones = (0..count).map(|a| 1_u64 << a);
        let twos = (0..count).flat_map(|a| (a + 1..count).map(move |b| (1 << a) | (1 << b)));
        let masks = ones.chain(twos).filter(|_| count > 1).take(MAX_NODE_SETS);
        let free = self.host.online().difference(left.dedicated());
        let outside =
            |mask: u64| bits(mask).fold(free.clone(), |rest, at| rest.difference(&nodes[at].cpus));
        std::iter::once(CpuSet::new()).chain(masks.map(outside)).collect()
    }

    /// The advice if the request goes to `placement`: the VMs of the set placed around it, in an
    /// order in which they can move.
    fn around(&mut self, set: &MoveSet<'_>, left: &Usage, placement: Placement) -> Option<Advice> {
        let mut full = left.clone();
        full.claim(self.host, &placement.name, placement.claim()).ok()?;
        let mut steps = Vec::new();
        // Live moves have the least choice, so they are placed first.
        for (name, held) in &set.repins {
            full.release(name).ok()?;
            let request = self.restartable.iter().find(|vm| vm.spec().name == *name);
            let step = repin(self.host, &full, name, held, request)?;
            full.claim(self.host, name, step.claim()).ok()?;
            steps.push(step);
        }
        for vm in &set.restarts {
            let placement = Box::new(self.ask(&full, vm).into_iter().next()?);
            full.claim(self.host, &vm.spec().name, placement.claim()).ok()?;
            steps.push(Step::Restart { tenant: vm.spec().name.clone(), placement });
        }
        // A set with a VM that does not move was tried before without that VM.
        let idle = |step: &Step| matches!(step, Step::Repin { moves, .. } if moves.is_empty());
        if steps.iter().any(idle) {
            return None;
        }
        let steps = self.ordered(steps)?;
        let mut advice = Advice { steps, placement };
        // The proof: the caller's steps on a copy, and the request once more.
        let after = advice.after(self.host, self.usage).ok()?;
        let answer = self.ask(&after, self.request);
        let sound =
            |p: &Placement| verify(Question::new(self.host, &after, self.request), p).is_ok();
        advice.placement = answer.into_iter().find(sound)?;
        Some(advice)
    }

    /// The steps in an order in which each is possible at its turn.
    fn ordered(&self, mut left: Vec<Step>) -> Option<Vec<Step>> {
        let (mut usage, mut done) = (self.usage.clone(), Vec::new());
        while !left.is_empty() {
            let possible = |step: &Step| {
                let mut next = usage.clone();
                let moved = next
                    .release(step.tenant())
                    .and_then(|_| next.claim(self.host, step.tenant(), step.claim()));
                moved.is_ok().then_some(next)
            };
            let (at, next) =
                left.iter().enumerate().find_map(|(at, s)| Some((at, possible(s)?)))?;
            usage = next;
            done.push(left.remove(at));
        }
        Some(done)
    }
}

/// Calls `each` with every set of `count` of `from`, in order, until it breaks.
fn each_of<T: Clone, B>(
    from: &[T],
    count: usize,
    set: &mut Vec<T>,
    each: &mut dyn FnMut(&[T]) -> ControlFlow<B>,
) -> ControlFlow<B> {
    if count == 0 {
        return each(set);
    }
    for at in 0..from.len().saturating_sub(count - 1) {
        set.push(from[at].clone());
        each_of(&from[at + 1..], count - 1, set, each)?;
        set.pop();
    }
    ControlFlow::Continue(())
}
