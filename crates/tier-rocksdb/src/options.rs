//! RocksDB's options, from our settings.

use rocksdb::{
    BlockBasedOptions, Cache, ChecksumType, DBCompactionStyle, DBCompressionType, Error, LogLevel,
    Options,
};

use crate::settings::RocksSettings;

/// Every lookup of a key that is not held asks the filter of every file, so false positives must be rare: about 1 in 4,000.
const FILTER_BITS_PER_KEY: f64 = 18.0;
const BLOCK_BYTES: usize = 16 << 10;
const BYTES_PER_SYNC: u64 = 1 << 20;
/// So many small files are merged into one, so that the filters to ask stay few.
const MERGED_FILES_MIN: i32 = 8;
/// Room is made by dropping the oldest file whole, so no merged file may be more than this part of all.
const MERGED_FILE_PART: u64 = 16;

pub(crate) fn options(settings: &RocksSettings, direct_io: bool) -> Result<Options, Error> {
    let mut options = fifo(settings)?;
    options.create_if_missing(true);
    options.set_compaction_style(DBCompactionStyle::Fifo);
    options.set_ttl(settings.ttl.as_secs());
    options.set_level_zero_file_num_compaction_trigger(MERGED_FILES_MIN);
    options.set_max_compaction_bytes(settings.bytes_max / MERGED_FILE_PART);
    options.set_compression_type(DBCompressionType::None);
    options.set_write_buffer_size(settings.memtable_bytes);
    options.set_max_write_buffer_number(4);
    options.set_max_background_jobs(2);
    options.set_max_open_files(-1);
    options.set_use_direct_reads(direct_io);
    options.set_use_direct_io_for_flush_and_compaction(direct_io);
    options.set_bytes_per_sync(BYTES_PER_SYNC);
    options.set_ratelimiter(i64::from(settings.write_bytes_per_second_max), 100_000, 10);
    options.set_avoid_unnecessary_blocking_io(true);
    options.set_max_manifest_file_size(16 << 20);
    options.set_block_based_table_factory(&table(settings));
    quiet(&mut options);
    Ok(options)
}

/// The wrapper can't switch merging of small files on, but RocksDB's own text form can.
fn fifo(settings: &RocksSettings) -> Result<Options, Error> {
    let text = format!(
        "compaction_options_fifo={{max_table_files_size={};allow_compaction=true;}}",
        settings.bytes_max
    );
    Options::default().get_options_from_string(text)
}

/// Filters and indexes lie in the block cache, so that its size bounds them, and are pinned there for files of every age: all of
/// them are at level 0.
fn table(settings: &RocksSettings) -> BlockBasedOptions {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&Cache::new_hyper_clock_cache(settings.block_cache_bytes, 0));
    table.set_block_size(BLOCK_BYTES);
    table.set_bloom_filter(FILTER_BITS_PER_KEY, false);
    table.set_whole_key_filtering(true);
    table.set_format_version(6);
    table.set_checksum_type(ChecksumType::XXH3);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table
}

/// RocksDB's own log and statistics stay small; what matters is in our metrics.
fn quiet(options: &mut Options) {
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(4 << 20);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
}
