//! Configuration files: `server.properties` as Kafka reads it, or TOML with the same key names.

use std::path::Path;

use java_properties::PropertiesIter;

use crate::config::ConfigError;

/// The largest file that is read: a configuration is pages, not data.
const FILE_SIZE_MAX: u64 = 4 << 20;

/// The keys and values of the file, in its order.
pub(super) fn read(path: &Path) -> Result<Vec<(String, String)>, ConfigError> {
    let failed = |source| ConfigError::Read {
        path: path.to_owned(),
        source,
    };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > FILE_SIZE_MAX {
        return Err(syntax(
            path,
            &format!("{size} bytes are too many for a configuration"),
        ));
    }
    let bytes = std::fs::read(path).map_err(failed)?;
    if path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("toml"))
    {
        toml_pairs(path, &bytes)
    } else {
        properties_pairs(path, &bytes)
    }
}

fn properties_pairs(path: &Path, bytes: &[u8]) -> Result<Vec<(String, String)>, ConfigError> {
    let mut pairs = Vec::new();
    PropertiesIter::new(bytes)
        .read_into(|key, value| pairs.push((key, value)))
        .map_err(|error| syntax(path, &error.to_string()))?;
    Ok(pairs)
}

fn toml_pairs(path: &Path, bytes: &[u8]) -> Result<Vec<(String, String)>, ConfigError> {
    let text = std::str::from_utf8(bytes).map_err(|error| syntax(path, &error.to_string()))?;
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| syntax(path, error.to_string().trim_end()))?;
    let mut pairs = Vec::new();
    flatten(path, "", &table, &mut pairs)?;
    Ok(pairs)
}

/// `[log] segment.bytes = 1` is `log.segment.bytes=1`.
fn flatten(
    path: &Path,
    prefix: &str,
    table: &toml::Table,
    pairs: &mut Vec<(String, String)>,
) -> Result<(), ConfigError> {
    for (name, value) in table {
        let key = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        if let toml::Value::Table(inner) = value {
            flatten(path, &key, inner, pairs)?;
        } else {
            let text = scalar(value)
                .ok_or_else(|| syntax(path, &format!("{key}: not a plain value or list")))?;
            pairs.push((key, text));
        }
    }
    Ok(())
}

fn scalar(value: &toml::Value) -> Option<String> {
    Some(match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        toml::Value::Boolean(flag) => flag.to_string(),
        toml::Value::Array(items) => items
            .iter()
            .map(scalar)
            .collect::<Option<Vec<_>>>()?
            .join(","),
        toml::Value::Datetime(_) | toml::Value::Table(_) => return None,
    })
}

fn syntax(path: &Path, reason: &str) -> ConfigError {
    ConfigError::Syntax {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(name: &str, text: &str) -> Result<Vec<(String, String)>, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let mut pairs = read(&path)?;
        pairs.sort();
        Ok(pairs)
    }

    #[test]
    fn both_formats_give_the_same_pairs() {
        let properties = "# a comment\nlog.dirs = /a,/b\nnode.id:3\nlog.segment.bytes=1048576\n";
        let toml = "log.dirs = ['/a', '/b']\nnode.id = 3\n[log.segment]\nbytes = 1048576\n";
        let pairs = read_as("server.properties", properties).unwrap();
        assert_eq!(pairs.len(), 3);
        assert_eq!(pairs, read_as("ottla.toml", toml).unwrap());
    }

    #[test]
    fn a_broken_file_says_where() {
        let error = read_as("ottla.toml", "node.id = \n")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("ottla.toml") && error.contains("line 1"),
            "{error}"
        );
        assert!(read_as("x.properties", "a=\\u12").is_err());
        assert!(matches!(
            read(Path::new("/nonexistent/x")),
            Err(ConfigError::Read { .. })
        ));
    }
}
