//! The line that lspci prints for a PCI function, and the details below it.

use super::data::FunctionFacts;
use super::lines::Line;
use super::problem::FactsError;
use pinwise::host::{LinkState, PciClass, PciId};
use pinwise::shown::{is_word, plain};
use pinwise::units::{Id as _, NodeId, PciAddr};

/// The largest number of words before the address: marks such as `[RESET]`.
const MAX_MARKS: usize = 3;

/// A PCI address as lspci prints it: two digits of the bus, two of the device, the function, and
/// the domain before them if the host has several.
pub(super) fn address(word: &str) -> Option<PciAddr> {
    let short = word.len().checked_sub(7).and_then(|at| word.get(at..))?;
    let shaped = short.as_bytes()[2] == b':' && short.as_bytes()[5] == b'.';
    let domain = word.strip_suffix(short)?;
    let sound = domain.is_empty() || domain.ends_with(':') && (5..=9).contains(&domain.len());
    (shaped && sound).then(|| word.parse().ok()).flatten()
}

/// The function that a line such as `01:00.0 VGA compatible controller [0300]: NAME [10de:2684]`
/// shows. Marks in brackets may come before the address; class and ids are absent without `-nn`.
pub(super) fn function(text: &str) -> Option<FunctionFacts> {
    let mut rest = text.trim();
    for _ in 0..=MAX_MARKS {
        let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        if let Some(address) = address(word) {
            return Some(described(address, after.trim()));
        }
        if !(word.starts_with('[') && word.ends_with(']')) {
            return None;
        }
        rest = after.trim_start();
    }
    None
}

fn described(address: PciAddr, text: &str) -> FunctionFacts {
    let mut function = FunctionFacts::new(address);
    let hex = |digits: &str, length: usize| {
        let sound = digits.len() == length && digits.bytes().all(|b| b.is_ascii_hexdigit());
        sound.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
    };
    let Some((class, name)) = text.split_once("]: ") else { return function };
    let code = class.rsplit_once('[').and_then(|(_, code)| hex(code, 4));
    // The ids are the last brackets of this form; revision and interface follow them.
    let ids = name.rmatch_indices('[').find_map(|(at, _)| {
        let (inside, after) = name[at + 1..].split_once(']')?;
        let (vendor, device) = inside.split_once(':')?;
        Some((at, hex(vendor, 4)?, hex(device, 4)?, after))
    });
    let (Some(code), Some((at, vendor, device, after))) = (code, ids) else { return function };
    let interface = after.split_once("(prog-if ").and_then(|(_, rest)| hex(rest.get(..2)?, 2));
    let id = |id: u32| PciId(u16::try_from(id).unwrap_or_default());
    function.class = Some(PciClass(code << 8 | interface.unwrap_or(0)));
    function.ids = Some((id(vendor), id(device)));
    function.name = Some(plain(&name[..at])).filter(|name| !name.is_empty());
    function
}

/// Takes a detail of a function, as lspci prints with `-k` or `-v`. False if the line is not one.
pub(super) fn detail(line: Line<'_>, function: &mut FunctionFacts) -> Result<bool, FactsError> {
    let text = line.text;
    let Some((name, value)) = text.trim().split_once(':') else {
        return Ok(text.starts_with(char::is_whitespace));
    };
    let value = value.trim();
    let of = |what: &str| format!("{what} of {}", function.address);
    match name {
        "Kernel driver in use" if is_word(value) => function.driver = Some(value.to_owned()),
        "NUMA node" => {
            let node = value.parse().ok().filter(|node| *node < NodeId::LIMIT).map(NodeId);
            let bad = || line.bad(&of("the node"), value, "a node's number");
            function.node = Some(node.ok_or_else(bad)?);
        }
        "IOMMU group" => {
            let bad = || line.bad(&of("the group"), value, "a number");
            function.iommu_group = Some(value.parse().map_err(|_| bad())?);
        }
        "LnkCap" => function.link_max = link(value).or(function.link_max),
        "LnkSta" => function.link_now = link(value).or(function.link_now),
        _ => return Ok(text.starts_with(char::is_whitespace)),
    }
    Ok(true)
}

/// `Port #0, Speed 16GT/s, Width x16, ASPM L1` or `Speed 2.5GT/s (downgraded), Width x16`.
fn link(text: &str) -> Option<LinkState> {
    let after = |word: &str| text.split_once(word).map(|(_, rest)| rest);
    let (speed, _) = after("Speed ")?.split_once("GT/s")?;
    let (whole, tenth) = speed.split_once('.').unwrap_or((speed, "0"));
    let whole = whole.parse::<u32>().ok().filter(|whole| *whole < 1000)?;
    let tenth = tenth.parse::<u32>().ok().filter(|tenth| *tenth < 10)?;
    let width = after("Width x")?;
    let digits = width.len() - width.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let width = width[..digits].parse().ok().filter(|width| *width > 0)?;
    Some(LinkState { mts: whole * 1000 + tenth * 100, width }).filter(|link| link.mts > 0)
}
