//! Durations and sizes with units (`7d`, `1GiB`), an addition to Kafka's plain numbers.
//!
//! Which unit family is legal follows from the key's name: `.ms`, `.seconds`, `.minutes` and
//! `.hours` take durations, names that speak of bytes take sizes, everything else takes none.

/// The number that `text` means for the key `name`, or `None` when it isn't one.
pub(super) fn parse(name: &str, text: &str) -> Option<i64> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at_checked(split)?;
    let count: i64 = digits.parse().ok()?;
    let unit = unit.trim();
    let per_unit = if let Some(base) = duration_base_ms(name) {
        let unit_ms = duration_ms(unit)?;
        // 90s as minutes would silently lose half a minute.
        let total = count.checked_mul(unit_ms)?;
        return (total % base == 0).then_some(total / base);
    } else if is_size(name) {
        size_bytes(unit)?
    } else {
        return None;
    };
    count.checked_mul(per_unit)
}

fn duration_base_ms(name: &str) -> Option<i64> {
    let (_, last) = name.rsplit_once('.')?;
    match last {
        "ms" => Some(1),
        "seconds" => Some(1_000),
        "minutes" => Some(60_000),
        "hours" => Some(3_600_000),
        _ => None,
    }
}

fn duration_ms(unit: &str) -> Option<i64> {
    Some(match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 604_800_000,
        _ => return None,
    })
}

fn is_size(name: &str) -> bool {
    name.split('.').any(|word| word == "bytes") || name.ends_with("buffer.size")
}

fn size_bytes(unit: &str) -> Option<i64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_unit_must_fit_the_name() {
        assert_eq!(parse("retention.ms", "7d"), Some(604_800_000));
        assert_eq!(parse("log.retention.hours", "7d"), Some(168));
        assert_eq!(parse("log.retention.minutes", "90s"), None);
        assert_eq!(parse("segment.bytes", "1GiB"), Some(1 << 30));
        assert_eq!(parse("log.index.size.max.bytes", "1 MB"), Some(1_000_000));
        assert_eq!(parse("segment.bytes", "1d"), None);
        assert_eq!(parse("num.partitions", "1k"), None);
        assert_eq!(parse("retention.ms", "9223372036854775807d"), None);
        assert_eq!(parse("retention.ms", "d"), None);
    }
}
