//! A fleet that is kept answers what ranking all hosts from nothing does, whatever happened before.

use std::collections::BTreeSet;
use std::sync::Arc;

use pinwise::fleet::{
    Ask, Fleet, FleetHost, FleetOptions, HostOrder, HostRank, HostRefusal, NotPlaced, RefusedHosts,
    Shortfall, rank_by,
};
use pinwise::{Bytes, Host, Request, RequestSpec, Usage};

use super::fleets::{fleet, tuned, wish};
use super::scene::tenant;
use super::{ensure, for_cases};
use pinwise_testkit::common::{checked, description};
use pinwise_testkit::rng::Rng;

/// What the model knows of a host beside its tenants.
#[derive(Clone, Default)]
struct Facts {
    present: bool,
    drained: bool,
    labels: BTreeSet<String>,
}

struct Model {
    options: FleetOptions,
    hosts: Vec<FleetHost<Arc<Host>>>,
    facts: Vec<Facts>,
    kept: Fleet,
    added: usize,
}

impl Model {
    fn new(rng: &mut Rng) -> Self {
        let order = rng.pick(&[
            HostOrder::BestFit,
            HostOrder::BestFit,
            HostOrder::BestFit,
            HostOrder::Spread,
            HostOrder::FirstFit,
        ]);
        let options = FleetOptions { engine: tuned(rng), order, ..FleetOptions::default() };
        let mut kept = Fleet::new(options.clone());
        kept.set_shapes(rng.pick(&[1, 3, 16]));
        let mut model = Self { options, hosts: vec![], facts: vec![], kept, added: 0 };
        let hosts = fleet(rng);
        hosts.into_iter().for_each(|host| model.add(rng, host));
        model
    }

    fn add(&mut self, rng: &mut Rng, host: FleetHost<Arc<Host>>) {
        let topology = Arc::clone(host.topology());
        let labels: BTreeSet<String> =
            ["a", "b"].into_iter().filter(|_| rng.percent(60)).map(str::to_owned).collect();
        self.added += 1;
        let name = format!("host{}", self.added);
        let at = self.kept.add(&name, topology, host.usage().clone(), labels.clone()).unwrap();
        let facts = Facts { present: true, drained: false, labels };
        if at == self.hosts.len() {
            self.hosts.push(host);
            self.facts.push(facts);
        } else {
            (self.hosts[at], self.facts[at]) = (host, facts);
        }
    }

    /// What ranking all hosts from nothing says.
    fn ranked(&self, request: &Request, ask: &Ask, answers: usize) -> Vec<HostRank> {
        let options = FleetOptions { answers, ..self.options.clone() };
        let open = |at: usize| {
            let facts = &self.facts[at];
            let open = facts.present && !facts.drained && ask.labels.is_subset(&facts.labels);
            (open && !ask.not_on.contains(&at)).then_some(request)
        };
        rank_by(&self.hosts, open, &options).ranked
    }

    fn refused(&self, request: &Request, ask: &Ask) -> Vec<usize> {
        let present = |at: &usize| self.facts[*at].present;
        let open = |at: usize| {
            let facts = &self.facts[at];
            let open = facts.present && !facts.drained && ask.labels.is_subset(&facts.labels);
            open.then_some(request)
        };
        let mut counts = vec![0; 7];
        for at in (0..self.hosts.len()).filter(present) {
            let facts = &self.facts[at];
            counts[0] += 1;
            counts[1] += usize::from(facts.drained);
            counts[2] += usize::from(!facts.drained && !ask.labels.is_subset(&facts.labels));
        }
        for (_, refusal) in rank_by(&self.hosts, open, &self.options).refused {
            counts[match refusal {
                HostRefusal::Short(Shortfall::Gpus { .. }) => 3,
                HostRefusal::Short(Shortfall::Pcpus { .. }) => 4,
                HostRefusal::Short(Shortfall::Pages { .. }) => 5,
                _ => 6,
            }] += 1;
        }
        counts
    }

    fn some_host(&self, rng: &mut Rng) -> Option<usize> {
        let present = (0..self.hosts.len()).filter(|at| self.facts[*at].present);
        let present: Vec<usize> = present.collect();
        (!present.is_empty()).then(|| rng.pick(&present))
    }

    fn ask(&self, rng: &mut Rng) -> Ask {
        let mut ask = Ask::default();
        ask.labels.extend(rng.percent(30).then(|| rng.pick(&["a", "b"]).to_owned()));
        if rng.percent(30) {
            ask.not_on = (0..self.hosts.len()).filter(|_| rng.percent(20)).collect();
        }
        ask
    }

    /// One step; `number` names what it adds.
    fn step(&mut self, rng: &mut Rng, wishes: &[RequestSpec], number: usize) -> Result<(), String> {
        let name = format!("vm{number}");
        let request = checked(&RequestSpec { name: name.clone(), ..rng.pick(wishes) });
        match rng.below(16) {
            0..4 => {
                let (ask, answers) = (self.ask(rng), rng.pick(&[1, 1, 3, 1000]));
                let (kept, all) =
                    (self.kept.best(&request, &ask, answers), self.ranked(&request, &ask, answers));
                let hosts = |of: &[HostRank]| of.iter().map(|rank| rank.host).collect::<Vec<_>>();
                ensure(kept == all, || {
                    format!("step {number}: {:?} of {:?} {request:?}", hosts(&kept), hosts(&all))
                })?;
                if all.is_empty() && ask.not_on.is_empty() {
                    let counts = self.kept.refused(&request, &ask);
                    let RefusedHosts { hosts, drained, excluded, gpus, pcpus, .. } = counts;
                    let (pages, none) = (counts.pages, counts.no_placement);
                    let kept = [hosts, drained, excluded, gpus, pcpus, pages, none];
                    let all = self.refused(&request, &ask);
                    ensure(kept[..] == all[..], || format!("{counts:?} {all:?}"))?;
                }
            }
            4..10 => {
                let ask = self.ask(rng);
                let first = self.ranked(&request, &ask, 1).into_iter().next();
                match (self.kept.place(&request, &ask), first) {
                    (Ok(kept), Some(rank)) if kept == rank => {
                        let claim = rank.best.placement.claim();
                        self.hosts[rank.host].claim(&name, claim).unwrap();
                    }
                    (Err(NotPlaced::NoHost(_)), None) => {}
                    (kept, rank) => return Err(format!("step {number}: {kept:?} {rank:?}")),
                }
            }
            10..13 => {
                let Some(at) = self.some_host(rng) else { return Ok(()) };
                let names: Vec<String> =
                    self.hosts[at].usage().tenants().map(|(name, _)| name.to_owned()).collect();
                if !names.is_empty() {
                    let name = rng.pick(&names);
                    let (kept, own) = (self.kept.release(at, &name), self.hosts[at].release(&name));
                    ensure(kept.ok() == own.ok(), || format!("step {number}: {name}"))?;
                }
            }
            13 => {
                let Some(at) = self.some_host(rng) else { return Ok(()) };
                let claim = tenant(rng, self.hosts[at].host(), self.hosts[at].usage());
                let kept = self.kept.claim(at, &name, claim.clone());
                let own = self.hosts[at].claim(&name, claim);
                ensure(kept.is_ok() == own.is_ok(), || format!("step {number}: {kept:?} {own:?}"))?;
            }
            14 => {
                let Some(at) = self.some_host(rng) else { return Ok(()) };
                self.facts[at].drained = rng.percent(40);
                self.kept.set_drained(at, self.facts[at].drained).unwrap();
            }
            _ => {
                let Some(at) = self.some_host(rng) else { return Ok(()) };
                if rng.percent(50) {
                    self.kept.remove(at).unwrap();
                    self.facts[at].present = false;
                } else {
                    let host = self.hosts[at].clone();
                    self.add(rng, host);
                }
            }
        }
        Ok(())
    }
}

#[test]
fn a_kept_fleet_answers_as_from_nothing() {
    for_cases(71, 6, |rng| {
        let mut model = Model::new(rng);
        let wishes: Vec<RequestSpec> = (0..5).map(|_| wish(rng, &model.hosts)).collect();
        (0..60).try_for_each(|number| model.step(rng, &wishes, number))
    });
}

/// The first of equal hosts is the best, also when it comes back to the state that the third kept; the
/// second has a state of its own by its label.
#[test]
fn a_host_that_joins_a_known_state_is_seen() {
    let host = Arc::new(description("hgx-h200").build().unwrap());
    let mut kept = Fleet::new(FleetOptions::default());
    for (name, label) in [("first", None), ("second", Some("a")), ("third", None)] {
        let labels = label.map(str::to_owned).into_iter().collect();
        kept.add(name, Arc::clone(&host), Usage::empty(&host), labels).unwrap();
    }
    let request = checked(&RequestSpec::new("vm", 8, Bytes::from_gib(8)));
    for (drained, best) in [(false, 0), (true, 1), (false, 0), (true, 1)] {
        kept.set_drained(0, drained).unwrap();
        assert_eq!(kept.best(&request, &Ask::default(), 1)[0].host, best, "drained: {drained}");
    }
}

#[test]
fn a_vm_takes_one_of_the_best_hosts_by_its_name() {
    let host = Arc::new(description("hgx-h200").build().unwrap());
    let mut kept = Fleet::new(FleetOptions::default());
    for number in 0..9 {
        let usage = Usage::empty(&host);
        kept.add(&format!("host{number}"), Arc::clone(&host), usage, BTreeSet::new()).unwrap();
    }
    let ask = Ask { spread_choice: 4, not_on: BTreeSet::from([0]), ..Ask::default() };
    let mut chosen = BTreeSet::new();
    for number in 0..32 {
        let vm = RequestSpec::new(&format!("vm{number}"), 4, Bytes::from_gib(8));
        let request = checked(&vm);
        let best = kept.best(&request, &ask, 4);
        let placed = kept.place(&request, &ask).unwrap();
        assert!(best.contains(&placed));
        kept.release(placed.host, &vm.name).unwrap();
        assert_eq!(kept.place(&request, &ask).unwrap(), placed);
        kept.release(placed.host, &vm.name).unwrap();
        chosen.insert(placed.host);
    }
    assert_eq!(chosen, BTreeSet::from([1, 2, 3, 4]));
}

#[test]
fn refusals_of_a_kept_fleet_are_counts() {
    let host = Arc::new(description("hgx-h200").build().unwrap());
    let mut kept = Fleet::new(FleetOptions::default());
    for number in 0..5 {
        let labels =
            if number < 3 { BTreeSet::from(["zone-a".to_owned()]) } else { BTreeSet::new() };
        let usage = Usage::empty(&host);
        kept.add(&format!("host{number}"), Arc::clone(&host), usage, labels).unwrap();
    }
    kept.set_drained(4, true).unwrap();
    let request = checked(&RequestSpec::new("vm", 4096, Bytes::from_gib(8)));
    let ask = Ask { labels: BTreeSet::from(["zone-a".to_owned()]), ..Ask::default() };
    let Err(refused) = kept.place(&request, &ask) else { panic!("it fits") };
    assert_eq!(
        refused.to_string(),
        "no host fits: of 5 hosts 3 have too few free pCPUs, 1 lack a label, 1 are drained"
    );
}

/// A long life of one fleet. `PINWISE_STEPS` is the number of steps, 200 by default: a million take
/// about an hour in release mode.
#[test]
fn a_kept_fleet_answers_as_from_nothing_in_a_long_life() {
    let steps = std::env::var("PINWISE_STEPS").map_or(200, |steps| steps.parse().unwrap());
    for_cases(72, 1, |rng| {
        let mut model = Model::new(rng);
        let wishes: Vec<RequestSpec> = (0..8).map(|_| wish(rng, &model.hosts)).collect();
        (0..steps).try_for_each(|number| model.step(rng, &wishes, number))
    });
}
