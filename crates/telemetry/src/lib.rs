//! Metrics and logs: the one list of metric names, the recorder behind `/metrics`, and the log's set-up.

pub mod bus;
pub mod logging;
pub mod metric;
pub mod recorder;

pub use bus::BusCounters;
pub use metric::{METRICS, Metric, MetricKind};
pub use metrics::{Counter, Gauge, Histogram};
pub use recorder::Recorder;
