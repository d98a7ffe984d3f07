//! Metrics and logs: the one list of metric names, the recorder behind `/metrics`, and the log's set-up.

pub mod logging;
pub mod metric;
pub mod recorder;

pub use metric::{METRICS, Metric, MetricKind};
pub use metrics::{Counter, Gauge, Histogram};
pub use recorder::Recorder;
