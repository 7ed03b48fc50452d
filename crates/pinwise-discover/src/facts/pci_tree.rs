//! `lspci -tv`: which bridge is above each function.

use std::collections::BTreeSet;

use super::data::{Facts, FunctionFacts};
use super::lines::Line;
use super::problem::FactsError;
use super::reader::{FactsText, Reader};
use pinwise::host::MAX_PCI_FUNCTIONS;
use pinwise::units::PciAddr;

pub(super) const READER: Reader = Reader {
    name: "lspci -t",
    command: "lspci -tv",
    describes_host: false,
    looks_like: |text| text.lines().any(|line| is_root(line.text)),
    read,
};

const SOURCE: &str = "lspci -t";

/// Whether a line begins a tree: `-[0000:00]-+-00.0` or, of several roots, `-+-[0000:80]-+-00.0`.
fn is_root(text: &str) -> bool {
    let rest = text.strip_prefix("-[").or_else(|| text.strip_prefix("-+-["));
    rest.and_then(|rest| rest.split_once(']')).is_some_and(|(bus, _)| {
        bus.split([':', '-']).all(|part| !part.is_empty() && hex(part).is_some())
    })
}

fn hex(digits: &str) -> Option<u32> {
    let plain = (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    plain.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

/// A bus of the tree.
#[derive(Clone, Copy)]
struct Bus {
    domain: u32,
    number: u8,
    /// The bridge above it.
    above: Option<PciAddr>,
}

/// What is read of a tree so far.
#[derive(Default)]
struct Tree {
    /// The branches that are open: the column of each, and its bus; `None` for the list of roots.
    branches: Vec<(usize, Option<Bus>)>,
    functions: Vec<FunctionFacts>,
    seen: BTreeSet<PciAddr>,
}

fn read(text: &FactsText<'_>) -> Result<Vec<Facts>, FactsError> {
    let mut tree = Tree::default();
    for line in text.lines() {
        let trimmed = line.text.trim_start_matches([' ', '|']);
        let column = line.text.len() - trimmed.len();
        if is_root(line.text) {
            tree.branches.clear();
            tree.chain(line, 1, None)?;
        } else if trimmed.starts_with("+-") || trimmed.starts_with("\\-") {
            while tree.branches.last().is_some_and(|(at, _)| *at > column) {
                tree.branches.pop();
            }
            let Some(&(at, bus)) = tree.branches.last() else { continue };
            if at != column {
                continue;
            }
            if trimmed.starts_with('\\') {
                tree.branches.pop();
            }
            tree.chain(line, column + 2, bus)?;
        } else {
            tree.branches.clear();
        }
    }
    if tree.functions.is_empty() {
        return Ok(Vec::new());
    }
    let functions = tree.functions;
    Ok(vec![Facts { source: SOURCE.to_owned(), functions, ..Facts::default() }])
}

impl Tree {
    /// Reads the rest of a line from a place on this bus: a function, the bus below it, a function
    /// on that bus, and so on.
    fn chain(
        &mut self,
        line: Line<'_>,
        from: usize,
        mut bus: Option<Bus>,
    ) -> Result<(), FactsError> {
        let mut rest = line.text.get(from..).unwrap_or_default();
        let column = |rest: &str| line.text.len() - rest.len();
        let mut above = None;
        loop {
            if let Some(after) = rest.strip_prefix("+-") {
                self.branches.push((column(rest), bus));
                rest = after;
            } else if let Some(inside) = rest.strip_prefix('[') {
                let Some((text, after)) = inside.split_once(']') else { return Ok(()) };
                let Some(below) = below(text, bus, above) else {
                    return Err(line.bad("the bus", text, "a bus such as 0000:00 or 01-05"));
                };
                bus = Some(below);
                rest = after.trim_start_matches('-');
                if rest.starts_with('+') && !after.starts_with('-') {
                    return Ok(());
                }
            } else {
                let (Some(on), Some(word)) = (bus, rest.get(..4)) else { return Ok(()) };
                let Some(address) = place(word, on) else { return Ok(()) };
                self.add(line, address, on.above)?;
                rest = &rest[4..];
                let Some(after) = rest.strip_prefix('-').filter(|after| after.starts_with('['))
                else {
                    return Ok(());
                };
                (above, rest) = (Some(address), after);
            }
        }
    }

    fn add(
        &mut self,
        line: Line<'_>,
        address: PciAddr,
        above: Option<PciAddr>,
    ) -> Result<(), FactsError> {
        if !self.seen.insert(address) {
            return Err(line.twice(format!("function {address}")));
        }
        if self.functions.len() >= MAX_PCI_FUNCTIONS {
            let (line, limit) = (line.number, MAX_PCI_FUNCTIONS);
            return Err(FactsError::TooMany { line, what: "PCI functions", limit });
        }
        self.functions.push(FunctionFacts { above, ..FunctionFacts::new(address) });
        Ok(())
    }
}

/// The bus of brackets: `0000:00`, `01` or, of a bridge with several below it, `01-05`.
fn below(text: &str, on: Option<Bus>, above: Option<PciAddr>) -> Option<Bus> {
    let (first, _) = text.split_once('-').unwrap_or((text, ""));
    let (domain, number) = match first.rsplit_once(':') {
        Some((domain, number)) => (hex(domain)?, number),
        None => (on?.domain, first),
    };
    Some(Bus { domain, number: u8::try_from(hex(number)?).ok()?, above })
}

/// The function `02.0` on a bus.
fn place(word: &str, bus: Bus) -> Option<PciAddr> {
    let (device, function) = word.split_once('.')?;
    let device = u8::try_from(hex(device)?).ok().filter(|device| *device <= 0x1f)?;
    let function = u8::try_from(hex(function)?).ok().filter(|function| *function <= 7)?;
    Some(PciAddr { domain: bus.domain, bus: bus.number, device, function })
}

#[cfg(test)]
mod tests {
    use crate::facts::read_facts;

    /// Made up, in lspci's form: two roots, a switch with two ports, an empty bus.
    const TREE: &str = "\
-+-[0000:80]-+-00.0  Host bridge
 |           \\-01.0-[81-84]----00.0-[82-84]--+-00.0-[83]----00.0  GPU
 |                                           \\-01.0-[84]--+-00.0  GPU
 |                                                        \\-00.1  Audio
 \\-[0000:00]-+-00.0  Host bridge
             +-01.0-[01]--
             \\-1f.3  Audio
";

    fn parents(text: &str) -> Vec<String> {
        let facts = read_facts(text).unwrap();
        let shown = |function: &crate::facts::FunctionFacts| match function.above {
            Some(above) => format!("{} {above}", function.address),
            None => function.address.to_string(),
        };
        facts[0].functions.iter().map(shown).collect()
    }

    #[test]
    fn each_function_is_below_its_bridge() {
        let expected = [
            "0000:80:00.0",
            "0000:80:01.0",
            "0000:81:00.0 0000:80:01.0",
            "0000:82:00.0 0000:81:00.0",
            "0000:83:00.0 0000:82:00.0",
            "0000:82:01.0 0000:81:00.0",
            "0000:84:00.0 0000:82:01.0",
            "0000:84:00.1 0000:82:01.0",
            "0000:00:00.0",
            "0000:00:01.0",
            "0000:00:1f.3",
        ];
        assert_eq!(parents(TREE), expected);
        let pasted = format!("```\r\nuser@host:~$ lspci -tv\r\n{TREE}user@host:~$\r\n```");
        assert_eq!(parents(&pasted), expected);
        // A single root, and one in a domain of its own.
        assert_eq!(
            parents("-[0000:00]-+-00.0\n           \\-01.0-[01]----00.0\n"),
            ["0000:00:00.0", "0000:00:01.0", "0000:01:00.0 0000:00:01.0"]
        );
        assert_eq!(
            parents("-[10000:e0]---01.0-[e1]----00.0  Disk\n"),
            ["10000:e0:01.0", "10000:e1:00.0 10000:e0:01.0"]
        );
    }

    #[test]
    fn what_cannot_be_is_an_error_with_its_line() {
        for (from, to, sentence) in [
            ("[83]", "[zz]", "line 2: the bus \"zz\" is not a bus such as 0000:00 or 01-05"),
            ("\\-1f.3", "+-01.0", "line 7: function 0000:00:01.0 is repeated"),
        ] {
            let error = read_facts(&TREE.replacen(from, to, 1)).unwrap_err();
            assert_eq!(error.to_string(), sentence);
        }
    }
}
