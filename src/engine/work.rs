//! The work model: what busy vCPUs get done on the cores that they have.
//!
//! **Takes** numbers of cores by kind, and of second threads. **Gives** the ratio of what a layout
//! gets done, all its vCPUs busy, to what the default layout does on the same host.
//!
//! A performance core with one busy thread does 1. An efficiency core does e, a low-power one l.
//! The second busy thread of a core adds g:
//!
//! ```text
//! work = performance + e x efficiency + l x low-power + g x siblings
//! ```
//!
//! | | low | likely | high | from |
//! |---|---|---|---|---|
//! | g | -0.06 | 0.03 | 0.35 | F8, F44, F65, F67 |
//! | e | 0.53 | 0.61 | 0.70 | F43, F52, F54 |
//! | l | 0.25 | 0.30 | 0.50 | F55, F56 |
//!
//! Pinned vCPUs have the cores that they are pinned to. V floating vCPUs on C cores do what min(V,
//! C) cores do, the fastest first, and the siblings beyond them: the host's scheduler spreads busy
//! threads over idle cores first. The default layout floats over every allowed core of the host,
//! tenants' too, as nothing keeps it off them.
//!
//! Where the host keeps a core for its own work, a default layout that keeps every core busy shares
//! that one with the host's threads. They take nothing of it at the least, half of it likely, and
//! all of it at most: shares chosen by us, as no finding tells.
//!
//! The ratio's likely value has all of these at theirs; its ends are the least and the most that
//! any of their ends give.
//!
//! Examples, likely values. 32 vCPUs on 16 of 32 cores: 16.48 / 32 = 0.515. 14 vCPUs on 7 of 8
//! cores, the eighth kept for the host: 7.21 / 7.68 = 0.94. 128 vCPUs on all 128 threads of 64
//! cores: 1.
//!
//! # Known limitations
//! - Work that waits at barriers runs at the pace of the slowest vCPU; the model adds the vCPUs up.
//!   The rule `MixedKinds` speaks of that where kinds differ.
//! - The second thread of an efficiency core, where there is one, counts as any other.

use crate::host::Host;
use crate::host::derived::ByKind;
use crate::units::Ratio;

/// The cores under a VM's busy vCPUs, by kind. On a host with cores of one kind, all are
/// performance cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Work {
    /// Performance cores with a busy vCPU.
    pub performance: u32,
    /// Efficiency cores with a busy vCPU.
    pub efficiency: u32,
    /// Low-power efficiency cores with a busy vCPU.
    pub low_power: u32,
    /// vCPUs beyond one a core: on second threads.
    pub siblings: u32,
    /// Whether one of the cores, of the slowest kind, is the one that the host keeps for its own
    /// work.
    pub beside_host: bool,
}

/// What a kind of core and a second thread do, in thousandths of a performance core.
#[derive(Debug, Clone, Copy)]
struct Speeds {
    efficiency: i64,
    low_power: i64,
    sibling: i64,
    /// The part of a core that the host's own work takes, in thousandths.
    host: i64,
}

const LIKELY: Speeds = Speeds { efficiency: 610, low_power: 300, sibling: 30, host: 500 };
const EFFICIENCY: [i64; 2] = [530, 700];
const LOW_POWER: [i64; 2] = [250, 500];
const SIBLING: [i64; 2] = [-60, 350];
const HOST: [i64; 2] = [0, 1000];

impl Work {
    /// Of this many vCPUs on these cores.
    pub(crate) fn new(vcpus: u32, cores: ByKind) -> Self {
        let [performance, efficiency, low_power] = cores;
        let siblings = vcpus.saturating_sub(cores.iter().sum());
        Self { performance, efficiency, low_power, siblings, beside_host: false }
    }

    /// Of the default layout: this many vCPUs over all allowed pCPUs of the host.
    pub(crate) fn of_default(host: &Host, vcpus: u32) -> Self {
        let derived = host.derived();
        let cores = busy(vcpus, derived.allowed_cores);
        let most = u32::try_from(host.allowed().len()).unwrap_or(u32::MAX);
        let all_busy = vcpus >= derived.allowed_cores.iter().sum();
        let keeps = !host.kept().cpus.is_empty();
        Self { beside_host: all_busy && keeps, ..Self::new(vcpus.min(most), cores) }
    }

    /// The number of vCPUs.
    #[must_use]
    pub fn vcpus(&self) -> u32 {
        self.performance + self.efficiency + self.low_power + self.siblings
    }

    /// Whether the cores are of several kinds.
    #[must_use]
    pub fn mixes_kinds(&self) -> bool {
        let kinds = [self.performance, self.efficiency, self.low_power];
        kinds.iter().filter(|cores| **cores > 0).count() > 1
    }

    fn at(self, speeds: Speeds) -> i64 {
        let host = if self.beside_host { self.slowest(speeds) * speeds.host / 1000 } else { 0 };
        i64::from(self.performance) * 1000
            + i64::from(self.efficiency) * speeds.efficiency
            + i64::from(self.low_power) * speeds.low_power
            + i64::from(self.siblings) * speeds.sibling
            - host
    }

    /// What the slowest of its kinds of cores does.
    fn slowest(self, speeds: Speeds) -> i64 {
        match (self.low_power, self.efficiency) {
            (1.., _) => speeds.low_power,
            (0, 1..) => speeds.efficiency,
            (0, 0) => 1000,
        }
    }

    fn against(self, other: Self, speeds: Speeds) -> Ratio {
        let (own, other) = (self.at(speeds).max(1), other.at(speeds).max(1));
        Ratio(u32::try_from((own * 1000 + other / 2) / other).unwrap_or(u32::MAX).max(1))
    }

    /// What it does, in thousandths of its work, if all vCPUs go at the pace of the slowest.
    fn at_one_pace(self, speeds: Speeds) -> u32 {
        let slowest = self.slowest(speeds);
        let cores = i64::from(self.performance + self.efficiency + self.low_power);
        let all = Self { siblings: 0, beside_host: false, ..self }.at(speeds).max(1);
        // Rounded up and a little more, so that no rounding puts a mix behind its slow cores alone.
        u32::try_from(cores * slowest * 1000 / all + 2).unwrap_or(1000).clamp(1, 1000)
    }

    /// What is left of its work if all vCPUs go at the pace of those on the slowest kind of core:
    /// at the least, and halfway to the sum of all, on a logarithmic scale.
    pub(crate) fn held_back(self) -> (Ratio, Ratio) {
        let (efficiency, low_power) = (EFFICIENCY[0], LOW_POWER[0]);
        let least = Speeds { efficiency, low_power, sibling: 0, host: 0 };
        let likely = self.at_one_pace(LIKELY);
        (Ratio(self.at_one_pace(least)), Ratio((likely * 1000).isqrt()))
    }

    /// What it likely does against `other`.
    pub(crate) fn likely_against(self, other: Self) -> Ratio {
        self.against(other, LIKELY)
    }

    /// The least and the most that it does against `other`.
    pub(crate) fn ends_against(self, other: Self) -> (Ratio, Ratio) {
        let mut ends = (Ratio(u32::MAX), Ratio(1));
        for efficiency in EFFICIENCY {
            for low_power in LOW_POWER {
                for sibling in SIBLING {
                    let ratio =
                        |host| self.against(other, Speeds { efficiency, low_power, sibling, host });
                    ends = (ends.0.min(ratio(HOST[0])), ends.1.max(ratio(HOST[1])));
                }
            }
        }
        ends
    }
}

/// The cores that this many floating vCPUs keep busy, of those that they may use: the fastest
/// first.
pub(crate) fn busy(vcpus: u32, of: ByKind) -> ByKind {
    let mut left = vcpus;
    of.map(|cores| {
        let taken = cores.min(left);
        left -= taken;
        taken
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(vcpus: u32, cores: u32) -> Work {
        Work::new(vcpus, [cores, 0, 0])
    }

    #[test]
    fn ratios_are_those_of_the_documented_examples() {
        for (own, default, likely, ends) in [
            (work(32, 16), work(32, 32), 515, (470, 675)),
            (work(14, 7), work(14, 8), 881, (861, 936)),
            (work(128, 64), work(128, 64), 1000, (1000, 1000)),
            (work(8, 8), work(8, 8), 1000, (1000, 1000)),
        ] {
            assert_eq!(own.likely_against(default), Ratio(likely), "{own:?}");
            assert_eq!(own.ends_against(default), (Ratio(ends.0), Ratio(ends.1)), "{own:?}");
        }
        let beside_host = Work { beside_host: true, ..work(14, 8) };
        assert_eq!(work(14, 7).likely_against(beside_host), Ratio(939));
        assert_eq!(work(14, 7).ends_against(beside_host), (Ratio(861), Ratio(1038)));
        assert_eq!(beside_host.ends_against(beside_host), (Ratio(1000), Ratio(1000)));
    }

    #[test]
    fn floating_vcpus_keep_the_fastest_cores_busy() {
        assert_eq!(busy(4, [6, 8, 2]), [4, 0, 0]);
        assert_eq!(busy(15, [6, 8, 2]), [6, 8, 1]);
        assert_eq!(busy(40, [6, 8, 2]), [6, 8, 2]);
        let all = Work::new(16, [8, 8, 0]);
        assert!(all.mixes_kinds() && !work(16, 8).mixes_kinds());
        // 16 vCPUs on 8 performance cores, where the default also has 8 efficiency cores.
        assert_eq!(work(16, 8).likely_against(all), Ratio(640));
        // All 16 at 0.61 are 0.76 of the sum.
        assert_eq!(all.held_back(), (Ratio(694), Ratio(871)));
        assert_eq!(work(16, 8).held_back(), (Ratio(1000), Ratio(1000)));
    }
}
