//! Texts that people give for a host's, but that do not show each pCPU: named in the error, so that
//! it can tell which command to use instead.

use super::function_line::function;
use super::lines::Lines;

/// The largest number of lines that are looked at.
const MAX_LINES: usize = 200;

/// The command that printed these lines, by words that only it prints.
pub(super) fn of_lines(lines: &Lines<'_>) -> Option<&'static str> {
    lines.iter().take(MAX_LINES).find_map(|line| {
        let text = line.text.trim();
        let begins = |words: &[&str]| words.iter().any(|word| text.starts_with(word));
        if begins(&["NUMA cell(s):", "CPU socket(s):", "CPU frequency:"]) {
            Some("virsh nodeinfo")
        } else if begins(&["CPU op-mode(s):", "Architecture:", "On-line CPU(s) list:"]) {
            Some("lscpu without -e")
        } else if function(text).is_some() {
            Some("lspci without -nn")
        } else if begins(&["HOST "]) && text.ends_with(" INFORMATION") {
            Some("onehost show without -x")
        } else if begins(&["Machine ("])
            || ["Package L#", "Core L#"].iter().any(|w| text.contains(w))
        {
            Some("lstopo without --of xml")
        } else {
            None
        }
    })
}

/// The document that contains XML with this root element.
pub(super) fn of_root(root: &str) -> Option<&'static str> {
    let part = matches!(root, "host" | "topology" | "cells" | "cell" | "cpus");
    part.then_some("a part of virsh capabilities")
}
