//! How much memory a host of a fleet takes beside the topology that it shares with others of its
//! model.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use pinwise::fleet::FleetHost;
use pinwise::{Host, Question, Usage, recommend};
use pinwise_testkit::shapes::{SHAPES, vm};

/// Counts what a thread has from the system's allocator and has not given back.
struct Counting;

thread_local! {
    static HELD: Cell<i64> = const { Cell::new(0) };
}

/// Glibc keeps 8 bytes before each block, hands out multiples of 16, and 24 at least.
fn size(layout: Layout) -> i64 {
    i64::try_from((layout.size() + 8).next_multiple_of(16).max(32)).unwrap_or(i64::MAX)
}

fn count(bytes: i64) {
    // A thread's end is no time to count.
    _ = HELD.try_with(|held| held.set(held.get() + bytes));
}

// It hands everything to the system's allocator as it came.
#[allow(unsafe_code, reason = "a global allocator cannot be had without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(size(layout));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        count(-size(layout));
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `make` makes holds, with what it points to.
fn held<T>(make: impl FnOnce() -> T) -> i64 {
    let before = HELD.get();
    let made = make();
    let pointed_to = HELD.get() - before;
    drop(made);
    pointed_to + i64::try_from(size_of::<T>()).unwrap()
}

/// VMs of 8 vCPUs and 16 GiB, every second with a GPU while there are some, where they are
/// recommended.
fn with_tenants(host: &Host, count: usize) -> Usage {
    let mut usage = Usage::empty(host);
    for number in 0..count {
        let place = |gpus| {
            let request = vm(1, gpus).build().unwrap();
            recommend(Question::new(host, &usage, &request)).ok()
        };
        let answer = if number % 2 == 0 { place(1).or_else(|| place(0)) } else { place(0) };
        let claim = answer.unwrap().best().placement.claim();
        usage.claim(host, &format!("instance-{number:08x}"), claim).unwrap();
    }
    usage
}

#[test]
fn a_host_of_a_fleet_takes_less_than_two_kibibytes_and_a_tenant_less_than_half_of_one() {
    for shape in SHAPES {
        let host = shape.host();
        // A set of pCPUs has a bit for each that lies between its first and its last.
        let (most, each) = if shape.pcpus <= 768 { (1024, 512) } else { (2048, 1280) };
        let empty = held(|| FleetHost::new(&host, Usage::empty(&host)));
        assert!(empty <= most, "{}: {empty} bytes without tenants", shape.name());
        let some = if shape.pcpus < 192 { 4 } else { 8 };
        let used = held(|| FleetHost::new(&host, with_tenants(&host, some)));
        let of_tenant = (used - empty) / i64::try_from(some).unwrap();
        println!("{:>8} {empty} bytes, {of_tenant} a tenant", shape.name());
        assert!(of_tenant <= each, "{}: {of_tenant} bytes a tenant", shape.name());
    }
}

#[test]
fn a_release_gives_memory_back() {
    let host = SHAPES[2].host();
    let mut used = FleetHost::new(&host, Usage::empty(&host));
    let before = HELD.get();
    for round in 0..3 {
        for (name, claim) in with_tenants(&host, 8).tenants() {
            used.claim(name, claim.clone()).unwrap();
        }
        for (name, _) in with_tenants(&host, 8).tenants() {
            used.release(name).unwrap();
        }
        let more = HELD.get() - before;
        assert!(more <= 256, "{more} bytes more than before after round {round}");
    }
}
