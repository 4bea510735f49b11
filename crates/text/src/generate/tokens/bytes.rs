//! The letters that byte-level vocabularies write bytes with (Radford et al. 2019): printable ones stand for themselves,
//! the others for letters from U+0100 on.

/// Returns the byte that a letter stands for; `None` for a letter that stands for none.
pub(super) fn byte_of(letter: char) -> Option<u8> {
    let code = u32::from(letter);
    match code {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => u8::try_from(code).ok(),
        // The bytes that are not printable, in rising order: 0 to 32, 127 to 160, 173.
        0x100..=0x120 => u8::try_from(code - 0x100).ok(),
        0x121..=0x142 => u8::try_from(code - 0x121 + 0x7f).ok(),
        0x143 => Some(0xad),
        _ => None,
    }
}

/// Returns the bytes of a token as a vocabulary writes it; one with other letters stands for itself.
pub(super) fn bytes_of(token: &str) -> Box<[u8]> {
    let bytes: Option<Box<[u8]>> = token.chars().map(byte_of).collect();
    bytes.unwrap_or_else(|| token.as_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_one_letter() {
        let mut seen = [0; 256];
        for letter in (0..0x200).filter_map(char::from_u32) {
            if let Some(byte) = byte_of(letter) {
                seen[usize::from(byte)] += 1;
            }
        }
        assert_eq!(seen, [1; 256]);
        assert_eq!(&*bytes_of("Ġa"), b" a");
        assert_eq!(&*bytes_of("Ċ"), b"\n");
        assert_eq!(&*bytes_of("çĶµ"), "电".as_bytes());
        assert_eq!(&*bytes_of("<电>"), "<电>".as_bytes());
    }
}
