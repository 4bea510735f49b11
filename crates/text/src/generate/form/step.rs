//! What a byte does to a value that has been begun.

/// What a byte did to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It belongs to the value, which goes on.
    Stay,
    /// It belongs to the value and ends it.
    Last,
    /// The value ended before it.
    Past,
    /// It cannot stand here.
    Illegal,
}
