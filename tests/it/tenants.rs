//! Tenants: claims that were computed a while ago, many threads, what libvirt says, and neighbours.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};

use pinwise::host::{Acs, PciClass, PciDevice, PciId};
use pinwise::request::{GpuRequest, Wish};
use pinwise::units::NodeId;
use pinwise::usage::{
    Accepted, ClaimError, Difference, Drift, Generation, Holder, Offer, OfferError, PageClaim,
    PageDrift, Taken, TenantDrift,
};
use pinwise::verify::{WrongWarning, verify_warnings};
use pinwise::{
    Bytes, Claim, CpuSet, Host, PageSize, Placement, Policies, Policy, Question, Request,
    RequestSpec, Usage, Warning, emit, recommend,
};
use pinwise_discover::libvirt::read_domain;
use pinwise_testkit::machine::{Machine, cpus, gpu};
use pinwise_testkit::rng::Rng;

const PAGE: PageSize = PageSize::GIB_1;

/// Two nodes of 8 cores with two pCPUs (c and c + 16), 32 pages and two GPUs each.
fn host() -> Host {
    let gpus = [0, 0, 1, 1];
    let links = [(0, 1), (2, 3)];
    let machine = Machine { nodes: 2, cores: 8, threads: 2, pages: 32, gpus: &gpus, links: &links };
    machine.describe().build().unwrap()
}

fn pages(node: u32, count: u64) -> PageClaim {
    PageClaim { node: Some(NodeId(node)), page_size: PAGE, count }
}

fn dedicated(list: &str) -> Claim {
    Claim { dedicated: cpus(list), ..Claim::default() }
}

fn wish(name: &str, vcpus: u32, gib: u64, gpus: u32) -> RequestSpec {
    let gpus = GpuRequest::Count { count: gpus, model: None };
    let page_size = Some(PAGE);
    let request = RequestSpec::new(name, vcpus, Bytes::from_gib(gib));
    RequestSpec { gpus, page_size, ..request }
}

fn request(name: &str, vcpus: u32, gib: u64, gpus: u32) -> Request {
    wish(name, vcpus, gib, gpus).build().unwrap()
}

fn best(host: &Host, usage: &Usage, request: &Request) -> Placement {
    recommend(Question::new(host, usage, request)).unwrap().best().placement.clone()
}

fn holder(tenant: &str, since: u64) -> Holder {
    Holder { tenant: tenant.to_owned(), since: Generation(since) }
}

/// All that is taken; nothing has changed.
fn refused(host: &Host, usage: &mut Usage, offer: &Offer) -> Vec<Taken> {
    let before = (usage.clone(), usage.generation());
    let Err(OfferError::Taken { taken, offered, now, tenant }) = usage.accept(host, offer) else {
        panic!("accepted {offer:?}")
    };
    assert_eq!((usage.clone(), usage.generation()), before);
    assert_eq!(
        (offered, now, tenant),
        (offer.generation, usage.generation(), offer.tenant.clone())
    );
    taken
}

#[test]
fn releasing_restores_what_was_before() {
    let (host, mut usage) = (host(), Usage::empty(&host()));
    usage.claim(&host, "there", dedicated("1,17")).unwrap();
    let (before, text) = (usage.clone(), format!("{:?}", usage.held()));
    let placement = best(&host, &usage, &request("vm", 4, 8, 2));
    usage.claim(&host, "vm", placement.claim()).unwrap();
    assert_ne!(usage, before);
    assert_eq!(usage.generation(), Generation(2));
    assert_eq!(usage.release("vm").unwrap(), placement.claim());
    assert_eq!(usage, before);
    assert_eq!(format!("{:?}", usage.held()), text);
    // It went on all the same, so nobody takes the one for the other.
    assert_eq!((usage.generation(), before.generation()), (Generation(3), Generation(1)));
    usage.release("there").unwrap();
    assert_eq!(usage, Usage::empty(&host));
    let gone = ClaimError::NoTenant { tenant: "there".to_owned() };
    assert_eq!(usage.release("there"), Err(gone));
    assert_eq!(usage.generation(), Generation(4), "what fails is no change");
}

#[test]
fn an_offer_holds_while_others_take_other_things() {
    let (host, mut usage) = (host(), Usage::empty(&host()));
    let request = request("vm", 4, 8, 1);
    let seen = usage.clone();
    let offer = Question::new(&host, &seen, &request).offer(&best(&host, &seen, &request));
    usage.claim(&host, "far", Claim { pages: vec![pages(1, 4)], ..dedicated("15,31") }).unwrap();
    usage.claim(&host, "floats", Claim { floating: cpus("0-31"), ..Claim::default() }).unwrap();
    let Accepted { generation, meanwhile, floating, .. } = usage.accept(&host, &offer).unwrap();
    assert_eq!((generation, meanwhile), (Generation(3), 2));
    assert_eq!(floating, [("floats".to_owned(), offer.claim.dedicated.clone())]);
    // Twice it is the tenant itself that is in the way, of all that it has.
    let taken = refused(&host, &mut usage, &offer);
    assert_eq!(taken[0], Taken::Name { holder: holder("vm", 3) });
    assert!(taken.len() > 2, "{taken:?}");
}

#[test]
fn a_conflict_says_who_took_what() {
    let host = host();
    let before = Usage::empty(&host);
    let offer = |claim| Offer {
        host: "h".to_owned(),
        tenant: "vm".to_owned(),
        claim,
        generation: before.generation(),
        whole_cores: true,
    };
    let whole = dedicated("1,17,2,18");
    let meanwhile = |claims: &[(&str, Claim)]| {
        let mut usage = before.clone();
        claims.iter().for_each(|(name, c)| usage.claim(&host, name, c.clone()).unwrap());
        usage
    };
    let pcpus =
        |list, who: &str, since| Taken::Pcpus { cpus: cpus(list), holder: holder(who, since) };

    let mut usage = meanwhile(&[("a", dedicated("3")), ("b", dedicated("2,18,4"))]);
    assert_eq!(refused(&host, &mut usage, &offer(whole.clone())), [pcpus("2,18", "b", 2)]);

    // A sibling that the offer does not hold.
    let part = dedicated("1,2");
    let mut usage = meanwhile(&[("a", dedicated("18"))]);
    let core = host.core_of(pinwise::units::PcpuId(2)).unwrap().id;
    let shared = Taken::Core { core, cpus: cpus("18"), holder: holder("a", 1) };
    assert_eq!(refused(&host, &mut usage, &offer(part.clone())), [shared]);
    let lenient = Offer { whole_cores: false, ..offer(part) };
    assert!(usage.accept(&host, &lenient).is_ok());

    let floats = Claim { floating: cpus("0,3"), ..whole.clone() };
    let mut usage = meanwhile(&[("a", dedicated("3,19"))]);
    let floating = Taken::Floating { cpus: cpus("3"), holder: holder("a", 1) };
    assert_eq!(refused(&host, &mut usage, &offer(floats)), [floating]);

    let with_pages = Claim { pages: vec![pages(0, 20)], ..whole.clone() };
    let some = |n, count| (n, Claim { pages: vec![pages(0, count)], ..Claim::default() });
    let mut usage = meanwhile(&[some("a", 10), some("b", 3)]);
    let holders = vec![(holder("a", 1), 10), (holder("b", 2), 3)];
    let node = Some(NodeId(0));
    let short = Taken::Pages { node, page_size: PAGE, needed: 20, free: 19, holders };
    assert_eq!(refused(&host, &mut usage, &offer(with_pages)), [short]);

    let with_gpu = Claim { devices: vec![gpu(1), gpu(2)], ..whole };
    let theirs = Claim { devices: vec![gpu(2)], ..dedicated("1,17") };
    let mut usage = meanwhile(&[("a", theirs)]);
    let device = Taken::Device { address: gpu(2), holder: holder("a", 1) };
    let taken = refused(&host, &mut usage, &offer(with_gpu));
    assert_eq!(taken, [pcpus("1,17", "a", 1), device]);
    let said = OfferError::Taken {
        tenant: "vm".to_owned(),
        offered: Generation(0),
        now: Generation(1),
        taken,
    };
    assert_eq!(
        said.to_string(),
        "the offer for tenant \"vm\", computed at generation 0, conflicts at generation 1: pCPUs 1,17 are held \
         by \"a\" (since generation 1); device 0000:12:00.0 is held by \"a\" (since generation 1)"
    );
}

#[test]
fn an_offer_against_something_else_is_told_apart() {
    let (host, mut usage) = (host(), Usage::empty(&host()));
    let request = request("vm", 4, 8, 0);
    // A copy in which more was claimed: its generation may even be reached later.
    let mut other = usage.clone();
    other.claim(&host, "x", dedicated("1,17")).unwrap();
    let offer = Question::new(&host, &other, &request).offer(&best(&host, &other, &request));
    let ahead =
        OfferError::Ahead { tenant: "vm".to_owned(), offered: Generation(1), now: Generation(0) };
    assert_eq!(usage.accept(&host, &offer), Err(ahead));
    usage
        .claim(&host, "y", Claim { dedicated: offer.claim.dedicated.clone(), ..Claim::default() })
        .unwrap();
    assert_eq!(usage.generation(), offer.generation, "the same number, another content");
    assert!(matches!(&refused(&host, &mut usage, &offer)[0], Taken::Pcpus { .. }));
    // What this host does not have is nobody's.
    let nowhere = Claim { dedicated: cpus("500"), ..Claim::default() };
    let offer = Offer { claim: nowhere, ..offer };
    let impossible = ClaimError::NotOnline { tenant: "vm".to_owned(), cpus: cpus("500") };
    assert_eq!(usage.accept(&host, &offer), Err(OfferError::Impossible(impossible)));
}

/// Counts every unit apart from [`Usage`]: nobody may have what somebody has.
struct Ledger {
    pcpus: Vec<AtomicU32>,
    gpus: Vec<AtomicU32>,
    pages: Vec<AtomicI64>,
    double: AtomicU64,
}

impl Ledger {
    fn new() -> Self {
        let units = |n: usize| (0..n).map(|_| AtomicU32::new(0)).collect::<Vec<_>>();
        let pages = (0..2).map(|_| AtomicI64::new(32)).collect();
        Self { pcpus: units(32), gpus: units(4), pages, double: AtomicU64::new(0) }
    }

    fn units<'a>(&'a self, claim: &'a Claim) -> impl Iterator<Item = &'a AtomicU32> {
        let pcpus = claim.dedicated.iter().map(|pcpu| &self.pcpus[pcpu.0 as usize]);
        pcpus.chain(claim.devices.iter().map(|at| &self.gpus[usize::from(at.bus - 0x10)]))
    }

    fn take(&self, claim: &Claim) {
        let twice =
            self.units(claim).filter(|unit| unit.fetch_add(1, Ordering::SeqCst) != 0).count();
        let over = |page: &&PageClaim| {
            let node = &self.pages[page.node.unwrap().0 as usize];
            node.fetch_sub(page.count as i64, Ordering::SeqCst) < page.count as i64
        };
        let short = claim.pages.iter().filter(over).count();
        self.double.fetch_add((twice + short) as u64, Ordering::SeqCst);
    }

    /// Before it is released, so that the next one finds it free.
    fn give_back(&self, claim: &Claim) {
        self.units(claim).for_each(|unit| {
            unit.fetch_sub(1, Ordering::SeqCst);
        });
        for page in &claim.pages {
            self.pages[page.node.unwrap().0 as usize]
                .fetch_add(page.count as i64, Ordering::SeqCst);
        }
    }

    fn is_free(&self) -> bool {
        let none = |units: &[AtomicU32]| units.iter().all(|unit| unit.load(Ordering::SeqCst) == 0);
        none(&self.pcpus)
            && none(&self.gpus)
            && self.pages.iter().all(|pages| pages.load(Ordering::SeqCst) == 32)
    }
}

/// Cores, pages and a GPU that were free in `seen`; not all need be there.
fn some(rng: &mut Rng, host: &Host, seen: &Usage) -> Option<Claim> {
    let node = rng.below(2) as u32;
    let mut claim = Claim::default();
    let cores: Vec<_> = host.cores().iter().filter(|core| core.node == NodeId(node)).collect();
    let free = |core: &&&pinwise::host::Core| {
        core.pcpus.iter().all(|p| !seen.dedicated().contains(*p) && !host.reserved().contains(*p))
    };
    let free: Vec<_> = cores.iter().filter(free).collect();
    for _ in 0..rng.between(1, 3) {
        let core = free.get(rng.below(free.len()))?;
        claim.dedicated.extend(&core.pcpus.iter().copied().collect::<CpuSet>());
    }
    let count = rng.between(1, 12) as u64;
    claim.pages = vec![pages(node, count.min(seen.free_pages(host, NodeId(node), PAGE)))];
    let gpu = gpu((2 * node) as u8 + rng.below(2) as u8);
    if rng.percent(40) && seen.holder_of(gpu).is_none() {
        claim.devices.push(gpu);
    }
    Some(claim)
}

/// Eight threads come and go, through a copy, an offer and a retry. A million claims and releases
/// in a release build, or where `PINWISE_LONG=1`.
#[allow(clippy::disallowed_methods, reason = "how long to run is the caller's choice")]
#[test]
fn eight_threads_never_book_anything_twice() {
    let long = std::env::var("PINWISE_LONG").is_ok_and(|value| value == "1");
    let wanted: u64 = if long || !cfg!(debug_assertions) { 1_000_000 } else { 40_000 };
    let host = host();
    let (shared, ledger) = (Mutex::new(Usage::empty(&host)), Ledger::new());
    let [done, retries, by_engine] = [(); 3].map(|()| AtomicU64::new(0));
    let work = |thread: u64| {
        let mut rng = Rng::new(41_000_000 + thread);
        let mut mine: Vec<String> = Vec::new();
        for number in 0.. {
            if done.load(Ordering::SeqCst) >= wanted {
                break;
            }
            if mine.len() > 2 || (!mine.is_empty() && rng.percent(45)) {
                let name = mine.swap_remove(rng.below(mine.len()));
                let mut usage = shared.lock().unwrap();
                ledger.give_back(usage.claim_of(&name).unwrap());
                usage.release(&name).unwrap();
                done.fetch_add(1, Ordering::SeqCst);
                continue;
            }
            let name = format!("vm{thread}-{number}");
            for _ in 0..5 {
                let seen = shared.lock().unwrap().clone();
                // Now and then the engine itself, which is slower, so that more happens meanwhile.
                let asked = rng.below(200) == 0;
                let offer = if asked {
                    let request = request(&name, rng.between(1, 4) as u32, 4, rng.below(2) as u32);
                    let question = Question::new(&host, &seen, &request);
                    recommend(question).ok().map(|a| question.offer(&a.best().placement))
                } else {
                    some(&mut rng, &host, &seen).map(|claim| Offer {
                        host: host.description().name.clone(),
                        tenant: name.clone(),
                        claim,
                        generation: seen.generation(),
                        whole_cores: true,
                    })
                };
                std::thread::yield_now();
                let Some(offer) = offer else { break };
                let mut usage = shared.lock().unwrap();
                match usage.accept(&host, &offer) {
                    Ok(_) => {
                        ledger.take(&offer.claim);
                        drop(usage);
                        done.fetch_add(1, Ordering::SeqCst);
                        by_engine.fetch_add(u64::from(asked), Ordering::SeqCst);
                        mine.push(name.clone());
                        break;
                    }
                    Err(OfferError::Taken { .. }) => retries.fetch_add(1, Ordering::SeqCst),
                    Err(other) => panic!("{other}"),
                };
            }
        }
        for name in mine {
            let mut usage = shared.lock().unwrap();
            ledger.give_back(usage.claim_of(&name).unwrap());
            usage.release(&name).unwrap();
            done.fetch_add(1, Ordering::SeqCst);
        }
    };
    std::thread::scope(|scope| {
        (0..8).for_each(|thread| {
            scope.spawn(move || work(thread));
        });
    });
    let usage = shared.into_inner().unwrap();
    let (done, retries) = (done.into_inner(), retries.into_inner());
    println!("{done} claims and releases, {retries} retries, {by_engine:?} by the engine");
    assert_eq!(ledger.double.load(Ordering::SeqCst), 0, "booked twice");
    assert!(ledger.is_free());
    assert_eq!(usage, Usage::empty(&host));
    assert_eq!(usage.generation(), Generation(done));
    assert!(done >= wanted && retries > 0 && by_engine.into_inner() > 0, "nobody met anybody");
}

/// What a placement becomes as a domain is what it holds.
#[test]
fn domains_of_placements_have_no_drift() {
    let host = host();
    let mut usage = Usage::empty(&host);
    let mut found = Vec::new();
    let cells = RequestSpec { cells: Wish::Require(2), ..wish("c", 8, 8, 2) };
    let shared = Policies { whole_cores: Policy::Ignore, ..Policies::default() };
    let emulator = RequestSpec { emulator_pcpus: 1, ..wish("e", 1, 1, 0) };
    let asked = [
        request("a", 2, 4, 1),
        RequestSpec { smt: Wish::Require(true), ..wish("b", 4, 4, 0) }.build().unwrap(),
        cells.build().unwrap(),
        RequestSpec { policies: shared, ..wish("d", 1, 2, 0) }.build().unwrap(),
        emulator.build().unwrap(),
    ];
    for request in &asked {
        let placement = best(&host, &usage, request);
        usage.claim(&host, &request.spec().name, placement.claim()).unwrap();
        let domain = read_domain(&host, &emit::libvirt::domain(&placement).unwrap()).unwrap();
        found.push((domain.name, domain.claim));
    }
    assert_eq!(usage.drift(&host, found.clone()), Drift::default());

    let nothing = || TenantDrift {
        tenant: "a".to_owned(),
        dedicated: Difference::default(),
        floating: Difference::default(),
        pages: Vec::new(),
        devices: Difference::default(),
    };
    // Whatever is changed, just that differs.
    let drift = |change: &dyn Fn(&mut Claim)| {
        let mut found = found.clone();
        change(&mut found[0].1);
        let Drift { missing, unknown, mut differing, .. } = usage.drift(&host, found);
        assert!(missing.is_empty() && unknown.is_empty());
        assert_eq!(differing.len(), 1);
        differing.remove(0)
    };
    let old: CpuSet = found[0].1.dedicated.first().into_iter().collect();
    let core =
        host.core_of(old.first().unwrap()).unwrap().pcpus.iter().copied().collect::<CpuSet>();
    let moved = drift(&|claim| {
        claim.dedicated = claim.dedicated.difference(&old).union(&cpus("15"));
    });
    assert_eq!(moved.dedicated.extra, cpus("15"));
    assert_eq!(moved.dedicated.missing, core, "with the sibling that was kept idle");
    let node = found[0].1.pages[0].node;
    let fewer = drift(&|claim| claim.pages[0].count -= 1);
    let page = PageDrift { node, page_size: PAGE, held: 4, found: 3 };
    assert_eq!(fewer, TenantDrift { pages: vec![page], ..nothing() });
    let held = found[0].1.devices.clone();
    let other = drift(&|claim| claim.devices = vec![gpu(9)]);
    let devices = Difference { missing: held, extra: vec![gpu(9)] };
    assert_eq!(other, TenantDrift { devices, ..nothing() });
    let floats = drift(&|claim| claim.floating.extend(&cpus("14")));
    let floating = Difference { missing: CpuSet::new(), extra: cpus("14") };
    assert_eq!(floats, TenantDrift { floating, ..nothing() });

    let mut fewer = found.clone();
    fewer[1].0 = "stranger".to_owned();
    let drift = usage.drift(&host, fewer);
    assert_eq!((drift.missing, drift.unknown), (vec!["b".to_owned()], vec!["stranger".to_owned()]));

    // From the domains the same comes about again, but for what no domain tells.
    let again = Usage::with_running(&host, found.clone()).unwrap();
    assert!(again.drift(&host, found).is_empty());
}

/// The warnings of the best placement, which the checker counts again, and accepts no other.
fn told(host: &Host, usage: &Usage, request: &Request) -> Vec<Warning> {
    let answer = recommend(Question::new(host, usage, request)).unwrap();
    let best = answer.best();
    let (placement, warnings) =
        (&best.placement, best.warnings(Question::new(host, usage, request)));
    assert_eq!(verify_warnings(Question::new(host, usage, request), placement, &warnings), Ok(()));
    for at in 0..warnings.len() {
        let mut fewer = warnings.clone();
        let warning = fewer.remove(at);
        if let Err(found) = verify_warnings(Question::new(host, usage, request), placement, &fewer)
        {
            assert_eq!(found.as_slice(), [WrongWarning::Missing { warning }]);
        }
    }
    warnings.clone()
}

#[test]
fn a_tenant_that_floats_over_the_vm_is_named() {
    let (host, mut usage) = (host(), Usage::empty(&host()));
    usage.claim(&host, "floats", Claim { floating: cpus("0-31"), ..Claim::default() }).unwrap();
    let request = request("vm", 2, 4, 0);
    let cpus = best(&host, &usage, &request).claim().dedicated;
    let tenants = vec!["floats".to_owned()];
    assert!(told(&host, &usage, &request).contains(&Warning::FloatingTenants { tenants, cpus }));
}

#[test]
fn the_default_layout_floats_over_tenants() {
    let (host, mut usage) = (host(), Usage::empty(&host()));
    usage.claim(&host, "pinned", dedicated("3,19")).unwrap();
    let request = request("vm", 2, 4, 0);
    let answer = recommend(Question::new(&host, &usage, &request)).unwrap();
    let baseline = answer.baseline.unwrap();
    let over =
        Warning::FloatsOverTenants { tenants: vec!["pinned".to_owned()], cpus: cpus("3,19") };
    assert_eq!(baseline.warnings(Question::new(&host, &usage, &request)).last(), Some(&over));
}

/// Node 1 is full, so the VM has node 0 with somebody.
#[test]
fn a_shared_node_and_cache_are_told() {
    let (host, mut usage) = (host(), Usage::empty(&host()));
    usage.claim(&host, "beside", Claim { pages: vec![pages(0, 2)], ..dedicated("1,17") }).unwrap();
    usage.claim(&host, "full", dedicated("8-15,24-31")).unwrap();
    let told = told(&host, &usage, &request("vm", 2, 4, 0));
    let beside = || vec!["beside".to_owned()];
    let l3 = host.core_of(pinwise::units::PcpuId(1)).unwrap().l3.unwrap();
    let nodes = [NodeId(0)].into_iter().collect();
    assert!(told.contains(&Warning::SharedL3 { tenants: beside(), domains: vec![l3] }), "{told:?}");
    assert!(told.contains(&Warning::SharedNodes { tenants: beside(), nodes }), "{told:?}");
    // Somebody whose vCPUs float has but pages there.
    let mut pages_only = Usage::empty(&host);
    pages_only
        .claim(&host, "memory", Claim { pages: vec![pages(0, 2)], ..Claim::default() })
        .unwrap();
    pages_only.claim(&host, "full", dedicated("8-15,24-31")).unwrap();
    let memory = self::told(&host, &pages_only, &request("vm", 2, 4, 0));
    let nodes = [NodeId(0)].into_iter().collect();
    assert!(memory.contains(&Warning::SharedNodes { tenants: vec!["memory".to_owned()], nodes }));
    // Alone on its node it shares nothing.
    let mut far = Usage::empty(&host);
    far.claim(&host, "full", Claim { pages: vec![pages(1, 2)], ..dedicated("8-15,24-31") })
        .unwrap();
    let alone = self::told(&host, &far, &request("vm", 2, 4, 0));
    let shares = |w: &Warning| matches!(w, Warning::SharedL3 { .. } | Warning::SharedNodes { .. });
    assert!(!alone.iter().any(shares), "{alone:?}");
}

/// Everybody has one pCPU of each core: forbidden unless asked for, and then told.
#[test]
fn siblings_across_tenants_are_refused_or_told() {
    let (host, mut usage) = (host(), Usage::empty(&host()));
    usage.claim(&host, "half", dedicated("1-15")).unwrap();
    let strict = wish("vm", 2, 4, 0);
    assert!(recommend(Question::new(&host, &usage, &strict.clone().build().unwrap())).is_err());
    let policies = Policies { whole_cores: Policy::Ignore, ..Policies::default() };
    let lenient = RequestSpec { policies, ..strict }.build().unwrap();
    let cpus = best(&host, &usage, &lenient).vcpu_pcpus();
    let shared = Warning::SharedCores { tenants: vec!["half".to_owned()], cpus };
    assert!(told(&host, &usage, &lenient).contains(&shared));
}

#[test]
fn pages_that_no_vm_can_use_any_more_are_told() {
    let (host, mut usage) = (host(), Usage::empty(&host()));
    usage
        .claim(&host, "full", Claim { pages: vec![pages(1, 2)], ..dedicated("8-15,24-31") })
        .unwrap();
    let stranded = |told: Vec<Warning>| {
        told.into_iter().find(|warning| matches!(warning, Warning::StrandedPages { .. }))
    };
    // All seven cores that are not the host's.
    let all = stranded(told(&host, &usage, &request("vm", 7, 10, 0)));
    assert_eq!(all, Some(Warning::StrandedPages { node: NodeId(0), page_size: PAGE, pages: 22 }));
    assert_eq!(stranded(told(&host, &usage, &request("vm", 6, 10, 0))), None);
    assert_eq!(stranded(told(&host, &usage, &request("vm", 7, 32, 0))), None);
}

/// GPUs 0 and 1 below one switch, 2 and 3 below root ports of their own; access control of the two
/// ports above the first two.
fn with_switch(links: &[(u8, u8)], access: [Option<Acs>; 2]) -> Host {
    let gpus = [0, 0, 1, 1];
    let machine = Machine { nodes: 2, cores: 8, threads: 2, pages: 32, gpus: &gpus, links };
    let mut host = machine.describe();
    let at = |text: &str| text.parse().unwrap();
    for (address, parent, access) in [
        ("00:01.0", None, Some(REDIRECTS)),
        ("01:00.0", Some("00:01.0"), Some(REDIRECTS)),
        ("02:00.0", Some("01:00.0"), access[0]),
        ("02:01.0", Some("01:00.0"), access[1]),
    ] {
        let (class, vendor) = (PciClass(0x06_0400), PciId(0x1000));
        let parent = parent.map(at);
        let bridge = PciDevice::new(at(address), class, vendor, PciId(0xc030));
        host.devices.push(PciDevice { parent, access, ..bridge });
    }
    for (number, port) in [(0, "02:00.0"), (1, "02:01.0")] {
        let own = host.devices.iter_mut().find(|device| device.address == gpu(number)).unwrap();
        own.parent = Some(at(port));
    }
    host.build().unwrap()
}

const OFF: Acs = Acs {
    request_redirect: false,
    completion_redirect: false,
    upstream_forwarding: false,
    direct_translated: false,
};
const REDIRECTS: Acs = Acs { request_redirect: true, ..OFF };
const TRANSLATED: Acs = Acs { direct_translated: true, ..REDIRECTS };

#[test]
fn peers_that_a_switch_sends_up_are_told() {
    let ask = |gpus: [u8; 2], peer_to_peer| {
        let gpus = GpuRequest::Addresses(gpus.map(gpu).to_vec());
        RequestSpec { gpus, peer_to_peer, ..wish("vm", 4, 8, 0) }.build().unwrap()
    };
    let redirected = |host: &Host, request: &Request| {
        let told = told(host, &Usage::empty(host), request).into_iter();
        told.filter(|warning| matches!(warning, Warning::RedirectedPeers { .. }))
            .collect::<Vec<_>>()
    };
    let warning = |ports: &[&str], translated| {
        let ports = ports.iter().map(|port| port.parse().unwrap()).collect();
        vec![Warning::RedirectedPeers { gpus: vec![gpu(0), gpu(1)], ports, translated }]
    };
    let pair = ask([0, 1], None);
    for (access, expected) in [
        // The port where they meet and what is above it are not on the way.
        ([None, None], vec![]),
        ([Some(OFF), Some(OFF)], vec![]),
        ([Some(REDIRECTS), None], warning(&["02:00.0"], false)),
        ([Some(OFF), Some(TRANSLATED)], warning(&["02:01.0"], true)),
        ([Some(REDIRECTS), Some(TRANSLATED)], warning(&["02:00.0", "02:01.0"], false)),
    ] {
        let host = with_switch(&[], access);
        assert_eq!(redirected(&host, &pair), expected, "{access:?}");
    }
    let on = [Some(REDIRECTS); 2];
    let host = with_switch(&[], on);
    assert_eq!(redirected(&host, &ask([0, 1], Some(true))).len(), 1);
    // The request says no, no switch between them, a link of their own.
    assert_eq!(redirected(&host, &ask([0, 1], Some(false))), []);
    assert_eq!(redirected(&host, &ask([2, 3], Some(true))), []);
    assert_eq!(redirected(&with_switch(&[(0, 1)], on), &pair), []);

    // A warning with a port that is not on the way is found.
    let answer = recommend(Question::new(&host, &Usage::empty(&host), &pair)).unwrap();
    let mut warnings = answer.best().warnings(Question::new(&host, &Usage::empty(&host), &pair));
    for warning in &mut warnings {
        if let Warning::RedirectedPeers { ports, .. } = warning {
            ports.push("01:00.0".parse().unwrap());
        }
    }
    let usage = Usage::empty(&host);
    let found =
        verify_warnings(Question::new(&host, &usage, &pair), &answer.best().placement, &warnings);
    assert_eq!(found.unwrap_err().as_slice().len(), 2);
}

#[test]
fn a_false_warning_is_found() {
    let (host, mut usage) = (host(), Usage::empty(&host()));
    usage.claim(&host, "beside", Claim { pages: vec![pages(0, 2)], ..dedicated("1,17") }).unwrap();
    usage.claim(&host, "full", dedicated("8-15,24-31")).unwrap();
    let request = request("vm", 2, 4, 0);
    let answer = recommend(Question::new(&host, &usage, &request)).unwrap();
    let best = answer.best();
    let mut warnings = best.warnings(Question::new(&host, &usage, &request));
    for warning in &mut warnings {
        if let Warning::SharedNodes { tenants, .. } = warning {
            *tenants = vec!["full".to_owned()];
        }
    }
    let found = verify_warnings(Question::new(&host, &usage, &request), &best.placement, &warnings)
        .unwrap_err();
    assert!(
        matches!(found.as_slice(), [WrongWarning::False { .. }, WrongWarning::Missing { .. }]),
        "{found:?}"
    );
}
