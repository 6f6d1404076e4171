//! Guards timestamps: RFC 3339, UTC, always three digits of milliseconds and `Z`.
//!
//! A device gives back the `at` it was shown, and the store compares it to the millisecond, so
//! what is written must read back as the same number.

use draftwire_protocol::Timestamp;
use proptest::prelude::*;

#[test]
fn they_are_written_with_milliseconds_and_z() {
    let table = [
        (0, "1970-01-01T00:00:00.000Z"),
        (1, "1970-01-01T00:00:00.001Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (-62_135_596_800_000, "0001-01-01T00:00:00.000Z"),
        (1_000, "1970-01-01T00:00:01.000Z"),
        (1_795_336_200_000, "2026-11-22T08:30:00.000Z"),
        (1_795_336_200_120, "2026-11-22T08:30:00.120Z"),
        (253_402_300_799_000, "9999-12-30T22:00:00.999Z"),
    ];
    for (millis, text) in &table[..7] {
        assert_eq!(Timestamp::from_millis(*millis).to_string(), *text);
        assert_eq!(Timestamp::parse(text).map(Timestamp::as_millis), Some(*millis));
    }
    let (_, last) = table[7];
    assert_eq!(Timestamp::from_millis(i64::MAX).to_string(), last, "the last that can be shown");
    assert!(Timestamp::from_millis(i64::MIN).to_string().starts_with("-009999-01-"));
}

#[test]
fn offsets_and_other_precisions_are_read() {
    let table = [
        ("2026-11-22T08:30:00Z", Some(1_795_336_200_000)),
        ("2026-11-22T09:30:00+01:00", Some(1_795_336_200_000)),
        ("2026-11-22T03:00:00.000-05:30", Some(1_795_336_200_000)),
        ("2026-11-22T08:30:00.5Z", Some(1_795_336_200_500)),
        ("2026-11-22T08:30:00.1239999Z", Some(1_795_336_200_123)),
        ("1969-12-31T23:59:59.001Z", Some(-999)),
        ("2026-11-22", None),
        ("2026-11-22T08:30:00", None),
        ("2026-13-22T08:30:00Z", None),
        ("2026-02-30T08:30:00Z", None),
        ("1795336200000", None),
        ("now", None),
        ("", None),
    ];
    for (text, millis) in table {
        assert_eq!(Timestamp::parse(text).map(Timestamp::as_millis), millis, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_reads_back(millis in -62_135_596_800_000_i64..253_402_207_200_000) {
        let text = Timestamp::from_millis(millis).to_string();
        prop_assert_eq!(text.len(), 24);
        prop_assert!(text.ends_with('Z'));
        prop_assert_eq!(Timestamp::parse(&text).map(Timestamp::as_millis), Some(millis));
    }

    #[test]
    fn writing_never_fails(millis in any::<i64>()) {
        prop_assert!(Timestamp::parse(&Timestamp::from_millis(millis).to_string()).is_some());
    }
}
