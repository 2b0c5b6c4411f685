//! Every input of the corpora, once, as fast as tests go: what a fuzzer has found stays found.

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use laws::TARGETS;

fn fuzz() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in `fuzz`")
}

fn entries(folder: impl AsRef<Path>) -> Vec<PathBuf> {
    let folder = fuzz().join(folder);
    let entries =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries
        .map(|entry| entry.expect("a folder can be listed").path())
        .collect()
}

fn stems(folder: &str) -> BTreeSet<String> {
    let stem = |path: PathBuf| path.file_stem().map(|it| it.to_string_lossy().into_owned());
    entries(folder).into_iter().filter_map(stem).collect()
}

#[test]
fn the_laws_hold_for_every_input_of_the_corpora() {
    let mut broken = Vec::new();
    for (name, hold) in TARGETS {
        let inputs = entries(Path::new("corpus").join(name));
        assert!(!inputs.is_empty(), "fuzz/corpus/{name} is empty");
        for path in inputs {
            let input = fs::read(&path).expect("an input can be read");
            if catch_unwind(|| hold(&input)).is_err() {
                broken.push(path.display().to_string());
            }
        }
    }
    assert!(
        broken.is_empty(),
        "a law does not hold for:\n{}",
        broken.join("\n")
    );
}

#[test]
fn every_target_has_its_file_its_entry_and_its_corpus() {
    let known: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(stems("fuzz_targets"), known, "fuzz/fuzz_targets");
    assert_eq!(stems("corpus"), known, "fuzz/corpus");
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).expect("it can be read");
    for (name, _) in TARGETS {
        let entry = format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"");
        assert!(manifest.contains(&entry), "fuzz/Cargo.toml has no `{name}`");
        let file = format!("fuzz_targets/{name}.rs");
        let target = fs::read_to_string(fuzz().join(&file)).expect("it can be read");
        let call = format!("laws::{name}::hold(input)");
        assert!(target.contains(&call), "fuzz/{file} does not call `{call}`");
    }
}
