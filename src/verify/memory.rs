//! Checks of memory: amounts, pages, and their nodes.

use std::collections::{BTreeMap, BTreeSet};

use super::case::{Case, free_pages, free_pages_in_all, kept_pages};
use super::violation::Violation;
use crate::placement::{Cell, MemoryMode, Style};
use crate::sets::NodeSet;
use crate::units::{Bytes, NodeId, PageSize};

pub(super) fn check(case: &Case<'_>, mode: MemoryMode, found: &mut Vec<Violation>) {
    if (mode == MemoryMode::Unbound) != (case.style == Style::Default) {
        found.push(Violation::StyleMemory { style: case.style, mode });
    }
    let wanted = case.request.spec().memory;
    let mut sum = 0_u64;
    for cell in case.cells {
        sum = sum.saturating_add(cell.memory.0);
        amounts(case, cell, found);
        nodes(case, cell, mode, found);
    }
    for cell in case.cells.iter().filter(|_| case.request.spec().even_cells) {
        let (vcpus, memory) = (cell.vcpus.len(), cell.memory);
        if case.cells.first().is_some_and(|one| (one.vcpus.len(), one.memory) != (vcpus, memory)) {
            found.push(Violation::CellsDiffer { cell: cell.id, found: vcpus, memory });
        }
    }
    // A placement without cells has a violation of its own.
    if Bytes(sum) != wanted && !case.cells.is_empty() {
        found.push(Violation::MemorySum { found: Bytes(sum), wanted });
    }
    pools(case, found);
}

fn amounts(case: &Case<'_>, cell: &Cell, found: &mut Vec<Violation>) {
    // The distances and vCPUs are checked with the guest's view.
    let Cell { id, nodes, vcpus: _, memory, page_size: page, pages, distances: _ } = cell;
    let (id, memory, page) = (*id, *memory, *page);
    if memory == Bytes::ZERO || page.pages_in(memory).is_none() {
        found.push(Violation::CellMemory { cell: id, memory, page_size: page });
    }
    if let Some(wanted) = case.request.spec().page_size {
        if wanted != page {
            found.push(Violation::CellPageSize { cell: id, found: page, wanted });
        }
    }
    if case.style == Style::Default {
        if !nodes.is_empty() || !pages.is_empty() {
            found.push(Violation::DefaultBinds { cell: id });
        }
        return;
    }
    let mut sum = 0_u64;
    for (node, count) in pages {
        sum = sum.saturating_add(*count);
        // A cell without nodes has a violation of its own.
        if !nodes.is_empty() && !nodes.contains(*node) {
            found.push(Violation::PagesOffNode { cell: id, node: *node, pages: *count });
        }
    }
    // Memory that is not a whole number of pages matches no count of pages.
    if page.pages_in(memory).is_some_and(|needed| needed != sum) {
        found.push(Violation::CellPages { cell: id, pages: sum, page_size: page, memory });
    }
}

fn nodes(case: &Case<'_>, cell: &Cell, mode: MemoryMode, found: &mut Vec<Violation>) {
    if mode == MemoryMode::Unbound {
        return;
    }
    let spec = case.request.spec();
    let mut excluded = NodeSet::new();
    for node in case.host.nodes() {
        let held = match &spec.memory_nodes {
            Some(wanted) => wanted.contains(node.id),
            None => !node.cpus.is_empty(),
        };
        if cell.nodes.contains(node.id) && node.memory != Bytes::ZERO && !held {
            excluded.insert(node.id);
        }
    }
    if !excluded.is_empty() {
        found.push(Violation::MemoryExcluded { cell: cell.id, nodes: excluded });
    }
    if let (Some(wanted), None) = (&spec.nodes, &spec.memory_nodes) {
        let nodes = cell.nodes.difference(wanted);
        if !nodes.is_empty() {
            found.push(Violation::NodesExcluded { cell: cell.id, nodes });
        }
    }
    for node in case.host.nodes() {
        if cell.nodes.contains(node.id) && node.memory == Bytes::ZERO {
            found.push(Violation::NoMemory { cell: cell.id, node: node.id });
        }
    }
    if mode == MemoryMode::Strict && case.cells.len() > 1 && cell.nodes.len() > 1 {
        let nodes = cell.nodes.clone();
        found.push(Violation::StrictSpreads { cell: cell.id, nodes });
    }
}

/// Pages that all cells together take from each pool, and from all pools of one size.
fn pools(case: &Case<'_>, found: &mut Vec<Violation>) {
    let mut on_node: BTreeMap<(NodeId, PageSize), u64> = BTreeMap::new();
    let mut in_all: BTreeMap<PageSize, u64> = BTreeMap::new();
    for cell in case.cells {
        let all = in_all.entry(cell.page_size).or_default();
        if cell.pages.is_empty() {
            *all = all.saturating_add(cell.memory.0.div_ceil(cell.page_size.bytes()));
        }
        for (node, count) in &cell.pages {
            *all = all.saturating_add(*count);
            let here = on_node.entry((*node, cell.page_size)).or_default();
            *here = here.saturating_add(*count);
        }
    }
    let mut short = BTreeSet::new();
    for ((node, page), needed) in on_node {
        let free = free_pages(case.host, case.usage, node, page);
        let free = free.saturating_sub(kept_pages(case.host, node, page));
        if needed > free {
            short.insert(page);
            found.push(Violation::PagesShort { node: Some(node), page_size: page, needed, free });
        }
    }
    for (page, needed) in in_all {
        let free = free_pages_in_all(case.host, case.usage, page);
        // If a node is short already, the total adds nothing.
        if needed > free && !short.contains(&page) {
            found.push(Violation::PagesShort { node: None, page_size: page, needed, free });
        }
    }
}
