//! Progress bars: on a terminal, and nowhere else.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

/// Counts things.
pub(crate) fn items(length: u64, message: &'static str) -> ProgressBar {
    bar(length, "{msg} {bar:32} {pos}/{len} {per_sec} {eta}").with_message(message)
}

/// Counts the bytes of a file; a spinner when its length is not known.
pub(crate) fn bytes(length: u64) -> ProgressBar {
    bar(
        length,
        "{bar:32} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
    )
}

/// A line of text; its length is not known.
pub(crate) fn line() -> ProgressBar {
    bar(0, "{spinner} {msg}")
}

fn bar(length: u64, template: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = if length == 0 {
        ProgressBar::new_spinner()
    } else {
        ProgressBar::new(length)
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
