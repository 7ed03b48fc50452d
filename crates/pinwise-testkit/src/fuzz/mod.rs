//! What fuzzers call: a function of bytes for every reader, and one for the way from a request to
//! XML and back. Each panics where a promise is broken, and says otherwise what became of the
//! bytes.
//!
//! `tests/mutations` calls them with broken versions of sound texts, `fuzz/` with what libFuzzer
//! makes up.

pub mod answers;
pub mod sources;
pub mod values;

use std::sync::OnceLock;

use pinwise::audit::audit;
use pinwise::host::DeviceKind;
use pinwise::json::{JsonError, read_host, read_request, read_tenant, write_host};
use pinwise::request::GpuRequest;
use pinwise::{
    Bytes, Host, HostSpec, Options, PciAddr, Placement, Question, RequestSpec, Style, Usage,
    recommend,
};
use pinwise_discover::facts::{overlay, read_facts};
use pinwise_discover::{Reading, hwloc, libvirt, read_described, read_placement_host, redact};

use crate::common::{description, host};

/// What became of a text.
pub enum Outcome {
    Read,
    /// One sentence says why.
    Refused(String),
}

/// The text, with replacement characters for what is not UTF-8.
pub fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A number that hangs on all bytes, to do now and then what takes long.
pub fn lot(bytes: &[u8]) -> usize {
    bytes.iter().fold(5381, |sum: usize, byte| sum.wrapping_mul(33) ^ usize::from(*byte))
}

/// A refusal is a short sentence that a terminal can show.
fn refused(error: impl ToString) -> Outcome {
    let sentence = error.to_string();
    assert!(sentence.len() < 500 && !sentence.contains(char::is_control), "{sentence:?}");
    Outcome::Refused(sentence)
}

fn outcome<T>(result: Result<T, impl ToString>) -> Outcome {
    result.map_or_else(refused, |_| Outcome::Read)
}

/// A reading's host, and every so often what the engine says to it: a host that was built is sound,
/// however odd it is.
pub fn built(reading: Result<Reading, impl ToString>, bytes: &[u8]) -> Outcome {
    let Reading { host, notes } = match reading {
        Ok(reading) => reading,
        Err(error) => return refused(error),
    };
    assert!(notes.iter().all(|note| !note.to_string().contains(char::is_control)), "{notes:?}");
    let host = match host.build() {
        Ok(host) => host,
        Err(error) => return refused(error),
    };
    // What was read is a description of its own.
    let text = write_host(host.description());
    assert_eq!(write_host(&read_host(&text).unwrap()), text);
    if lot(bytes).is_multiple_of(32) {
        answered(&host);
    }
    Outcome::Read
}

fn answered(host: &Host) {
    let request = RequestSpec::new("vm", 2, Bytes::from_gib(1)).build().unwrap();
    let usage = Usage::empty(host);
    if let Ok(answer) = recommend(Question::new(host, &usage, &request)) {
        for ranked in &answer.ranked {
            pinwise::verify(Question::new(host, &usage, &request), &ranked.placement).unwrap();
        }
    }
}

/// A host's description, as JSON.
pub fn host_json(bytes: &[u8]) -> Outcome {
    let host = match read_host(&lossy(bytes)) {
        Ok(host) => host,
        Err(error) => return refused(error),
    };
    assert_eq!(&read_host(&write_host(&host)).unwrap(), &host);
    let mut other = host.clone();
    redact(&mut other, "somebody");
    _ = other.build();
    built(Ok::<_, String>(Reading { host, notes: Vec::new() }), bytes)
}

/// A host in either format, with the tenants that are on it.
pub fn described(bytes: &[u8]) -> Outcome {
    let text = lossy(bytes);
    let described = match read_described(&text) {
        Ok(described) => described,
        Err(error) => return refused(error),
    };
    match read_placement_host(&text) {
        Ok(again) => assert!(again == described),
        // In our own format there is a host, as the other reader reads it, and nobody on it.
        Err(JsonError::Format { .. }) => {
            assert_eq!(read_host(&text).unwrap(), described.host);
            assert!(described.tenants.is_empty() && described.gpus.is_empty());
        }
        Err(error) => panic!("read, and not: {error}"),
    }
    let known =
        |address: &PciAddr| described.host.devices.iter().any(|device| device.address == *address);
    assert!(described.gpus.values().all(known), "{:?}", described.gpus);
    if let Ok(host) = described.host.clone().build() {
        let tenants = described.tenants.clone();
        match Usage::with_running(&host, tenants.clone()) {
            Ok(mut usage) => {
                for (name, claim) in tenants {
                    assert_eq!(usage.release(&name).unwrap(), claim, "{name}");
                }
                assert!(usage == Usage::empty(&host));
            }
            Err(error) => _ = refused(error),
        }
    }
    built(Ok::<_, String>(Reading { host: described.host, notes: Vec::new() }), bytes)
}

/// A request, as JSON.
pub fn request_json(bytes: &[u8]) -> Outcome {
    let request = match read_request(&lossy(bytes)) {
        Ok(request) => request,
        Err(error) => return refused(error),
    };
    let text = serde_json::to_string(&request).unwrap();
    assert_eq!(read_request(&text).unwrap(), request);
    outcome(request.build())
}

/// A tenant, as JSON; what it claims is had back when it goes.
pub fn tenant_json(bytes: &[u8]) -> Outcome {
    static HOST: OnceLock<Host> = OnceLock::new();
    let host = HOST.get_or_init(|| host("i9-14900k"));
    let (name, claim) = match read_tenant(&lossy(bytes)) {
        Ok(tenant) => tenant,
        Err(error) => return refused(error),
    };
    let mut usage = Usage::empty(host);
    match usage.claim(host, &name, claim.clone()) {
        Ok(()) => assert_eq!(usage.release(&name).unwrap(), claim),
        Err(error) => _ = refused(error),
    }
    assert!(usage == Usage::empty(host));
    Outcome::Read
}

/// lstopo's XML.
pub fn lstopo(bytes: &[u8]) -> Outcome {
    built(hwloc::read_lstopo(&lossy(bytes)), bytes)
}

/// A host of OpenNebula with its VMs.
pub fn onehost(bytes: &[u8]) -> Outcome {
    let read = match pinwise_discover::opennebula::read_onehost(&lossy(bytes)) {
        Ok(read) => read,
        Err(error) => return refused(error),
    };
    if let Ok(host) = read.reading.host.clone().build() {
        if let Err(error) = Usage::with_running(&host, read.tenants) {
            _ = refused(error);
        }
    }
    built(Ok::<_, String>(read.reading), bytes)
}

/// libvirt's capabilities.
pub fn capabilities(bytes: &[u8]) -> Outcome {
    built(libvirt::read_capabilities(&lossy(bytes)), bytes)
}

/// A node device of libvirt's, added to a host.
pub fn node_device(bytes: &[u8]) -> Outcome {
    static HOST: OnceLock<HostSpec> = OnceLock::new();
    let text = crate::texts::CAPABILITIES;
    let host = HOST.get_or_init(|| libvirt::read_capabilities(text).unwrap().host);
    let with = |device: Option<libvirt::NodeDevice>| {
        let mut host = host.clone();
        let notes = libvirt::add_node_devices(&mut host, device);
        Reading { host, notes }
    };
    built(libvirt::read_node_device(&lossy(bytes)).map(with), bytes)
}

fn small() -> &'static Host {
    static HOST: OnceLock<Host> = OnceLock::new();
    HOST.get_or_init(|| host("rtx-4090-nps4"))
}

/// The audit of a domain that can be a tenant: each finding is a sentence.
fn audited(host: &Host, xml: &str) {
    let as_is = match libvirt::domain_as_is(host, xml) {
        Ok(as_is) => as_is,
        // Controllers and the guest's topology are no matter of a tenant.
        Err(error) => {
            _ = refused(error);
            return;
        }
    };
    let said = as_is.notes.iter().map(ToString::to_string);
    said.for_each(|note| assert!(!note.contains(char::is_control), "{note:?}"));
    let asked = libvirt::request_of_domain(host, xml).map(|asked| asked.request.build());
    // An answer takes long, so not all are asked for.
    let Ok(Ok(request)) = asked else { return };
    if !xml.len().is_multiple_of(4) {
        return;
    }
    let usage = Usage::empty(host);
    for found in audit(Question::new(host, &usage, &request), &as_is.domain) {
        let said = found.to_string();
        assert!(said.len() < 600 && !said.contains(char::is_control), "{said:?}");
        let lines = found.fixes.iter().map(ToString::to_string);
        lines.for_each(|line| assert!(!line.replace('\n', "").contains(char::is_control)));
    }
}

/// A domain as a tenant, as a request, and under audit.
pub fn domain(bytes: &[u8]) -> Outcome {
    let host = small();
    match libvirt::request_of_domain(host, &lossy(bytes)) {
        Ok(asked) => {
            let said = asked.notes.iter().map(ToString::to_string);
            said.for_each(|note| assert!(!note.contains(char::is_control), "{note:?}"));
            if let Err(error) = asked.request.build() {
                _ = refused(error);
            }
        }
        Err(error) => _ = refused(error),
    }
    let domain = match libvirt::read_domain(host, &lossy(bytes)) {
        Ok(domain) => domain,
        Err(error) => return refused(error),
    };
    assert!(domain.notes.iter().all(|note| !note.to_string().contains(char::is_control)));
    audited(host, &lossy(bytes));
    let tenant = [(domain.name.clone(), domain.claim.clone())];
    if let Err(error) = Usage::with_running(host, tenant) {
        _ = refused(error);
    }
    Outcome::Read
}

/// A VM of any kind of text, as a request and, if it is not one, as a tenant.
pub fn vm(bytes: &[u8]) -> Outcome {
    let (host, text) = (small(), lossy(bytes));
    match pinwise_discover::read_vm(host, &text) {
        Ok(asked) => {
            let said = asked.notes.iter().map(ToString::to_string);
            said.for_each(|note| assert!(!note.contains(char::is_control), "{note:?}"));
            let built = outcome(asked.request.build());
            _ = tenant(host, &text);
            built
        }
        Err(error) => {
            _ = refused(error);
            tenant(host, &text)
        }
    }
}

/// A tenant of any kind of text.
fn tenant(host: &Host, text: &str) -> Outcome {
    let mut tenants = pinwise_discover::tenants::Tenants::new();
    if let Err(error) = tenants.add_text(host, text) {
        return refused(error);
    }
    match tenants.finish(host) {
        Ok(settled) => {
            let said = settled.notes.iter().map(ToString::to_string);
            said.for_each(|note| assert!(!note.contains(char::is_control), "{note:?}"));
            Outcome::Read
        }
        Err(error) => refused(error),
    }
}

/// Placements with a GPU, which not every domain has a place for, and without.
fn placements() -> &'static [Vec<Placement>; 2] {
    static PLACEMENTS: OnceLock<[Vec<Placement>; 2]> = OnceLock::new();
    PLACEMENTS.get_or_init(|| {
        [1, 0].map(|count| {
            let gpus = GpuRequest::Count { count, model: None };
            let request = RequestSpec { gpus, ..RequestSpec::new("vm", 8, Bytes::from_gib(8)) };
            let options = Options { all: true, ..Options::default() };
            let host = small();
            let answer = recommend(
                Question::new(host, &Usage::empty(host), &request.build().unwrap()).with(&options),
            );
            let answer = answer.unwrap();
            let of = |style| answer.ranked.iter().find(|ranked| ranked.placement.style == style);
            let all = Style::ALL.into_iter().filter_map(of);
            all.map(|ranked| ranked.placement.clone()).collect()
        })
    })
}

/// Placements put into a domain: refused, or XML that says the placement and stays as it is.
pub fn patch(bytes: &[u8]) -> Outcome {
    let xml = lossy(bytes);
    let mut outcome = Outcome::Read;
    for placements in placements() {
        outcome = patched(&placements[lot(bytes) % placements.len()], &xml);
    }
    outcome
}

fn patched(placement: &Placement, xml: &str) -> Outcome {
    let patched = pinwise_discover::libvirt::patch(placement, xml);
    if let Ok(patched) = &patched {
        let again = pinwise_discover::libvirt::patch(placement, patched);
        assert_eq!(again.as_ref(), Ok(patched), "patched twice");
        // Not every domain that can be patched can be read as a tenant: it may lack a name.
        if let Ok(domain) = libvirt::read_domain(small(), patched) {
            let pinned = placement.vcpu_pcpus();
            let holds = domain.claim.dedicated.union(&domain.claim.floating);
            assert!(pinned.is_subset(&holds), "{patched}");
            let had = |device| domain.claim.devices.contains(device);
            assert!(placement.claim().devices.iter().all(had), "{patched}");
        }
    }
    outcome(patched)
}

/// Hosts with GPUs of both vendors in the numbers that the texts have.
fn with_gpus() -> &'static [HostSpec; 3] {
    static HOSTS: OnceLock<[HostSpec; 3]> = OnceLock::new();
    HOSTS.get_or_init(|| {
        let mut small = description("rtx-4080");
        let beyond = |device: &pinwise::host::PciDevice| {
            device.kind() == DeviceKind::Gpu && device.address.bus >= 0x60
        };
        small.devices.retain(|device| !beyond(device));
        [description("hgx-h200-snc2"), description("mi350x"), small]
    })
}

/// What operators have, laid over a host.
pub fn facts(bytes: &[u8]) -> Outcome {
    let hosts = with_gpus();
    let facts = match read_facts(&lossy(bytes)) {
        Ok(facts) => facts,
        Err(error) => return refused(error),
    };
    let whole = &hosts[lot(bytes) % hosts.len()];
    let mut host = whole.clone();
    let laid = overlay(&mut host, &facts);
    let said = laid.conflicts.iter().map(ToString::to_string);
    for sentence in said.chain(laid.notes.iter().map(ToString::to_string)) {
        assert!(!sentence.contains(char::is_control), "{sentence:?}");
    }
    assert!(laid.conflicts.len() < 100 && laid.notes.len() < 100);
    if host != *whole {
        host.build().expect("facts never break a sound host");
    }
    Outcome::Read
}
