//! Who may import whom: words see words, the domain sees along its line, ports see the domain, adapters see ports.

use std::collections::BTreeMap;
use std::path::Path;

use crate::{files, read};

const WORDS: [&str; 6] = ["ids", "money", "time", "entropy", "secret", "problem"];
const PORTS: [&str; 3] = ["store", "queue", "transport"];

/// The modules of `shared` that each module may name, beside words, which everybody may.
fn allowed() -> BTreeMap<&'static str, Vec<&'static str>> {
    let domain = [
        "event",
        "signature",
        "recovery",
        "platform",
        "delivery",
        "decision",
        "customer",
    ];
    let ports = [domain.as_slice(), &PORTS].concat();
    let adapters = [ports.as_slice(), &["config", "aws"]].concat();
    BTreeMap::from([
        ("event", vec![]),
        ("signature", vec![]),
        ("recovery", vec!["event"]),
        ("platform", vec!["event", "recovery", "signature"]),
        // A guard names an intent: that is the one word of recovery that a delivery knows.
        ("delivery", vec!["event", "signature", "recovery"]),
        ("decision", vec!["event", "delivery"]),
        ("customer", vec!["event", "delivery", "signature"]),
        // What is quarantined is a queue's message and is kept in the table.
        ("store", ports.clone()),
        ("queue", ports.clone()),
        ("transport", domain.to_vec()),
        ("access", ports),
        ("body", vec![]),
        ("store/dynamo", adapters.clone()),
        ("store/item", adapters.clone()),
        ("queue/sqs", adapters.clone()),
        ("transport/https", adapters.clone()),
        ("aws", vec!["config"]),
        ("config", [domain.as_slice(), &["queue"]].concat()),
        ("telemetry", vec!["config"]),
    ])
}

/// The layer of a file of `shared`: its adapter if it is part of one, else its top module.
fn layer(file: &Path) -> String {
    let path = file
        .strip_prefix("shared/src")
        .expect("a file of shared")
        .with_extension("");
    let parts: Vec<_> = path
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    let two = parts.iter().take(2).cloned().collect::<Vec<_>>().join("/");
    if allowed().contains_key(two.as_str()) {
        two
    } else {
        parts.first().cloned().unwrap_or_default()
    }
}

/// The modules a source names after `crate::`, tests left out.
fn imports(source: &str) -> Vec<String> {
    let code = source
        .split("#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or_default();
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines
        .flat_map(|line| line.split("crate::").skip(1))
        .map(|rest| {
            rest.chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect::<String>()
        })
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn modules_of_shared_import_only_downwards() {
    let allowed = allowed();
    let mut wrong = Vec::new();
    for file in files("shared/src", ".rs") {
        let layer = layer(&file);
        if layer == "lib" || file.ends_with("tests.rs") {
            continue;
        }
        let own = layer.split('/').next().unwrap_or_default().to_owned();
        let may = allowed.get(layer.as_str()).cloned().unwrap_or_default();
        let source = read(&file);
        // What is not written from `crate::` would not be seen below.
        if source.contains("super::super") {
            wrong.push(format!("{}: write the path from `crate::`", file.display()));
        }
        for import in imports(&source) {
            let fits =
                import == own || WORDS.contains(&import.as_str()) || may.contains(&import.as_str());
            if !fits {
                wrong.push(format!(
                    "{}: `{layer}` must not import `{import}`",
                    file.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_of_shared_has_a_layer() {
    let allowed = allowed();
    for file in files("shared/src", ".rs") {
        let layer = layer(&file);
        let known = layer == "lib"
            || WORDS.contains(&layer.as_str())
            || allowed.contains_key(layer.as_str());
        assert!(
            known,
            "{}: give `{layer}` a place in tests/guard/layers.rs and in shared/src/lib.rs",
            file.display()
        );
    }
}

#[test]
fn handlers_see_no_aws_type_and_functions_do_not_import_each_other() {
    let functions = [
        "ingest", "publish", "decide", "anchor", "recover", "fanout", "deliver", "sweep",
        "console", "receiver",
    ];
    // The receiver is a deployment of its own, with adapters and settings of its own.
    let rims = ["receiver/src/aws.rs", "receiver/src/settings.rs"];
    let aws = [
        "aws_sdk",
        "aws_lambda",
        "lambda_http",
        "lambda_runtime",
        "dynoxide",
        "shared::aws",
    ];
    for function in functions {
        for file in files(&format!("functions/{function}/src"), ".rs") {
            let source = read(&file);
            let code: String = source
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect();
            let rim = file.ends_with("main.rs") || rims.iter().any(|rim| file.ends_with(rim));
            if !rim {
                for name in aws {
                    assert!(
                        !code.contains(name),
                        "{}: handlers see ports, not `{name}`",
                        file.display()
                    );
                }
                for edge in ["anyhow", "shared::config", "shared::telemetry"] {
                    let found = code.contains(edge);
                    assert!(
                        !found,
                        "{}: `{edge}` is for roots and tests",
                        file.display()
                    );
                }
            }
            for other in functions.iter().filter(|other| **other != function) {
                let used = [format!("use {other}::"), format!("{other}::handler::")];
                let found = used.iter().any(|used| code.contains(used.as_str()));
                assert!(
                    !found,
                    "{}: functions never import each other (`{other}`)",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn only_item_rs_knows_the_attributes_of_the_table() {
    let attributes = [
        "\"tpk\"", "\"tsk\"", "\"dpk\"", "\"dsk\"", "\"pk\"", "\"sk\"", "\"ttl\"",
    ];
    for file in files("shared/src", ".rs")
        .into_iter()
        .chain(files("functions", ".rs"))
    {
        if file.starts_with("shared/src/store/item.rs") || file.starts_with("shared/src/store/item")
        {
            continue;
        }
        let source = read(&file);
        for attribute in attributes {
            assert!(
                !source.contains(attribute),
                "{}: {attribute} belongs in store/item.rs",
                file.display()
            );
        }
    }
}
