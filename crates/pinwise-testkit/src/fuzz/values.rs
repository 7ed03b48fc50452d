//! The small texts inside the others: what is shown of a value is read as that value.

use std::fmt::Display;
use std::str::FromStr;

use pinwise::host::{PciClass, PciId};
use pinwise::{Bytes, CpuSet, NodeSet, PageSize, PciAddr, Style, Workload};

use super::{Outcome, lossy};

/// Sets, sizes, addresses and names.
pub fn values(bytes: &[u8]) -> Outcome {
    let text = lossy(bytes);
    let all = [
        again::<CpuSet>(&text),
        again::<NodeSet>(&text),
        again::<Bytes>(&text),
        again::<PageSize>(&text),
        again::<PciAddr>(&text),
        again::<PciClass>(&text),
        again::<PciId>(&text),
        again::<Style>(&text),
        again::<Workload>(&text),
    ];
    let mut refused = None;
    for outcome in all {
        match outcome {
            Ok(()) => return Outcome::Read,
            Err(sentence) => refused = Some(sentence),
        }
    }
    super::refused(refused.unwrap())
}

fn again<T: FromStr<Err: Display> + Display + PartialEq>(text: &str) -> Result<(), String> {
    let value: T = text.parse().map_err(|error: T::Err| error.to_string())?;
    let shown = value.to_string();
    assert!(shown.parse::<T>().is_ok_and(|again| again == value), "{text:?} is shown as {shown:?}");
    Ok(())
}
