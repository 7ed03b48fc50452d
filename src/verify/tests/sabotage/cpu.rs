//! Pins, cores and who else is on them.

use super::super::scenes::{
    cpus, default, floating, lent, nodes, numa_smt, pin, smt, without_memory,
};
use super::{Sabotage, core, other, vcpu};
use crate::host::Reserve;
use crate::placement::{GuestTopology, Style};
use crate::request::{Policy, Sharing};
use crate::units::{Bytes, CellId, PcpuId, Ratio};
use crate::verify::CpuUser::{Emulator, EmulatorOwn, Idle, IoThread, Vcpu};
use crate::verify::Violation::*;

pub(super) fn cpus_broken() -> Vec<Sabotage> {
    vec![
        (pin, |s| s.placement.name = other(), Name { found: other(), wanted: "vm1".to_owned() }),
        (default, |s| s.placement.vcpus.push(cpus("")), VcpuCount { found: 5, wanted: 4 }),
        (pin, |s| s.placement.iothreads.clear(), IoThreadCount { found: 0, wanted: 1 }),
        (pin, |s| s.placement.emulator = cpus(""), NoPcpus { user: Emulator }),
        (pin, |s| s.placement.iothreads[0] = cpus(""), NoPcpus { user: IoThread(0) }),
        (floating, |s| s.placement.vcpus[3] = cpus(""), NoPcpus { user: Vcpu(vcpu(3)) }),
        (
            default,
            |s| s.placement.emulator = cpus("0"),
            DefaultPins { user: Emulator, pcpus: cpus("0") },
        ),
        (
            default,
            |s| s.placement.vcpus[1] = cpus("5"),
            DefaultPins { user: Vcpu(vcpu(1)), pcpus: cpus("5") },
        ),
        (
            pin,
            |s| s.placement.iothreads[0] = cpus("9,99"),
            NotOnline { user: IoThread(0), pcpus: cpus("99") },
        ),
        (
            floating,
            |s| s.placement.vcpus[0] = cpus("1,16383"),
            NotOnline { user: Vcpu(vcpu(0)), pcpus: cpus("16383") },
        ),
        (
            pin,
            |s| s.placement.emulator = cpus("0,7"),
            NotAllowed { user: Emulator, pcpus: cpus("7") },
        ),
        (
            smt,
            |s| {
                s.placement.vcpus[2] = cpus("7");
                s.placement.vcpus[3] = cpus("5");
                s.placement.topology = GuestTopology { sockets: 1, dies: 1, cores: 4, threads: 1 };
                s.placement.style = Style::Pin;
                s.placement.topoext = false;
                s.placement.vcpus[1] = cpus("6");
                s.idle("12,13,14");
            },
            NotAllowed { user: Vcpu(vcpu(2)), pcpus: cpus("7") },
        ),
        (
            pin,
            |s| {
                s.placement.vcpus[0] = cpus("8");
                s.idle("10");
            },
            Reserved { user: Vcpu(vcpu(0)), pcpus: cpus("8") },
        ),
        (
            floating,
            |s| {
                s.host.isolated = cpus("9");
                (1..4).for_each(|at| s.placement.vcpus[at] = cpus("1-2,10"));
            },
            FloatsIsolated { vcpu: vcpu(0), pcpus: cpus("9") },
        ),
        // Where no pCPU is reserved, the first core is the host's.
        (
            pin,
            |s| {
                s.host.reserved = Reserve::Auto;
                s.placement.vcpus[0] = cpus("8");
                s.idle("10");
            },
            Reserved { user: Vcpu(vcpu(0)), pcpus: cpus("8") },
        ),
        (
            numa_smt,
            |s| {
                s.placement.emulator_own = cpus("0");
                s.placement.emulator = cpus("0");
                s.idle("");
            },
            Reserved { user: EmulatorOwn, pcpus: cpus("0") },
        ),
        (
            pin,
            |s| {
                s.hold("3", &[]);
                s.placement.emulator = cpus("3,8");
            },
            PcpusHeld { user: Emulator, pcpus: cpus("3"), holder: other() },
        ),
        (
            pin,
            |s| s.hold("1", &[]),
            PcpusHeld { user: Vcpu(vcpu(0)), pcpus: cpus("1"), holder: other() },
        ),
        (pin, |s| s.hold("10", &[]), PcpusHeld { user: Idle, pcpus: cpus("10"), holder: other() }),
        (
            pin,
            |s| s.request.cpus = Some(cpus("2,9-10")),
            CpusExcluded { user: Vcpu(vcpu(0)), pcpus: cpus("1") },
        ),
        (
            pin,
            |s| s.request.cpus = Some(cpus("1-2,10,99")),
            CpusExcluded { user: Idle, pcpus: cpus("9") },
        ),
        (
            numa_smt,
            |s| s.request.cpus = Some(cpus("1-2,4-5,9-13")),
            CpusExcluded { user: EmulatorOwn, pcpus: cpus("3") },
        ),
        (
            pin,
            |s| {
                s.request.cpus = Some(cpus("1-2,9-10"));
                s.placement.emulator = cpus("0,3");
            },
            CpusExcluded { user: Emulator, pcpus: cpus("3") },
        ),
        (
            pin,
            |s| {
                s.request.nodes = Some(nodes("0,7"));
                s.placement.iothreads[0] = cpus("9,14");
            },
            CpusExcluded { user: IoThread(0), pcpus: cpus("14") },
        ),
        (
            pin,
            |s| {
                s.placement.vcpus[0] = cpus("4");
                s.idle("10");
            },
            OffNode { vcpu: vcpu(0), cell: CellId(0), pcpus: cpus("4") },
        ),
        (
            lent,
            |s| s.request.memory_nodes = None,
            OffNode { vcpu: vcpu(0), cell: CellId(0), pcpus: cpus("1") },
        ),
        (
            without_memory,
            |s| s.host.nodes[0].memory = Bytes::from_gib(1),
            OffNode { vcpu: vcpu(0), cell: CellId(0), pcpus: cpus("1") },
        ),
        (
            lent,
            |s| s.request.nodes = Some(nodes("1")),
            CpusExcluded { user: Vcpu(vcpu(0)), pcpus: cpus("1") },
        ),
        (floating, |s| s.request.policies.dedicated_cpus = Policy::Require, NotDedicated),
        (
            pin,
            |s| {
                s.placement.vcpus[0] = cpus("1,9");
                s.placement.idle = cpus("10");
                s.placement.iothreads[0] = cpus("10");
            },
            NotOnePcpu { vcpu: vcpu(0), pcpus: cpus("1,9") },
        ),
        (
            pin,
            |s| {
                s.placement.vcpus[0] = cpus("1,3");
                s.placement.idle = cpus("9-11");
            },
            NotOnePcpu { vcpu: vcpu(0), pcpus: cpus("1,3") },
        ),
        (
            pin,
            |s| {
                s.placement.vcpus[1] = cpus("1");
                s.placement.idle = cpus("9");
            },
            PcpuTwice { pcpu: PcpuId(1), first: vcpu(0), second: vcpu(1) },
        ),
        (
            floating,
            |s| {
                s.placement.vcpus = vec![cpus("1-2,9"); 4];
                s.placement.idle = cpus("10");
            },
            Crowded { vcpus: 4, pcpus: cpus("1-2,9"), most: 3 },
        ),
        // Two vCPUs of the other tenant float there, one of them on other pCPUs as it were.
        (
            floating,
            |s| {
                s.hold("", &[]);
                s.tenants[0].floating = cpus("1-2,4-5");
                s.tenants[0].floating_vcpus = 2;
            },
            Crowded { vcpus: 4, pcpus: cpus("1-2,9-10"), most: 3 },
        ),
        (
            floating,
            |s| {
                s.request.shared = Some(Sharing { overcommit: Ratio(1500) });
                s.placement.vcpus = vec![cpus("1"), cpus("1"), cpus("2,9"), cpus("2,9-10")];
            },
            Crowded { vcpus: 2, pcpus: cpus("1"), most: 1 },
        ),
        (pin, |s| s.request.shared = Some(Sharing::default()), NotShared),
        (
            floating,
            |s| s.placement.style = Style::Pin,
            StyleFloats { style: Style::Pin, dedicated: false },
        ),
        (
            pin,
            |s| s.placement.style = Style::Float,
            StyleFloats { style: Style::Float, dedicated: true },
        ),
        (
            floating,
            |s| {
                s.placement.vcpus = vec![cpus("1"), cpus("1"), cpus("2,9"), cpus("2,9-10")];
            },
            Crowded { vcpus: 2, pcpus: cpus("1"), most: 1 },
        ),
        (
            pin,
            |s| {
                s.placement.vcpus[1] = cpus("9");
                s.placement.idle = cpus("");
                s.placement.iothreads[0] = cpus("8");
            },
            VcpusShareCore { core: core(0, 1), first: vcpu(0), second: vcpu(1) },
        ),
        (
            numa_smt,
            |s| {
                s.placement.vcpus[1] = cpus("11");
                s.placement.iothreads[0] = cpus("9");
                s.idle("9");
            },
            GuestCoreSplit { vcpu: vcpu(1), core: core(0, 1), other: core(0, 3) },
        ),
        (
            pin,
            |s| {
                s.hold("9", &[]);
                s.placement.idle = cpus("10");
                s.placement.iothreads[0] = cpus("10");
            },
            CoreShared { core: core(0, 1), pcpus: cpus("9"), holder: other() },
        ),
        (
            pin,
            |s| s.placement.idle = cpus("10"),
            CoreNotWhole { core: core(0, 1), pcpus: cpus("9") },
        ),
        // The emulator alone, beside a vCPU.
        (
            pin,
            |s| {
                s.placement.idle = cpus("10");
                s.placement.emulator_own = cpus("9");
                s.placement.iothreads[0] = cpus("9");
            },
            CoreNotWhole { core: core(0, 1), pcpus: cpus("9") },
        ),
        (
            numa_smt,
            |s| s.placement.idle = cpus(""),
            CoreNotWhole { core: core(0, 3), pcpus: cpus("11") },
        ),
        (pin, |s| s.placement.idle = cpus("3,9-11"), IdleApart { pcpus: cpus("3,11") }),
        (numa_smt, |s| s.placement.idle = cpus("3,11"), IdleInUse { pcpus: cpus("3") }),
        (
            pin,
            |s| s.placement.iothreads[0] = cpus("1,9"),
            BesideVcpus { user: IoThread(0), pcpus: cpus("1") },
        ),
        (pin, |s| s.placement.idle = cpus("1,9-10"), BesideVcpus { user: Idle, pcpus: cpus("1") }),
        (numa_smt, |s| s.request.emulator_pcpus = 2, EmulatorCount { found: 1, wanted: 2 }),
        (numa_smt, |s| s.placement.emulator = cpus("0,3"), EmulatorElsewhere { pcpus: cpus("0") }),
    ]
}
