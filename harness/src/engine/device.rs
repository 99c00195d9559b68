//! Devices of tensors. One binary serves CPU and CUDA: the CUDA libraries are loaded at run time.

use crate::config::{Config, Dtype, ModelConfig};
use crate::error::InputError;
use crate::model::Options;
use anyhow::Result;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tch::{Device, Kind};

/// libtorch as the build found it.
const LIBTORCH: &str = env!("MENT_LIBTORCH");

/// The torch version that `tch` was built against.
pub const TORCH_VERSION: &str = "2.11.0";

/// `cpu` or `cuda:N`.
///
/// # Errors
/// If the name is no device, or CUDA is not available.
pub fn open(name: &str) -> Result<Device> {
    if name == "cpu" {
        return Ok(Device::Cpu);
    }
    let index = match name.strip_prefix("cuda") {
        Some("") => Some(0),
        Some(rest) => rest.strip_prefix(':').and_then(|index| index.parse::<usize>().ok()),
        None => None,
    };
    let Some(index) = index else {
        return Err(InputError::new(format!("device {name:?} is not known; use cpu or cuda:N")));
    };
    load_cuda()?;
    let count = usize::try_from(tch::Cuda::device_count()).unwrap_or(0);
    if index >= count {
        return Err(InputError::new(format!(
            "device {name}: this machine shows {count} CUDA device(s) to libtorch"
        )));
    }
    Ok(Device::Cuda(index))
}

/// `cpu` or `cuda`, for the identity of a run.
pub fn family(device: Device) -> &'static str {
    if device.is_cuda() { "cuda" } else { "cpu" }
}

/// The dtype of weights and activations.
pub fn kind(dtype: Dtype) -> Kind {
    match dtype {
        Dtype::F32 => Kind::Float,
        Dtype::Bf16 => Kind::BFloat16,
        Dtype::F16 => Kind::Half,
    }
}

/// Options for opening the model of `config` on `device`, with its chat template where prompts need it.
pub fn options(config: &Config, device: Device) -> Options {
    let ModelConfig { dtype, plain_architecture, .. } = config.model;
    Options { device, kind: kind(dtype), plain_architecture, chat: config.prompt.chat }
}

/// Tokens that fill the device: a batch of more is not faster, and on a CPU slower, as what one
/// layer hands to the next falls out of its caches.
pub fn tokens_at_once(device: Device) -> usize {
    if device.is_cuda() { 16_384 } else { 1024 }
}

/// Wall time of work on a device. Work on CUDA is awaited whenever the clock is started or read.
pub struct Clock {
    device: Device,
    start: Instant,
    ahead: f64,
}

impl Clock {
    /// Starts now.
    pub fn start(device: Device) -> Self {
        Self::ahead(device, 0.0)
    }

    /// Starts now with `seconds` on it: those of work that was done before, and counts again.
    pub fn ahead(device: Device, seconds: f64) -> Self {
        synchronize(device);
        Self { device, start: Instant::now(), ahead: seconds }
    }

    /// Seconds since the start, and those it was ahead.
    pub fn seconds(&self) -> f64 {
        synchronize(self.device);
        self.start.elapsed().as_secs_f64() + self.ahead
    }
}

fn synchronize(device: Device) {
    if let Device::Cuda(index) = device {
        tch::Cuda::synchronize(index as i64);
    }
}

unsafe extern "C" {
    fn ment_set_tf32(allowed: bool);
    fn ment_tf32() -> bool;
    fn ment_keep_freed_memory();
    fn ment_release_freed_memory();
}

/// Gives back to the system what the allocator has kept: before memory is measured.
pub(crate) fn release_freed_memory() {
    // Safety: trims the C library's heap.
    unsafe { ment_release_freed_memory() }
}

/// Lets f32 matrix products on CUDA round their inputs to TF32, or not.
pub fn set_tf32(allowed: bool) {
    // Safety: sets a flag of libtorch's global context.
    unsafe { ment_set_tf32(allowed) }
}

/// True if libtorch may round the inputs of f32 matrix products on CUDA to TF32.
pub fn tf32() -> bool {
    // Safety: reads a flag of libtorch's global context.
    unsafe { ment_tf32() }
}

/// Sets the process up for tensor operations. Their threads are `wanted`, or what OMP_NUM_THREADS
/// says, or all cores that this process may use; and the allocator keeps what is freed, which
/// spares passes on the CPU a share of their time.
pub fn set_up_cpu(wanted: Option<NonZeroUsize>) {
    // Safety: sets parameters of the C library's allocator.
    unsafe { ment_keep_freed_memory() }
    let said = std::env::var_os("OMP_NUM_THREADS").is_some(); // libtorch has heard it
    let cores = || std::thread::available_parallelism().ok().filter(|_| !said);
    if let Some(threads) = wanted.or_else(cores) {
        tch::set_num_threads(i32::try_from(threads.get()).unwrap_or(i32::MAX));
    }
}

/// Warning about a dtype on this machine, to be shown before a long run; `None` for f32.
pub fn warning(device: Device, dtype: Dtype) -> Option<&'static str> {
    match dtype {
        Dtype::Bf16 if device == Device::Cpu && !has_bf16() => {
            Some("this processor has no bf16 and emulates it: f32 is several times as fast")
        }
        Dtype::F16 if device == Device::Cpu => {
            Some("f16 is for a GPU: on a CPU, f32 is several times as fast")
        }
        _ => None,
    }
}

#[cfg(target_arch = "x86_64")]
fn has_bf16() -> bool {
    std::is_x86_feature_detected!("avx512bf16")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_bf16() -> bool {
    false
}

/// Libraries that libtorch opens by bare name later, and so would not find outside the loader's path: linear
/// algebra, and the run-time compiler. They lie beside `libtorch_cuda.so`, or where pip puts them.
const COMPANIONS: [&str; 3] = [
    "libtorch_cuda_linalg.so",
    "../../nvidia/cu13/lib/libnvrtc.so.13",
    "../../nvidia/cu13/lib/libnvrtc-builtins.so.13.0",
];

/// Loads `libtorch_cuda.so` into the process, which registers its kernels, and what it needs.
fn load_cuda() -> Result<()> {
    let candidates = [
        std::env::var_os("MENT_TORCH_CUDA").map(PathBuf::from),
        Some(Path::new(LIBTORCH).join("cuda/torch/lib/libtorch_cuda.so")),
    ];
    let Some(path) = candidates.into_iter().flatten().find(|path| path.is_file()) else {
        return Err(InputError::new(
            "no CUDA libraries: run `python3 scripts/setup.py --cuda`, or name a \
             libtorch_cuda.so of torch 2.11.0 in MENT_TORCH_CUDA",
        ));
    };
    load_library(&path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    COMPANIONS
        .iter()
        .map(|name| folder.join(name))
        .filter(|path| path.is_file())
        .try_for_each(|path| load_library(&path))
}

/// Loads one library for the life of the process.
fn load_library(path: &Path) -> Result<()> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // Safety: the libraries' initialisers register kernels with the libtorch already loaded,
    // which is of the same release.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) }
        .map_err(|error| InputError::new(format!("{}: {error}", path.display())))?;
    std::mem::forget(library);
    Ok(())
}

/// The processor, as it calls itself.
pub fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name"));
    name.map_or("unknown".into(), |name| name.trim_start_matches([' ', '\t', ':']).into())
}

/// The graphics processor and its driver, as the driver calls them; nothing for a CPU.
pub fn accelerator(device: Device) -> String {
    let Device::Cuda(index) = device else { return String::new() };
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let cards = std::fs::read_dir("/proc/driver/nvidia/gpus").into_iter().flatten().flatten();
    let mut cards: Vec<PathBuf> = cards.map(|card| card.path().join("information")).collect();
    cards.sort();
    let card = cards.get(index).map(|card| read(card)).unwrap_or_default();
    let model = card.lines().find_map(|line| line.strip_prefix("Model:")).unwrap_or("unknown");
    let driver = read(Path::new("/proc/driver/nvidia/version"));
    let driver =
        driver.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    format!("{}, driver {}", model.trim(), driver.unwrap_or("unknown"))
}

#[cfg(test)]
mod tests {
    use super::Clock;
    use tch::Device;

    #[test]
    fn a_clock_that_is_ahead_counts_what_was_before() {
        let seconds = Clock::ahead(Device::Cpu, 1000.0).seconds();
        assert!((1000.0..1100.0).contains(&seconds), "{seconds}");
        assert!(Clock::start(Device::Cpu).seconds() < 100.0);
    }
}
