//! Names, models and holders that try to get out of where they are written: into XML, into a line
//! of their own, or into a command that is printed for a person to run.

use pinwise::changes::{Change, smallest_changes};
use pinwise::emit::libvirt::{EmitError, domain, fragments};
use pinwise::explain::{explain_advice, explain_refusal};
use pinwise::rebalance::rebalance;
use pinwise::request::GpuRequest;
use pinwise::units::NodeId;
use pinwise::usage::PageClaim;
use pinwise::{
    Claim, Host, HostSpec, Options, PageSize, Placement, Policies, Policy, Question, RequestError,
    RequestSpec, Usage, Workload, explain, recommend,
};
use pinwise_discover::libvirt::read_domain;
use pinwise_discover::libvirt::{PatchError, patch};
use pinwise_discover::read_placement_host;
use pinwise_testkit::common::{checked, gpu_vm, vm};
use pinwise_testkit::machine::{Machine, cpus, gpu};
use regex_lite::Regex;
use roxmltree::Document;

/// What XML, shells and terminals make something of, with what else could be in a name.
const HOSTILE: [&str; 22] = [
    "'",
    "\"",
    "a' b=\"c",
    "]]>",
    "<![CDATA[",
    "--><hostdev/><!--",
    "</name><devices/><name>",
    "&lt;&#10;&nothing;",
    "<?x?>",
    "$(reboot)",
    "`reboot`",
    "; reboot #",
    "| tee && reboot || :",
    "> x < y * ? ~ ! {a,b}",
    "\\",
    "%s%n",
    "-rf",
    "vm'; echo 1 > /sys/power/state; '",
    "\nreboot",
    "a\r\n<b/>",
    "\0",
    "\u{1b}]0;x\u{7}",
];

const DESK: &str = pinwise_testkit::texts::DOMAIN;

fn host() -> Host {
    let nodes = Machine { nodes: 2, cores: 4, threads: 2, pages: 8, gpus: &[0, 1], links: &[] };
    nodes.describe().build().unwrap()
}

/// A placement with cells, a GPU and pages, under this name.
fn placed(name: &str) -> Placement {
    let host = host();
    let request = checked(&gpu_vm(4, 4, 1, Workload::default()));
    let answer = recommend(Question::new(&host, &Usage::empty(&host), &request)).unwrap();
    Placement { name: name.to_owned(), ..answer.best().placement.clone() }
}

/// Elements and attributes, without the name's text.
fn shape(xml: &str) -> Vec<String> {
    let document = Document::parse(xml).unwrap();
    let elements = document.descendants().filter(|node| !node.is_text());
    let shown = |node: roxmltree::Node<'_, '_>| {
        let attributes: Vec<_> = node.attributes().map(|a| (a.name(), a.value())).collect();
        format!("{:?} {} {attributes:?}", node.node_type(), node.tag_name().name())
    };
    elements.map(shown).collect()
}

#[test]
fn a_name_stays_in_its_element_or_is_refused() {
    let (plain, parts) = (domain(&placed("vm")).unwrap(), fragments(&placed("vm")).unwrap());
    let mut refused = 0;
    for name in HOSTILE {
        let placement = placed(name);
        // What libvirt or XML has no way to say.
        if name.contains(['\n', '/', '\0', '\u{1b}']) {
            assert!(matches!(domain(&placement), Err(EmitError::Name { .. })), "{name:?}");
            assert!(matches!(fragments(&placement), Err(EmitError::Name { .. })), "{name:?}");
            let error = patch(&placement, DESK).unwrap_err();
            assert!(matches!(error, PatchError::Emit(EmitError::Name { .. })), "{name:?}");
            let cause = std::error::Error::source(&error).unwrap().to_string();
            assert!(cause.len() < 200 && !cause.contains(char::is_control), "{cause}");
            refused += 1;
            continue;
        }
        let xml = domain(&placement).unwrap();
        assert_eq!(shape(&xml), shape(&plain), "{name:?}");
        assert_eq!(read_domain(&host(), &xml).unwrap().name, name);
        // Only whole domains have a name.
        assert_eq!(fragments(&placement).unwrap(), parts, "{name:?}");
        assert_eq!(patch(&placement, DESK), patch(&placed("vm"), DESK), "{name:?}");
    }
    assert!((4..12).contains(&refused), "{refused}");
}

#[test]
fn a_request_refuses_what_would_break_a_line() {
    for name in HOSTILE {
        let request = RequestSpec { name: name.to_owned(), ..vm(1, 1) }.build();
        let bad = name.chars().any(|c| c == '/' || c.is_control());
        match request {
            Ok(request) => assert!(!bad && request.spec().name == name),
            Err(error) => {
                assert!(bad && matches!(error, RequestError::Name { .. }), "{name:?}");
                assert!(!error.to_string().contains(char::is_control), "{error}");
            }
        }
    }
}

/// Lines without anything that drives a terminal, and no command but with numbers in it.
fn sound(text: &str, lines: usize, hostile: &str) {
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    assert_eq!(text.lines().count(), lines, "{text}");
    let pages = Regex::new(
        r"^  - \d+ more \S+ \S+ pages on node \d+ \(echo \d+ > /sys/devices/system/node/node\d+/hugepages/hugepages-\d+kB/nr_hugepages\); if memory is too fragmented, a boot gives them \(hugepagesz=\d+[KMGT] hugepages=\d+:\d+\)$",
    )
    .unwrap();
    for line in text.lines().filter(|line| line.contains("echo") || line.contains("/sys/")) {
        let quoted = hostile.contains("echo") && line.contains(hostile);
        assert!(pages.is_match(line) || quoted, "{line}");
    }
}

/// A host, a tenant and a wished model whose names all are this text; what is said of a VM that
/// fits, of one that lacks a GPU, one that lacks pages, and of making room for one.
fn said(hostile: &str) -> [String; 4] {
    let builder = HostSpec { name: hostile.to_owned(), ..host().description().clone() };
    let mut builder =
        HostSpec { about: hostile.to_owned(), cpu_model: hostile.to_owned(), ..builder };
    builder.devices.iter_mut().for_each(|device| device.name = Some(hostile.to_owned()));
    let host = builder.build().unwrap();
    let mut usage = Usage::empty(&host);
    let devices = vec![gpu(0)];
    let pages = vec![PageClaim { node: Some(NodeId(1)), page_size: PageSize::GIB_1, count: 6 }];
    let claim = Claim { dedicated: cpus("4,12"), pages, devices, ..Claim::default() };
    usage.claim(&host, hostile, claim).unwrap();
    let options = Options::default();
    let fits = checked(&vm(2, 1));
    let answer = recommend(Question::new(&host, &usage, &fits).with(&options)).unwrap();
    let json = pinwise::json::recommendation(Question::new(&host, &usage, &fits), &answer);
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
    let first = explain(Question::new(&host, &usage, &fits).with(&options), &answer);

    let refusal = |request: &RequestSpec| {
        let request = checked(request);
        let refusal = recommend(Question::new(&host, &usage, &request).with(&options)).unwrap_err();
        let changes = smallest_changes(Question::new(&host, &usage, &request).with(&options));
        let json = pinwise::json::refusal(&refusal, &changes);
        assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
        (explain_refusal(&host, &request, &refusal, Some(&changes)), changes)
    };
    let model = Some(hostile.to_owned());
    let gpus = GpuRequest::Count { count: 3, model };
    let held = RequestSpec { gpus: pinwise_testkit::common::these(&["10:00.0"]), ..vm(1, 1) };
    let both = refusal(&RequestSpec { gpus, ..vm(1, 1) }).0 + &refusal(&held).0;
    let policies = Policies { one_node: Policy::Require, ..Policies::default() };
    let page_size = Some(PageSize::GIB_1);
    let (pages, changes) = refusal(&RequestSpec { policies, page_size, ..vm(2, 9) });
    assert!(changes.iter().any(|change| matches!(change, Change::MorePages { .. })), "{pages}");

    let wide = RequestSpec { policies, ..vm(8, 1) };
    let wide = checked(&wide);
    let mut advice = rebalance(Question::new(&host, &usage, &wide).with(&options), &[]).unwrap();
    advice.placement.name = hostile.to_owned();
    [first, both, pages, explain_advice(&host, &advice)]
}

#[test]
fn what_is_said_of_hostile_names_has_no_line_and_no_command_of_theirs() {
    let plain = said("tenant");
    assert!(plain[1].contains("matching \"tenant\"") && plain[1].contains("held by \"tenant\""));
    assert!(plain[2].contains("(echo "), "{}", plain[2]);
    for hostile in HOSTILE {
        for (text, plain) in said(hostile).iter().zip(&plain) {
            sound(text, plain.lines().count(), hostile);
        }
    }
}

/// Found by breaking a tenant's text: a name of a hundred kilobytes came back in the refusal.
#[test]
fn a_refused_claim_is_one_short_sentence() {
    let host = host();
    let mut usage = Usage::empty(&host);
    let every_second: Vec<String> = (0..4096).step_by(2).map(|n| n.to_string()).collect();
    let claim = Claim { dedicated: cpus(&every_second.join(",")), ..Claim::default() };
    for name in ["a\u{1b}\n".repeat(100_000), "vm".to_owned()] {
        let error = usage.claim(&host, &name, claim.clone()).unwrap_err().to_string();
        assert!(error.len() < 700 && !error.contains(char::is_control), "{error}");
        usage.claim(&host, &name, Claim { dedicated: cpus("1"), ..Claim::default() }).unwrap();
        let error = usage.claim(&host, &name, Claim::default()).unwrap_err().to_string();
        assert!(error.len() < 500 && !error.contains(char::is_control), "{error}");
        usage.release(&name).unwrap();
    }
}

/// Numbers that no pCPU has, wherever such a description names pCPUs.
#[test]
fn pcpus_beyond_the_limit_are_refused_with_their_place() {
    let text = pinwise_testkit::texts::PLACEMENT_HOST;
    for (from, to, place) in [
        ("[3, 7]", "[3, 16384]", "cores[3]"),
        (r#"{"1": 6}"#, r#"{"1": 4294967295}"#, "tenants[1].cells[1].pins"),
    ] {
        assert!(text.contains(from));
        let error = read_placement_host(&text.replace(from, to)).unwrap_err().to_string();
        assert!(error.contains(place) && error.contains("is not below 16384"), "{error}");
    }
}
