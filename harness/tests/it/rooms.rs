//! The structure of the crate: each room, a folder of `src/`, uses only those below it.

use std::collections::BTreeSet;
use std::path::Path;

/// From the lowest up.
const ROOMS: [&str; 16] = [
    "error",
    "system",
    "data",
    "config",
    "metric",
    "model",
    "edit",
    "engine",
    "method",
    "records",
    "table",
    "report",
    "own_model",
    "experiment",
    "bench",
    "cli",
];

fn floor(room: &str) -> usize {
    ROOMS.iter().position(|own| *own == room).unwrap_or_else(|| panic!("no room is called {room}"))
}

/// The rooms that the code of a file names.
fn named(code: &str) -> BTreeSet<&str> {
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let paths = lines.flat_map(|line| line.split("crate::").skip(1));
    paths
        .map(|path| path.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or(path))
        .filter(|room| !room.is_empty())
        .collect()
}

fn check(folder: &Path, room: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            check(&path, room, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let code = std::fs::read_to_string(&path).expect("readable");
            let above = named(&code).into_iter().filter(|other| floor(other) > floor(room));
            found.extend(above.map(|other| format!("{} uses {other}", path.display())));
        }
    }
}

#[test]
fn each_room_uses_only_those_below_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&source).expect("the sources") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        match path.is_dir() {
            true => check(&path, &name, &mut found),
            false => {
                assert!(["lib", "main", "error"].contains(&name.as_str()), "{name} has no room")
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
