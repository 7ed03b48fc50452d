//! GPUs and NICs that share a switch on the host share one in the guest, in every layout but the
//! default one.

use std::collections::{BTreeMap, BTreeSet};

use pinwise_testkit::common::{host, vm};
use pinwise::emit::libvirt::domain;
use pinwise::request::GpuRequest;
use pinwise::{
    Host, Options, PciAddr, Placement, Question, RequestSpec, Style, Usage, recommend, verify,
};
use pinwise_discover::libvirt::patch;
use roxmltree::Document;

fn addresses(list: &[&str]) -> Vec<PciAddr> {
    list.iter().map(|text| text.parse().unwrap()).collect()
}

/// Every layout that is possible, each seen by the checker, the default one last.
fn layouts(host: &Host, gpus: &[&str], others: &[&str]) -> Vec<Placement> {
    let request = RequestSpec {
        gpus: GpuRequest::Addresses(addresses(gpus)),
        devices: addresses(others),
        ..vm(32, 64)
    };
    let request = request.build().unwrap();
    let usage = Usage::empty(host);
    let options = Options { all: true, ..Options::default() };
    let answer = recommend(Question::new(host, &usage, &request).with(&options)).unwrap();
    let all = answer.ranked.iter().chain(&answer.baseline).map(|ranked| ranked.placement.clone());
    let all: Vec<_> = all.collect();
    for placement in &all {
        assert_eq!(verify(Question::new(host, &usage, &request), placement), Ok(()));
    }
    all
}

/// The guest's switches: which host switch each stands for, and which host functions are below it.
fn switches(placement: &Placement) -> BTreeMap<PciAddr, BTreeSet<PciAddr>> {
    let pci = &placement.pci;
    let below = |switch: u32| {
        let on = |port: u32| pci.ports.iter().any(|p| p.index == port && p.parent == switch);
        pci.functions.iter().filter(|f| on(f.port)).map(|f| f.host).collect()
    };
    pci.switches.iter().map(|switch| (switch.host, below(switch.index))).collect()
}

fn set(list: &[&str]) -> BTreeSet<PciAddr> {
    addresses(list).into_iter().collect()
}

#[test]
fn two_gpus_and_a_nic_of_one_switch_are_neighbours_in_every_layout_but_the_default() {
    let host = host("mi350x");
    let layouts = layouts(&host, &["13:00.0", "14:00.0", "93:00.0"], &["15:00.0", "17:00.0"]);
    // The drive of that switch goes with them; the GPU of the other switch has nobody there.
    let together = set(&["13:00.0", "14:00.0", "15:00.0", "17:00.0"]);
    let mut cells = 0;
    for placement in &layouts {
        let expected = match placement.style {
            Style::Default => BTreeMap::new(),
            _ => BTreeMap::from([("11:00.0".parse().unwrap(), together.clone())]),
        };
        assert_eq!(switches(placement), expected, "{}", placement.style);
        cells += usize::from(!placement.pci.expanders.is_empty());
    }
    assert!(cells > 0 && layouts.iter().any(|p| p.style == Style::Default));
}

#[test]
fn neither_gpus_alone_nor_nics_alone_nor_strangers_get_a_switch() {
    let host = host("mi350x");
    for (gpus, others) in [
        (&["13:00.0", "14:00.0"][..], &[][..]),
        (&["13:00.0", "14:00.0"], &["17:00.0"]),
        (&["13:00.0"], &["55:00.0", "56:00.0"]),
        (&[], &["15:00.0", "16:00.0"]),
    ] {
        for placement in layouts(&host, gpus, others) {
            assert!(placement.pci.switches.is_empty(), "{gpus:?} {others:?} {}", placement.style);
        }
    }
}

#[test]
fn a_switch_in_the_domain_is_a_root_port_an_upstream_port_and_downstream_ports() {
    let host = host("hgx-h200");
    let layouts = layouts(&host, &["1b:00.0", "9b:00.0"], &["1c:00.0", "9c:00.0"]);
    let placement = layouts.iter().find(|p| p.pci.expanders.len() == 2).unwrap();
    let xml = domain(placement).unwrap();
    let document = Document::parse(&xml).unwrap();
    let controllers: BTreeMap<u32, (&str, Option<u32>)> = document
        .descendants()
        .filter(|node| node.has_tag_name("controller") && node.attribute("type") == Some("pci"))
        .map(|node| {
            let index = node.attribute("index").unwrap().parse().unwrap();
            let on = node.children().find(|child| child.has_tag_name("address"));
            let on = on.map(|on| on.attribute("bus").unwrap().trim_start_matches("0x"));
            let on = on.map(|bus| u32::from_str_radix(bus, 16).unwrap());
            (index, (node.attribute("model").unwrap(), on))
        })
        .collect();
    let mut chains = Vec::new();
    for node in document.descendants().filter(|node| node.has_tag_name("hostdev")) {
        let at = node.children().find(|child| child.has_tag_name("address")).unwrap();
        let bus = at.attribute("bus").unwrap().trim_start_matches("0x");
        let mut next = Some(u32::from_str_radix(bus, 16).unwrap());
        let mut chain = Vec::new();
        while let Some((model, on)) = next.and_then(|index| controllers.get(&index)) {
            chain.push(*model);
            next = *on;
        }
        chains.push(chain);
    }
    let chain = [
        "pcie-switch-downstream-port",
        "pcie-switch-upstream-port",
        "pcie-root-port",
        "pcie-expander-bus",
    ];
    assert_eq!(chains, vec![chain; 4], "{xml}");
    // A patch that brings the same again changes nothing; one without devices takes all of it away.
    assert_eq!(patch(placement, &xml).unwrap(), xml);
    let without = layouts_without(&host);
    let bare = patch(&without, &xml).unwrap();
    assert!(!bare.contains("switch") && !bare.contains("expander"), "{bare}");
    // And back: as many controllers as before.
    let again = patch(placement, &bare).unwrap();
    let count = |xml: &str| (xml.matches("<controller").count(), xml.matches("<hostdev").count());
    assert_eq!(count(&again), count(&xml), "{again}");
}

/// The same VM without devices.
fn layouts_without(host: &Host) -> Placement {
    layouts(host, &[], &[]).swap_remove(0)
}
