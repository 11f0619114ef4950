//! Integers of variable length.

use super::{Checked, ensure};
use crate::record::varint::{I32_LEN_MAX, I64_LEN_MAX, put_i32, put_short, take_i32, take_i64};

/// Numbers from the front of `input` on are those that plain arithmetic reads, and encoding them again gives the
/// shortest form of each.
///
/// # Errors
/// What is wrong.
pub fn varint(input: &[u8]) -> Checked {
    let (mut short, mut long) = (input, input);
    for start in 0..input.len() {
        short = &input[start..];
        long = short;
        let expected = plainly(short, I32_LEN_MAX, 32);
        let found = take_i32(&mut short).map(i64::from);
        agree(found, input.len() - start - short.len(), expected)?;
        let expected = plainly(long, I64_LEN_MAX, 64);
        let found = take_i64(&mut long);
        agree(found, input.len() - start - long.len(), expected)?;
    }
    ensure!(short.len() <= input.len() && long.len() <= input.len(), "reading adds bytes");
    Ok(())
}

/// The number at the front of `bytes` and how many bytes it takes.
fn plainly(bytes: &[u8], len_max: usize, bits: u32) -> Option<(i64, usize)> {
    let len = bytes.iter().take(len_max).position(|byte| *byte < 0x80)? + 1;
    let groups = bytes[..len].iter().rev();
    let number = groups.fold(0u128, |number, byte| number << 7 | u128::from(byte & 0x7f));
    let half = i128::try_from(number >> 1).ok().filter(|_| number < 1 << bits)?;
    let number = if number & 1 == 0 { half } else { -half - 1 };
    Some((i64::try_from(number).ok()?, len))
}

fn agree(found: Option<i64>, len: usize, expected: Option<(i64, usize)>) -> Checked {
    let Some(number) = found else {
        ensure!(expected.is_none(), "nothing is read, expected {expected:?}");
        return Ok(());
    };
    ensure!(expected == Some((number, len)), "{number} of {len} bytes, expected {expected:?}");
    let mut again = Vec::new();
    put_short(&mut again, |short| short.put_i64(number));
    ensure!(again.len() <= len, "{number} is written in {} bytes, and was read from {len}", again.len());
    let mut rest = &again[..];
    ensure!(take_i64(&mut rest) == Some(number) && rest.is_empty(), "{number} does not come back from {again:?}");
    if let Ok(number) = i32::try_from(number) {
        let mut short = Vec::new();
        put_i32(&mut short, number);
        ensure!(short == again, "{number} is written as {short:?} and as {again:?}");
    }
    Ok(())
}
