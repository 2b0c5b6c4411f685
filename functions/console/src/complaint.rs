//! What a parser finds wrong, in words for callers: which field, and what it must be.
//!
//! A complaint never holds what the field held, since that may be a secret; the parser's own messages quote it.

use std::borrow::Cow;

/// So many characters of a field's path are told.
const PATH_MOST: usize = 128;

/// The field that serde complains of, and what it must be, without what it held.
pub(crate) fn complaint(path: String, message: &str) -> (String, String) {
    // Names and lists of what is expected are our own; what was given stands before the last `expected`.
    let expected = message
        .rsplit_once(", expected ")
        .map(|(_, expected)| expected);
    let (path, rule) = if let Some(name) = quoted(message, "missing field `", &["`"]) {
        (join(path, name), "is missing".to_owned())
    } else if let Some(name) = quoted(message, "duplicate field `", &["`"]) {
        (join(path, name), "is given twice".to_owned())
    } else if let Some(name) = quoted(
        message,
        "unknown field `",
        &["`, expected ", "`, there are"],
    ) {
        let known = expected.map_or("none is".to_owned(), |expected| {
            format!("expected is {expected}")
        });
        (join(path, name), format!("is not known here; {known}"))
    } else {
        let rule = match (message.split(':').next(), expected) {
            (Some("invalid type" | "invalid value" | "invalid length"), Some(expected)) => {
                format!("must be {}", plain(expected))
            }
            (_, Some(expected)) if message.starts_with("unknown variant `") => {
                format!("must be {expected}")
            }
            // The message of one of our own types, which tells the rule and quotes nothing.
            _ => message.to_owned(),
        };
        (
            if path.is_empty() {
                "body".to_owned()
            } else {
                path
            },
            rule,
        )
    };
    // Somebody may have made up a very long name.
    (path.chars().take(PATH_MOST).collect(), rule)
}

/// What stands between `before` and the last of one of the `ends`.
fn quoted<'a>(message: &'a str, before: &str, ends: &[&str]) -> Option<&'a str> {
    let rest = message.strip_prefix(before)?;
    ends.iter()
        .find_map(|end| rest.rsplit_once(end))
        .map(|(name, _)| name)
}

fn join(path: String, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else if path == name || path.ends_with(&format!(".{name}")) {
        path
    } else {
        format!("{path}.{name}")
    }
}

/// What serde expects, in words for callers.
fn plain(expected: &str) -> Cow<'static, str> {
    match expected {
        "u32" | "u64" => Cow::Borrowed("a whole number that is not negative"),
        "a sequence" => Cow::Borrowed("a list"),
        _ if expected.starts_with("struct ") || expected.contains("enum ") => {
            Cow::Borrowed("an object")
        }
        _ => Cow::Owned(expected.to_owned()),
    }
}
