//! Prose that names files, commands or numbers is held to them.

use crate::{files, quoted, read, root};

#[test]
fn every_path_that_the_docs_name_exists() {
    let tops = [
        "functions/",
        "shared/",
        "infra/",
        "tests/",
        ".ci/",
        ".cargo/",
    ];
    let docs = files("shared/docs", ".md")
        .into_iter()
        .chain(["README.md".into(), "infra/README.md".into()]);
    let mut missing = Vec::new();
    for doc in docs {
        let text = read(&doc);
        for path in quoted(&text).filter(|path| tops.iter().any(|top| path.starts_with(top))) {
            let plain = !path.contains([' ', '*', '<', '{']);
            if plain && !root().join(path).exists() {
                missing.push(format!("{}: `{path}`", doc.display()));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "these are not there:\n{}",
        missing.join("\n")
    );
}

#[test]
fn the_readme_maps_every_member_of_the_workspace() {
    let readme = read("README.md");
    let manifest = read("Cargo.toml");
    let members = manifest
        .split("members = [")
        .nth(1)
        .and_then(|rest| rest.split(']').next())
        .unwrap_or_default();
    for member in members.split('"').skip(1).step_by(2) {
        assert!(
            readme.contains(&format!("`{member}/")),
            "README.md has no row for `{member}/`"
        );
    }
}

#[test]
fn the_readme_names_the_demo_as_it_is() {
    let readme = read("README.md");
    for value in [
        local::demo::TENANT_KEY,
        local::demo::STRIPE_SECRET,
        &local::demo::webhook_path(),
        local::demo::PUBLISHER_SECRET,
        &local::demo::events_path(),
        local::demo::anchor::CLIENT,
        &local::demo::anchor::rpc_path(),
        &format!("{}/customers/", local::demo::anchor::BUSINESS_PATH),
    ] {
        assert!(readme.contains(value), "README.md does not show `{value}`");
    }
    assert!(
        !readme.contains("_OUTPUT"),
        "README.md has a place that was never filled in"
    );
}

#[test]
fn every_alias_that_the_readme_uses_is_one() {
    let readme = read("README.md");
    let aliases = read(".cargo/config.toml");
    let known = [
        "build", "test", "run", "install", "lambda", "check", "fmt", "clippy", "nextest",
    ];
    for line in readme
        .lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with("cargo "))
    {
        let name = line.split_whitespace().nth(1).unwrap_or_default();
        let alias = aliases
            .lines()
            .any(|alias| alias.starts_with(&format!("{name} =")));
        assert!(
            alias || known.contains(&name),
            "`cargo {name}` is neither cargo's nor an alias"
        );
    }
}

#[test]
fn architecture_decisions_have_the_same_parts_and_a_number_each() {
    let mut numbers = std::collections::BTreeSet::new();
    for file in files("shared/docs/adr", ".md") {
        let text = read(&file);
        let name = file
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let number = name.split('-').next().unwrap_or_default();
        assert!(
            text.starts_with(&format!("# {number}: ")),
            "{}: the title has the file's number",
            file.display()
        );
        assert!(
            numbers.insert(number.to_owned()),
            "{}: another decision has the number; take the next free one",
            file.display()
        );
        for part in ["**Context.**", "**Decision.**", "**Consequences.**"] {
            assert!(text.contains(part), "{}: no {part}", file.display());
        }
    }
}

#[test]
fn the_guide_for_receivers_shows_the_programs_that_are_tested() {
    let guide = read("shared/docs/receivers.md");
    for (language, file) in [
        ("rust", "verify.rs"),
        ("js", "verify.mjs"),
        ("python", "verify.py"),
    ] {
        let file = format!("functions/receiver/examples/{file}");
        let block = format!("`{file}`:\n\n```{language}\n{}```\n", read(&file));
        assert!(
            guide.contains(&block),
            "shared/docs/receivers.md does not show `{file}` as it is: paste it in"
        );
    }
}

#[test]
fn the_guide_to_recovery_has_a_row_for_each_stage_lever_and_setting() {
    let guide = read("shared/docs/recovery.md");
    let document = console::openapi::document();
    let names = |pointer: &str| -> Vec<String> {
        let found = document.pointer(pointer).expect(pointer);
        serde_json::from_value(found.clone()).expect(pointer)
    };
    let stages = names("/components/schemas/RetryView/properties/stage/enum");
    let levers = names("/components/schemas/PullView/properties/lever/enum");
    let reasons = names("/components/schemas/RetryView/properties/reason/enum");
    let platforms = names("/components/schemas/AccountBody/properties/platform/enum");
    let rows = stages.iter().chain(&platforms).cloned();
    for name in rows.chain(levers.iter().map(|lever| lever.replace('_', "-"))) {
        assert!(
            guide.contains(&format!("\n| `{name}` |")),
            "shared/docs/recovery.md has no row for `{name}`"
        );
    }
    for reason in reasons {
        assert!(
            guide.contains(&format!("`{reason}`")),
            "shared/docs/recovery.md does not say what `{reason}` is"
        );
    }
    let settings = document.pointer("/components/schemas/AccountBody/properties");
    for name in settings
        .and_then(|it| it.as_object())
        .expect("it has settings")
        .keys()
    {
        assert!(
            guide.contains(&format!("`{name}`")) || guide.contains(&format!("\"{name}\"")),
            "shared/docs/recovery.md does not name the setting `{name}`"
        );
    }
}
