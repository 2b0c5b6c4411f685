//! One grammar for every function's folder: who knows one knows all.

use crate::{read, root};

const DOORS: [&str; 5] = ["ingest", "publish", "decide", "anchor", "console"];
/// Both in one binary, and an ASE's own deployment.
const RECEIVER: &str = "receiver";
const WORKERS: [&str; 4] = ["recover", "fanout", "deliver", "sweep"];

#[test]
fn every_function_has_the_same_files() {
    for function in DOORS.into_iter().chain([RECEIVER]).chain(WORKERS) {
        let folder = root().join("functions").join(function);
        let answers = DOORS.contains(&function) || function == RECEIVER;
        let door = answers.then_some("src/reply.rs");
        for file in ["Cargo.toml", "src/main.rs", "src/lib.rs", "src/handler.rs"]
            .into_iter()
            .chain(door)
        {
            assert!(
                folder.join(file).is_file(),
                "functions/{function}/{file} is missing"
            );
        }
        let lib = read(format!("functions/{function}/src/lib.rs"));
        for line in lib
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with("//!"))
        {
            let fits = line.starts_with("pub mod ") || line.starts_with("mod ");
            assert!(
                fits,
                "functions/{function}/src/lib.rs holds only modules, not `{line}`"
            );
        }
        let main = read(format!("functions/{function}/src/main.rs"))
            .lines()
            .count();
        assert!(
            main <= 70,
            "functions/{function}/src/main.rs has {main} lines: it only wires"
        );
    }
}

#[test]
fn the_members_stand_in_the_order_of_the_flow() {
    let manifest = read("Cargo.toml");
    let flow = [
        "ingest", "publish", "decide", "anchor", "recover", "fanout", "deliver", "sweep",
        "console", "receiver", "local",
    ];
    let places: Vec<_> = flow
        .iter()
        .map(|name| manifest.find(&format!("\"functions/{name}\"")))
        .collect();
    assert!(
        places.iter().all(Option::is_some),
        "every function is a member of the workspace"
    );
    assert!(places.is_sorted(), "members stand in the order of the flow");
}
