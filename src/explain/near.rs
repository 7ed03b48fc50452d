//! Sentences for near misses.

use std::fmt;

use crate::changes::NearMiss;

/// A sentence without its full stop.
impl fmt::Display for NearMiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneNode { node, gpus, vcpus, memory } => {
                let smaller: Vec<String> = [
                    (*vcpus > 0).then(|| fewer(*vcpus)),
                    (memory.0 > 0).then(|| format!("{memory} less memory")),
                ]
                .into_iter()
                .flatten()
                .collect();
                let gpus = match gpus {
                    0 => "",
                    1 => ", with the GPU",
                    _ => ", with the GPUs",
                };
                let smaller = smaller.join(" and ");
                write!(f, "with {smaller} all of the VM would be on node {node}{gpus}")
            }
            Self::L3Domains { node, cores, domains, fit, vcpus } => {
                write!(
                    f,
                    "the {cores} cores on node {node} are in {domains} L3 domains, and {fit} would \
                     fit one"
                )?;
                match vcpus {
                    Some(vcpus) => write!(f, ": {} would do", fewer(*vcpus)),
                    None => Ok(()),
                }
            }
        }
    }
}

fn fewer(vcpus: u32) -> String {
    match vcpus {
        1 => "1 vCPU fewer".to_owned(),
        n => format!("{n} vCPUs fewer"),
    }
}
