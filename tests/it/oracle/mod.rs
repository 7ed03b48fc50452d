//! A brute-force oracle on tiny hosts. It proves that an answer is legal, that nothing legal scores
//! better, in all and within each style, and that "infeasible" has no legal placement.

mod brute;
mod shrink;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pinwise::engine::{Profile, Rejection, score};
use pinwise::host::Reserve;
use pinwise::request::GpuRequest;
use pinwise::{Bytes, Policy, Question, Style, verify};

use pinwise_testkit::case::Case;
use pinwise_testkit::rng::Rng;
use pinwise_testkit::{tiny, virtual_functions};

/// So many cases where `PINWISE_ORACLE` says no other number; the seeds are the numbers below.
const CASES: u64 = 8000;

/// What came out of one case, for the spread.
struct Outcome {
    winner: Option<Style>,
    styles: Vec<Style>,
    tried: usize,
    case: Case,
}

/// A broken promise: its kind, by which cases are counted, and the particulars.
struct Failure {
    kind: String,
    detail: String,
}

fn failure(kind: impl Into<String>, detail: impl Into<String>) -> Failure {
    Failure { kind: kind.into(), detail: detail.into() }
}

fn check(case: &Case) -> Result<Outcome, Failure> {
    let built = case.build().expect("the case holds together");
    let answer = catch_unwind(AssertUnwindSafe(|| built.recommend(&case.options)));
    let answer = answer.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned().unwrap_or_else(|| {
            panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).unwrap_or_default()
        });
        failure(format!("panic: {} {}", text.lines().next().unwrap_or(""), sides(&text)), text)
    })?;
    let found = brute::search(&built, &case.options);
    let (ranked, rejected) = match answer {
        Ok(answer) => (answer.ranked, answer.rejected),
        Err(refused) => (Vec::new(), refused.rejected),
    };
    for row in &ranked {
        let placement = &row.placement;
        if let Err(violations) =
            verify(Question::new(&built.host, &built.usage, &built.request), placement)
        {
            let kinds: Vec<String> =
                violations.iter().map(|v| name_of(&format!("{v:?}"))).collect();
            return Err(failure(
                format!("{} is illegal: {}", placement.style, kinds.join(" ")),
                format!("{violations:?}\n{placement:#?}"),
            ));
        }
        let profile = Profile::of(&built.host, &built.request, placement);
        let profile = profile.beside(&built.host, &built.usage, placement);
        if profile != row.profile {
            return Err(failure(
                "the profile is another",
                format!("{:#?}\n{profile:#?}", row.profile),
            ));
        }
        if score(&built.request, &case.options, &profile, 0) != row.score {
            return Err(failure("the score is another", format!("{:?}", row.score)));
        }
    }
    if !ranked.is_sorted_by_key(|row| std::cmp::Reverse(row.score.total)) {
        return Err(failure("the ranking decreases", ""));
    }
    let spec = built.request.spec();
    let is_asked = |style: &Style| match style.floats() {
        true => spec.shared.is_some() || spec.policies.dedicated_cpus != Policy::Require,
        false => spec.shared.is_none(),
    };
    for style in Style::ALL.into_iter().skip(1).filter(is_asked) {
        let of_style = |rejection: &&Rejection| rejection.style == style;
        let row = ranked.iter().find(|row| row.placement.style == style);
        let rejection = rejected.iter().find(of_style);
        match (row, found.best.get(&style)) {
            (None, None) => {}
            (None, Some((score, placement))) => {
                let facts =
                    rejection.map(|rejection| rejection.facts.as_slice()).unwrap_or_default();
                let facts: Vec<_> =
                    facts.iter().map(|fact| name_of(&format!("{fact:?}"))).collect();
                return Err(failure(
                    format!("{style} is refused and possible: {}", facts.join(" ")),
                    format!("{score:?} {rejection:?}\n{placement:#?}"),
                ));
            }
            (Some(row), None) => {
                return Err(failure(
                    format!("{style}: the oracle missed it"),
                    format!("{:#?}", row.placement),
                ));
            }
            (Some(row), Some((best, placement))) if row.score.total != best.total => {
                let kind = if row.score.total < best.total {
                    "is not the best"
                } else {
                    "beats the oracle"
                };
                let ours = Profile::of(&built.host, &built.request, &row.placement);
                let theirs = Profile::of(&built.host, &built.request, placement);
                return Err(failure(
                    format!("{style} {kind}: {}", differences(&ours, &theirs)),
                    format!("{:?} for {best:?}\n{:#?}\n{placement:#?}", row.score, row.placement),
                ));
            }
            _ => {}
        }
        if row.is_some() == rejection.is_some() {
            return Err(failure(format!("{style} is not either ranked or rejected"), ""));
        }
        if rejection.is_some_and(|rejection| rejection.facts.is_empty()) {
            return Err(failure(format!("{style} is rejected without a fact"), ""));
        }
    }
    Ok(Outcome {
        winner: ranked.first().map(|row| row.placement.style),
        styles: ranked.iter().map(|row| row.placement.style).collect(),
        tried: found.tried,
        case: case.clone(),
    })
}

/// The names of the fields in which two profiles differ.
fn differences(a: &Profile, b: &Profile) -> String {
    let (a, b) = (format!("{a:#?}"), format!("{b:#?}"));
    let differ = a.lines().zip(b.lines()).filter(|(a, b)| a != b);
    differ.map(|(a, _)| name_of(a.trim())).collect::<Vec<_>>().join(" ")
}

/// The fields in which the two sides of a failed `assert_eq` differ.
fn sides(panic: &str) -> String {
    let side =
        |name: &str| panic.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap_or("");
    let pairs = side("left: ").split(", ").zip(side("right: ").split(", "));
    pairs.filter(|(a, b)| a != b).map(|(a, b)| format!("{a} not {b}; ")).collect()
}

fn name_of(debug: &str) -> String {
    debug.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[allow(clippy::disallowed_methods, reason = "a test is told by the environment how long to look")]
fn cases() -> u64 {
    std::env::var("PINWISE_ORACLE").map_or(CASES, |number| number.parse().expect("a number"))
}

#[test]
fn no_legal_placement_beats_the_answer_and_no_refusal_is_wrong() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut failures: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut outcomes = Vec::new();
    for seed in 0..cases() {
        match check(&tiny::case(seed)) {
            Ok(outcome) => outcomes.push(outcome),
            Err(failure) => failures.entry(failure.kind).or_default().push(seed),
        }
    }
    let kinds: Vec<String> =
        failures.iter().map(|(kind, seeds)| format!("{} x {kind}", seeds.len())).collect();
    println!("{}", kinds.join("\n"));
    let reports: Vec<String> = failures.iter().take(6).map(report).collect();
    std::panic::set_hook(hook);
    print_spread(&outcomes);
    assert!(failures.is_empty(), "{}\n\n{}", kinds.join("\n"), reports.join("\n"));
    assert_spread(&outcomes);
}

/// The tiny case of a seed with virtual functions; `None` where it does not hold together.
fn split(seed: u64) -> Option<Case> {
    virtual_functions::split_case(&mut Rng::new(seed ^ 0x5eed), tiny::case(seed), 3)
}

#[test]
fn the_same_holds_on_hosts_with_virtual_functions() {
    let (mut seen, mut failures) = ([0; 4], Vec::new());
    for seed in 0..cases() / 4 {
        let Some(case) = split(seed) else { continue };
        let place = match case.request.gpus {
            GpuRequest::VfOf { .. } => 0,
            GpuRequest::Count { .. } => 1,
            GpuRequest::Addresses(_) => 2,
        };
        match check(&case) {
            Ok(outcome) => {
                seen[place] += 1;
                seen[3] += usize::from(outcome.winner.is_some());
            }
            Err(failure) => failures.push((seed, failure)),
        }
    }
    if let Some((seed, failure)) = failures.first() {
        let fails = |case: &Case| check(case).err().is_some_and(|f| f.kind == failure.kind);
        let case = shrink::smallest(split(*seed).unwrap(), fails);
        let detail = check(&case).err().map(|failure| failure.detail).unwrap_or_default();
        let kinds: Vec<&str> = failures.iter().map(|(_, failure)| &*failure.kind).collect();
        panic!("{kinds:#?}\nseed {seed}: {}\n{}{detail}", failure.kind, case.text());
    }
    println!("{seen:?} of each kind of request, and answered");
    let [of_functions, whole, named, answered] = seen;
    assert!(of_functions > 100 && whole > 100 && named > 20 && answered > 200, "{seen:?}");
}

/// The first case of a kind, made as small as it goes.
fn report((kind, seeds): (&String, &Vec<u64>)) -> String {
    let fails = |case: &Case| check(case).err().is_some_and(|failure| failure.kind == *kind);
    let case = shrink::smallest(tiny::case(seeds[0]), fails);
    let detail = check(&case).err().map(|failure| failure.detail).unwrap_or_default();
    format!("=== {kind} (seed {})\n{}{detail}\n", seeds[0], case.text())
}

fn counts(outcomes: &[Outcome]) -> BTreeMap<String, usize> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut count = |what: String| *counts.entry(what).or_default() += 1;
    for outcome in outcomes {
        let Outcome { winner, styles, case, .. } = outcome;
        match winner {
            Some(style) => count(format!("{style} wins")),
            None => count("infeasible".into()),
        }
        styles.iter().for_each(|style| count(format!("{style} is possible")));
        let Case { host, tenants, request, .. } = case;
        count(format!("{} nodes", host.nodes.len()));
        count(format!("{} tenants", tenants.len()));
        count(format!("{} GPUs asked for", request.gpus.count()));
        count(format!("for {}", request.workload));
        count(format!("{} L3 domains", host.l3_domains.len().min(3)));
        count(format!("page size {:?}", request.page_size.map(|size| size.to_string())));
        for (what, is) in [
            ("SMT", host.cores.iter().any(|core| core.pcpus.len() > 1)),
            ("linked GPUs", !host.gpu_links.is_empty()),
            ("fabric partitions", !host.fabric_partitions.is_empty()),
            ("GPUs by address", matches!(request.gpus, GpuRequest::Addresses(_))),
            ("reserved pCPUs", host.reserved != Reserve::Auto),
            ("disallowed pCPUs", host.allowed.is_some()),
            ("emulator pCPUs", request.emulator_pcpus > 0),
            ("even cells", request.even_cells),
            ("other devices", !request.devices.is_empty()),
            ("held to pCPUs", request.cpus.is_some()),
            ("held to nodes", request.nodes.is_some()),
            ("memory held to nodes", request.memory_nodes.is_some()),
            ("L3 domains of its own", request.policies.own_l3 != Policy::Ignore),
            ("shared pCPUs", request.shared.is_some()),
            ("a tenant that shares", tenants.iter().any(|(_, c)| c.floating_vcpus > 0)),
            ("an isolated tenant", tenants.iter().any(|(_, c)| c.whole_cores || c.own_l3)),
            ("a node without memory", host.nodes.iter().any(|node| node.memory == Bytes::ZERO)),
            ("a node without CPUs", host.nodes.iter().any(|node| node.cpus.is_empty())),
        ] {
            count(format!("{what}: {is}"));
        }
    }
    counts
}

fn print_spread(outcomes: &[Outcome]) {
    let tried: usize = outcomes.iter().map(|outcome| outcome.tried).sum();
    println!("{} cases, {tried} placements scored", outcomes.len());
    for (what, count) in counts(outcomes) {
        println!("{count:6}  {what}");
    }
}

/// A generator that misses a thing proves nothing about it.
fn assert_spread(outcomes: &[Outcome]) {
    let counts = counts(outcomes);
    let percent =
        |what: &str| counts.get(what).copied().unwrap_or(0) as f64 * 100.0 / outcomes.len() as f64;
    let infeasible = percent("infeasible");
    assert!((10.0..60.0).contains(&infeasible), "{infeasible}% are infeasible");
    for style in Style::ALL.into_iter().skip(1) {
        assert!(percent(&format!("{style} is possible")) >= 1.2, "{style} is rarely possible");
        assert!(percent(&format!("{style} wins")) >= 0.2, "{style} rarely wins");
    }
    for (what, least) in [
        ("1 nodes", 20.0),
        ("2 nodes", 40.0),
        ("0 GPUs asked for", 20.0),
        ("1 GPUs asked for", 20.0),
        ("2 GPUs asked for", 10.0),
        ("SMT: true", 30.0),
        ("SMT: false", 20.0),
        ("0 L3 domains", 10.0),
        ("3 L3 domains", 10.0),
        ("linked GPUs: true", 10.0),
        ("fabric partitions: true", 10.0),
        ("GPUs by address: true", 5.0),
        ("reserved pCPUs: true", 20.0),
        ("disallowed pCPUs: true", 10.0),
        ("emulator pCPUs: true", 10.0),
        ("even cells: true", 8.0),
        ("other devices: true", 5.0),
        ("held to pCPUs: true", 8.0),
        ("held to nodes: true", 5.0),
        ("memory held to nodes: true", 3.0),
        ("L3 domains of its own: true", 8.0),
        ("an isolated tenant: true", 5.0),
        ("shared pCPUs: true", 7.0),
        ("a tenant that shares: true", 15.0),
        ("a node without memory: true", 2.5),
        ("a node without CPUs: true", 0.3),
        ("0 tenants", 20.0),
        ("3 tenants", 5.0),
    ] {
        assert!(percent(what) >= least, "{what}: only {}%", percent(what));
    }
}
