//! Which part of a file a request asks for (RFC 9110 §14).

use http::{HeaderMap, header};

/// What to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// 200 with everything.
    Whole,
    /// 206 with a part.
    Part { offset: u64, length: u64 },
    /// 416: the part is not there.
    Nothing,
}

/// Reads `Range` and `If-Range`. Several ranges, another unit or a range that makes no sense are answered with the whole
/// file, as the RFC allows.
pub(super) fn asked(headers: &HeaderMap, file_bytes: u64, etag: &str) -> Asked {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if text(header::IF_RANGE).is_some_and(|known| known != etag) {
        return Asked::Whole;
    }
    let Some(range) = text(header::RANGE).and_then(|range| range.trim().strip_prefix("bytes=")) else {
        return Asked::Whole;
    };
    let Some((first, last)) = range.split_once('-').filter(|_| !range.contains(',')) else {
        return Asked::Whole;
    };
    let (first, last) = (first.trim(), last.trim());
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), _) if first >= file_bytes => Asked::Nothing,
        (Ok(first), Ok(last)) if first <= last => {
            Asked::Part { offset: first, length: last.min(file_bytes - 1) - first + 1 }
        }
        (Ok(first), Err(_)) if last.is_empty() => Asked::Part { offset: first, length: file_bytes - first },
        (Err(_), Ok(0)) if first.is_empty() => Asked::Nothing,
        (Err(_), Ok(suffix)) if first.is_empty() => {
            let length = suffix.min(file_bytes);
            Asked::Part { offset: file_bytes - length, length }
        }
        _ => Asked::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(range: &str) -> Asked {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, range.parse().unwrap());
        asked(&headers, 10, "\"tag\"")
    }

    #[test]
    fn one_range_is_cut_to_the_file() {
        let part = |offset, length| Asked::Part { offset, length };
        assert_eq!(of("bytes=0-0"), part(0, 1));
        assert_eq!(of("bytes=2-5"), part(2, 4));
        assert_eq!(of("bytes=2-"), part(2, 8));
        assert_eq!(of("bytes=9-100"), part(9, 1));
        assert_eq!(of("bytes=-3"), part(7, 3));
        assert_eq!(of("bytes=-100"), part(0, 10));
    }

    #[test]
    fn a_range_behind_the_end_is_nothing_and_one_that_makes_no_sense_is_everything() {
        for range in ["bytes=10-", "bytes=10-12", "bytes=-0"] {
            assert_eq!(of(range), Asked::Nothing, "{range}");
        }
        for range in ["bytes=5-2", "bytes=0-1,3-4", "lines=0-1", "bytes=x-", "bytes=--1", "bytes=", "bytes=-"]
        {
            assert_eq!(of(range), Asked::Whole, "{range}");
        }
        assert_eq!(asked(&HeaderMap::new(), 10, "\"tag\""), Asked::Whole);
    }

    #[test]
    fn a_range_of_another_file_than_the_client_knows_is_everything() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, "bytes=1-2".parse().unwrap());
        headers.insert(header::IF_RANGE, "\"other\"".parse().unwrap());
        assert_eq!(asked(&headers, 10, "\"tag\""), Asked::Whole);
        headers.insert(header::IF_RANGE, "\"tag\"".parse().unwrap());
        assert_eq!(asked(&headers, 10, "\"tag\""), Asked::Part { offset: 1, length: 2 });
    }
}
