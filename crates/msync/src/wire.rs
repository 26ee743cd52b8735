//! Reading and writing the protobuf wire format without building a tree: fields of a message as they come, and
//! messages into buffers of exactly their size.

/// The bytes are no message of the expected shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// The fields of one message, in the order of the wire.
pub(crate) struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// One field.
pub(crate) struct Field<'a> {
    pub(crate) number: u32,
    pub(crate) value: Value<'a>,
    /// The field with its tag.
    pub(crate) whole: &'a [u8],
}

#[derive(Clone, Copy)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed32,
    Fixed64,
    Bytes(&'a [u8]),
}

impl<'a> Fields<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next field; `None` at the end. Groups count as malformed: no client writes them, and without them nesting
    /// is bounded by what the reader itself descends into.
    pub(crate) fn next(&mut self) -> Result<Option<Field<'a>>, Malformed> {
        if self.at == self.bytes.len() {
            return Ok(None);
        }
        let start = self.at;
        let tag = u32::try_from(self.varint()?).map_err(|_| Malformed)?;
        let number = tag >> 3;
        let value = match tag & 7 {
            _ if number == 0 => return Err(Malformed),
            0 => Value::Varint(self.varint()?),
            1 => self.skip(8).map(|_| Value::Fixed64)?,
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                Value::Bytes(self.skip(length)?)
            }
            5 => self.skip(4).map(|_| Value::Fixed32)?,
            _ => return Err(Malformed),
        };
        Ok(Some(Field { number, value, whole: &self.bytes[start..self.at] }))
    }

    fn skip(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(length).ok_or(Malformed)?;
        let skipped = self.bytes.get(self.at..end).ok_or(Malformed)?;
        self.at = end;
        Ok(skipped)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.at).ok_or(Malformed)?;
            self.at += 1;
            // The tenth byte has room for one bit only.
            if shift == 63 && byte > 1 {
                return Err(Malformed);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }
}

impl<'a> Value<'a> {
    pub(crate) fn varint(self) -> Result<u64, Malformed> {
        match self {
            Value::Varint(value) => Ok(value),
            _ => Err(Malformed),
        }
    }

    pub(crate) fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed),
        }
    }

    pub(crate) fn text(self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }
}

/// How many bytes a number takes as a varint.
pub(crate) fn varint_len(value: u64) -> usize {
    // 9/64 is just above 1/7, which makes this the number of started groups of seven bits.
    ((63 - (value | 1).leading_zeros() as usize) * 9 + 73) / 64
}

/// How many bytes a number takes as a field below 16.
pub(crate) fn number_field_len(value: u64) -> usize {
    1 + varint_len(value)
}

/// How many bytes a value of this length takes as a field below 16.
pub(crate) fn bytes_field_len(length: usize) -> usize {
    1 + varint_len(length as u64) + length
}

/// Writes fields with numbers below 16 into a buffer whose size the caller knows.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn with_room_for(length: usize) -> Self {
        Self(Vec::with_capacity(length))
    }

    pub(crate) fn number(&mut self, field: u8, value: u64) {
        self.0.push(field << 3);
        self.varint(value);
    }

    pub(crate) fn bytes(&mut self, field: u8, value: &[u8]) {
        self.open(field, value.len());
        self.0.extend_from_slice(value);
    }

    /// Opens a message of this length; its fields follow.
    pub(crate) fn open(&mut self, field: u8, length: usize) {
        self.0.push((field << 3) | 2);
        self.varint(length as u64);
    }

    /// Fields that are encoded already.
    pub(crate) fn raw(&mut self, encoded: &[u8]) {
        self.0.extend_from_slice(encoded);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// The buffer; a debug build asserts that it was made of exactly the right size.
    pub(crate) fn finish(self) -> bytes::Bytes {
        debug_assert_eq!(self.0.len(), self.0.capacity(), "the size was computed wrongly");
        self.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_varint_is_known_before_it_is_written() {
        for bits in 0..64 {
            for value in [1u64 << bits, (1u64 << bits) - 1, u64::MAX >> (63 - bits)] {
                let mut writer = Writer(Vec::new());
                writer.varint(value);
                assert_eq!(writer.0.len(), varint_len(value), "{value}");
                assert_eq!(Fields::of(&writer.0).varint(), Ok(value));
            }
        }
    }

    #[test]
    fn what_is_cut_short_or_no_field_is_malformed() {
        let wrong: [&[u8]; 9] = [
            &[0x80],
            &[0x08],
            &[0x0a, 0x02, 0x00],
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            &[0x0d, 0, 0, 0],
            &[0x09, 0, 0, 0, 0, 0, 0, 0],
            &[0x0b],
            &[0x00, 0x00],
            &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
        ];
        for bytes in wrong {
            assert!(Fields::of(bytes).next().is_err(), "{bytes:?}");
        }
    }
}
