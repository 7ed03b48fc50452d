//! Redaction of a description: replaces text that names people or single devices.

use std::fmt;

use crate::uuid::is_uuid;
use pinwise::host::HostSpec;

/// A kind of text that was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Redacted {
    /// The host's own name, anywhere in a text.
    HostName,
    /// An e-mail address.
    Email,
    /// A MAC address or an InfiniBand GUID.
    Mac,
    /// An IP address.
    Ip,
    /// A UUID, such as a GPU's.
    Uuid,
    /// A word that looks like a serial number: at least ten letters and digits, four of them
    /// digits.
    Serial,
    /// The folders in a file's path.
    Folders,
}

impl fmt::Display for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HostName => "the host's name",
            Self::Email => "an e-mail address",
            Self::Mac => "a MAC address or GUID",
            Self::Ip => "an IP address",
            Self::Uuid => "a UUID",
            Self::Serial => "a serial number",
            Self::Folders => "the folders of a file",
        })
    }
}

/// Replaces text that names people, networks or single devices in every free text of a description.
/// `own_name` is the machine's name, which may occur in texts other than [`HostSpec::name`]; the
/// caller replaces the name itself. PCI addresses and ids stay: placements need them, and they are
/// the same on every machine of a kind.
///
/// Returns the replacements, one entry for each.
pub fn redact(host: &mut HostSpec, own_name: &str) -> Vec<Redacted> {
    // Every field is named, so that a new field with text cannot be forgotten here.
    let HostSpec {
        name: _,
        about,
        cpu_vendor: _,
        cpu_model,
        nodes: _,
        cores: _,
        l3_domains: _,
        caches: _,
        clusters: _,
        offline: _,
        allowed: _,
        isolated: _,
        reserved: _,
        reserve_memory: _,
        devices,
        gpu_links: _,
        fabric_partitions: _,
        sources,
    } = host;
    let mut found = Vec::new();
    let mut clean = |text: &mut String| *text = cleaned(text, own_name, &mut found);
    clean(about);
    clean(cpu_model);
    for device in devices.iter_mut() {
        device.name.iter_mut().chain(&mut device.driver).for_each(&mut clean);
    }
    sources.iter_mut().for_each(|source| clean(&mut source.from));
    // Mediated devices stay apart from each other, as devices of their parents.
    let uuids = devices.iter_mut().filter_map(|device| device.mediated.as_mut()).flatten();
    for (uuid, number) in uuids.zip(1_u32..) {
        *uuid = format!("00000000-0000-0000-0000-{number:012x}");
        found.push(Redacted::Uuid);
    }
    found
}

fn cleaned(text: &str, own_name: &str, found: &mut Vec<Redacted>) -> String {
    let ends = |c: char| c.is_whitespace() || "()[]{}<>\"',;=".contains(c);
    let mut clean = String::with_capacity(text.len());
    for part in text.split_inclusive(ends) {
        let end = part.chars().next_back().filter(|c| ends(*c));
        let word = &part[..part.len() - end.map_or(0, char::len_utf8)];
        // Punctuation at the end is not a part of the word.
        let bare = word.trim_end_matches(['.', ':', '!', '?']);
        match kind(bare, own_name) {
            Some(Redacted::Folders) => {
                found.push(Redacted::Folders);
                clean.push_str(bare.rsplit(['/', '\\']).next().unwrap_or_default());
            }
            Some(what) => {
                found.push(what);
                clean.push_str(match what {
                    Redacted::HostName => "host",
                    Redacted::Email => "someone@example.org",
                    Redacted::Mac => "00:00:00:00:00:00",
                    Redacted::Ip => "0.0.0.0",
                    Redacted::Uuid => "00000000-0000-0000-0000-000000000000",
                    Redacted::Serial | Redacted::Folders => "serial",
                });
            }
            None => clean.push_str(bare),
        }
        clean.push_str(&word[bare.len()..]);
        clean.extend(end);
    }
    clean
}

fn kind(word: &str, own_name: &str) -> Option<Redacted> {
    let hex = |text: &str, digits: usize| {
        text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit())
    };
    let pairs = |mark: char, count: usize| {
        word.split(mark).count() == count && word.split(mark).all(|pair| hex(pair, 2))
    };
    // "host", used if the name is unknown, identifies nobody.
    if !own_name.is_empty() && own_name != "host" && word.eq_ignore_ascii_case(own_name) {
        return Some(Redacted::HostName);
    }
    if word.split_once('@').is_some_and(|(who, at)| !who.is_empty() && at.contains('.')) {
        return Some(Redacted::Email);
    }
    let guid = word.strip_prefix("0x").is_some_and(|digits| hex(digits, 16));
    let guid = guid || word.split(':').count() == 4 && word.split(':').all(|part| hex(part, 4));
    if guid || [6, 8].iter().any(|count| pairs(':', *count) || pairs('-', *count)) {
        return Some(Redacted::Mac);
    }
    let ip = |word: &str| word.parse::<std::net::IpAddr>().is_ok();
    if ip(word) || word.split_once('/').is_some_and(|(address, _)| ip(address)) {
        return Some(Redacted::Ip);
    }
    let uuid = word.strip_prefix("GPU-").or_else(|| word.strip_prefix("MIG-")).unwrap_or(word);
    if is_uuid(uuid) {
        return Some(Redacted::Uuid);
    }
    if word.len() > 1 && (word.starts_with(['/', '~']) || word.starts_with("./"))
        || word.starts_with("../")
        || word.get(1..3) == Some(":\\")
    {
        return Some(Redacted::Folders);
    }
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let serial = word.len() >= 10 && digits >= 4 && word.bytes().all(|b| b.is_ascii_alphanumeric());
    serial.then_some(Redacted::Serial)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pinwise::host::{Part, PartSource};

    #[test]
    fn what_names_people_and_single_devices_goes_and_the_rest_stays() {
        for (text, clean, what) in [
            ("read on Node7.", "read on host.", Some(Redacted::HostName)),
            ("sent by a.b@site.com", "sent by someone@example.org", Some(Redacted::Email)),
            ("eth 52:54:00:ab:cd:ef", "eth 00:00:00:00:00:00", Some(Redacted::Mac)),
            ("0xa87cb10003e1a258", "00:00:00:00:00:00", Some(Redacted::Mac)),
            ("at 10.1.2.3/24", "at 0.0.0.0", Some(Redacted::Ip)),
            ("at fe80::1, up", "at 0.0.0.0, up", Some(Redacted::Ip)),
            (
                "GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c",
                "00000000-0000-0000-0000-000000000000",
                Some(Redacted::Uuid),
            ),
            ("SN: 1654922006536", "SN: serial", Some(Redacted::Serial)),
            ("topo -m (/home/ann/topo.txt)", "topo -m (topo.txt)", Some(Redacted::Folders)),
            ("Intel(R) Xeon(R) Platinum 8558 CPU @ 2.10GHz", "", None),
            ("NVIDIA H100 80GB HBM3 at 0000:1b:00.0", "", None),
            ("GA102 [GeForce RTX 3090], 10de:2204", "", None),
            ("nvidia-smi topo -m; read from XML of hwloc 2.9.0", "", None),
        ] {
            let mut host = HostSpec { about: text.to_owned(), ..HostSpec::default() };
            let found = redact(&mut host, "node7");
            let expected = if what.is_some() { clean } else { text };
            assert_eq!((host.about.as_str(), found.first().copied()), (expected, what), "{text}");
        }
    }

    #[test]
    fn every_text_of_a_description_is_looked_at() {
        let id = pinwise::host::PciId(1);
        let address = "0000:01:00.0".parse().unwrap();
        let class = pinwise::host::PciClass(0x02_0000);
        let mut nic = pinwise::host::PciDevice::new(address, class, id, id);
        nic.name = Some("port 52:54:00:ab:cd:ef".to_owned());
        nic.driver = Some("a@b.c".to_owned());
        let uuid = |last: u8| format!("4b20d080-1b54-4048-85b3-a6a62d165c0{last}");
        nic.mediated = Some(vec![uuid(1), uuid(2)]);
        let mut host = HostSpec {
            about: "1.2.3.4".to_owned(),
            cpu_model: "engineering sample 1654922006536".to_owned(),
            devices: vec![nic],
            sources: vec![PartSource { part: Part::Pci, from: "x (~/ann/x)".to_owned() }],
            ..HostSpec::default()
        };
        let mut found = redact(&mut host, "");
        found.sort_unstable();
        let all = [
            Redacted::Email,
            Redacted::Mac,
            Redacted::Ip,
            Redacted::Uuid,
            Redacted::Uuid,
            Redacted::Serial,
            Redacted::Folders,
        ];
        assert_eq!(found, all);
        let uuids = host.devices[0].mediated.clone().unwrap();
        assert_eq!(uuids[1], "00000000-0000-0000-0000-000000000002", "they stay apart");
        assert_eq!(host.devices[0].name.as_deref(), Some("port 00:00:00:00:00:00"));
        assert_eq!(host.sources[0].from, "x (x)");
    }
}
