//! Identifiers and quantities. Each has a type of its own, so that a node is never mistaken for a
//! cell, nor KiB for bytes. Absence is an `Option`, never a sentinel.

use std::fmt;
use std::str::FromStr;

/// A text that is not the expected quantity or identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct ParseUnitError {
    text: String,
    expected: &'static str,
}

impl ParseUnitError {
    pub(crate) fn new(text: &str, expected: &'static str) -> Self {
        // Hostile text may be megabytes long; the message shows its beginning only.
        Self { text: crate::shown::shorten(text, 60), expected }
    }
}

/// An identifier that is a plain number and can be kept in an [`IdSet`](crate::sets::IdSet).
pub trait Id: Copy + Ord + fmt::Debug {
    /// Identifiers are below this number.
    const LIMIT: u32;
    /// The name of the identifier in an error, e.g. "a pCPU".
    const WHAT: &'static str;
    /// The identifier with this number.
    fn from_index(index: u32) -> Self;
    /// The number.
    fn index(self) -> u32;
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $limit:expr, $what:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
        pub struct $name(pub u32);

        impl Id for $name {
            const LIMIT: u32 = $limit;
            const WHAT: &'static str = $what;
            fn from_index(index: u32) -> Self {
                Self(index)
            }
            fn index(self) -> u32 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A host logical CPU by its OS index (hwloc: PU, `P#`).
    #[doc(alias = "PU")]
    PcpuId, 16_384, "a pCPU"
);
id!(
    /// A guest CPU, counted from 0.
    VcpuId, 16_384, "a vCPU"
);
id!(
    /// A host NUMA node by its OS index. May be sparse (0, 8, 250 …).
    #[doc(alias = "NUMANode")]
    NodeId, 1_024, "a node"
);
id!(
    /// A guest NUMA node, counted from 0.
    #[doc(alias = "vNUMA")]
    CellId, 1_024, "a cell"
);
id!(
    /// A CPU package, by its physical package id.
    #[doc(alias = "socket")]
    PackageId, u32::MAX, "a package"
);
id!(
    /// A set of pCPUs that share one last-level (L3) cache; numbered by us in the host's order.
    #[doc(alias = "CCX")]
    L3Id, 16_384, "an L3 domain"
);

/// A physical core. The kernel's `core_id` is unique only inside its package and die, so all three
/// numbers together name a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CoreId {
    /// The package that the core is in.
    pub package: PackageId,
    /// The die inside the package; 0 if the source does not distinguish dies.
    #[cfg_attr(feature = "serde", serde(default))]
    pub die: u32,
    /// The kernel's `core_id`.
    pub core: u32,
}

impl fmt::Display for CoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { package, die, core } = self;
        write!(f, "{package}/{die}/{core}")
    }
}

const KIB: u64 = 1 << 10;
const UNITS: [(&str, u32); 6] =
    [("EiB", 60), ("PiB", 50), ("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];

/// An amount of memory in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(pub u64);

impl Bytes {
    /// No memory.
    pub const ZERO: Self = Self(0);

    /// `n` KiB, saturating at the largest representable amount.
    #[must_use]
    pub const fn from_kib(n: u64) -> Self {
        Self(n.saturating_mul(KIB))
    }

    /// `n` MiB, saturating.
    #[must_use]
    pub const fn from_mib(n: u64) -> Self {
        Self(n.saturating_mul(KIB * KIB))
    }

    /// `n` GiB, saturating.
    #[must_use]
    pub const fn from_gib(n: u64) -> Self {
        Self(n.saturating_mul(KIB * KIB * KIB))
    }

    /// Whole KiB, rounded down.
    #[must_use]
    pub const fn kib(self) -> u64 {
        self.0 / KIB
    }

    /// `self - other`, or zero if `other` is larger.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// The largest unit that shows the amount without a fraction: `64 GiB`, `1536 MiB`, `7 B`.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, shift) in UNITS {
            if self.0 != 0
                && self.0.is_multiple_of(1 << shift)
                && (shift < 50 || self.0 >> shift >= 10)
            {
                return write!(f, "{} {unit}", self.0 >> shift);
            }
        }
        write!(f, "{} B", self.0)
    }
}

/// Binary units only: `64GiB`, `64 GiB`, `64G`, `512M`, `4096k`, or plain bytes. `GB` and `MB` are
/// refused, because half of the tools read them as decimal and half as binary.
impl FromStr for Bytes {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParseUnitError::new(text, "an amount of memory such as 64GiB, 512MiB or 4KiB");
        let trimmed = text.trim();
        let digits = trimmed.len() - trimmed.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = trimmed.split_at(digits);
        let number: u64 = number.parse().map_err(|_| bad())?;
        let unit = unit.trim();
        let shift = match unit {
            "" | "B" => 0,
            _ => UNITS
                .iter()
                .find(|(name, _)| {
                    unit.eq_ignore_ascii_case(name) || unit.eq_ignore_ascii_case(&name[..1])
                })
                .map(|(_, shift)| *shift)
                .ok_or_else(bad)?,
        };
        let bytes = number.checked_mul(1_u64 << shift).ok_or_else(bad)?;
        Ok(Self(bytes))
    }
}

/// The size of a memory page: a power of two of at least 4 KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageSize(u64);

impl PageSize {
    /// The base page of x86-64.
    pub const KIB_4: Self = Self(4 * KIB);
    /// The common hugepage.
    pub const MIB_2: Self = Self(2 * KIB * KIB);
    /// The large hugepage.
    pub const GIB_1: Self = Self(KIB * KIB * KIB);

    /// A page of `kib` KiB, or `None` unless that is a power of two from 4 KiB to 1 TiB.
    #[must_use]
    pub const fn from_kib(kib: u64) -> Option<Self> {
        if kib.is_power_of_two() && kib >= 4 && kib <= 1 << 30 {
            Some(Self(kib * KIB))
        } else {
            None
        }
    }

    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The size in KiB.
    #[must_use]
    pub const fn kib(self) -> u64 {
        self.0 / KIB
    }

    /// Whether this is a hugepage: larger than any base page (4, 16 or 64 KiB).
    #[must_use]
    pub const fn is_huge(self) -> bool {
        self.0 > 64 * KIB
    }

    /// The size of `count` pages, saturating.
    #[must_use]
    pub const fn times(self, count: u64) -> Bytes {
        Bytes(self.0.saturating_mul(count))
    }

    /// The number of pages that hold `memory` exactly, or `None` if it is not a multiple.
    #[must_use]
    pub const fn pages_in(self, memory: Bytes) -> Option<u64> {
        if memory.0.is_multiple_of(self.0) { Some(memory.0 / self.0) } else { None }
    }
}

impl fmt::Display for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Bytes(self.0).fmt(f)
    }
}

impl FromStr for PageSize {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes: Bytes = text.parse()?;
        Self::from_kib(bytes.kib())
            .filter(|size| size.0 == bytes.0)
            .ok_or_else(|| ParseUnitError::new(text, "a page size such as 4KiB, 2MiB or 1GiB"))
    }
}

/// A relative memory distance as the firmware's SLIT gives it: 10 is local, 255 is unreachable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Distance(pub u8);

impl Distance {
    /// The distance of a node to itself.
    pub const LOCAL: Self = Self(10);
}

impl fmt::Display for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A PCI address, `domain:bus:device.function`. Domains have up to 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[doc(alias = "BDF")]
pub struct PciAddr {
    /// The PCI domain (segment).
    pub domain: u32,
    /// The bus.
    pub bus: u8,
    /// The device (slot), below 32.
    pub device: u8,
    /// The function, below 8.
    pub function: u8,
}

impl PciAddr {
    /// Whether device and function are in their ranges, so that the address can be written and read
    /// back.
    #[must_use]
    pub fn is_valid(self) -> bool {
        self.device < 32 && self.function < 8
    }

    /// Whether both are functions of one card: same domain, bus and device.
    #[must_use]
    pub fn same_slot(self, other: Self) -> bool {
        (self.domain, self.bus, self.device) == (other.domain, other.bus, other.device)
    }
}

/// The kernel's notation: `0000:1b:00.0`.
impl fmt::Display for PciAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, bus, device, function } = self;
        write!(f, "{domain:04x}:{bus:02x}:{device:02x}.{function:x}")
    }
}

/// Hexadecimal, with or without the domain: `0000:1b:00.0`, `00000000:1B:00.0`, `1b:00.0`.
impl FromStr for PciAddr {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParseUnitError::new(text, "a PCI address such as 0000:1b:00.0");
        let hex = |part: &str, digits: usize, limit: u32| {
            let fits =
                (1..=digits).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_hexdigit());
            let value = if fits { u32::from_str_radix(part, 16).ok() } else { None };
            value.filter(|v| *v <= limit).ok_or_else(bad)
        };
        let narrow = |value: u32| u8::try_from(value).map_err(|_| bad());
        let (rest, function) = text.trim().rsplit_once('.').ok_or_else(bad)?;
        let (rest, device) = rest.rsplit_once(':').ok_or_else(bad)?;
        let (domain, bus) = rest.rsplit_once(':').unwrap_or(("0", rest));
        Ok(Self {
            domain: hex(domain, 8, u32::MAX)?,
            bus: narrow(hex(bus, 2, 0xff)?)?,
            device: narrow(hex(device, 2, 0x1f)?)?,
            function: narrow(hex(function, 1, 7)?)?,
        })
    }
}

/// A factor in thousandths: 1000 is "as the default layout", 1400 is 1.4 times its performance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ratio(pub u32);

impl Ratio {
    /// No change.
    pub const ONE: Self = Self(1000);

    /// The product, rounded to the nearest thousandth, saturating, never zero.
    #[must_use]
    pub fn times(self, other: Self) -> Self {
        let product = (u64::from(self.0) * u64::from(other.0) + 500) / 1000;
        Self(u32::try_from(product).unwrap_or(u32::MAX).max(1))
    }
}

/// With two decimals, `1.40`, or three if the third is not zero.
impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(10) {
            f.pad(&format!("{}.{:02}", self.0 / 1000, self.0 % 1000 / 10))
        } else {
            f.pad(&format!("{}.{:03}", self.0 / 1000, self.0 % 1000))
        }
    }
}

#[cfg(feature = "serde")]
mod text_form {
    use super::{Bytes, PageSize, PciAddr, Ratio};

    /// Texts in JSON, so that a file reads as a person would write it.
    macro_rules! as_text {
        ($($name:ty),*) => {$(
            impl serde::Serialize for $name {
                fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                    s.collect_str(self)
                }
            }
            impl<'de> serde::Deserialize<'de> for $name {
                fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                    let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
                    text.parse().map_err(serde::de::Error::custom)
                }
            }
        )*};
    }
    as_text!(Bytes, PageSize, PciAddr);

    /// A plain number in JSON (1.4), because other programs compute with it.
    impl serde::Serialize for Ratio {
        fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
            s.serialize_f64(f64::from(self.0) / 1000.0)
        }
    }

    impl<'de> serde::Deserialize<'de> for Ratio {
        fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
            let number = f64::deserialize(d)?;
            let (least, most) = (0.001, f64::from(u32::MAX / 1000));
            if !(least..=most).contains(&number) {
                return Err(serde::de::Error::custom(format!("{number} is not a positive ratio")));
            }
            // At most 2^32, as checked above.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Ok(Self((number * 1000.0).round() as u32))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_and_print_binary_units_only() {
        for (text, kib) in [("64GiB", 64 << 20), ("64 g", 64 << 20), ("4KiB", 4), ("2048", 2)] {
            assert_eq!(text.parse::<Bytes>().unwrap().kib(), kib, "{text}");
        }
        assert_eq!(Bytes::from_mib(1536).to_string(), "1536 MiB");
        assert_eq!(Bytes::from_gib(2048).to_string(), "2 TiB");
        assert_eq!(Bytes(7).to_string(), "7 B");
        for text in
            ["", "GiB", "64GB", "-1", "1.5GiB", "99999999999999999999", "17179869184GiB", "é"]
        {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_pci_address_normalises_its_domain() {
        let address: PciAddr = "00000000:1B:00.0".parse().unwrap();
        assert_eq!(address.to_string(), "0000:1b:00.0");
        assert_eq!("1b:00.0".parse::<PciAddr>().unwrap(), address);
        assert_eq!("10000:e1:00.0".parse::<PciAddr>().unwrap().to_string(), "10000:e1:00.0");
        for text in ["", "1b", "1b:00", "0000:1b:20.0", "0000:1b:00.8", "+1:1b:00.0", "0:0:0:0:0.0"]
        {
            assert!(text.parse::<PciAddr>().is_err(), "{text}");
        }
    }

    #[test]
    fn page_sizes_are_powers_of_two_from_4_kib() {
        assert_eq!("2MiB".parse::<PageSize>().unwrap(), PageSize::MIB_2);
        for text in ["0", "3MiB", "2KiB", "4097", "9 EiB"] {
            assert!(text.parse::<PageSize>().is_err(), "{text}");
        }
        assert_eq!(PageSize::GIB_1.pages_in(Bytes::from_mib(1536)), None);
    }

    #[test]
    fn long_hostile_text_is_cut_in_the_message() {
        let message = "x".repeat(1 << 20).parse::<Bytes>().unwrap_err().to_string();
        assert!(message.len() < 200, "{message}");
    }
}
