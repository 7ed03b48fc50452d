//! The audit of domains as they are: for each rule a domain that it finds something in, and the
//! same domain without that. All hosts and domains here are made for these tests.

mod broken;

use std::collections::BTreeSet;

use pinwise::RequestSpec;
use pinwise::audit::{AuditId, Fix};
use pinwise::json::{self, Audited};
use pinwise::request::Wish;
use pinwise_testkit::common::vm;

use broken::{Scene, at, broken, cells_vm, desktop, gpu_vm, ids, many_vcpus, server, wide_vm};

#[test]
fn every_rule_finds_what_is_broken() {
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for (id, scene) in broken() {
        seen.insert(id);
        let shared = vec![("twin".to_owned(), vec![at("10:00.0")])];
        let found = match id {
            AuditId::DevicesShared => scene.audited_with(|as_is| as_is.alternatives = shared),
            _ => scene.audited(),
        };
        // A vCPU that its cell should not have is far from the cell's memory; and tenants that
        // leave nothing to the host are on the emulator's pCPUs.
        let follows: &[&str] = match id {
            AuditId::CellsCutCores => &["memory-elsewhere"],
            AuditId::HostStarved => &["helpers-on-tenants"],
            _ => &[],
        };
        if ids(&found) != [&[id.name()], follows].concat() {
            wrong.push(format!("{}: {:?}", id.name(), ids(&found)));
        }
    }
    let all: BTreeSet<AuditId> = AuditId::ALL.into_iter().collect();
    assert_eq!(seen, all);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_same_domains_are_clean_before_they_are_broken() {
    let wide = RequestSpec { smt: Wish::Require(false), ..vm(8, 4) };
    let iothreads = RequestSpec { io_threads: 2, ..gpu_vm() };
    for request in [gpu_vm(), wide_vm(), cells_vm(), vm(2, 2), wide, iothreads] {
        let scene = Scene::new(server(), &request);
        assert_eq!(ids(&scene.audited()), [""; 0], "{}", scene.xml);
    }
    let scene = Scene::new(desktop(), &vm(2, 2));
    assert_eq!(ids(&scene.audited()), [""; 0], "{}", scene.xml);
    let iommu = "<iommu model='intel'><driver intremap='on' eim='on'/></iommu>";
    let scene = Scene { xml: many_vcpus(iommu), ..scene };
    assert_eq!(ids(&scene.audited()), [""; 0]);
}

/// What no layout mends: other hardware, pages, tenants or another model have to be chosen.
const NOT_BY_LAYOUT: [AuditId; 15] = [
    AuditId::DevicesHeld,
    AuditId::DevicesAbsent,
    AuditId::PagesMissing,
    AuditId::PagesTaken,
    AuditId::NoIommu,
    AuditId::SmallWindow,
    AuditId::GroupLost,
    AuditId::HostStarved,
    AuditId::HelpersOnTenants,
    AuditId::DegradedLinks,
    AuditId::NoPartition,
    AuditId::NicApart,
    AuditId::DevicesShared,
    AuditId::CpuModel,
    AuditId::BusesLost,
];

#[test]
fn the_patch_of_a_recommendation_mends_what_is_broken_and_breaks_nothing() {
    let mut wrong = Vec::new();
    for (id, scene) in broken() {
        if NOT_BY_LAYOUT.contains(&id) {
            continue;
        }
        let left = scene.mended().map(|mended| ids(&mended.audited()));
        if left.as_ref().is_none_or(|left| !left.is_empty()) {
            wrong.push(format!("{}: {left:?}", id.name()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_readme_names_every_rule() {
    let readme = include_str!("../../../crates/pinwise-cli/README.md");
    for id in AuditId::ALL {
        assert_eq!(
            readme.matches(&format!("`{}`", id.name())).count(),
            1 + usize::from(id == AuditId::DevicesShared),
            "{}",
            id.name()
        );
        let about = id.about();
        assert!(about.contains("**Looks at**"), "{}: {about}", id.name());
    }
}

#[test]
fn effects_are_ordered_and_cite_studies_that_exist() {
    for id in AuditId::ALL {
        let Some(effect) = id.effect() else { continue };
        let range = effect.range;
        assert!(range.low <= range.likely && range.likely <= range.high, "{}", id.name());
        assert!(effect.studies.iter().all(|study| study.record().is_some()), "{}", id.name());
        let reasoned = effect.grade == pinwise::rules::Grade::Reasoned;
        assert!(reasoned || !effect.studies.is_empty(), "{}", id.name());
    }
}

/// The domain with an element put inside another, in place of one of its name, if there is one.
fn put(scene: Scene, inside: &str, element: &str) -> Scene {
    let name = element[1..].split([' ', '>', '/']).next().unwrap();
    let scene = match scene.xml.contains(&format!("<{name} ")) && name != "hostdev" {
        true => scene.without(name),
        false => scene,
    };
    let end = format!("</{inside}>");
    scene.with(&end, &format!("{element}{end}"))
}

#[test]
fn each_element_or_line_that_is_a_fix_by_itself_removes_its_finding_and_adds_none() {
    let mut seen = 0;
    for (id, scene) in broken() {
        let alone = [
            AuditId::WindowsSockets,
            AuditId::ManySockets,
            AuditId::NoTopoext,
            AuditId::CachesHidden,
            AuditId::CompanionsLeft,
            AuditId::NoIommu,
            AuditId::EmulatorOnVcpus,
            AuditId::EmulatorAnywhere,
            AuditId::MemoryUnbound,
        ];
        if !alone.contains(&id) {
            continue;
        }
        let mut mended = Scene {
            tenants: scene.tenants.clone(),
            xml: scene.xml.clone(),
            host: scene.host.clone(),
        };
        for fix in &scene.audited()[0].fixes {
            mended = match fix {
                // This domain has no features yet.
                Fix::Xml { inside: "features", element } => {
                    put(mended, "domain", &format!("<features>{element}</features>"))
                }
                Fix::Xml { inside, element } => put(mended, inside, element),
                Fix::Virsh { line } => {
                    let words: Vec<&str> = line.split(' ').collect();
                    match words[1] {
                        "emulatorpin" => {
                            put(mended, "cputune", &format!("<emulatorpin cpuset='{}'/>", words[3]))
                        }
                        "numatune" => {
                            let mode =
                                format!("<memory mode='{}' nodeset='{}'/>", words[4], words[6]);
                            put(mended, "domain", &format!("<numatune>{mode}</numatune>"))
                        }
                        _ => panic!("{line}"),
                    }
                }
                other => panic!("{}: {other}", id.name()),
            };
        }
        assert_eq!(ids(&mended.audited()), [""; 0], "{}: {}", id.name(), mended.xml);
        seen += 1;
    }
    assert_eq!(seen, 9);
}

#[test]
fn every_finding_fits_the_schema() {
    let schema = serde_json::from_str(&json::audit_schema()).unwrap();
    for (id, scene) in broken() {
        let (host, _) = scene.built();
        let domain = Audited {
            name: id.name().to_owned(),
            source: "a.xml".to_owned(),
            findings: scene.audited(),
        };
        let value = serde_json::from_str(&json::audit(&host, &[domain], &[])).unwrap();
        assert_eq!(pinwise_testkit::schema::broken(&schema, &value), [""; 0], "{value}");
    }
}

#[test]
fn pins_to_the_threads_of_one_core_are_pins_to_the_core() {
    let both = |scene: &Scene, vcpu| {
        let pcpu: u32 = scene.pin_of(vcpu).parse().unwrap();
        format!("{},{}", pcpu % 16, pcpu % 16 + 16)
    };
    let scene = Scene::new(server(), &gpu_vm());
    let sets: Vec<String> = (0..4).map(|vcpu| both(&scene, vcpu)).collect();
    let right = (0..4).zip(&sets).fold(scene, |scene, (vcpu, set)| scene.pin(vcpu, set));
    assert_eq!(ids(&right.audited()), [""; 0], "{}", right.xml);
    let wrong = right.pin(1, &sets[2]).pin(2, &sets[1]);
    assert_eq!(ids(&wrong.audited()), ["siblings-apart"]);
}
