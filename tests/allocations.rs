//! How often a recommendation asks the allocator: the same on every run, so that a test can pin it.
//! `allocations.tsv` has the numbers, with the checks of a debug build and without;
//! `PINWISE_BLESS=1 cargo test --test allocations` writes those of the build that runs.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test stops at what it did not expect; the environment says whether to write"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt::Write as _;
use std::hint::black_box;

use pinwise::request::Wish;
use pinwise::{Host, Options, Policy, Question, RequestSpec, Usage, recommend};
use pinwise_discover::read_placement_host;
use pinwise_testkit::shapes::{SHAPES, Shape, vm};

/// Counts what a thread asks of the system's allocator.
struct Counting;

thread_local! {
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

// It hands everything to the system's allocator as it came, and a thread's end is no time to count.
#[allow(unsafe_code, reason = "a global allocator cannot be had without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        _ = ASKED.try_with(|asked| asked.set(asked.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        _ = ASKED.try_with(|asked| asked.set(asked.get() + 1));
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        _ = ASKED.try_with(|asked| asked.set(asked.get() + 1));
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of one recommendation, and whether there is one.
fn asked(host: &Host, usage: &Usage, request: RequestSpec) -> (u64, bool) {
    let (request, options) = (request.build().unwrap(), Options::default());
    let before = ASKED.get();
    let answer =
        black_box(recommend(Question::new(black_box(host), usage, &request).with(&options)));
    (ASKED.get() - before, answer.is_ok())
}

fn of_shape(name: &str, fill: u32, request: RequestSpec) -> (u64, bool) {
    let shape = SHAPES.into_iter().find(|shape| shape.name() == name).unwrap();
    let host = shape.host();
    let usage = shape.usage(&host, fill);
    asked(&host, &usage, request)
}

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/allocations.tsv");

#[test]
fn recommendations_allocate_as_often_as_recorded() {
    let too_large = |cells| RequestSpec { vcpus: 512 * cells, ..vm(cells, 0) };
    let cases = [
        ("2n128/0%/1c/0g", of_shape("2n128", 0, vm(1, 0))),
        ("8n256/0%/1c/1g", of_shape("8n256", 0, vm(1, 1))),
        ("8n256/50%/2c/2g", of_shape("8n256", 50, vm(2, 2))),
        ("8n256/50%/8c/8g", of_shape("8n256", 50, vm(8, 8))),
        ("8n256/50%/2c/too large", of_shape("8n256", 50, too_large(2))),
        ("24n384/50%/4c/2g", of_shape("24n384", 50, vm(4, 2))),
    ];
    let text = std::fs::read_to_string(TABLE).unwrap_or_default();
    // A debug build verifies every answer, which allocates too.
    let own = usize::from(!cfg!(debug_assertions));
    let (mut now, mut wrong) = (String::from("case\tdebug\trelease\n"), Vec::new());
    for (name, (count, fits)) in cases {
        assert_eq!(fits, !name.contains("large"), "{name}");
        let row = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('\t'));
        let mut recorded: Vec<String> =
            row.unwrap_or("-\t-").split('\t').map(str::to_owned).collect();
        let counted = count.to_string();
        if recorded[own] != counted {
            wrong.push(format!("{name}: {counted} allocations instead of {}", recorded[own]));
        }
        recorded[own] = counted;
        writeln!(now, "{name}\t{}", recorded.join("\t")).unwrap();
    }
    if std::env::var_os("PINWISE_BLESS").is_some() {
        std::fs::write(TABLE, now).unwrap();
    } else {
        let bless = "PINWISE_BLESS=1 cargo test --test allocations, also with --release, records";
        assert!(wrong.is_empty(), "{}\n{bless} what is meant", wrong.join("\n"));
    }
}

/// The first four nodes half full, and of the others at most three cores free, which is less than a
/// cell needs: what the search meets there it rejects.
fn crowded(shape: Shape) -> (Host, Usage) {
    let text = shape.describe_by(|node| if node < 4 { 50 } else { 100 });
    let described = read_placement_host(&text).unwrap();
    let host = described.host.build().unwrap();
    let usage = Usage::with_running(&host, described.tenants).unwrap();
    (host, usage)
}

/// A node has lists of its own, whatever is asked of it. The sets of four nodes are 70 on the
/// smaller host and 1820 on the larger.
const A_NODE: u64 = 4;

#[test]
#[cfg_attr(debug_assertions, ignore = "a debug build's checks allocate for every core of the host")]
fn rejected_candidates_allocate_nothing() {
    let eight = Shape { sockets: 2, nodes: 8, pcpus: 256, gib: 2048, gpus: 0 };
    let sixteen = Shape { sockets: 4, nodes: 16, pcpus: 512, gib: 4096, gpus: 0 };
    let mut wrong = Vec::new();
    for cells in [1, 2, 4] {
        // A single cell may not span nodes either, or it would fit on more of the larger host.
        let mut wanted = vm(cells, 0);
        // Cores with two vCPUs that the guest knows nothing of would make room on the full nodes.
        wanted.smt = Wish::Require(true);
        wanted.policies.one_node = if cells == 1 { Policy::Require } else { Policy::Ignore };
        let [few, many] = [eight, sixteen].map(|shape| {
            let (host, usage) = crowded(shape);
            let request = wanted.clone().build().unwrap();
            let answer = recommend(Question::new(&host, &usage, &request)).unwrap();
            let nodes = answer.best().placement.nodes();
            assert!(nodes.iter().all(|node| node.0 < 4), "{cells} cells on nodes {nodes}");
            asked(&host, &usage, wanted.clone()).0
        });
        if many > few + A_NODE * 8 {
            wrong.push(format!("{cells} cells: {many} allocations, {few} on half the nodes"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
