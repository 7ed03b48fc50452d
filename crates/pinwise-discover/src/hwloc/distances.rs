//! The distances between nodes.

use super::element::LstopoElement;
use super::note::LstopoNote;
use super::problem::LstopoError;
use super::walk::Found;
use crate::notes::Notes;
use pinwise::host::NodeSpec;
use pinwise::units::{Distance, Id as _, NodeId};

/// hwloc's flag for distances that are latencies.
const LATENCY: u64 = 1 << 2;
/// The largest number of tables looked at; real files have up to four.
const MAX_TABLES: usize = 16;
const MILLION: u64 = 1_000_000;

/// A square table: the ids of n nodes, and n rows of n values.
type DistanceTable = (Vec<u32>, Vec<u64>);

/// Sets the distances from the first table of relative distances between all nodes. hwloc also
/// keeps values given by users or measured, in any unit, so other tables are ignored.
pub(super) fn fill(
    root: LstopoElement<'_>,
    machine: LstopoElement<'_>,
    found: &Found<'_>,
    nodes: &mut [NodeSpec],
    notes: &mut Notes,
) -> Result<(), LstopoError> {
    if nodes.len() < 2 {
        return Ok(());
    }
    let mut tables = later(root, found)?;
    tables.extend(earlier(machine, found)?);
    let Some(rows) = tables.iter().find_map(|table| relative(table, nodes)) else {
        notes.add(match tables.len() {
            0 => LstopoNote::NoDistances,
            tables => LstopoNote::OtherDistances { tables },
        });
        return Ok(());
    };
    for (node, row) in nodes.iter_mut().zip(rows) {
        node.distances = row;
    }
    Ok(())
}

/// The rows in the order of the nodes, if all nodes are in the table and its values are valid
/// relative distances.
fn relative((ids, values): &DistanceTable, nodes: &[NodeSpec]) -> Option<Vec<Vec<Distance>>> {
    let at = |node: &NodeSpec| ids.iter().position(|id| *id == node.id.0);
    let places: Vec<_> = nodes.iter().map(at).collect::<Option<_>>()?;
    let value = |from: usize, to: usize| {
        let value = *values.get(from.checked_mul(ids.len())?.checked_add(to)?)?;
        let distance = Distance(u8::try_from(value).ok()?);
        let sound = match from == to {
            true => distance == Distance::LOCAL,
            false => distance > Distance::LOCAL,
        };
        sound.then_some(distance)
    };
    let row = |from: &usize| places.iter().map(|to| value(*from, *to)).collect();
    places.iter().map(row).collect()
}

/// The tables of hwloc 2 and 3: elements below the root, with the indexes of the nodes.
fn later(root: LstopoElement<'_>, found: &Found<'_>) -> Result<Vec<DistanceTable>, LstopoError> {
    let mut tables = Vec::new();
    for element in root.children("distances2").take(MAX_TABLES) {
        let latency = element.number("kind")?.is_none_or(|kind| kind & LATENCY != 0);
        if element.kind() != "NUMANode" || !latency {
            continue;
        }
        let (indexes, values) = (numbers(element, "indexes"), numbers(element, "u64values"));
        let (Some(indexes), Some(values)) = (indexes, values) else {
            return Err(element.bad("name", "a table of numbers"));
        };
        // A table may name nodes that the file leaves out, but not more than a kernel can have.
        if indexes.len() > NodeId::LIMIT as usize {
            continue;
        }
        let by_gp = element.text("indexing") == Some("gp");
        let os_index = |index: &u64| match by_gp {
            true => {
                let gp = index.to_string();
                let node = found.nodes.iter().find(|n| n.element.text("gp_index") == Some(&gp));
                node.map(|node| node.id.0)
            }
            false => u32::try_from(*index).ok(),
        };
        let ids = indexes.iter().map(|index| os_index(index).unwrap_or(u32::MAX)).collect();
        tables.push((ids, values));
    }
    Ok(tables)
}

/// The numbers in all children of this name; `None` if a word is not a number.
fn numbers(element: LstopoElement<'_>, name: &'static str) -> Option<Vec<u64>> {
    let words =
        element.children(name).flat_map(|c| c.0.text().unwrap_or_default().split_whitespace());
    words.map(|word| word.parse().ok()).collect()
}

/// The tables of hwloc 1: elements below the machine, each for all objects at one depth, in the
/// order of the objects, with values in multiples of a base. The table at the depth of the nodes
/// comes first, then others for the same number of objects.
fn earlier(
    machine: LstopoElement<'_>,
    found: &Found<'_>,
) -> Result<Vec<DistanceTable>, LstopoError> {
    let mut tables = Vec::new();
    for element in machine.children("distances").take(MAX_TABLES) {
        if element.number("nbobjs")?.and_then(|n| usize::try_from(n).ok())
            != Some(found.nodes.len())
        {
            continue;
        }
        let depth = element.number("relative_depth")?;
        let same = found.nodes.iter().any(|node| Some(node.depth) == depth);
        let base = factor(element, "latency_base")?;
        let mut values = Vec::new();
        for latency in element.children("latency") {
            let product = u128::from(factor(latency, "value")?) * u128::from(base);
            let whole = product / u128::from(MILLION) / u128::from(MILLION);
            values.push(u64::try_from(whole).unwrap_or(u64::MAX));
        }
        let ids = found.nodes.iter().map(|node| node.id.0).collect();
        tables.push((!same, (ids, values)));
    }
    tables.sort_by_key(|(other, _)| *other);
    Ok(tables.into_iter().map(|(_, table)| table).collect())
}

/// The value of an attribute that has a fraction, in millionths.
fn factor(element: LstopoElement<'_>, attribute: &'static str) -> Result<u64, LstopoError> {
    let Some(text) = element.text(attribute) else { return Err(element.missing(attribute)) };
    millionths(text).ok_or_else(|| element.bad(attribute, "a number such as 10.000000"))
}

fn millionths(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let six: String = fraction.chars().chain("000000".chars()).take(6).collect();
    whole.parse::<u64>().ok()?.checked_mul(MILLION)?.checked_add(six.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::millionths;

    #[test]
    fn fractions_are_read_to_the_sixth_digit() {
        for (text, expected) in [
            ("10.000000", Some(10_000_000)),
            ("2.1", Some(2_100_000)),
            ("0.1234567", Some(123_456)),
            ("7", Some(7_000_000)),
            ("-1.0", None),
            ("1e9", None),
            ("", None),
            ("1.", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(millionths(text), expected, "{text}");
        }
    }
}
