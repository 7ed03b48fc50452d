//! Refusals typed out: each fact with its numbers, decisive first.

mod common;

use common::{ask, vm};
use pinwise::{
    Bytes, CoreKind, CoreSpec, Fact, Host, HostBuilder, NodeId, NodeSpec, PackageId, PcpuId,
    Policies, Policy, RequestBuilder, Style,
};

/// One node of so many cores with one or two pCPUs each; the first is the host's.
fn host(cores: u32, threads: u32) -> Host {
    let core = |core: u32| CoreSpec {
        package: PackageId(0),
        die: 0,
        core,
        kind: CoreKind::Performance,
        max_mhz: None,
        pcpus: (0..threads).map(|thread| PcpuId(core + thread * cores)).collect(),
    };
    let node = NodeSpec {
        id: NodeId(0),
        cpus: (0..cores * threads).map(PcpuId).collect(),
        memory: Bytes::from_gib(64),
        pools: Vec::new(),
        distances: Vec::new(),
    };
    HostBuilder {
        name: "one-node".to_owned(),
        nodes: vec![node],
        cores: (0..cores).map(core).collect(),
        ..HostBuilder::default()
    }
    .build()
    .unwrap()
}

/// What keeps a style from fitting.
fn facts(host: &Host, request: &RequestBuilder, style: Style) -> Vec<Fact> {
    let refusal = ask(host, request).expect_err("it fits nowhere");
    let mut rejected = refusal.rejected.into_iter();
    rejected.find(|rejection| rejection.style == style).expect("every style is told of").facts
}

#[test]
fn no_room_for_the_emulator_is_said_in_pcpus() {
    use Policy::{Ignore, Require};
    // Of six cores five are left. With one pCPU each: one beside four vCPUs, none beside five. With two,
    // a core that has a vCPU is taken whole, and four pCPUs are left beside three. The only core of a
    // host is the VM's. vCPUs that float take a pCPU each, wherever.
    for ((cores, threads), (vcpus, emulator), (dedicated, whole), style, (needed, free)) in [
        ((6, 1), (4, 2), (Require, Require), Style::Pin, (2, 1)),
        ((6, 1), (4, 3), (Require, Require), Style::Pin, (3, 1)),
        ((6, 1), (5, 1), (Require, Require), Style::Pin, (1, 0)),
        ((6, 2), (5, 1), (Require, Require), Style::Pin, (1, 0)),
        ((6, 2), (3, 8), (Require, Ignore), Style::Pin, (8, 4)),
        ((4, 2), (6, 1), (Require, Require), Style::PinSmt, (1, 0)),
        ((4, 2), (4, 3), (Require, Require), Style::PinSmt, (3, 2)),
        ((6, 2), (8, 3), (Ignore, Ignore), Style::Pin, (3, 2)),
        ((1, 1), (1, 0), (Require, Require), Style::Pin, (1, 0)),
        ((1, 2), (2, 0), (Require, Require), Style::PinSmt, (1, 0)),
    ] {
        let policies =
            Policies { dedicated_cpus: dedicated, whole_cores: whole, ..Policies::default() };
        let request = RequestBuilder { policies, emulator_pcpus: emulator, ..vm(vcpus, 4) };
        let facts = facts(&host(cores, threads), &request, style);
        let wanted = [Fact::NoEmulatorPcpu { needed, free }];
        assert_eq!(facts, wanted, "{cores} x {threads}, {vcpus} + {emulator}, {style}");
    }
}
