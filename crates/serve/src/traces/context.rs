//! The caller's part of a trace, as the header `traceparent` of W3C Trace Context has it.

/// What a caller says of its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) trace: u128,
    pub(super) span: u64,
    pub(super) is_sampled: bool,
}

impl Parent {
    /// Reads the header; `None` when it is none, and then a new trace begins.
    pub(super) fn read(header: &str) -> Option<Self> {
        let mut parts = header.trim().split('-');
        let mut part = |length: usize| {
            let is_hex = |part: &&str| {
                part.len() == length
                    && part.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
            };
            parts.next().filter(is_hex)
        };
        let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        // Later versions may say more, but not less; there is no version 255.
        if version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|id| *id != 0)?;
        let flags = u8::from_str_radix(flags, 16).ok()?;
        Some(Self { trace, span, is_sampled: flags & 1 == 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_read_and_what_is_none_is_not() {
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let read = Parent::read(&format!("00-{trace}-{span}-01")).unwrap();
        assert_eq!(
            (format!("{:032x}", read.trace), format!("{:016x}", read.span)),
            (trace.into(), span.into())
        );
        assert!(
            read.is_sampled && !Parent::read(&format!("00-{trace}-{span}-02")).unwrap().is_sampled
        );
        assert_eq!(Parent::read(&format!("cc-{trace}-{span}-01-what-the-future-says")), Some(read));
        let (no_trace, no_span) = ("0".repeat(32), "0".repeat(16));
        for bad in [
            format!("00-{trace}-{span}-01-more"),
            format!("ff-{trace}-{span}-01"),
            format!("00-{no_trace}-{span}-01"),
            format!("00-{trace}-{no_span}-01"),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-{trace}-{span}"),
            format!("00-{trace}-{span}-1"),
            format!("00-+{}-{span}-01", &trace[1..]),
            String::new(),
        ] {
            assert_eq!(Parent::read(&bad), None, "{bad}");
        }
    }
}
