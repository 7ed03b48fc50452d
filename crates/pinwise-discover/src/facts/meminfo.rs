//! `/proc/meminfo`: the memory of the whole machine.

use super::data::{Facts, MemoryFacts};
use super::lines::Line;
use super::problem::FactsError;
use super::reader::{FactsText, Reader};
use pinwise::units::Bytes;

pub(super) const READER: Reader = Reader {
    name: SOURCE,
    command: "cat /proc/meminfo",
    describes_host: false,
    looks_like: |text| text.lines().any(|line| value(line, TOTAL).is_some()),
    read,
};

const SOURCE: &str = "/proc/meminfo";
const TOTAL: &str = "MemTotal";
/// Free memory, and page cache, which can be dropped for a guest.
const FREE: [&str; 3] = ["MemFree", "Active(file)", "Inactive(file)"];

/// The value of a line `name: value`.
fn value<'a>(line: Line<'a>, name: &str) -> Option<&'a str> {
    let (key, value) = line.text.split_once(':')?;
    (key.trim() == name).then(|| value.trim())
}

/// The amounts of this name. It occurs once at most.
fn amount(text: &FactsText<'_>, name: &str) -> Result<Option<Bytes>, FactsError> {
    let mut found = None;
    for line in text.lines() {
        let Some(value) = value(line, name) else { continue };
        let number = value.strip_suffix("kB").unwrap_or_default().trim_end();
        let kib = number.parse::<u64>().ok().filter(|_| !number.starts_with('+'));
        let bytes = kib.and_then(|kib| kib.checked_mul(1024)).map(Bytes);
        let bytes = bytes.ok_or_else(|| line.bad(name, value, "a number of kB"))?;
        if found.replace(bytes).is_some() {
            return Err(line.twice(name.to_owned()));
        }
    }
    Ok(found)
}

fn read(text: &FactsText<'_>) -> Result<Vec<Facts>, FactsError> {
    let Some(total) = amount(text, TOTAL)? else { return Ok(Vec::new()) };
    let mut free = None;
    for name in FREE {
        if let Some(bytes) = amount(text, name)? {
            free = Some(Bytes(free.map_or(0, |free: Bytes| free.0).saturating_add(bytes.0)));
        }
    }
    let memory = Some(MemoryFacts { total, free });
    Ok(vec![Facts { source: SOURCE.to_owned(), memory, ..Facts::default() }])
}

#[cfg(test)]
mod tests {
    use crate::facts::read_facts;
    use pinwise::units::Bytes;

    const TEXT: &str = "MemTotal:  1000 kB\nMemFree:  100 kB\nActive(file):  20 kB\n\
                        Inactive(file):  3 kB\nInactive:  7 kB\nHugePages_Total:  0\n";

    #[test]
    fn page_cache_counts_as_free() {
        let memory = read_facts(TEXT).unwrap()[0].memory.unwrap();
        assert_eq!((memory.total, memory.free), (Bytes(1000 << 10), Some(Bytes(123 << 10))));
        assert_eq!(read_facts("MemTotal: 5 kB").unwrap()[0].memory.unwrap().free, None);
    }

    #[test]
    fn what_cannot_be_is_an_error_with_its_line() {
        for (from, to, sentence) in [
            ("100 kB", "100", "line 2: MemFree \"100\" is not a number of kB"),
            ("1000 kB", "-1 kB", "line 1: MemTotal \"-1 kB\" is not a number of kB"),
            ("HugePages_Total", "MemTotal", "line 6: MemTotal \"0\" is not a number of kB"),
            ("Inactive:", "MemFree:", "line 5: MemFree is repeated"),
        ] {
            let error = read_facts(&TEXT.replacen(from, to, 1)).unwrap_err();
            assert_eq!(error.to_string(), sentence);
        }
    }
}
