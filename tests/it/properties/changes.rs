//! Every change that is proposed makes it fit.

use std::collections::BTreeMap;

use pinwise::changes::{Change, smallest_changes};
use pinwise::host::PagePool;
use pinwise::request::GpuRequest;
use pinwise::units::NodeId;
use pinwise::{HostSpec, PageSize, Policy, Question};

use pinwise_testkit::common::checked;
use pinwise_testkit::rng::Rng;
use super::scene::{HOSTS, Scene, pool_total};
use super::{ensure, policy_of};

/// Hugepages made of the free base pages of a node.
fn more_pages(mut host: HostSpec, node: NodeId, size: PageSize, more: u64) -> HostSpec {
    let node = host.nodes.iter_mut().find(|spec| spec.id == node).unwrap();
    let base = node.pools.iter_mut().find(|pool| !pool.size.is_huge()).unwrap();
    let taken = more * (size.bytes() / base.size.bytes());
    (base.total, base.free) = (base.total - taken, base.free - taken);
    match node.pools.iter_mut().find(|pool| pool.size == size) {
        Some(pool) => (pool.total, pool.free) = (pool.total + more, pool.free + more),
        None => node.pools.push(PagePool { size, total: more, free: more }),
    }
    host
}

/// The scene after a change that was proposed.
fn changed(scene: &Scene, change: &Change) -> Result<Scene, String> {
    let mut other = scene.clone();
    let request = &mut other.request;
    match *change {
        Change::FewerVcpus { vcpus } => {
            ensure(vcpus < request.spec().vcpus, || "not fewer".to_owned())?;
            request.spec().vcpus = vcpus;
        }
        Change::LessMemory { memory } => {
            ensure(memory < request.spec().memory, || "not less".to_owned())?;
            request.spec().memory = memory;
        }
        Change::OtherPageSize { size } => {
            ensure(request.spec().page_size.is_some_and(|wanted| wanted != size), || {
                "no other".into()
            })?;
            request.spec().page_size = Some(size);
        }
        Change::FewerGpus { gpus } => {
            let GpuRequest::Count { count, .. } = &mut request.spec().gpus else {
                return Err("the GPUs are not counted".to_owned());
            };
            ensure(gpus < *count, || "not fewer".to_owned())?;
            *count = gpus;
        }
        Change::Relax { property } => {
            let policy = policy_of(&mut request.spec().policies, property);
            ensure(*policy == Policy::Require, || "not required".to_owned())?;
            *policy = Policy::Prefer;
        }
        Change::MorePages { node, size, more, total } => {
            other.description = more_pages(scene.host.description().clone(), node, size, more);
            other.host = other.description.clone().build().map_err(|error| error.to_string())?;
            let now = pool_total(&other.host, node, size);
            ensure(now == total, || format!("{now} pages, not {total}"))?;
        }
        _ => return Err("a change that nobody can make".to_owned()),
    }
    Ok(other)
}

#[test]
fn every_proposed_change_makes_it_fit() {
    let (mut refusals, mut seen) = (0, BTreeMap::<String, u32>::new());
    // The smaller hosts: a proposal asks many times.
    let hosts = [HOSTS[0], HOSTS[1], HOSTS[2], HOSTS[4], HOSTS[4], HOSTS[5]];
    for case in 0.. {
        let mut rng = Rng::new(10_000_000 + case);
        let name = rng.pick(&hosts);
        let scene = Scene::on(&mut rng, name);
        if scene.answer().is_ok() {
            continue;
        }
        let asked = checked(&scene.request);
        let changes =
            smallest_changes(Question::new(&scene.host, &scene.usage, &asked).with(&scene.options));
        for change in &changes {
            let text = format!("{change:?}");
            let answer = changed(&scene, change).map(|scene| scene.answer());
            let fits = answer.as_ref().is_ok_and(Result::is_ok);
            assert!(fits, "case {case}: {text} {:?}\n{}", answer.err(), scene.text());
            let kind: String = text.chars().take_while(|c| c.is_alphanumeric()).collect();
            *seen.entry(kind).or_default() += 1;
        }
        if changes.is_empty() {
            *seen.entry("none".to_owned()).or_default() += 1;
        }
        refusals += 1;
        if refusals == 100 {
            break;
        }
    }
    println!("{seen:?}");
    for kind in ["FewerVcpus", "LessMemory", "OtherPageSize", "FewerGpus", "Relax", "MorePages"] {
        assert!(seen.contains_key(kind), "{kind} is never proposed: {seen:?}");
    }
}
