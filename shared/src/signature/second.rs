//! A second canonicaliser, written from the standards by hand, that the first one is held to: RFC 8785 over numbers as
//! ECMA-262 writes them (Number::toString) and keys in the order of their UTF-16 code units.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;

use super::rafiki::canonical;

/// A JSON document, with numbers as they were written and every field of an object, repeated ones too.
#[derive(Debug, Clone)]
enum Tree {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

/// A document as a sender may write it, with spaces and needless escapes if it is `odd`.
fn write(tree: &Tree, odd: bool, out: &mut String) {
    let gap = if odd { " \n\t" } else { "" };
    out.push_str(gap);
    match tree {
        Tree::Null => out.push_str("null"),
        Tree::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Tree::Number(text) => out.push_str(text),
        Tree::Text(text) => spell(text, odd, out),
        Tree::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                write(item, odd, out);
            }
            out.push(']');
        }
        Tree::Object(fields) => {
            out.push('{');
            for (index, (name, value)) in fields.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                spell(name, odd, out);
                out.push_str(gap);
                out.push(':');
                write(value, odd, out);
            }
            out.push('}');
        }
    }
    out.push_str(gap);
}

fn spell(text: &str, odd: bool, out: &mut String) {
    if odd {
        out.push('"');
        for unit in text.encode_utf16() {
            write!(out, "\\u{unit:04X}").expect("a text takes all that is written");
        }
        out.push('"');
    } else {
        escape(text, out);
    }
}

/// A string as JSON.stringify writes it.
fn escape(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\0'..='\u{1f}' => write!(out, "\\u{:04x}", u32::from(letter)).expect("as above"),
            other => out.push(other),
        }
    }
    out.push('"');
}

/// The canonical form.
fn canonical_by_hand(tree: &Tree, out: &mut String) {
    match tree {
        Tree::Null | Tree::Bool(_) => write(tree, false, out),
        Tree::Number(text) => out.push_str(&number(text.parse().expect("a number"))),
        Tree::Text(text) => escape(text, out),
        Tree::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                canonical_by_hand(item, out);
            }
            out.push(']');
        }
        Tree::Object(fields) => {
            // The last field of a name is the one that counts.
            let fields: BTreeMap<Vec<u16>, _> = fields
                .iter()
                .map(|(name, value)| (name.encode_utf16().collect(), (name, value)))
                .collect();
            out.push('{');
            for (index, (name, value)) in fields.values().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                escape(name, out);
                out.push(':');
                canonical_by_hand(value, out);
            }
            out.push('}');
        }
    }
}

/// A double as ECMA-262 writes it, from the shortest digits that name it.
fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let scientific = format!("{:e}", value.abs());
    let (mantissa, exponent) = scientific.split_once('e').expect("it has an exponent");
    let digits = even(mantissa.replace('.', ""), value.abs());
    let count = i32::try_from(digits.len()).expect("at most 17 digits");
    let point = exponent.parse::<i32>().expect("a whole number") + 1;
    let zeros = |many: i32| "0".repeat(usize::try_from(many).unwrap_or_default());
    let body = if (count..=21).contains(&point) {
        format!("{digits}{}", zeros(point - count))
    } else if (1..=21).contains(&point) {
        let (whole, rest) = digits.split_at(usize::try_from(point).expect("it is positive"));
        format!("{whole}.{rest}")
    } else if (-5..=0).contains(&point) {
        format!("0.{}{digits}", zeros(-point))
    } else {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        format!("{first}{dot}{rest}e{:+}", point - 1)
    };
    format!("{sign}{body}")
}

/// Of two shortest texts that are equally near, ECMA-262 takes the one that ends in an even digit; `digits` may be the other.
fn even(digits: String, value: f64) -> String {
    let exact = format!("{value:.800e}");
    let exact = exact.split('e').next().unwrap_or_default().replace('.', "");
    let below = digits.parse::<u64>().expect("at most 17 digits") - 1;
    let tie = exact.trim_end_matches('0') == format!("{below}5");
    if tie && below % 2 == 0 {
        below.to_string()
    } else {
        digits
    }
}

fn any_number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<u64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("JSON has no other numbers", |number| number.is_finite())
            .prop_map(|number| format!("{number:e}")),
        "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,2})?",
    ]
}

fn any_tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::Bool),
        any_number().prop_map(Tree::Number),
        any::<String>().prop_map(Tree::Text),
    ];
    let name = prop_oneof!["[ab]", any::<String>()];
    leaf.prop_recursive(5, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Tree::List),
            prop::collection::vec((name.clone(), inner), 0..8).prop_map(Tree::Object),
        ]
    })
}

#[test]
fn numbers_are_written_as_ecmascript_has_them() {
    let cases = [
        ("0", "0"),
        ("-0.0", "0"),
        ("1.0", "1"),
        ("123456789012345680000", "123456789012345680000"),
        ("1e21", "1e+21"),
        ("1.5e300", "1.5e+300"),
        ("0.000001", "0.000001"),
        ("0.0000001", "1e-7"),
        ("-1.25", "-1.25"),
        ("5e-324", "5e-324"),
        ("1000000000000000.25", "1000000000000000.2"),
        ("12345678901234567890", "12345678901234567000"),
    ];
    for (text, want) in cases {
        assert_eq!(number(text.parse().expect("a number")), want);
        let got = canonical(text.as_bytes()).and_then(|bytes| String::from_utf8(bytes).ok());
        assert_eq!(got.as_deref(), Some(want));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_document_has_the_same_canonical_form_by_hand(tree in any_tree(), odd: bool) {
        let (mut sent, mut want) = (String::new(), String::new());
        write(&tree, odd, &mut sent);
        canonical_by_hand(&tree, &mut want);
        let got = canonical(sent.as_bytes()).and_then(|bytes| String::from_utf8(bytes).ok());
        prop_assert_eq!(got, Some(want), "{}", sent);
    }
}
