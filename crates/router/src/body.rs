//! An MSYNC `MessageBody` as raw protobuf fields, so that an edit changes what it must and keeps every other byte, fields
//! that nobody here knows included (msync.md §4: "relay payload bytes untouched instead of re-encoding").

use bulkhead_model::{Error, ErrorKind};
use bytes::{BufMut, Bytes, BytesMut};

const CONTENTS: u32 = 4;
const EXT: u32 = 5;
const META: u32 = 9;
const EDIT_SCOPE: u32 = 12;
const EDIT_SCOPE_BODY_AND_EXT: u64 = 2;

/// Bytes that are no protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl From<Malformed> for Error {
    fn from(_: Malformed) -> Self {
        // The words that the web SDK knows (msync.md §4).
        ErrorKind::InvalidArgument.with("Sorry, format is incorrect")
    }
}

/// One field of an encoded message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    pub(crate) number: u32,
    /// Tag and value as they stand.
    pub(crate) raw: &'a [u8],
    value: Value<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Fixed,
}

impl<'a> Field<'a> {
    /// The value of a length-delimited field.
    pub(crate) fn bytes(&self) -> Result<&'a [u8], Malformed> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            Value::Varint(_) | Value::Fixed => Err(Malformed),
        }
    }
}

/// The fields of an encoded message in their order; ends after the first that is malformed. Groups count as malformed.
pub(crate) fn fields(message: &[u8]) -> impl Iterator<Item = Result<Field<'_>, Malformed>> {
    let mut rest = message;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = next_field(&mut rest);
        if field.is_err() {
            rest = &[];
        }
        Some(field)
    })
}

/// The body of an edited message: `original` with the contents of `edit` (and its ext, when its scope says so), and
/// `meta_json` as its `meta`.
pub(crate) fn edited(original: &[u8], edit: &[u8], meta_json: &str) -> Result<Bytes, Malformed> {
    let mut replaces_ext = false;
    let mut has_contents = false;
    for field in fields(edit) {
        let field = field?;
        replaces_ext |= field.number == EDIT_SCOPE && field.value == Value::Varint(EDIT_SCOPE_BODY_AND_EXT);
        has_contents |= field.number == CONTENTS;
    }
    if !has_contents {
        return Err(Malformed);
    }
    let replaced = |number| number == CONTENTS || (number == EXT && replaces_ext);
    let mut body = BytesMut::with_capacity(original.len() + edit.len() + meta_json.len() + 8);
    for field in fields(original) {
        let field = field?;
        if field.number != META && !replaced(field.number) {
            body.put_slice(field.raw);
        }
    }
    for field in fields(edit) {
        let field = field?;
        if replaced(field.number) {
            body.put_slice(field.raw);
        }
    }
    put_bytes(&mut body, META, meta_json.as_bytes());
    Ok(body.freeze())
}

/// `body` with `meta_json` as its `meta`.
pub(crate) fn with_meta(body: &[u8], meta_json: &str) -> Result<Bytes, Malformed> {
    let mut changed = BytesMut::with_capacity(body.len() + meta_json.len() + 8);
    for field in fields(body) {
        let field = field?;
        if field.number != META {
            changed.put_slice(field.raw);
        }
    }
    put_bytes(&mut changed, META, meta_json.as_bytes());
    Ok(changed.freeze())
}

/// Appends a length-delimited field.
pub(crate) fn put_bytes(out: &mut BytesMut, number: u32, bytes: &[u8]) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.put_slice(bytes);
}

/// How long a length-delimited field below number 16 is with its tag.
pub(crate) fn bytes_field_len(bytes: usize) -> usize {
    let bits = u64::BITS - (bytes as u64 | 1).leading_zeros();
    1 + bits.div_ceil(7) as usize + bytes
}

/// Appends a varint.
pub(crate) fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn next_field<'a>(rest: &mut &'a [u8]) -> Result<Field<'a>, Malformed> {
    let start = *rest;
    let tag = take_varint(rest)?;
    let number = u32::try_from(tag >> 3).map_err(|_| Malformed)?;
    let value = match tag & 7 {
        0 => Value::Varint(take_varint(rest)?),
        1 => take(rest, 8).map(|_| Value::Fixed)?,
        2 => {
            let bytes = usize::try_from(take_varint(rest)?).map_err(|_| Malformed)?;
            Value::Bytes(take(rest, bytes)?)
        }
        5 => take(rest, 4).map(|_| Value::Fixed)?,
        _ => return Err(Malformed),
    };
    if number == 0 {
        return Err(Malformed);
    }
    Ok(Field { number, raw: &start[..start.len() - rest.len()], value })
}

fn take<'a>(rest: &mut &'a [u8], bytes: usize) -> Result<&'a [u8], Malformed> {
    let (taken, left) = rest.split_at_checked(bytes).ok_or(Malformed)?;
    *rest = left;
    Ok(taken)
}

fn take_varint(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let (&byte, left) = rest.split_first().ok_or(Malformed)?;
        *rest = left;
        value |= u64::from(byte & 0x7f) << shift.min(63);
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(parts: &[(u32, &[u8])]) -> Vec<u8> {
        let mut out = BytesMut::new();
        parts.iter().for_each(|(number, bytes)| put_bytes(&mut out, *number, bytes));
        out.to_vec()
    }

    fn read(message: &[u8]) -> Vec<(u32, Vec<u8>)> {
        fields(message)
            .map(|field| field.unwrap())
            .map(|field| (field.number, field.bytes().unwrap_or_default().to_vec()))
            .collect()
    }

    #[test]
    fn an_edit_replaces_the_contents_and_keeps_what_nobody_knows() {
        let original = message(&[(4, b"old"), (4, b"old too"), (5, b"ext"), (9, b"{}"), (77, b"unknown")]);
        let edit = message(&[(2, b"from"), (4, b"new"), (5, b"ignored")]);
        let expected = message(&[(5, b"ext"), (77, b"unknown"), (4, b"new"), (9, b"{\"edit_msg\":1}")]);
        assert_eq!(edited(&original, &edit, "{\"edit_msg\":1}").unwrap(), expected);
    }

    #[test]
    fn an_edit_of_body_and_ext_replaces_both() {
        let original = message(&[(4, b"old"), (5, b"ext")]);
        let mut edit = message(&[(4, b"new"), (5, b"a"), (5, b"b")]);
        edit.extend([12 << 3, 2]);
        let expected = message(&[(4, b"new"), (5, b"a"), (5, b"b"), (9, b"{}")]);
        assert_eq!(edited(&original, &edit, "{}").unwrap(), expected);
    }

    #[test]
    fn an_edit_without_contents_or_with_broken_bytes_is_refused() {
        assert_eq!(edited(&[], &[], "{}"), Err(Malformed));
        assert_eq!(edited(&[0x22, 5, 1], &message(&[(4, b"new")]), "{}"), Err(Malformed));
        assert_eq!(with_meta(&[0x23], "{}"), Err(Malformed));
    }

    #[test]
    fn the_meta_of_a_body_is_replaced() {
        let body = message(&[(9, b"old"), (4, b"text")]);
        assert_eq!(read(&with_meta(&body, "new").unwrap()), [(4, b"text".to_vec()), (9, b"new".to_vec())]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic_and_fields_cover_what_is_well_formed(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let all: Result<Vec<_>, _> = fields(&bytes).collect();
            if let Ok(all) = all {
                prop_assert_eq!(all.iter().map(|field| field.raw.len()).sum::<usize>(), bytes.len());
            }
        }

        #[test]
        fn the_length_of_a_field_is_known_before_it_is_written(bytes in 0usize..40_000) {
            let mut out = BytesMut::new();
            put_bytes(&mut out, 4, &vec![0; bytes]);
            prop_assert_eq!(out.len(), bytes_field_len(bytes));
        }
    }
}
