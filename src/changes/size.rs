//! Another VM: more or fewer vCPUs, less memory, other or fewer devices.

use super::ask::Ask;
use super::change::Change;
use super::number::{NEAR, largest_below};
use super::pages;
use crate::request::{GpuRequest, MAX_VFS_BY_NUMBER};
use crate::units::{Bytes, PageSize};

/// The number of cells that must be alike; 1 where none must.
fn alike(ask: Ask<'_>) -> u64 {
    let cells = ask.spec().cells.required().filter(|_| ask.spec().even_cells);
    u64::from(cells.unwrap_or(1).max(1))
}

/// The step widths of the searches over numbers of vCPUs, ascending. Cells that are alike need a
/// multiple of their number, siblings an even number, and both together twice the number of cells.
fn steps(ask: Ask<'_>) -> Vec<u64> {
    let cells = alike(ask);
    let mut steps = vec![cells, 2 * cells];
    if ask.spec().smt.required() == Some(true) {
        steps.remove(0);
    }
    steps
}

fn vcpus_fit(ask: Ask<'_>, vcpus: u64) -> bool {
    u32::try_from(vcpus).is_ok_and(|vcpus| ask.fits(|spec| spec.vcpus = vcpus))
}

/// The next number that siblings or equal cells ask for.
pub(super) fn more_vcpus(ask: Ask<'_>) -> Option<Change> {
    let vcpus = u64::from(ask.spec().vcpus);
    let mut steps = steps(ask).into_iter();
    // A number that is a multiple of the step already is refused for another reason.
    let next = steps.find_map(|step| {
        let next = vcpus.next_multiple_of(step);
        (next > vcpus && vcpus_fit(ask, next)).then_some(next)
    })?;
    Some(Change::MoreVcpus { vcpus: u32::try_from(next).ok()? })
}

pub(super) fn fewer_vcpus(ask: Ask<'_>) -> Option<Change> {
    let asked = u64::from(ask.spec().vcpus);
    let mut best: Option<u64> = None;
    for step in steps(ask) {
        // So near to the requested number, every number was tried: this is the largest.
        if best.is_some_and(|vcpus| vcpus + NEAR >= asked) {
            break;
        }
        let found = largest_below(asked.div_ceil(step), |n| vcpus_fit(ask, n * step));
        best = best.max(found.map(|n| n * step));
    }
    Some(Change::FewerVcpus { vcpus: u32::try_from(best?).ok()? })
}

/// The largest even number, where an even one is requested, the largest number that fits is odd,
/// and the host has siblings.
pub(super) fn even_vcpus(ask: Ask<'_>, fewer: &Change) -> Option<Change> {
    let Change::FewerVcpus { vcpus } = *fewer else { return None };
    let is_odd = ask.spec().vcpus.is_multiple_of(2) && !vcpus.is_multiple_of(2);
    if !is_odd || ask.host().derived().widest_core < 2 {
        return None;
    }
    let pairs = largest_below(u64::from(vcpus.div_ceil(2)), |n| vcpus_fit(ask, 2 * n))?;
    Some(Change::EvenVcpus { vcpus: u32::try_from(2 * pairs).ok()? })
}

/// Each page size apart: memory that is not a multiple of a size cannot use its pages, so the
/// amounts that fit are not one interval.
pub(super) fn less_memory(ask: Ask<'_>) -> Option<Change> {
    let (memory, cells) = (ask.spec().memory, alike(ask));
    let sizes = ask.spec().page_size.map_or_else(|| pages::sizes(ask.host()), |size| vec![size]);
    let most_of = |size: PageSize| {
        let step = cells.saturating_mul(size.bytes());
        let found =
            largest_below(memory.0.div_ceil(step), |n| ask.fits(|spec| spec.memory.0 = n * step));
        found.map(|n| n * step)
    };
    let most = sizes.into_iter().filter_map(most_of).max()?;
    Some(Change::LessMemory { memory: Bytes(most) })
}

/// Other GPUs of the same number: any where some are named, or of any model.
pub(super) fn other_gpus(ask: Ask<'_>) -> Option<Change> {
    let any = |count| ask.fits(|spec| spec.gpus = GpuRequest::Count { count, model: None });
    match &ask.spec().gpus {
        GpuRequest::Addresses(named) => {
            let gpus = u32::try_from(named.len()).ok()?;
            (gpus > 0 && any(gpus)).then_some(Change::AnyGpus { gpus })
        }
        GpuRequest::Count { count, model } => {
            (model.is_some() && any(*count)).then_some(Change::AnyModel)
        }
        GpuRequest::VfOf { count, model } => {
            let any = GpuRequest::VfOf { count: *count, model: None };
            (model.is_some() && ask.fits(|spec| spec.gpus = any)).then_some(Change::AnyModel)
        }
    }
}

/// Without the first of the named GPUs and devices whose absence suffices.
pub(super) fn without_device(ask: Ask<'_>) -> Option<Change> {
    let gpus: &[_] = match &ask.spec().gpus {
        GpuRequest::Addresses(named) => named,
        GpuRequest::Count { .. } | GpuRequest::VfOf { .. } => &[],
    };
    let mut named = gpus.iter().chain(&ask.spec().devices);
    let address = named.find(|address| {
        ask.fits(|spec| {
            if let GpuRequest::Addresses(named) = &mut spec.gpus {
                named.retain(|other| other != *address);
            }
            spec.devices.retain(|other| other != *address);
        })
    })?;
    Some(Change::WithoutDevice { address: *address })
}

/// One by one: a fabric may have partitions of some numbers only.
pub(super) fn fewer_gpus(ask: Ask<'_>) -> Option<Change> {
    let (asked, model, whole) = match &ask.spec().gpus {
        GpuRequest::Count { count, model } => (*count, model, true),
        GpuRequest::VfOf { count, model } => (*count, model, false),
        GpuRequest::Addresses(_) => return None,
    };
    let on_host = match whole {
        true => u32::try_from(ask.host().gpus().len()).unwrap_or(u32::MAX),
        false => MAX_VFS_BY_NUMBER,
    };
    let mut fewer = (0..asked.min(on_host.saturating_add(1))).rev();
    let fits = |count: &u32| {
        let (count, model) = (*count, model.clone());
        ask.fits(|spec| {
            spec.gpus = match whole {
                true => GpuRequest::Count { count, model },
                false => GpuRequest::VfOf { count, model },
            }
        })
    };
    fewer.find(fits).map(|gpus| Change::FewerGpus { gpus })
}

/// Virtual functions of GPUs instead of as many whole GPUs.
pub(super) fn virtual_functions(ask: Ask<'_>) -> Option<Change> {
    let GpuRequest::Count { count, model } = &ask.spec().gpus else { return None };
    let (count, model) = (*count, model.clone());
    let fits = count > 0 && ask.fits(|spec| spec.gpus = GpuRequest::VfOf { count, model });
    fits.then_some(Change::VirtualFunctions { count })
}

/// Whole GPUs instead of as many virtual functions.
pub(super) fn whole_gpus(ask: Ask<'_>) -> Option<Change> {
    let GpuRequest::VfOf { count, model } = &ask.spec().gpus else { return None };
    let (count, model) = (*count, model.clone());
    let fits = count > 0 && ask.fits(|spec| spec.gpus = GpuRequest::Count { count, model });
    fits.then_some(Change::WholeGpus { count })
}
