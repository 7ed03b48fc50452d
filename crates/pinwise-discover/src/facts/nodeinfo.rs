//! `virsh nodeinfo`: the memory of the whole machine. Its numbers of sockets, cores and threads do
//! not tell which pCPU is on which core.

use super::data::{Facts, MemoryFacts};
use super::lines::Line;
use super::problem::FactsError;
use super::reader::{FactsText, Reader};
use pinwise::units::Bytes;

pub(super) const READER: Reader = Reader {
    name: SOURCE,
    command: "virsh nodeinfo",
    describes_host: false,
    looks_like: |text| text.lines().any(|line| value(line, "NUMA cell(s)").is_some()),
    read,
};

const SOURCE: &str = "virsh nodeinfo";

/// The value of a line `name: value`.
fn value<'a>(line: Line<'a>, name: &str) -> Option<&'a str> {
    let (key, value) = line.text.split_once(':')?;
    (key.trim() == name).then(|| value.trim())
}

fn read(text: &FactsText<'_>) -> Result<Vec<Facts>, FactsError> {
    let mut total = None;
    for line in text.lines() {
        let Some(value) = value(line, "Memory size") else { continue };
        let number = value.strip_suffix("KiB").unwrap_or_default().trim_end();
        let kib = number.parse::<u64>().ok().filter(|_| !number.starts_with('+'));
        let bytes = kib.and_then(|kib| kib.checked_mul(1024)).map(Bytes);
        let bytes = bytes.ok_or_else(|| line.bad("Memory size", value, "a number of KiB"))?;
        if total.replace(bytes).is_some() {
            return Err(line.twice("Memory size".to_owned()));
        }
    }
    let Some(total) = total else { return Ok(Vec::new()) };
    let memory = Some(MemoryFacts { total, free: None });
    Ok(vec![Facts { source: SOURCE.to_owned(), memory, ..Facts::default() }])
}

#[cfg(test)]
mod tests {
    use crate::facts::read_facts;
    use pinwise::units::Bytes;

    /// Made up, in virsh's form.
    const TEXT: &str = "CPU model: x86_64\nCPU(s): 8\nCPU frequency: 2600 MHz\n\
                        CPU socket(s): 1\nCore(s) per socket: 4\nThread(s) per core: 2\n\
                        NUMA cell(s): 1\nMemory size: 1000 KiB\n";

    #[test]
    fn the_memory_of_the_machine_is_read() {
        let facts = read_facts(TEXT).unwrap();
        assert_eq!((&*facts[0].source, facts.len()), ("virsh nodeinfo", 1));
        assert_eq!(facts[0].memory.unwrap().total, Bytes(1000 << 10));
    }

    #[test]
    fn what_cannot_be_is_an_error_with_its_line() {
        for (to, sentence) in [
            ("1000 MiB", "line 8: Memory size \"1000 MiB\" is not a number of KiB"),
            ("1 KiB\nMemory size: 1 KiB", "line 9: Memory size is repeated"),
        ] {
            let error = read_facts(&TEXT.replace("1000 KiB", to)).unwrap_err();
            assert_eq!(error.to_string(), sentence);
        }
    }
}
