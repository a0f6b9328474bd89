//! The wasmtime engine and the compiled components on disk.
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use wasmtime::component::Component;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::limits::Limits;
use crate::{log, project};

/// How often running guests are interrupted.
pub const EPOCH: Duration = Duration::from_millis(10);
/// Elements that one table may have.
pub const TABLE_ELEMENTS: usize = 20_000;
/// Core instances, memories and tables that a component may need (a WASI component has adapters).
const CORE_PER_COMPONENT: u32 = 8;

/// A wasmtime error with its causes, as this crate's other errors are.
pub fn plain(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:#}")
}

/// The engine for the given limits. Instances come from a pool, which reserves terabytes of address
/// space; where that is not to be had they are made one by one, more slowly.
///
/// # Errors
/// When wasmtime refuses the configuration.
pub fn build(limits: &Limits) -> Result<Engine> {
    if !address_space_is_limited() {
        let mut config = config();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pooling(limits)));
        if let Ok(engine) = Engine::new(&config) {
            return Ok(engine);
        }
    }
    log::warn("there is little address space, so instances are made one by one");
    let mut config = config();
    config.memory_reservation(0);
    config.memory_reservation_for_growth(16 << 20);
    Engine::new(&config).map_err(plain)
}

fn config() -> Config {
    let mut config = Config::new();
    config.wasm_component_model_async(true);
    config.epoch_interruption(true);
    config.memory_init_cow(true);
    config.cranelift_opt_level(wasmtime::OptLevel::Speed);
    config
}

fn pooling(limits: &Limits) -> PoolingAllocationConfig {
    // Chained calls and streams hold an instance more than requests are in flight.
    let instances = u32::try_from(limits.concurrency)
        .unwrap_or(u32::MAX / 32)
        .saturating_mul(2)
        .max(64);
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(instances)
        .total_core_instances(instances * CORE_PER_COMPONENT)
        .total_memories(instances * 2)
        .total_tables(instances * CORE_PER_COMPONENT)
        .total_stacks(instances * 2)
        .max_core_instances_per_component(CORE_PER_COMPONENT * 4)
        .max_component_instance_size(16 << 20)
        .max_core_instance_size(16 << 20)
        .max_memory_size(limits.memory)
        .table_elements(TABLE_ELEMENTS)
        .max_unused_warm_slots(100)
        .linear_memory_keep_resident(512 << 10)
        .table_keep_resident(16 << 10)
        // Memories that wait to be given back are as big as the biggest request made them.
        .decommit_batch_size(2)
        .pagemap_scan(wasmtime::Enabled::Auto);
    pool
}

fn address_space_is_limited() -> bool {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a live rlimit.
    let read = unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut limit) } == 0;
    read && limit.rlim_cur != libc::RLIM_INFINITY
}

/// Interrupts running guests every [`EPOCH`], for as long as the process lives.
pub fn start_epochs(engine: &Engine) {
    let engine = engine.weak();
    std::thread::spawn(move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(EPOCH);
        }
    });
}

/// Loads a component, from `cache` when it was compiled before by this very engine.
///
/// # Errors
/// When it is no component that this host understands.
pub fn load_component(
    engine: &Engine,
    name: &str,
    bytes: &[u8],
    cache: &Path,
) -> Result<Component> {
    let compiled = cache_path(engine, bytes, cache);
    if compiled.is_file() && is_private(&compiled) {
        // SAFETY: the file lies in our own folder, only we may write it, and its name holds the hash
        // of the component and of the engine's configuration.
        match unsafe { Component::deserialize_file(engine, &compiled) } {
            Ok(component) => return Ok(component),
            Err(error) => log::warn(&format!(
                "{} is not usable and is made anew: {error:#}",
                compiled.display()
            )),
        }
    }
    log::info(&format!("compiling {name} for this machine"));
    let component = Component::new(engine, bytes).map_err(plain)?;
    if let Err(error) = keep(&component, &compiled) {
        log::warn(&format!(
            "the compiled component could not be kept: {error:#}"
        ));
    }
    Ok(component)
}

fn keep(component: &Component, path: &Path) -> Result<()> {
    let folder = path.parent().context("a cache file has a folder")?;
    project::make_dir(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    std::io::Write::write_all(&mut file, &component.serialize().map_err(plain)?)?;
    file.persist(path)?;
    Ok(())
}

fn cache_path(engine: &Engine, bytes: &[u8], cache: &Path) -> PathBuf {
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    engine.precompile_compatibility_hash().hash(&mut hasher);
    let digest = Sha256::digest(bytes);
    cache.join(format!(
        "{}-{:016x}.cwasm",
        hex::encode(&digest[..16]),
        hasher.finish()
    ))
}

/// Whether only we could have written the file.
fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    // SAFETY: geteuid has no preconditions.
    let me = unsafe { libc::geteuid() };
    path.metadata()
        .is_ok_and(|meta| meta.uid() == me && meta.mode() & 0o022 == 0)
}

/// FNV-1a: the same value in every process, unlike the standard hasher's.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
