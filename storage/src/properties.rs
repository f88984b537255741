//! The format of Java's `Properties`, as far as bytes go: keys, values, escapes, continued lines.

use std::fmt::Write;

/// Appends one `key=value` line.
pub(crate) fn write(out: &mut String, key: &str, value: &str) {
    escape(out, key, true);
    out.push('=');
    escape(out, value, false);
    out.push('\n');
}

/// Reads the pairs in the order of the text. `None` if an escape is not one.
pub(crate) fn read(text: &str) -> Option<Vec<(String, String)>> {
    logical_lines(text)
        .iter()
        .map(|line| read_pair(line))
        .collect()
}

fn escape(out: &mut String, text: &str, is_key: bool) {
    for (index, c) in text.chars().enumerate() {
        match c {
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\x0c' => out.push_str("\\f"),
            '\\' | '=' | ':' | '#' | '!' => {
                out.push('\\');
                out.push(c);
            }
            // A value's first space would be taken for the separator's.
            ' ' if is_key || index == 0 => out.push_str("\\ "),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
}

const BLANK: [char; 3] = [' ', '\t', '\x0c'];

/// Lines without comments and blank ones, continued lines joined.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open: Option<String> = None;
    for line in text.replace("\r\n", "\n").split(['\n', '\r']) {
        let line = line.trim_start_matches(BLANK);
        let is_silent = line.is_empty() || line.starts_with(['#', '!']);
        if open.is_none() && is_silent {
            continue;
        }
        let mut joined = open.take().unwrap_or_default() + line;
        let slashes = joined.chars().rev().take_while(|c| *c == '\\').count();
        if slashes % 2 == 1 {
            joined.pop();
            open = Some(joined);
        } else {
            lines.push(joined);
        }
    }
    lines.extend(open);
    lines
}

fn read_pair(line: &str) -> Option<(String, String)> {
    let mut is_escaped = false;
    let end = line.find(|c: char| {
        let is_end = !is_escaped && (matches!(c, '=' | ':') || BLANK.contains(&c));
        is_escaped = c == '\\' && !is_escaped;
        is_end
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches(BLANK);
    let value = rest
        .strip_prefix(['=', ':'])
        .unwrap_or(rest)
        .trim_start_matches(BLANK);
    Some((unescape(key)?, unescape(value)?))
}

/// Escapes are of UTF-16 units: a character may take two of them.
fn unescape(text: &str) -> Option<String> {
    let mut units = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let c = match c {
            '\\' => match chars.next()? {
                't' => '\t',
                'n' => '\n',
                'r' => '\r',
                'f' => '\x0c',
                'u' => {
                    let digits: String = chars.by_ref().take(4).collect();
                    let is_hex = digits.len() == 4 && digits.chars().all(|c| c.is_ascii_hexdigit());
                    units.push(u16::from_str_radix(&digits, 16).ok().filter(|_| is_hex)?);
                    continue;
                }
                other => other,
            },
            c => c,
        };
        units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16(&units).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn it_reads_what_java_reads() {
        let text = "# c\n! c\\\n\na=1\n b : 2\nc 3\r\nd=\\\r\n   long \\\n  line\ne\nf\\ g\\=\\:=\\u00e9\\\\\\n";
        let read = read(text).unwrap();
        let expected = [
            pair("a", "1"),
            pair("b", "2"),
            pair("c", "3"),
            pair("d", "long line"),
            pair("e", ""),
            pair("f g=:", "\u{e9}\\\n"),
        ];
        assert_eq!(read, expected);
        assert_eq!(
            super::read("a=\\ud83d\\ude00"),
            Some(vec![pair("a", "\u{1f600}")])
        );
        assert_eq!(super::read("a=\\ud83d"), None);
        assert_eq!(super::read("a=\\u12"), None);
    }

    proptest! {
        #[test]
        fn pairs_survive(pairs in proptest::collection::vec((".{1,10}", ".{0,10}"), 0..5)) {
            let mut text = String::from("#\n");
            for (key, value) in &pairs {
                write(&mut text, key, value);
            }
            prop_assert_eq!(read(&text), Some(pairs));
        }

        #[test]
        fn noise_never_panics(text in "[a\\\\u0-9 =:#!\n\r\t]{0,60}") {
            let _ = read(&text);
        }
    }
}
