//! What the engine recommends audits clean, whatever the host, its tenants and the request.

use std::collections::BTreeMap;

use pinwise::audit::{AuditId, Found, audit};
use pinwise::request::GpuRequest;
use pinwise::{Host, Placement, Question, RequestSpec, Style, Usage, emit, recommend};
use pinwise_discover::libvirt::{domain_as_is, request_of_domain};
use pinwise_testkit::common::{checked, hosts, sentences, vm};
use pinwise_testkit::tiny;

use super::scene::Scene;
use super::{ensure, for_cases};

/// Findings about hardware that the request named, or that every choice had: no layout mends them.
const HARDWARE: [AuditId; 4] =
    [AuditId::DegradedLinks, AuditId::GroupLost, AuditId::NoPartition, AuditId::NicApart];

/// The request with the GPUs and devices of the placement by address.
fn by_address(request: &RequestSpec, placement: &Placement) -> RequestSpec {
    let gpus = placement.gpus().map(|gpu| gpu.address).collect();
    let others = placement.devices.iter().filter(|device| !device.is_gpu);
    RequestSpec {
        gpus: GpuRequest::Addresses(gpus),
        devices: others.map(|device| device.address).collect(),
        device_wishes: Vec::new(),
        ..request.clone()
    }
}

fn found(host: &Host, usage: &Usage, request: &RequestSpec, xml: &str) -> Vec<Found> {
    let as_is = domain_as_is(host, xml).unwrap().domain;
    let request = checked(request);
    let mut found = audit(Question::new(host, usage, &request), &as_is);
    found.retain(|found| !HARDWARE.contains(&found.id));
    found
}

#[test]
fn what_is_recommended_audits_clean() {
    let (mut seen, mut clean) = (BTreeMap::<Style, u32>::new(), 0);
    for_cases(91, 150, |rng| {
        let scene = Scene::new(rng);
        let Ok(answer) = scene.answer() else { return Ok(()) };
        let best = &answer.best().placement;
        let xml = emit::libvirt::domain(best).map_err(|error| error.to_string())?;
        let request = by_address(&scene.request, best);
        let as_is = domain_as_is(&scene.host, &xml).map_err(|e| format!("{e}\n{xml}"))?.domain;
        let built = checked(&request);
        let question = Question::new(&scene.host, &scene.usage, &built).with(&scene.options);
        let mut found = audit(question, &as_is);
        found.retain(|found| !HARDWARE.contains(&found.id));
        ensure(found.is_empty(), || {
            let said = sentences(&found);
            format!("{said:#?}\n{xml}\n{}", scene.text())
        })?;
        clean += 1;
        *seen.entry(best.style).or_default() += 1;
        Ok(())
    });
    println!("{clean} clean: {seen:?}");
    assert!(clean >= 50, "{clean}");
}

#[test]
fn on_small_hosts_too() {
    let mut clean = 0;
    for_cases(92, 300, |rng| {
        let case = tiny::drawn(rng);
        let built = case.build().unwrap();
        let asked = Question::new(&built.host, &built.usage, &built.request).with(&case.options);
        let Ok(answer) = recommend(asked) else { return Ok(()) };
        let best = &answer.best().placement;
        // Pools as small as here, a core or a pCPU, look like pins.
        if best.style.floats() {
            return Ok(());
        }
        let xml = emit::libvirt::domain(best).map_err(|error| error.to_string())?;
        let as_is = domain_as_is(&built.host, &xml).map_err(|e| format!("{e}\n{xml}"))?.domain;
        let request = checked(&by_address(&case.request, best));
        let question = Question::new(&built.host, &built.usage, &request).with(&case.options);
        let mut found = audit(question, &as_is);
        found.retain(|found| !HARDWARE.contains(&found.id));
        ensure(found.is_empty(), || {
            let said = sentences(&found);
            format!("{said:#?}\n{xml}\n{}", case.text())
        })?;
        clean += 1;
        Ok(())
    });
    println!("{clean} clean");
    assert!(clean >= 100, "{clean}");
}

#[test]
fn a_recommended_domain_audits_clean_as_the_request_that_it_makes_itself() {
    for host in hosts() {
        let usage = Usage::empty(&host);
        for (vcpus, gib, gpus) in [(4, 8, 0), (8, 16, 1), (16, 32, 2), (32, 64, 4)] {
            let gpus = GpuRequest::Count { count: gpus, model: None };
            let spec = RequestSpec { gpus, ..vm(vcpus, gib) };
            let asked = checked(&spec);
            let Ok(answer) = recommend(Question::new(&host, &usage, &asked)) else {
                continue;
            };
            let xml = emit::libvirt::domain(&answer.best().placement).unwrap();
            let request = request_of_domain(&host, &xml).unwrap().request;
            let found = found(&host, &usage, &request, &xml);
            assert_eq!(sentences(&found), [""; 0], "{} {vcpus}\n{xml}", host.name());
        }
    }
}

#[test]
fn beside_any_tenants_too() {
    let mut clean = 0;
    for_cases(93, 150, |rng| {
        let Scene { host, usage, request, .. } = Scene::new(rng);
        let size = RequestSpec::new("vm1", request.vcpus, request.memory);
        let asked = checked(&RequestSpec { gpus: request.gpus, ..size });
        let Ok(answer) = recommend(Question::new(&host, &usage, &asked)) else { return Ok(()) };
        let xml = emit::libvirt::domain(&answer.best().placement).map_err(|e| e.to_string())?;
        let request = request_of_domain(&host, &xml).map_err(|e| e.to_string())?.request;
        let said = sentences(&found(&host, &usage, &request, &xml));
        ensure(said.is_empty(), || format!("{said:#?}\n{xml}\n{}", host.name()))?;
        clean += 1;
        Ok(())
    });
    assert!(clean > 50, "{clean}");
}
