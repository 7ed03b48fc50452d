//! PCI functions from listings: `lspci -nn`, and the loops over IOMMU groups that guides have.

use std::collections::BTreeMap;

use super::data::{Facts, FunctionFacts, GpuFacts, GpuName};
use super::function_line::{address, detail, function};
use super::lines::{Line, decimal};
use super::problem::FactsError;
use super::reader::{FactsText, Reader};
use pinwise::host::{DeviceKind, MAX_PCI_FUNCTIONS, PciDevice};
use pinwise::units::PciAddr;

pub(super) const GROUPS: Reader = Reader {
    name: "a listing of IOMMU groups",
    command: "for d in /sys/kernel/iommu_groups/*/devices/*; do echo \"IOMMU Group $(basename ${d%/devices/*}) $(lspci -nns ${d##*/})\"; done",
    describes_host: false,
    looks_like: |text| {
        text.lines().any(|line| heading(line.text).is_some() || placed(line.text).is_some())
    },
    read: |text| read(text, "the listing of IOMMU groups"),
};

pub(super) const LSPCI: Reader = Reader {
    name: "lspci -nnk",
    command: "lspci -Dnnk (as root lspci -Dnnvv, which tells nodes and links too)",
    describes_host: false,
    looks_like: |text| {
        let shows = |line: Line<'_>| function(line.text).is_some_and(|found| found.ids.is_some());
        !(GROUPS.looks_like)(text) && text.lines().any(shows)
    },
    read: |text| read(text, "lspci"),
};

/// The group of a line `IOMMU Group 7:`, and the rest of the line, which may show a function.
fn heading(text: &str) -> Option<(&str, &str)> {
    // Indented below a function, this is a detail of lspci -v.
    if text.trim_start().starts_with("IOMMU group:") && text.starts_with([' ', '\t']) {
        return None;
    }
    let text = text.trim_start();
    let begins = |word: &str| {
        let (begin, rest) = text.split_at_checked(word.len())?;
        begin.eq_ignore_ascii_case(word).then_some(rest)
    };
    let rest =
        begins("IOMMU group").or_else(|| begins("IOMMU_group")).or_else(|| begins("group"))?;
    let rest = rest.trim_start_matches([':', ' ', '\t', '#']);
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, rest) = rest.split_at(digits);
    let rest = rest.trim_start_matches(':').trim();
    (digits > 0 && (rest.is_empty() || function(rest).is_some())).then_some((number, rest))
}

/// The group and the function of a path below `/sys/kernel/iommu_groups`, or of the kernel's log.
fn placed(text: &str) -> Option<(&str, PciAddr)> {
    if let Some((_, rest)) = text.split_once("/iommu_groups/") {
        let (group, rest) = rest.split_once("/devices/")?;
        return Some((group, address(rest.split_whitespace().next()?)?));
    }
    let (before, group) =
        text.split_once(": Adding to iommu group ").or_else(|| text.split_once(" to group "))?;
    let before = before.strip_suffix(':').unwrap_or(before);
    Some((group.trim(), address(before.split_whitespace().next_back()?)?))
}

fn number(line: Line<'_>, text: &str) -> Result<u32, FactsError> {
    decimal(text).ok_or_else(|| line.bad("the IOMMU group", text, "a number"))
}

/// The functions of a text, each once: what several lines tell of one is put together.
fn read(text: &FactsText<'_>, source: &str) -> Result<Vec<Facts>, FactsError> {
    let mut found: BTreeMap<PciAddr, FunctionFacts> = BTreeMap::new();
    let (mut group, mut last) = (None, None);
    for line in text.lines() {
        let head = heading(line.text);
        let mut new = match (head, placed(line.text)) {
            (Some((number_text, "")), _) => {
                (group, last) = (Some(number(line, number_text)?), None);
                continue;
            }
            (Some((number_text, rest)), _) => function(rest).map(|mut function| {
                function.iommu_group = Some(number(line, number_text)?);
                Ok(function)
            }),
            (None, Some((number_text, address))) => Some(number(line, number_text).map(|number| {
                FunctionFacts { iommu_group: Some(number), ..FunctionFacts::new(address) }
            })),
            (None, None) => function(line.text).map(Ok),
        }
        .transpose()?;
        if let Some(function) = &mut new {
            function.iommu_group = function.iommu_group.or(group);
        }
        match (new, last) {
            (Some(function), _) => {
                last = Some(function.address);
                add(line, function, &mut found)?;
            }
            (None, Some(address)) => {
                let known = found.get_mut(&address);
                let is_detail = known.map(|known| detail(line, known)).transpose()?;
                if is_detail != Some(true) {
                    (group, last) = (None, None);
                }
            }
            (None, None) if line.text.trim().is_empty() => {}
            (None, None) => group = None,
        }
    }
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let functions: Vec<FunctionFacts> = found.into_values().collect();
    let is_gpu = |function: &&FunctionFacts| match (function.class, function.ids) {
        (Some(class), Some((vendor, device))) => {
            PciDevice::new(function.address, class, vendor, device).kind() == DeviceKind::Gpu
        }
        _ => false,
    };
    let gpus = functions.iter().filter(is_gpu);
    let gpus = gpus.map(|gpu| GpuFacts::new(GpuName::At(gpu.address))).collect();
    Ok(vec![Facts { source: source.to_owned(), gpus, functions, ..Facts::default() }])
}

/// Adds what a line tells of a function.
fn add(
    line: Line<'_>,
    new: FunctionFacts,
    found: &mut BTreeMap<PciAddr, FunctionFacts>,
) -> Result<(), FactsError> {
    if let Some(known) = found.get_mut(&new.address) {
        if let (Some(before), Some(now)) = (known.iommu_group, new.iommu_group) {
            if before != now {
                return Err(FactsError::Contradicts {
                    line: line.number,
                    what: format!("the IOMMU group of {}", new.address),
                    value: now.to_string(),
                    other: before.to_string(),
                });
            }
        }
        known.iommu_group = known.iommu_group.or(new.iommu_group);
        if known.ids.is_none() {
            (known.class, known.ids) = (new.class, new.ids);
        }
        known.name = known.name.take().or(new.name);
        return Ok(());
    }
    if found.len() >= MAX_PCI_FUNCTIONS {
        let (line, limit) = (line.number, MAX_PCI_FUNCTIONS);
        return Err(FactsError::TooMany { line, what: "PCI functions", limit });
    }
    found.insert(new.address, new);
    Ok(())
}

#[cfg(test)]
mod tests;
