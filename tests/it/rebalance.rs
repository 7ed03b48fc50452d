//! What would make room: scenes whose answer is known, and random ones whose answers are checked.

use std::collections::BTreeMap;

use pinwise::explain::step_text;
use pinwise::rebalance::{Advice, NoAdvice, Step, rebalance};
use pinwise::request::{GpuRequest, Wish};
use pinwise::units::{NodeId, PcpuId};
use pinwise::usage::PageClaim;
use pinwise::verify::Violation;
use pinwise::{
    Bytes, Claim, CpuSet, Host, NodeSet, PageSize, Policies, Policy, Question, Request,
    RequestSpec, Usage, recommend, verify,
};
use pinwise_testkit::machine::{Machine, cpus, gpu};
use pinwise_testkit::rng::Rng;

fn nodes(of: &[u32]) -> NodeSet {
    of.iter().copied().map(NodeId).collect()
}

fn strict() -> Policies {
    Policies { gpu_locality: Policy::Require, one_node: Policy::Require, ..Policies::default() }
}

fn vm(name: &str, vcpus: u32, gib: u64, gpus: u32) -> RequestSpec {
    RequestSpec {
        gpus: GpuRequest::Count { count: gpus, model: None },
        page_size: Some(PageSize::GIB_1),
        policies: strict(),
        ..RequestSpec::new(name, vcpus, Bytes::from_gib(gib))
    }
}

fn held(dedicated: &str, node: u32, gib: u64) -> Claim {
    let page = PageClaim { node: Some(NodeId(node)), page_size: PageSize::GIB_1, count: gib };
    Claim { dedicated: cpus(dedicated), pages: vec![page], ..Claim::default() }
}

fn usage(host: &Host, tenants: &[(&str, Claim)]) -> Usage {
    let mut usage = Usage::empty(host);
    for (name, claim) in tenants {
        usage.claim(host, name, claim.clone()).unwrap();
    }
    usage
}

fn ask(
    host: &Host,
    usage: &Usage,
    request: &RequestSpec,
    restartable: &[RequestSpec],
) -> Result<Advice, NoAdvice> {
    let request = request.clone().build().unwrap();
    let may: Vec<Request> = restartable.iter().map(|vm| vm.clone().build().unwrap()).collect();
    let advice = rebalance(Question::new(host, usage, &request), &may);
    if let Ok(advice) = &advice {
        check(host, usage, &request, &may, advice).unwrap();
    }
    advice
}

/// Whether each step is possible when its turn comes and leaves be what it cannot move, and whether
/// the request then fits. Plain sets; no word of [`Usage`] is taken for it.
fn check(
    host: &Host,
    usage: &Usage,
    request: &Request,
    restartable: &[Request],
    advice: &Advice,
) -> Result<(), String> {
    let mut claims: BTreeMap<String, Claim> =
        usage.tenants().map(|(name, claim)| (name.to_owned(), claim.clone())).collect();
    for step in &advice.steps {
        let before = claims.remove(step.tenant()).ok_or("moves nobody")?;
        let after = step.claim();
        for (name, other) in &claims {
            if other.dedicated.intersects(&after.dedicated) {
                return Err(format!("{} is put where {name} is", step.tenant()));
            }
            if other.devices.iter().any(|device| after.devices.contains(device)) {
                return Err(format!("{} gets a device of {name}", step.tenant()));
            }
        }
        match step {
            Step::Repin { moves, claim, left_behind, vfio, .. } => {
                if claim.pages != before.pages || claim.devices != before.devices {
                    return Err("memory or devices move while it runs".to_owned());
                }
                if *vfio == before.devices.is_empty() || moves.is_empty() {
                    return Err("the step says what is not so".to_owned());
                }
                let to = moves.iter().map(|(_, to)| *to).collect::<CpuSet>();
                let from = moves.iter().map(|(from, _)| *from).collect::<CpuSet>();
                if before.dedicated.difference(&from).union(&to) != claim.dedicated {
                    return Err("the moves are not those of the claim".to_owned());
                }
                let place = |p| host.core_of(p).map(|core| core.id);
                let moved = |p| moves.iter().find(|(from, _)| *from == p).map_or(p, |(_, to)| *to);
                let all: Vec<_> = before.dedicated.iter().map(|p| (p, moved(p))).collect();
                for (a, b) in all.iter().flat_map(|a| all.iter().map(move |b| (a, b))) {
                    if (place(a.0) == place(b.0)) != (place(a.1) == place(b.1)) {
                        return Err("siblings part, or strangers become siblings".to_owned());
                    }
                }
                let memory: NodeSet = before.pages.iter().filter_map(|page| page.node).collect();
                let node = |p| host.core_of(p).map(|core| core.node);
                let away = moves.iter().any(|(from, to)| {
                    node(*from) != node(*to) && !memory.contains(node(*to).unwrap())
                });
                if away == left_behind.is_empty() {
                    return Err(format!("memory left behind: {left_behind}, but {away}"));
                }
            }
            Step::Restart { placement, .. } => {
                let vm = restartable.iter().find(|vm| vm.spec().name == step.tenant());
                let vm = vm.ok_or("stops a VM that may not be")?;
                let mut others = Usage::empty(host);
                for (name, claim) in &claims {
                    others.claim(host, name, claim.clone()).map_err(|e| e.to_string())?;
                }
                // A core that is still free when the VM starts may be kept for the request.
                let found = verify(Question::new(host, &others, vm), placement).err();
                let found: Vec<_> = found.iter().flat_map(|found| found.iter()).collect();
                let shares = |v: &&Violation| matches!(v, Violation::VcpusShareCore { .. });
                if !found.iter().all(shares) {
                    return Err(format!("{found:?}"));
                }
            }
            other => return Err(format!("{other:?}")),
        }
        claims.insert(step.tenant().to_owned(), after);
    }
    let mut then = Usage::empty(host);
    for (name, claim) in claims {
        then.claim(host, &name, claim).map_err(|e| e.to_string())?;
    }
    verify(Question::new(host, &then, request), &advice.placement)
        .map_err(|found| format!("{found:?}"))?;
    let again = recommend(Question::new(host, &then, request));
    again.map(|_| ()).map_err(|_| "it is still refused".to_owned())
}

/// Two nodes of 8 cores, the GPU on node 0.
fn gpu_beside_node_0() -> Host {
    let machine = Machine { nodes: 2, cores: 8, threads: 1, pages: 32, gpus: &[0], links: &[] };
    machine.describe().build().unwrap()
}

#[test]
fn a_vm_in_the_way_of_the_gpu_is_repinned() {
    let host = gpu_beside_node_0();
    let usage = usage(&host, &[("batch", held("1-6", 0, 8))]);
    let advice = ask(&host, &usage, &vm("new", 5, 16, 1), &[]).unwrap();
    let [Step::Repin { tenant, moves, left_behind, vfio, .. }] = advice.steps.as_slice() else {
        panic!("{advice:?}")
    };
    assert_eq!((tenant.as_str(), *vfio, left_behind), ("batch", false, &nodes(&[0])));
    // Five of node 0's seven cores are needed, of which it has six.
    assert!((4..=5).contains(&moves.len()), "{moves:?}");
}

#[test]
fn a_vm_with_a_device_is_repinned_but_its_memory_stays() {
    let machine = Machine { nodes: 2, cores: 8, threads: 1, pages: 32, gpus: &[0, 0], links: &[] };
    let host = machine.describe().build().unwrap();
    let old = Claim { devices: vec![gpu(0)], ..held("1-6", 0, 8) };
    let usage = usage(&host, &[("old", old)]);
    let advice = ask(&host, &usage, &vm("new", 5, 16, 1), &[]).unwrap();
    let [Step::Repin { vfio: true, left_behind, .. }] = advice.steps.as_slice() else {
        panic!("{advice:?}")
    };
    assert_eq!(left_behind, &nodes(&[0]));
    let text = step_text(&host, &advice.steps[0]);
    assert!(text.contains("virsh numatune cannot move it"), "{text}");
}

/// Its pages are in the way, and no live move frees them.
#[test]
fn where_pages_are_in_the_way_only_a_restart_helps() {
    let host = gpu_beside_node_0();
    let usage = usage(&host, &[("batch", held("1-6", 0, 24))]);
    let new = vm("new", 5, 16, 1);
    assert_eq!(ask(&host, &usage, &new, &[]), Err(NoAdvice::Never));
    let advice = ask(&host, &usage, &new, &[vm("batch", 6, 24, 0)]).unwrap();
    let [Step::Restart { tenant, placement }] = advice.steps.as_slice() else {
        panic!("{advice:?}")
    };
    assert_eq!((tenant.as_str(), placement.nodes()), ("batch", nodes(&[1])));
}

/// Two linked pairs, each broken by a VM with one GPU.
#[test]
fn a_broken_pair_is_mended_by_one_restart() {
    let (gpus, links) = ([0, 0, 1, 1], [(0, 1), (2, 3)]);
    let machine = Machine { nodes: 2, cores: 8, threads: 1, pages: 32, gpus: &gpus, links: &links };
    let host = machine.describe().build().unwrap();
    let with = |of: u8, claim: Claim| Claim { devices: vec![gpu(of)], ..claim };
    let tenants = [("a", with(0, held("1-2", 0, 4))), ("b", with(2, held("8-9", 1, 4)))];
    let usage = usage(&host, &tenants);
    let policies = Policies { linked_gpus: Policy::Require, ..strict() };
    let new = RequestSpec { policies, ..vm("new", 4, 8, 2) };
    let both = [vm("a", 2, 4, 1), vm("b", 2, 4, 1)];
    let advice = ask(&host, &usage, &new, &both).unwrap();
    assert_eq!(advice.steps.len(), 1, "{advice:?}");
    assert!(matches!(advice.steps[0], Step::Restart { .. }));
    // Who may not be stopped is not: the other one is.
    let advice = ask(&host, &usage, &new, &both[1..]).unwrap();
    assert_eq!(advice.steps[0].tenant(), "b");
    assert_eq!(ask(&host, &usage, &new, &[]), Err(NoAdvice::Never));
}

/// Four cores with two pCPUs, of which each of two VMs has halves: together they would leave two
/// whole.
#[test]
fn halves_of_cores_are_put_together() {
    let machine = Machine { nodes: 1, cores: 5, threads: 2, pages: 32, gpus: &[], links: &[] };
    let host = machine.describe().build().unwrap();
    let usage = usage(&host, &[("a", held("1-2", 0, 4)), ("b", held("3-4", 0, 4))]);
    let new = RequestSpec { smt: Wish::Require(true), ..vm("new", 4, 8, 0) };
    let advice = ask(&host, &usage, &new, &[]).unwrap();
    let [Step::Repin { moves, left_behind, .. }] = advice.steps.as_slice() else {
        panic!("{advice:?}")
    };
    assert_eq!((moves.len(), left_behind.is_empty()), (2, true), "{advice:?}");
}

#[test]
fn one_repin_is_not_enough_but_two_are() {
    let host = gpu_beside_node_0();
    let tenants = [("a", held("1-3", 0, 4)), ("b", held("4-6", 0, 4)), ("c", held("8", 1, 4))];
    let usage = usage(&host, &tenants);
    let advice = ask(&host, &usage, &vm("new", 7, 8, 1), &[]).unwrap();
    let moved: Vec<&str> = advice.steps.iter().map(Step::tenant).collect();
    assert_eq!(moved, ["a", "b"]);
}

/// Live moves come before a restart, though they are two.
#[test]
fn nothing_is_stopped_where_live_moves_do() {
    let host = gpu_beside_node_0();
    let tenants = [("a", held("1-3", 0, 4)), ("b", held("4-6", 0, 4))];
    let usage = usage(&host, &tenants);
    let may = [vm("a", 3, 4, 0), vm("b", 3, 4, 0)];
    let advice = ask(&host, &usage, &vm("new", 7, 8, 1), &may).unwrap();
    assert!(advice.steps.iter().all(|step| matches!(step, Step::Repin { .. })), "{advice:?}");
}

#[test]
fn what_fits_or_never_will_has_no_advice() {
    let host = gpu_beside_node_0();
    let usage = usage(&host, &[("batch", held("1-6", 0, 8))]);
    assert_eq!(ask(&host, &usage, &vm("new", 4, 8, 0), &[]), Err(NoAdvice::Fits));
    assert_eq!(ask(&host, &usage, &vm("new", 9, 8, 0), &[]), Err(NoAdvice::Never));
    assert_eq!(ask(&host, &usage, &vm("new", 4, 8, 2), &[]), Err(NoAdvice::Never));
}

/// Enough would be free if all moved, but there is nowhere to go.
#[test]
fn a_full_host_has_no_advice() {
    let host = gpu_beside_node_0();
    let usage = usage(&host, &[("a", held("1-6", 0, 8)), ("b", held("8-15", 1, 8))]);
    let found = ask(&host, &usage, &vm("new", 5, 8, 1), &[vm("a", 6, 8, 0)]);
    assert_eq!(found, Err(NoAdvice::NotFound { cut: false }));
}

#[test]
fn the_check_of_these_tests_sees_what_is_wrong() {
    let host = gpu_beside_node_0();
    let usage = usage(&host, &[("a", held("1-6", 0, 8)), ("b", held("8-9", 1, 8))]);
    let request = vm("new", 5, 8, 1).build().unwrap();
    let advice = rebalance(Question::new(&host, &usage, &request), &[]).unwrap();
    let wrong = |change: &dyn Fn(&mut Advice)| {
        let mut advice = advice.clone();
        change(&mut advice);
        check(&host, &usage, &request, &[], &advice).unwrap_err()
    };
    assert_eq!(check(&host, &usage, &request, &[], &advice), Ok(()));
    assert!(wrong(&|a| a.steps.clear()).contains("PcpusHeld"));
    let fewer = |a: &mut Advice| {
        let Step::Repin { moves, .. } = &mut a.steps[0] else { panic!("{a:?}") };
        moves.pop();
    };
    assert!(wrong(&fewer).contains("the moves are not"));
    let on = |a: &mut Advice, dedicated: &str| {
        let Step::Repin { claim, .. } = &mut a.steps[0] else { panic!("{a:?}") };
        claim.dedicated = cpus(dedicated);
    };
    assert!(wrong(&|a| on(a, "1-2,8-11")).contains("where b is"));
    assert!(advice.after(&host, &usage).is_ok());
    let mut onto_b = advice.clone();
    on(&mut onto_b, "1-2,8-11");
    assert!(onto_b.after(&host, &usage).is_err());
    assert!(
        wrong(&|a| {
            let Step::Repin { claim, .. } = &mut a.steps[0] else { panic!("{a:?}") };
            claim.pages[0].node = Some(NodeId(1));
        })
        .contains("memory or devices")
    );
}

/// Random hosts, filled with VMs as recommended until one is refused.
#[test]
fn what_is_advised_works() {
    let cases = if cfg!(debug_assertions) { 40 } else { 400 };
    let mut found: BTreeMap<String, u32> = BTreeMap::new();
    for case in 0..cases {
        let mut rng = Rng::new(31_000_000 + case);
        let (gpus, links) = ([0, 0, 1, 1], [(0, 1), (2, 3)]);
        let machine = Machine {
            nodes: 2,
            cores: rng.between(4, 8) as u32,
            threads: rng.between(1, 2) as u32,
            pages: rng.between(8, 24) as u64,
            gpus: &gpus,
            links: &links,
        };
        let host = machine.describe().build().unwrap();
        let mut usage = Usage::empty(&host);
        let mut may = Vec::new();
        for number in 0..12 {
            let gpus = rng.pick(&[0, 0, 1, 1, 2]);
            let (vcpus, gib) = (rng.between(1, 6) as u32, rng.between(1, 8) as u64);
            let mut request = vm(&format!("vm{number}"), vcpus, gib, gpus);
            request.policies.whole_cores = rng.pick(&[Policy::Require, Policy::Ignore]);
            request.policies.linked_gpus = rng.pick(&[Policy::Require, Policy::Ignore]);
            let asked = request.clone().build().unwrap();
            match recommend(Question::new(&host, &usage, &asked)) {
                Ok(answer) => {
                    let claim = answer.best().placement.claim();
                    usage.claim(&host, &request.name, claim).unwrap();
                    if rng.percent(50) {
                        may.push(request);
                    }
                }
                Err(_) => {
                    let advice = ask(&host, &usage, &request, &may);
                    let said = match advice {
                        Ok(advice) => format!(
                            "{} steps, {} restarts",
                            advice.steps.len(),
                            advice
                                .steps
                                .iter()
                                .filter(|s| matches!(s, Step::Restart { .. }))
                                .count()
                        ),
                        Err(none) => format!("{none:?}"),
                    };
                    *found.entry(said).or_default() += 1;
                }
            }
            // Somebody leaves, so that there are holes.
            if rng.percent(30) {
                let names: Vec<String> = usage.tenants().map(|(name, _)| name.to_owned()).collect();
                if !names.is_empty() {
                    usage.release(&rng.pick(&names)).unwrap();
                }
            }
        }
    }
    println!("{found:#?}");
    let advised: u32 =
        found.iter().filter(|(said, _)| said.contains("steps")).map(|(_, n)| n).sum();
    assert!(advised as u64 > cases / 4, "only {advised} were advised: {found:?}");
}

/// All sets of `count` of `from`.
fn subsets(from: &[PcpuId], count: usize) -> Vec<Vec<PcpuId>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for at in 0..from.len() {
        for mut rest in subsets(&from[at + 1..], count - 1) {
            rest.push(from[at]);
            all.push(rest);
        }
    }
    all
}

/// Whether one VM on any other pCPUs would let the request in. Cores have one pCPU here.
fn brute(host: &Host, usage: &Usage, request: &Request) -> bool {
    usage.tenants().any(|(name, held)| {
        let mut others = usage.clone();
        others.release(name).unwrap();
        let free = host.online().difference(others.dedicated()).difference(&host.kept().cpus);
        let free: Vec<PcpuId> = free.iter().collect();
        subsets(&free, held.dedicated.len()).into_iter().any(|dedicated| {
            let dedicated: CpuSet = dedicated.into_iter().collect();
            let floating = held.floating.difference(&dedicated);
            let mut then = others.clone();
            then.claim(host, name, Claim { dedicated, floating, ..held.clone() }).unwrap();
            recommend(Question::new(host, &then, request)).is_ok()
        })
    })
}

/// Where one live move is enough, one is advised; and where it is not, none is.
#[test]
fn a_single_move_is_found_if_there_is_one() {
    let cases = if cfg!(debug_assertions) { 150 } else { 600 };
    let (mut moved, mut not) = (0, 0);
    for case in 0..cases {
        let mut rng = Rng::new(32_000_000 + case);
        let machine = Machine {
            nodes: rng.between(2, 3) as u32,
            cores: rng.between(2, 3) as u32,
            threads: 1,
            pages: 12,
            gpus: &[0, 0, 1],
            links: &[],
        };
        let host = machine.describe().build().unwrap();
        let mut usage = Usage::empty(&host);
        for number in 0..4 {
            let mut request = vm(&format!("vm{number}"), rng.between(1, 3) as u32, 2, 0);
            request.gpus = GpuRequest::Count { count: rng.pick(&[0, 0, 1]), model: None };
            request.policies =
                Policies { one_node: rng.pick(&[Policy::Ignore, Policy::Require]), ..strict() };
            let request = request.build().unwrap();
            if let Ok(answer) = recommend(Question::new(&host, &usage, &request)) {
                let claim = rng.pick(&answer.ranked).placement.claim();
                usage.claim(&host, &request.spec().name, claim).unwrap();
            }
        }
        let new = vm("new", rng.between(1, 3) as u32, 4, rng.pick(&[0, 1, 2]));
        let advice = ask(&host, &usage, &new, &[]);
        if advice == Err(NoAdvice::Fits) {
            continue;
        }
        let one = advice.as_ref().is_ok_and(|advice| advice.steps.len() == 1);
        let expected = brute(&host, &usage, &new.build().unwrap());
        assert_eq!(one, expected, "case {case}: {advice:?} {usage:?}");
        *(if one { &mut moved } else { &mut not }) += 1;
    }
    println!("{moved} by one move, {not} not");
    assert!(moved > 2 && not > 2, "{moved} by one move, {not} not");
}
