//! Times as access logs write them.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use memchr::memmem;

const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
/// As long as `21/Nov/2026:15:39:23 +0000`.
pub(super) const LOCAL_BYTES: usize = 26;

/// Milliseconds since 1970 of nginx's `time_local`: `21/Nov/2026:15:39:23 +0000`.
pub(super) fn local(text: &[u8]) -> Option<u64> {
    let text: &[u8; LOCAL_BYTES] = text.try_into().ok()?;
    let fixed = [
        (2, b'/'),
        (6, b'/'),
        (11, b':'),
        (14, b':'),
        (17, b':'),
        (20, b' '),
    ];
    if !fixed.iter().all(|&(at, byte)| text[at] == byte) {
        return None;
    }
    let month = memmem::find(MONTHS, &text[3..6]).filter(|at| at % 3 == 0)?;
    let time = DateTime::new(
        number(&text[7..11])?,
        i8::try_from(month / 3 + 1).ok()?,
        small(&text[0..2])?,
        small(&text[12..14])?,
        small(&text[15..17])?,
        small(&text[18..20])?,
        0,
    );
    let utc = time.ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
    let minutes = i64::from(number(&text[22..24])?) * 60 + i64::from(number(&text[24..26])?);
    let ahead_ms = match text[21] {
        b'+' => minutes * 60_000,
        b'-' => -minutes * 60_000,
        _ => return None,
    };
    u64::try_from(utc.as_millisecond() - ahead_ms).ok()
}

/// Milliseconds since 1970 of an ISO 8601 time with its offset.
pub(super) fn iso(text: &[u8]) -> Option<u64> {
    let timestamp: jiff::Timestamp = str::from_utf8(text).ok()?.parse().ok()?;
    u64::try_from(timestamp.as_millisecond()).ok()
}

/// Milliseconds since 1970 of seconds with a fraction, as nginx's `msec`: `1700000000.123`.
pub(super) fn seconds(text: &[u8]) -> Option<u64> {
    let text = str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let fraction_ms: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    whole
        .parse::<u64>()
        .ok()?
        .checked_mul(1000)?
        .checked_add(fraction_ms)
}

fn number(digits: &[u8]) -> Option<i16> {
    let mut number: i16 = 0;
    for digit in digits {
        let digit = digit.is_ascii_digit().then(|| i16::from(digit - b'0'))?;
        number = number.checked_mul(10)?.checked_add(digit)?;
    }
    Some(number)
}

fn small(digits: &[u8]) -> Option<i8> {
    number(digits).and_then(|number| i8::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_write_a_time_is_read() {
        let at = Some(1_795_275_563_000);
        assert_eq!(local(b"21/Nov/2026:15:39:23 +0000"), at);
        assert_eq!(local(b"21/Nov/2026:16:39:23 +0100"), at);
        assert_eq!(local(b"21/Nov/2026:10:09:23 -0530"), at);
        assert_eq!(iso(b"2026-11-21T15:39:23+00:00"), at);
        assert_eq!(iso(b"2026-11-21T15:39:23.310Z"), at.map(|ms| ms + 310));
        assert_eq!(seconds(b"1795275563"), at);
        assert_eq!(seconds(b"1795275563.31"), at.map(|ms| ms + 310));
        assert_eq!(seconds(b"1795275563.3109"), at.map(|ms| ms + 310));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "-",
            "21/Nov/2026:15:39:23 +000",
            "21/Nov/2026:15:39:23 00000",
            "31/Feb/2026:15:39:23 +0000",
            "21/ovD/2026:15:39:23 +0000",
            "21/Nov/2026:25:39:23 +0000",
            "21/Nov/2026:15:39:2x +0000",
            "01/Jan/1960:00:00:00 +0000",
            "2026-11-21T15:39:23",
            "99999999999999999999",
            "1.2.3",
            "-1",
        ] {
            let text = text.as_bytes();
            assert_eq!((local(text), iso(text), seconds(text)), (None, None, None));
        }
    }
}
