//! Workloads: weights of the metrics that a guest's work depends on.

use std::fmt;
use std::str::FromStr;

use crate::units::ParseUnitError;

/// The subject of a prediction, measured inside the guest; higher is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Metric {
    /// Throughput of one thread (sysbench cpu, 1 thread).
    CpuSingleThread,
    /// Throughput of all threads (sysbench cpu).
    CpuAllThreads,
    /// Streaming memory bandwidth of all threads (STREAM Triad).
    MemoryBandwidth,
    /// Inverse of the idle memory latency (pointer chase).
    MemoryLatency,
    /// GPU arithmetic (matrix multiplication).
    GpuCompute,
    /// Host to device and device to host bandwidth.
    HostGpuTransfer,
    /// Collectives over all GPUs through host memory (`all_reduce`, peer-to-peer off).
    CollectiveHost,
    /// Collectives over all GPUs by direct links or PCIe peer-to-peer.
    CollectiveP2p,
}

impl Metric {
    /// All metrics, in the order in which they are shown.
    pub const ALL: [Self; 8] = [
        Self::CpuSingleThread,
        Self::CpuAllThreads,
        Self::MemoryBandwidth,
        Self::MemoryLatency,
        Self::GpuCompute,
        Self::HostGpuTransfer,
        Self::CollectiveHost,
        Self::CollectiveP2p,
    ];

    /// The name in JSON and on the screen.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CpuSingleThread => "cpu-single-thread",
            Self::CpuAllThreads => "cpu-all-threads",
            Self::MemoryBandwidth => "memory-bandwidth",
            Self::MemoryLatency => "memory-latency",
            Self::GpuCompute => "gpu-compute",
            Self::HostGpuTransfer => "host-gpu-transfer",
            Self::CollectiveHost => "collective-host",
            Self::CollectiveP2p => "collective-p2p",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The weight of each metric, in any unit: only the proportions matter. Both kinds of collectives
/// share one weight, because a VM's collectives take one path or the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Weights {
    /// Weight of [`Metric::CpuSingleThread`].
    #[cfg_attr(
        feature = "serde",
        serde(alias = "cpu-single-thread", skip_serializing_if = "is_default")
    )]
    pub cpu_single_thread: u16,
    /// Weight of [`Metric::CpuAllThreads`].
    #[cfg_attr(
        feature = "serde",
        serde(alias = "cpu-all-threads", skip_serializing_if = "is_default")
    )]
    pub cpu_all_threads: u16,
    /// Weight of [`Metric::MemoryBandwidth`].
    #[cfg_attr(
        feature = "serde",
        serde(alias = "memory-bandwidth", skip_serializing_if = "is_default")
    )]
    pub memory_bandwidth: u16,
    /// Weight of [`Metric::MemoryLatency`].
    #[cfg_attr(
        feature = "serde",
        serde(alias = "memory-latency", skip_serializing_if = "is_default")
    )]
    pub memory_latency: u16,
    /// Weight of [`Metric::GpuCompute`].
    #[cfg_attr(
        feature = "serde",
        serde(alias = "gpu-compute", skip_serializing_if = "is_default")
    )]
    pub gpu_compute: u16,
    /// Weight of [`Metric::HostGpuTransfer`].
    #[cfg_attr(
        feature = "serde",
        serde(alias = "host-gpu-transfer", skip_serializing_if = "is_default")
    )]
    pub host_gpu_transfer: u16,
    /// Weight of [`Metric::CollectiveHost`] or [`Metric::CollectiveP2p`].
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "is_default"))]
    pub collective: u16,
}

/// Whether a writer omits the value.
#[cfg(feature = "serde")]
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Weights {
    /// The weight of a metric.
    #[must_use]
    pub const fn of(&self, metric: Metric) -> u16 {
        match metric {
            Metric::CpuSingleThread => self.cpu_single_thread,
            Metric::CpuAllThreads => self.cpu_all_threads,
            Metric::MemoryBandwidth => self.memory_bandwidth,
            Metric::MemoryLatency => self.memory_latency,
            Metric::GpuCompute => self.gpu_compute,
            Metric::HostGpuTransfer => self.host_gpu_transfer,
            Metric::CollectiveHost | Metric::CollectiveP2p => self.collective,
        }
    }
}

/// The kind of work that the guest does. The presets' weights, in hundredths, are chosen by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Workload {
    /// Serving models: the GPU, its feeding, and the threads that launch work.
    GpuInference,
    /// Training on one or more GPUs: collectives first.
    GpuTraining,
    /// Preparing data in host memory.
    DataPipeline,
    /// Throughput of all vCPUs.
    CpuThroughput,
    /// Response times: one thread's speed and the latency of memory.
    LatencySensitive,
    /// No particular work.
    #[default]
    General,
    /// The caller's own weights.
    Custom(Weights),
}

const fn weights(w: [u16; 7]) -> Weights {
    Weights {
        cpu_single_thread: w[0],
        cpu_all_threads: w[1],
        memory_bandwidth: w[2],
        memory_latency: w[3],
        gpu_compute: w[4],
        host_gpu_transfer: w[5],
        collective: w[6],
    }
}

impl Workload {
    /// The presets.
    pub const PRESETS: [Self; 6] = [
        Self::GpuInference,
        Self::GpuTraining,
        Self::DataPipeline,
        Self::CpuThroughput,
        Self::LatencySensitive,
        Self::General,
    ];

    /// The weights of the metrics for this workload.
    #[must_use]
    pub const fn weights(&self) -> Weights {
        match self {
            Self::GpuInference => weights([20, 0, 5, 15, 35, 25, 0]),
            Self::GpuTraining => weights([0, 10, 10, 5, 20, 15, 40]),
            Self::DataPipeline => weights([0, 25, 45, 15, 0, 15, 0]),
            Self::CpuThroughput => weights([0, 70, 20, 10, 0, 0, 0]),
            Self::LatencySensitive => weights([40, 5, 5, 50, 0, 0, 0]),
            Self::General => weights([15, 20, 20, 20, 10, 10, 5]),
            Self::Custom(weights) => *weights,
        }
    }

    /// The name of the workload; `custom` for the caller's own weights.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::GpuInference => "gpu-inference",
            Self::GpuTraining => "gpu-training",
            Self::DataPipeline => "data-pipeline",
            Self::CpuThroughput => "cpu-throughput",
            Self::LatencySensitive => "latency-sensitive",
            Self::General => "general",
            Self::Custom(_) => "custom",
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Workload {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "a workload (gpu-inference, gpu-training, data-pipeline, cpu-throughput, \
                        latency-sensitive or general)";
        let preset = Self::PRESETS.into_iter().find(|preset| preset.name() == text);
        preset.ok_or_else(|| ParseUnitError::new(text, expected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_presets_weights_sum_to_one() {
        for preset in Workload::PRESETS {
            let w = preset.weights();
            let sum: u16 =
                Metric::ALL.iter().filter(|m| **m != Metric::CollectiveP2p).map(|m| w.of(*m)).sum();
            assert_eq!(sum, 100, "{preset}");
            assert_eq!(preset.name().parse::<Workload>().unwrap(), preset);
        }
        assert!("gaming".parse::<Workload>().is_err());
    }
}
