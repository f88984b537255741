//! Zigzag variable-length integers, as records use them.

use crate::cursor::Cursor;

/// Reads up to five bytes; `None` if they end early or hold more than 32 bits.
pub(super) fn read_i32(c: &mut Cursor<'_>) -> Option<i32> {
    let raw = u32::try_from(read_u64(c, 5)?).ok()?;
    Some((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
}

/// Reads up to ten bytes; `None` if they end early or hold more than 64 bits.
pub(super) fn read_i64(c: &mut Cursor<'_>) -> Option<i64> {
    let raw = read_u64(c, 10)?;
    Some((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
}

pub(super) fn write_i32(out: &mut Vec<u8>, value: i32) {
    write_i64(out, i64::from(value));
}

pub(super) fn write_i64(out: &mut Vec<u8>, value: i64) {
    let mut raw = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while raw >= 0x80 {
        let [low, ..] = raw.to_le_bytes();
        out.push(low | 0x80);
        raw >>= 7;
    }
    let [last, ..] = raw.to_le_bytes();
    out.push(last);
}

/// How many bytes `value` takes.
pub(super) const fn size_i64(value: i64) -> usize {
    let raw = ((value << 1) ^ (value >> 63)).cast_unsigned() | 1;
    (70 - raw.leading_zeros() as usize) / 7
}

fn read_u64(c: &mut Cursor<'_>, bytes_max: u32) -> Option<u64> {
    // Nearly all of a record's numbers take one byte.
    let [first] = c.array()?;
    let mut value = u64::from(first & 0x7f);
    if first < 0x80 {
        return Some(value);
    }
    for i in 1..bytes_max {
        let [byte] = c.array()?;
        let bits = u64::from(byte & 0x7f);
        let shifted = bits << (7 * i);
        if shifted >> (7 * i) != bits {
            return None;
        }
        value |= shifted;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_varint_of_too_many_bits_is_refused() {
        assert_eq!(
            read_i32(&mut Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0x0f])),
            Some(i32::MIN)
        );
        assert_eq!(
            read_i32(&mut Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0x1f])),
            None
        );
        assert_eq!(read_i32(&mut Cursor::new(&[0x80; 6])), None);
        assert_eq!(read_i64(&mut Cursor::new(&[0xff; 10])), None);
        assert_eq!(read_i64(&mut Cursor::new(&[0x80])), None);
    }

    proptest! {
        #[test]
        fn varints_survive(value in any::<i64>(), short in any::<i32>()) {
            let mut out = Vec::new();
            write_i64(&mut out, value);
            prop_assert_eq!(out.len(), size_i64(value));
            prop_assert_eq!(read_i64(&mut Cursor::new(&out)), Some(value));
            out.clear();
            write_i32(&mut out, short);
            prop_assert_eq!(read_i32(&mut Cursor::new(&out)), Some(short));
        }
    }
}
