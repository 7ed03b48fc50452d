//! Near misses: each is told with the right numbers, and the smaller VM keeps what it says.

use pinwise::changes::{NearMiss, near_misses};
use pinwise::engine::L3Use;
use pinwise::units::NodeId;
use pinwise::{
    Bytes, Host, PageSize, Question, Ranked, RequestSpec, Style, Usage, Workload, explain,
};
use pinwise_testkit::common::{ask, checked, description, gpu_vm, host, hosts, these, vm};

fn misses(host: &Host, request: &RequestSpec) -> (Ranked, Vec<NearMiss>) {
    let (usage, request) = (Usage::empty(host), checked(request));
    let question = Question::new(host, &usage, &request);
    let answer = pinwise::recommend(question).unwrap();
    let misses = near_misses(question, answer.best());
    let text = explain(question, &answer);
    for miss in &misses {
        assert!(text.contains(&format!("\nNote: {miss}.\n")), "{miss}\n{text}");
    }
    (answer.best().clone(), misses)
}

/// The VM without what is too much.
fn smaller(request: &RequestSpec, fewer: u32, less: Bytes) -> RequestSpec {
    let memory = Bytes(request.memory.0 - less.0);
    RequestSpec { vcpus: request.vcpus - fewer, memory, ..request.clone() }
}

#[test]
fn a_vm_that_leaves_its_gpus_node_for_seven_gib_is_told_so() {
    let mut described = description("hgx-h200");
    for pool in &mut described.nodes[1].pools {
        (pool.total, pool.free) = if pool.size == PageSize::GIB_1 { (57, 57) } else { (0, 0) };
    }
    let host = described.build().unwrap();
    let base = gpu_vm(16, 64, 1, Workload::GpuInference);
    let request = RequestSpec { gpus: these(&["9b:00.0"]), ..base };
    let (best, misses) = misses(&host, &request);
    assert!(best.profile.nodes > 1 || best.profile.gpus_remote > 0);
    let expected =
        NearMiss::OneNode { node: NodeId(1), gpus: 1, vcpus: 0, memory: Bytes::from_gib(7) };
    assert_eq!(misses, [expected]);
    assert_eq!(
        misses[0].to_string(),
        "with 7 GiB less memory all of the VM would be on node 1, with the GPU"
    );
    let less = smaller(&request, 0, Bytes::from_gib(7));
    let best = ask(&host, &less).unwrap().best().clone();
    assert!(best.profile.nodes == 1 && best.profile.gpus_local());
}

#[test]
fn a_vm_with_two_vcpus_more_than_an_l3_domain_has_cores_is_told_so() {
    let host = host("mi350x");
    let request = RequestSpec { workload: Workload::CpuThroughput, ..vm(9, 16) };
    let (best, misses) = misses(&host, &request);
    assert_eq!((best.placement.style, best.profile.l3), (Style::Pin, L3Use::Fewest));
    let node = best.placement.nodes().first().unwrap();
    let expected = NearMiss::L3Domains { node, cores: 9, domains: 2, fit: 8, vcpus: Some(1) };
    assert_eq!(misses, [expected]);
    assert_eq!(
        misses[0].to_string(),
        format!(
            "the 9 cores on node {node} are in 2 L3 domains, and 8 would fit one: 1 vCPU fewer would do"
        )
    );
    // Far from one domain, the VM is told what it spans.
    let (_, misses) = self::misses(&host, &RequestSpec { vcpus: 16, ..request.clone() });
    let spans =
        |miss: &NearMiss| matches!(miss, NearMiss::L3Domains { cores: 16, vcpus: None, .. });
    assert!(misses.iter().any(spans), "{misses:?}");
    // In one domain, there is nothing to say.
    assert!(self::misses(&host, &RequestSpec { vcpus: 8, ..request }).1.is_empty());
}

#[test]
fn what_a_near_miss_says_of_the_smaller_vm_is_so() {
    let (mut nodes, mut domains) = (0, 0);
    for host in hosts() {
        for workload in [Workload::General, Workload::GpuTraining, Workload::CpuThroughput] {
            for (vcpus, gib, gpus) in
                [(5, 8, 0), (9, 16, 1), (17, 700, 1), (50, 64, 2), (52, 800, 0), (66, 256, 4)]
            {
                let request = gpu_vm(vcpus, gib, gpus, workload);
                let Ok(answer) = ask(&host, &request) else { continue };
                let style = answer.best().placement.style;
                let best = |request: &RequestSpec| {
                    let answer = ask(&host, request).unwrap();
                    let mut ranked = answer.ranked.into_iter();
                    let like = |r: &Ranked| style.shows_cells() || r.placement.style == style;
                    ranked.find(like).unwrap()
                };
                for miss in misses(&host, &request).1 {
                    let about = format!("{}, {request:?}: {miss}", host.name());
                    match miss {
                        NearMiss::OneNode { node, vcpus, memory, .. } => {
                            nodes += 1;
                            let best = best(&smaller(&request, vcpus, memory));
                            assert_eq!(
                                best.placement.nodes(),
                                [node].into_iter().collect(),
                                "{about}"
                            );
                            assert!(gpus == 0 || best.profile.gpus_local(), "{about}");
                        }
                        NearMiss::L3Domains { cores, domains: n, fit, vcpus, .. } => {
                            assert!(n > 1 && cores > 1 && fit > 0, "{about}");
                            let Some(fewer) = vcpus else { continue };
                            domains += 1;
                            let best = best(&smaller(&request, fewer, Bytes(0)));
                            assert_eq!(best.profile.l3, L3Use::One, "{about}");
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    assert!(nodes > 5 && domains > 5, "{nodes} near one node, {domains} near one domain");
}
