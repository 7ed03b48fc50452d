//! A host's life: what comes is there, what goes leaves nothing behind.

use std::collections::{BTreeMap, BTreeSet};

use pinwise::request::Wish;
use pinwise::units::NodeId;
use pinwise::{CpuSet, PageSize, Question, Usage, recommend, verify};

use pinwise_testkit::common::checked;
use super::scene::{Scene, pool_total, request, tenant};
use super::{ensure, for_cases};

#[test]
fn release_undoes_a_claim_and_a_refused_claim_does_nothing() {
    let refused = std::cell::Cell::new(0);
    for_cases(7, 300, |rng| {
        let scene = Scene::new(rng);
        let mut usage = scene.usage.clone();
        let before = format!("{:?}", usage.held());
        let mut claim = tenant(rng, &scene.host, &usage);
        if rng.percent(50) {
            // A part that may be too much comes last.
            let other = tenant(rng, &scene.host, &Usage::empty(&scene.host));
            claim.dedicated.extend(&other.dedicated);
            claim.pages.extend(other.pages);
            claim.devices.extend(other.devices);
        }
        let name = if rng.percent(10) { "tenant0" } else { "further" };
        match usage.claim(&scene.host, name, claim.clone()) {
            Ok(()) => {
                ensure(format!("{:?}", usage.held()) != before, || {
                    "no tenant is there".to_owned()
                })?;
                let back = usage.release(name).map_err(|error| error.to_string())?;
                ensure(back == claim, || format!("{back:?}\n{claim:?}"))?;
            }
            Err(_) => refused.set(refused.get() + 1),
        }
        let same = usage == scene.usage && format!("{:?}", usage.held()) == before;
        ensure(same, || format!("{before}\n{usage:?}\n{claim:?}\n{}", scene.text()))
    });
    assert!((40..200).contains(&refused.get()), "{} of 300 claims are refused", refused.get());
}

/// The sums over the tenants that no host can exceed.
fn check_sums(scene: &Scene, usage: &Usage) -> Result<(), String> {
    let (mut pcpus, mut devices) = (CpuSet::new(), BTreeSet::new());
    let mut pages: BTreeMap<(Option<NodeId>, PageSize), u64> = BTreeMap::new();
    for (name, claim) in usage.tenants() {
        let twice = claim.dedicated.intersection(&pcpus);
        ensure(twice.is_empty(), || format!("{name} has pCPUs {twice} that others have"))?;
        pcpus.extend(&claim.dedicated);
        for device in &claim.devices {
            ensure(devices.insert(*device), || format!("{name} has {device} that others have"))?;
        }
        for page in &claim.pages {
            *pages.entry((None, page.size)).or_default() += page.count;
            if page.node.is_some() {
                *pages.entry((page.node, page.size)).or_default() += page.count;
            }
        }
    }
    let host = &scene.host;
    for ((node, size), held) in pages {
        let all = host.nodes().iter().map(|n| pool_total(host, n.id, size)).sum();
        let total = node.map_or(all, |node| pool_total(host, node, size));
        ensure(held <= total, || format!("{held} pages of {size} of {total} on {node:?}"))?;
    }
    Ok(())
}

#[test]
fn a_host_fills_up_and_empties_again() {
    let placed = std::cell::Cell::new(0);
    for_cases(8, 100, |rng| {
        let mut scene = Scene::new(rng);
        let mut usage = Usage::empty(&scene.host);
        scene.request.spec().vcpus = rng.between(1, scene.host.cores().len() / 4) as u32;
        scene.request.spec().cells = Wish::Auto;
        let same = rng.percent(50);
        let (mut names, mut refused): (Vec<String>, u32) = (Vec::new(), 0);
        while names.len() < 30 && refused < 6 {
            let asked = checked(&scene.request);
            let answer = recommend(Question::new(&scene.host, &usage, &asked).with(&scene.options));
            let Ok(answer) = answer else {
                // The same VM over and over, once there is one that fits; else six more are tried.
                refused += if same && !names.is_empty() { 6 } else { 1 };
                scene.request = request(rng, &scene.host);
                continue;
            };
            for ranked in &answer.ranked {
                let legal = verify(Question::new(&scene.host, &usage, &asked), &ranked.placement);
                legal.map_err(|violations| format!("{violations:?}\n{}", scene.text()))?;
            }
            let name = format!("vm{}", names.len());
            let claim = rng.pick(&answer.ranked).placement.claim();
            let claimed = usage.claim(&scene.host, &name, claim);
            claimed.map_err(|error| format!("{error}\n{}", scene.text()))?;
            names.push(name);
            check_sums(&scene, &usage)?;
            if !same {
                scene.request = request(rng, &scene.host);
            }
        }
        placed.set(placed.get() + names.len());
        rng.shuffle(&mut names);
        for name in &names {
            usage.release(name).map_err(|error| error.to_string())?;
        }
        let empty = Usage::empty(&scene.host);
        let same = usage == empty && format!("{:?}", usage.held()) == format!("{:?}", empty.held());
        ensure(same, || format!("{usage:?}\n{empty:?}"))
    });
    assert!(placed.get() > 200, "only {} VMs were placed", placed.get());
}
