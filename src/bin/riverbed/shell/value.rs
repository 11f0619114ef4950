//! How words spell keys, values and numbers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::failure::Failure;

/// The bytes a KEY, a VALUE or a header's value stands for: `-` is null, `b64:` bytes, `str:` the literal rest, all
/// else itself.
pub fn bytes(word: &str) -> Result<Option<Vec<u8>>, Failure> {
    if word == "-" {
        return Ok(None);
    }
    if let Some(encoded) = word.strip_prefix("b64:") {
        return base64(encoded).map(Some);
    }
    Ok(Some(word.strip_prefix("str:").unwrap_or(word).as_bytes().to_vec()))
}

/// Bytes in the base64 of RFC 4648, with padding.
pub fn base64(word: &str) -> Result<Vec<u8>, Failure> {
    STANDARD.decode(word).map_err(|error| Failure::usage(format!("not base64: {error}")))
}

/// A whole number, in decimal digits with a `-` in front if it is negative. `what` names it in messages.
pub fn integer(what: &str, word: &str) -> Result<i64, Failure> {
    let digits = word.strip_prefix('-').unwrap_or(word);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Failure::usage(format!("{what} is a whole number, not {word:?}")));
    }
    word.parse().map_err(|_| Failure::usage(format!("{what} {word} does not fit 64 bits")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_for_bytes() {
        let some = |text: &str| Some(text.as_bytes().to_vec());
        let table = [
            ("-", None),
            ("", some("")),
            ("--", some("--")),
            ("a", some("a")),
            ("str:-", some("-")),
            ("str:", some("")),
            ("str:b64:AA==", some("b64:AA==")),
            ("b64:", some("")),
            ("b64:AP8=", Some(vec![0, 255])),
            ("b64:+/+/", Some(vec![0xfb, 0xff, 0xbf])),
            ("B64:AA==", some("B64:AA==")),
            ("ü", some("ü")),
        ];
        for (word, expected) in table {
            assert_eq!(bytes(word).unwrap(), expected, "{word:?}");
        }
    }

    #[test]
    fn base64_needs_its_padding_and_no_stray_bits() {
        for word in ["b64:AA", "b64:AA=", "b64:AB==", "b64:A", "b64:-_-_", "b64:AA==AA==", "b64: AA==", "b64:="] {
            assert_eq!(bytes(word).unwrap_err().kind, riverbed::ErrorKind::Usage, "{word:?}");
        }
    }

    #[test]
    fn integers_are_decimal() {
        assert_eq!(integer("MS", "-1").unwrap(), -1);
        assert_eq!(integer("MS", "0012").unwrap(), 12);
        assert_eq!(integer("MS", "9223372036854775807").unwrap(), i64::MAX);
        assert_eq!(integer("MS", "-9223372036854775808").unwrap(), i64::MIN);
        for word in ["", "-", "+1", "1.0", "0x1", "1e3", " 1", "--1", "9223372036854775808", "\u{661}"] {
            assert_eq!(integer("MS", word).unwrap_err().kind, riverbed::ErrorKind::Usage, "{word:?}");
        }
    }
}
