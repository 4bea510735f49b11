//! What stands in the metadata of a file.

/// One value; integers of all widths are one kind, and so are floats.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// An integer.
    Integer(i128),
    /// A float.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// A text.
    Text(String),
    /// A list of texts.
    Texts(Vec<String>),
    /// A list of integers.
    Integers(Vec<i64>),
    /// A list of floats or of truths, of which only the length is kept.
    Passed(u64),
}

/// What a number for a type stands for in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Integer { bytes: u8, signed: bool },
    Float { bytes: u8 },
    Bool,
    Text,
    List,
}

impl Kind {
    pub(super) fn of(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Integer { bytes: 1, signed: false },
            1 => Self::Integer { bytes: 1, signed: true },
            2 => Self::Integer { bytes: 2, signed: false },
            3 => Self::Integer { bytes: 2, signed: true },
            4 => Self::Integer { bytes: 4, signed: false },
            5 => Self::Integer { bytes: 4, signed: true },
            6 => Self::Float { bytes: 4 },
            7 => Self::Bool,
            8 => Self::Text,
            9 => Self::List,
            10 => Self::Integer { bytes: 8, signed: false },
            11 => Self::Integer { bytes: 8, signed: true },
            12 => Self::Float { bytes: 8 },
            _ => return None,
        })
    }

    /// Returns the fewest bytes a value of this kind has in a file.
    pub(super) const fn least_bytes(self) -> u64 {
        match self {
            Self::Integer { bytes, .. } | Self::Float { bytes } => bytes as u64,
            Self::Bool => 1,
            Self::Text => 8,
            Self::List => 12,
        }
    }
}
