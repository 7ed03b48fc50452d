//! `lscpu -e` and `lscpu -p`: pCPUs with their cores, packages, nodes and caches, in any columns.

use super::data::{Facts, PcpuFacts};
use super::lines::{Line, Lines, decimal};
use super::problem::{FactsError, MAX_FACTS};
use super::reader::Reader;

use pinwise::host::{CacheKind, MAX_PCPUS};
use pinwise::units::{Id as _, NodeId, PcpuId};

pub(super) const READER: Reader = Reader {
    name: "lscpu -e or -p",
    command: "lscpu -e=CPU,CORE,SOCKET,NODE,CACHE,ONLINE,MAXMHZ,MINMHZ",
    describes_host: true,
    looks_like: |text| text.lines().any(|line| Header::parse(line).is_some()),
    read: |text| read(text.lines()),
};

const EXTENDED: &str = "lscpu -e";
const PARSABLE: &str = "lscpu -p";
/// The largest number of columns of a table. lscpu knows about twenty.
const MAX_COLUMNS: usize = 64;
/// The largest number of lists in one text: a log may hold one of each kind.
const MAX_LISTS: usize = 2;

/// Reads the output of `lscpu -e` or `lscpu -p`, with any columns in any order. The text may hold
/// other lines before and after the list, such as a prompt. Offline pCPUs are listed by number
/// only; a text with a list of each kind gives the facts of the first.
///
/// # Errors
/// [`FactsError`] if the text is longer than [`MAX_FACTS`](super::MAX_FACTS), has no list with a
/// CPU column and a column of cores, packages, nodes, caches or states, or if the list has no rows
/// or more rows than a host has pCPUs, repeats a pCPU or column, has a row that is too short or too
/// long, or a value that its column does not allow.
pub fn read_lscpu(text: &str) -> Result<Facts, FactsError> {
    if text.len() > MAX_FACTS {
        return Err(FactsError::TooLong { bytes: text.len(), limit: MAX_FACTS });
    }
    let lines = Lines::new(text.trim_start_matches('\u{feff}'));
    let mut found = read(lines.iter())?.into_iter();
    found.next().ok_or_else(|| FactsError::Unknown {
        known: READER.name.to_owned(),
        beginning: lines.beginning(),
    })
}

/// The meaning of a column, or of one part of a column of parts joined by colons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Pcpu,
    Core,
    Package,
    Node,
    Online,
    MaxMhz,
    MinMhz,
    Cache(u8, CacheKind),
    /// A text that contains blanks.
    Model,
    Other,
}

impl Column {
    fn parse(name: &str) -> Self {
        match name.to_ascii_uppercase().as_str() {
            "CPU" => Self::Pcpu,
            "CORE" => Self::Core,
            "SOCKET" => Self::Package,
            "NODE" => Self::Node,
            "ONLINE" => Self::Online,
            "MAXMHZ" => Self::MaxMhz,
            "MINMHZ" => Self::MinMhz,
            "MODELNAME" => Self::Model,
            name => Self::cache(name).unwrap_or(Self::Other),
        }
    }

    /// `L1D`, `L1I`, `L2`.
    fn cache(name: &str) -> Option<Self> {
        let rest = name.strip_prefix('L')?;
        let (digits, kind) = match rest.char_indices().next_back()? {
            (at, 'D') => (&rest[..at], CacheKind::Data),
            (at, 'I') => (&rest[..at], CacheKind::Instruction),
            _ => (rest, CacheKind::Unified),
        };
        let level = decimal(digits).filter(|level| (1..=4).contains(level))?;
        Some(Self::Cache(u8::try_from(level).ok()?, kind))
    }
}

/// The header of a list.
struct Header {
    /// Whether commas separate the columns, as printed by `-p`.
    parsable: bool,
    /// Each column with its parts: only cache columns have more than one.
    columns: Vec<Vec<Column>>,
}

impl Header {
    /// `CPU NODE SOCKET CORE L1d:L1i:L2:L3 ONLINE`, or `# CPU,Core,Socket,Node,,L1d,L1i,L2,L3`.
    fn parse(line: Line<'_>) -> Option<Self> {
        let text = line.text.trim();
        let (parsable, names): (bool, Vec<&str>) = match text.strip_prefix('#') {
            Some(rest) => (true, rest.split(',').map(str::trim).take(MAX_COLUMNS + 1).collect()),
            None => (false, text.split_whitespace().take(MAX_COLUMNS + 1).collect()),
        };
        let parts = |name: &&str| name.split(':').map(Column::parse).collect::<Vec<_>>();
        let columns: Vec<Vec<Column>> = names.iter().map(parts).collect();
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '%' | '-' | '_');
        // Sentences have lower-case words; a header of `-e` has them only in names of caches.
        let is_small = |(name, parts): (&&str, &Vec<Column>)| {
            let cache = parts.iter().all(|part| matches!(part, Column::Cache(..)));
            !parsable && !cache && name.chars().any(|c| c.is_ascii_lowercase())
        };
        let told = columns.iter().flatten();
        let useful = told.clone().any(|part| !matches!(part, Column::Pcpu | Column::Other));
        let sound = names.iter().all(|name| name.chars().all(is_name))
            && !names.iter().zip(&columns).any(is_small)
            && told.clone().any(|part| *part == Column::Pcpu)
            && useful;
        sound.then_some(Self { parsable, columns })
    }

    /// Refuses a header that repeats a column, or has more than a list can have.
    fn check(&self, line: Line<'_>) -> Result<(), FactsError> {
        if self.columns.len() > MAX_COLUMNS {
            let (line, what) = (line.number, "columns of lscpu");
            return Err(FactsError::TooMany { line, what, limit: MAX_COLUMNS });
        }
        let known: Vec<&Column> =
            self.columns.iter().flatten().filter(|part| **part != Column::Other).collect();
        let twice = (1..known.len()).find(|at| known[..*at].contains(&known[*at]));
        match twice {
            Some(_) => Err(line.twice("a column of lscpu".to_owned())),
            None => Ok(()),
        }
    }

    /// The cells of a row; `None` for a line after the end of the list.
    fn cells<'a>(&self, line: Line<'a>) -> Result<Option<Vec<&'a str>>, FactsError> {
        let text = line.text.trim();
        let limit = 4 * MAX_COLUMNS;
        let mut cells: Vec<&str> = match self.parsable {
            true => text.split(',').map(str::trim).take(limit).collect(),
            false => text.split_whitespace().take(limit).collect(),
        };
        let wanted = self.columns.len();
        // Blanks in a model's name split it; it has no commas.
        let model = self.columns.iter().position(|parts| parts.contains(&Column::Model));
        if let Some(at) = model.filter(|_| !self.parsable && cells.len() > wanted) {
            let more = cells.len() - wanted;
            cells.drain(at + 1..=at + more);
        }
        let is_value = |cell: &str| unknown(cell) || decimal(cell).is_some();
        let is_cell = |cell: &str| cell.split(':').all(is_value);
        // A state is a word, as are the lines after the list: only the pCPU's number tells a row.
        let at = |column| self.columns.iter().position(|parts| *parts == [column]);
        let numbered =
            || at(Column::Pcpu).and_then(|at| cells.get(at)).is_some_and(|cell| is_cell(cell));
        let begins = |cell: &&str| {
            is_cell(cell) || at(Column::Online) == Some(0) && is_word(cell) && numbered()
        };
        if text.is_empty() || !cells.first().is_some_and(begins) {
            return Ok(None);
        }
        let found = cells.len();
        if found < wanted {
            let row = cells.first().copied().unwrap_or_default();
            let row = pinwise::shown::shorten(row, 40);
            return Err(FactsError::Short { line: line.number, row, found, columns: wanted });
        }
        if found > wanted {
            return Err(line.bad("the cell", cells[wanted], "one of the list's columns"));
        }
        Ok(Some(cells))
    }
}

/// Whether a cell means that lscpu does not know the value.
fn unknown(cell: &str) -> bool {
    matches!(cell, "" | "-")
}

fn is_word(cell: &str) -> bool {
    !cell.is_empty() && cell.chars().all(char::is_alphabetic)
}

/// The words for no in the languages into which lscpu is translated, in lower case; `lscpu -p`
/// prints one letter.
const NO: [&str; 23] = [
    "no",
    "n",
    "non",
    "nein",
    "nej",
    "nei",
    "nee",
    "ne",
    "não",
    "nao",
    "nie",
    "nu",
    "nem",
    "ei",
    "e",
    "нет",
    "ні",
    "не",
    "н",
    "hayır",
    "όχι",
    "否",
    "いいえ",
];

/// Whether a word of the column of states means that a pCPU is online. lscpu translates the word,
/// so only the known ones for no mean that it is not. A word that is unknown, too, means so where
/// the row tells neither core nor package nor cache although the list has such columns: lscpu shows
/// none of them for an offline pCPU.
fn is_online(word: &str, header: &Header, facts: &PcpuFacts) -> bool {
    if matches!(word, "yes" | "Y") {
        return true;
    }
    let has = header
        .columns
        .iter()
        .flatten()
        .any(|column| matches!(column, Column::Core | Column::Package | Column::Cache(..)));
    let told = facts.core.is_some() || facts.package.is_some() || !facts.caches.is_empty();
    !NO.contains(&word.to_lowercase().as_str()) && (told || !has)
}

/// The whole MHz of `3800.0000`, which some locales write with a comma; the inner `None` is zero.
fn mhz(cell: &str) -> Option<Option<u32>> {
    let (whole, fraction) = cell.split_once(['.', ',']).unwrap_or((cell, "0"));
    let sound = fraction.bytes().all(|b| b.is_ascii_digit());
    decimal(whole).filter(|_| sound).map(|mhz| Some(mhz).filter(|mhz| *mhz > 0))
}

/// The lists of a text.
fn read<'a>(lines: impl Iterator<Item = Line<'a>>) -> Result<Vec<Facts>, FactsError> {
    let mut found: Vec<Facts> = Vec::new();
    let mut open: Option<(Header, Line<'a>)> = None;
    for line in lines {
        if let Some(header) = Header::parse(line) {
            header.check(line)?;
            close(open.take(), &found)?;
            let source = if header.parsable { PARSABLE } else { EXTENDED };
            if found.len() == MAX_LISTS || found.iter().any(|facts| facts.source == source) {
                return Err(line.twice(format!("a list of {source}")));
            }
            found.push(Facts { source: source.to_owned(), ..Facts::default() });
            open = Some((header, line));
            continue;
        }
        let (Some((header, _)), Some(facts)) = (&open, found.last_mut()) else { continue };
        if header.parsable && line.text.trim_start().starts_with('#') {
            continue;
        }
        match header.cells(line)? {
            Some(cells) => {
                let row = row(header, line, &cells)?;
                if facts.pcpus.len() == MAX_PCPUS {
                    let (line, what) = (line.number, "pCPUs");
                    return Err(FactsError::TooMany { line, what, limit: MAX_PCPUS });
                }
                if facts.pcpus.iter().any(|known| known.pcpu == row.pcpu) {
                    return Err(line.twice(format!("pCPU {}", row.pcpu)));
                }
                facts.pcpus.push(row);
            }
            None if facts.pcpus.is_empty() => {}
            None => open = None,
        }
    }
    close(open, &found)?;
    Ok(found)
}

/// Refuses the last list if it has no rows.
fn close(open: Option<(Header, Line<'_>)>, found: &[Facts]) -> Result<(), FactsError> {
    match (open, found.last()) {
        (Some((_, line)), Some(facts)) if facts.pcpus.is_empty() => {
            let what = "a row below the columns of lscpu".to_owned();
            Err(FactsError::Missing { line: line.number, what })
        }
        _ => Ok(()),
    }
}

fn row(header: &Header, line: Line<'_>, cells: &[&str]) -> Result<PcpuFacts, FactsError> {
    let (mut pcpu, mut state) = (None, None);
    let mut facts = PcpuFacts {
        pcpu: PcpuId(0),
        online: None,
        core: None,
        package: None,
        node: None,
        caches: Vec::new(),
        max_mhz: None,
        min_mhz: None,
    };
    let number =
        |what: &str, cell: &str| decimal(cell).ok_or_else(|| line.bad(what, cell, "a number or -"));
    for (parts, cell) in header.columns.iter().zip(cells).filter(|(_, cell)| !unknown(cell)) {
        let values: Vec<&str> =
            if parts.len() > 1 { cell.split(':').collect() } else { vec![cell] };
        // Where a core lacks a cache, lscpu leaves its number out, and which one is lost.
        if values.len() < parts.len() {
            continue;
        }
        if values.len() > parts.len() {
            return Err(line.bad("the caches", cell, "one number per cache of the column"));
        }
        for (part, value) in parts.iter().zip(values).filter(|(_, value)| !unknown(value)) {
            match part {
                Column::Pcpu => {
                    let id = decimal(value).filter(|id| *id < PcpuId::LIMIT).map(PcpuId);
                    pcpu = Some(id.ok_or_else(|| line.bad("the CPU", value, "a pCPU's number"))?);
                }
                Column::Core => facts.core = Some(number("the core", value)?),
                Column::Package => facts.package = Some(number("the socket", value)?),
                Column::Node => {
                    let id = decimal(value).filter(|id| *id < NodeId::LIMIT).map(NodeId);
                    let bad = || line.bad("the node", value, "a node's number or -");
                    facts.node = Some(id.ok_or_else(bad)?);
                }
                Column::Online => {
                    if !is_word(value) {
                        return Err(line.bad("the state", value, "yes or no"));
                    }
                    state = Some(value);
                }
                Column::MaxMhz => {
                    let bad = || line.bad("the top frequency", value, "a number of MHz");
                    facts.max_mhz = mhz(value).ok_or_else(bad)?;
                }
                Column::MinMhz => {
                    let bad = || line.bad("the lowest frequency", value, "a number of MHz");
                    facts.min_mhz = mhz(value).ok_or_else(bad)?;
                }
                Column::Cache(level, kind) => {
                    facts.caches.push((*level, *kind, number("the cache", value)?));
                }
                Column::Model | Column::Other => {}
            }
        }
    }
    let missing = || FactsError::Missing { line: line.number, what: "the CPU's number".to_owned() };
    let online = state.map(|word| is_online(word, header, &facts));
    Ok(PcpuFacts { pcpu: pcpu.ok_or_else(missing)?, online, ..facts })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
$ lscpu -e
CPU NODE SOCKET CORE L1d:L1i:L2:L3 ONLINE    MAXMHZ    MINMHZ
  0    0      0    0 0:0:0:0          yes 3800.0000  800.0000
  1    1      1    1 64:64:1:1        yes 3800,5000  800.0000
  2    0      0    0 0:0:0:0          yes         -         -
  3    -      -    - -                 no         -         -

$ exit
";

    const LIST: &str = "\
# The following is the parsable format, which can be fed to other
# programs. Each different item in every column has an unique ID
# starting usually from zero.
# CPU,Core,Socket,Node,,L1d,L1i,L2,L3
0,0,0,0,,0,0,0,0
1,1,1,1,,64,64,1,1
2,0,0,,,0,0,0,
";

    fn data(id: u32) -> (u8, CacheKind, u32) {
        (1, CacheKind::Data, id)
    }

    #[test]
    fn a_table_tells_cores_packages_nodes_caches_states_and_frequencies() {
        let facts = read_lscpu(TABLE).unwrap();
        assert_eq!((facts.source.as_str(), facts.pcpus.len()), ("lscpu -e", 4));
        let [first, second, third, off] = facts.pcpus.as_slice() else { panic!("{facts:?}") };
        assert_eq!((first.core, first.package, first.node), (Some(0), Some(0), Some(NodeId(0))));
        assert_eq!((first.max_mhz, first.min_mhz), (Some(3800), Some(800)));
        assert_eq!(second.caches[0], data(64));
        assert_eq!(second.caches[3], (3, CacheKind::Unified, 1));
        assert_eq!((second.max_mhz, third.max_mhz), (Some(3800), None));
        assert_eq!((third.online, third.core), (Some(true), Some(0)));
        assert_eq!((off.pcpu, off.online, off.core), (PcpuId(3), Some(false), None));
        assert!(off.caches.is_empty() && off.node.is_none());
    }

    #[test]
    fn a_parsable_list_says_the_same_with_its_header_in_a_comment() {
        for text in [LIST.to_owned(), LIST.replace('\n', "\r\n"), format!("$ lscpu -p\n{LIST}$\n")]
        {
            let facts = read_lscpu(&text).unwrap();
            assert_eq!((facts.source.as_str(), facts.pcpus.len()), ("lscpu -p", 3));
            assert_eq!(facts.pcpus[1].caches.len(), 4);
            assert_eq!((facts.pcpus[2].node, facts.pcpus[2].caches.len()), (None, 3));
        }
    }

    #[test]
    fn columns_may_stand_in_any_order() {
        let text = "ONLINE MODELNAME CORE CPU\nyes Some CPU @ 2.0 GHz 4 7\nno - - 8\n";
        let facts = read_lscpu(text).unwrap();
        assert_eq!((facts.pcpus[0].pcpu, facts.pcpus[0].core), (PcpuId(7), Some(4)));
        assert_eq!((facts.pcpus[1].pcpu, facts.pcpus[1].online), (PcpuId(8), Some(false)));
        let text = "# Node,CPU\n1,0\n,5\n";
        assert_eq!(read_lscpu(text).unwrap().pcpus[0].node, Some(NodeId(1)));
    }

    #[test]
    fn states_are_told_in_any_language() {
        for (online, offline) in
            [("si", "no"), ("ja", "Nein"), ("oui", "non"), ("да", "нет"), ("Y", "N"), ("bai", "ez")]
        {
            let text = format!("ONLINE CPU CORE\n{online} 0 0\n{offline} 1 -\nand so on\n");
            let states: Vec<_> =
                read_lscpu(&text).unwrap().pcpus.iter().map(|pcpu| pcpu.online).collect();
            assert_eq!(states, [Some(true), Some(false)], "{online} {offline}");
        }
        // Without other columns, an unknown word means yes.
        let facts = read_lscpu("CPU ONLINE\n0 bai\n1 nie\nuser@host:~$ exit\n").unwrap();
        assert_eq!((facts.pcpus[0].online, facts.pcpus[1].online), (Some(true), Some(false)));
        // A known word for no holds whatever the row tells.
        assert_eq!(read_lscpu("CPU CORE ONLINE\n0 0 no\n").unwrap().pcpus[0].online, Some(false));
    }

    #[test]
    fn what_cannot_be_is_an_error_with_its_line() {
        for (text, sentence) in [
            ("CPU CORE\n0 0\n0 1\n", "line 3: pCPU 0 is repeated"),
            ("CPU CORE\n0\n", "line 2: the row of 0 has 1 cells, but the table has 2 columns"),
            ("CPU CORE\n0 1 2\n", "line 2: the cell \"2\" is not one of the list's columns"),
            ("CPU CORE\n0 x\n", "line 2: the core \"x\" is not a number or -"),
            ("CPU CORE\n16384 0\n", "line 2: the CPU \"16384\" is not a pCPU's number"),
            ("CPU CORE\n- 0\n", "line 2: the CPU's number is missing"),
            ("CPU ONLINE\n0 7\n", "line 2: the state \"7\" is not yes or no"),
            ("CPU MAXMHZ\n0 1e9\n", "line 2: the top frequency \"1e9\" is not a number of MHz"),
            (
                "CPU L1d:L2\n0 1:2:3\n",
                "line 2: the caches \"1:2:3\" is not one number per cache of the column",
            ),
            ("CPU CORE\n", "line 1: a row below the columns of lscpu is missing"),
            ("CPU CORE CPU\n0 0 0\n", "line 1: a column of lscpu is repeated"),
            ("CPU CORE\n0 0\nCPU NODE\n0 0\n", "line 3: a list of lscpu -e is repeated"),
        ] {
            assert_eq!(read_lscpu(text).unwrap_err().to_string(), sentence, "{text:?}");
        }
        for text in ["", "CPU\n0\n", "CPU and CORE\n0 0\n", "CPU(s): 8\n", "Architecture: x86_64\n"]
        {
            let unknown = matches!(read_lscpu(text), Err(FactsError::Unknown { .. }));
            assert!(unknown, "{text:?}");
        }
        let rows: String = (0..=MAX_PCPUS).map(|cpu| format!("{cpu} 0\n")).collect();
        let error = read_lscpu(&format!("CPU CORE\n{rows}")).unwrap_err();
        assert!(matches!(error, FactsError::TooMany { limit: MAX_PCPUS, .. }), "{error}");
    }
}
