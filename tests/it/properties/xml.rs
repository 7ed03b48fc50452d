//! Through XML and back: a domain holds what its placement claims, beside all tenants that there
//! are, and putting the placement into its own domain changes nothing.

use std::collections::BTreeMap;

use pinwise::{Question, Style, Usage, emit, verify};
use pinwise_discover::libvirt::read_domain;

use super::scene::Scene;
use super::{ensure, for_cases};
use pinwise_testkit::claims;
use pinwise_testkit::common::checked;

#[test]
fn an_answers_domain_is_read_back_as_its_claim_and_stays_as_it_is() {
    let mut seen: BTreeMap<Style, u32> = BTreeMap::new();
    let mut exact = 0;
    for_cases(22, 150, |rng| {
        let scene = Scene::new(rng);
        let Ok(answer) = scene.answer() else { return Ok(()) };
        let (host, request) = (&scene.host, checked(&scene.request));
        for ranked in answer.ranked.iter().chain(&answer.baseline) {
            let placement = &ranked.placement;
            let legal = verify(Question::new(host, &scene.usage, &request), placement);
            legal.map_err(|violations| format!("{violations:?}\n{}", scene.text()))?;
            let xml = emit::libvirt::domain(placement).map_err(|error| error.to_string())?;
            let domain = read_domain(host, &xml).map_err(|error| format!("{error}\n{xml}"))?;
            let expected = claims::in_xml(placement, host);
            // Of a cell over several nodes nothing says which has how much.
            let shares = placement.cells.iter().all(|cell| cell.nodes.len() <= 1);
            let same = match shares {
                true => domain.claim == expected,
                false => {
                    claims::without_shares(domain.claim.clone()) == claims::without_shares(expected)
                }
            };
            ensure(same, || format!("{:?} of\n{xml}{}", domain.claim, scene.text()))?;
            exact += u32::from(shares);
            // It can run beside the tenants that were there.
            let mut tenants = scene.tenants.clone();
            tenants.push((domain.name, domain.claim));
            let beside = Usage::with_running(host, tenants);
            beside.map_err(|error| format!("{error} of\n{xml}{}", scene.text()))?;
            let again = pinwise_discover::libvirt::patch(placement, &xml)
                .map_err(|e| format!("{e}\n{xml}"))?;
            ensure(again == xml, || format!("{again}\nis not\n{xml}"))?;
            *seen.entry(placement.style).or_default() += 1;
        }
        Ok(())
    });
    println!("{seen:?}, {exact} to the page");
    assert!(seen.len() == Style::ALL.len() && seen.values().all(|n| *n >= 5), "{seen:?}");
    assert!(exact > 100, "{exact}");
}
