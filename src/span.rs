//! A span for each thing that takes long or changes much. Nothing at all without the feature `tracing`.

use std::path::Path;

/// Entered until it is dropped.
#[must_use]
pub(crate) struct Span {
    #[cfg(feature = "tracing")]
    _entered: tracing::span::EnteredSpan,
}

macro_rules! spans {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[inline]
        pub(crate) fn $name(path: &Path) -> Span {
            #[cfg(not(feature = "tracing"))]
            let _ = path;
            Span {
                #[cfg(feature = "tracing")]
                _entered: tracing::debug_span!(target: "riverbed", stringify!($name), path = %path.display()).entered(),
            }
        }
    )*};
}

spans! {
    /// A partition's directory is opened.
    open
    /// A log that was not closed cleanly is recovered.
    recover
    /// A new segment is started.
    roll
    /// What was written is made durable.
    sync
    /// A log's tail is cut off.
    cut
    /// Segments are removed that are old, or too many.
    retain
    /// A log is compacted.
    compact
}
