//! Which room may use which, read from the imports, and what has no place in the pure ones.
//!
//! A fence and not a wall: it reads text. What it says stands in ARCHITECTURE.md too; a new
//! room, or a new use, is a decision to be made there first.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A room, and the rooms that it may use besides itself. `cli` may use all.
const ROOMS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("report", &["model"]),
    ("journal", &["model"]),
    ("wire", &["model"]),
    ("sys", &["model"]),
    ("coordinator", &["model", "journal", "wire"]),
    ("worker", &["model", "journal", "wire", "sys"]),
    ("lab", &["model", "sys"]),
    ("cli", &["model", "report", "journal", "wire", "sys", "coordinator", "worker", "lab"]),
];

/// An area of the model, and the areas that it may use: `fleet ← plan ← run, record ← judge`.
/// The machines of `run` decide lines of the `record`, which knows nothing of them.
const AREAS: &[(&str, &[&str])] = &[
    ("fleet", &[]),
    ("plan", &["fleet"]),
    ("record", &["fleet", "plan"]),
    ("run", &["fleet", "plan", "record"]),
    ("judge", &["fleet", "plan", "record", "run"]),
];

/// Uses that go backwards, each with its reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[(
    "src/model/run/event.rs",
    "judge::summary",
    "events carry verdicts to whoever watches; the shapes are the contract's, no judging is named",
)];

/// Text that has no place in `model` and `report`, and where it belongs instead.
const FORBIDDEN: &[(&str, &str)] = &[
    ("tokio", "waiting is the coordinator's and the worker's work"),
    ("quinn", "QUIC is src/wire's work"),
    ("std::fs", "files are src/journal's and src/cli's work"),
    ("fs::read", "files are src/journal's and src/cli's work"),
    ("Instant::now", "take `at: RunTime`"),
    ("SystemTime::now", "the wall clock stands in the record's first line"),
    ("thread::sleep", "nothing here waits"),
    ("rand::rng", "take a seeded generator"),
    ("from_os_rng", "take a seeded generator"),
    ("TcpStream", "sockets are src/worker's work"),
    ("TcpListener", "sockets are src/worker's work"),
    ("UdpSocket", "sockets are src/worker's work"),
    ("env::var", "settings come as arguments"),
];

/// A source file: its path from the repository's root, and its text without comments.
struct Source {
    path: String,
    code: String,
}

impl Source {
    /// The module's path within the crate: `src/model/run/event.rs` is `model run event`.
    fn module(&self) -> Vec<&str> {
        let inside = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        inside.split('/').filter(|part| *part != "lib").collect()
    }

    /// Every path of ours that the file names, from the crate's root on.
    fn uses(&self) -> Vec<Vec<String>> {
        let module = self.module();
        let mut found = vec![];
        for (at, _) in self.code.match_indices("crate::").chain(self.code.match_indices("nicburn::")) {
            // `nicburn::` in the two binaries; in the library it would be a text of somebody.
            let ours = self.code[at..].starts_with("crate::") || self.path.starts_with("src/bin/");
            if ours && starts_a_path(&self.code, at) {
                let tree = self.code[at..].split_once("::").map_or("", |(_, tree)| tree);
                found.extend(expand(tree));
            }
        }
        for (at, _) in self.code.match_indices("super::") {
            let steps = self.code[at..].split("::").take_while(|part| *part == "super").count();
            // Within `mod tests { … }` one step more is needed, so the deepest base is taken.
            if starts_a_path(&self.code, at) && steps <= module.len() {
                let base: Vec<String> =
                    module[..module.len() - steps].iter().map(ToString::to_string).collect();
                let tree = &self.code[at + "super::".len() * steps..];
                found.extend(expand(tree).into_iter().map(|tail| [base.clone(), tail].concat()));
            }
        }
        found
    }
}

/// Whether the text at `at` is the beginning of a path, and not the middle of one.
fn starts_a_path(code: &str, at: usize) -> bool {
    !code[..at].ends_with(|c: char| c.is_alphanumeric() || "_:$".contains(c))
}

/// The paths of a use tree: `a::{b, c::d}` gives `a b` and `a c d`.
fn expand(tree: &str) -> Vec<Vec<String>> {
    let tree = tree.trim_start();
    if let Some(group) = tree.strip_prefix('{') {
        return split_group(group).into_iter().flat_map(expand).collect();
    }
    let end = tree.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(tree.len());
    if end == 0 {
        return vec![];
    }
    let head = tree[..end].to_owned();
    let tails = tree[end..].strip_prefix("::").map(expand).unwrap_or_default();
    if tails.is_empty() {
        return vec![vec![head]];
    }
    tails.into_iter().map(|tail| [vec![head.clone()], tail].concat()).collect()
}

/// The members of a group, given the text after its opening brace.
fn split_group(group: &str) -> Vec<&str> {
    let (mut depth, mut from, mut members) = (0, 0, vec![]);
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => {
                members.push(&group[from..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                members.push(&group[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    members
}

fn allowed(
    table: &'static [(&'static str, &'static [&'static str])],
    who: &str,
) -> Option<&'static [&'static str]> {
    table.iter().find(|(name, _)| *name == who).map(|(_, may)| *may)
}

/// What is wrong with one file, in words.
fn faults(source: &Source) -> Vec<String> {
    let mut faults = vec![];
    let module = source.module();
    let room = module.first().copied().unwrap_or_default();
    for path in source.uses() {
        let names: Vec<&str> = path.iter().map(String::as_str).collect();
        let (Some(to), told) = (names.first().copied(), names.join("::")) else { continue };
        let is_room = allowed(ROOMS, to).is_some();
        match room {
            "bin" if is_room && !["cli", "worker"].contains(&to) => {
                faults.push(format!("{}: a binary parses and calls one command, not {told}", source.path));
            }
            "bin" => {}
            _ if is_room && to != room => {
                let may = allowed(ROOMS, room).unwrap_or_else(|| panic!("{}: no such room", source.path));
                if !may.contains(&to) {
                    faults.push(format!("{}: {room} must not use {told}", source.path));
                }
            }
            "model" if names.len() > 1 => faults.extend(backwards(source, &module, &names)),
            _ => {}
        }
    }
    if ["model", "report"].contains(&room) {
        faults.extend(impure(source));
    }
    faults
}

/// Whether a use within the model goes against its order.
fn backwards(source: &Source, module: &[&str], names: &[&str]) -> Option<String> {
    let (from, to) = (*module.get(1)?, names[1]);
    let may = allowed(AREAS, from)?;
    if from == to || may.contains(&to) || allowed(AREAS, to).is_none() {
        return None;
    }
    let told = names[1..].join("::");
    let excepted = EXCEPTIONS.iter().any(|(path, what, _)| *path == source.path && told.starts_with(what));
    (!excepted).then(|| format!("{}: {from} comes before {told}", source.path))
}

fn impure(source: &Source) -> Vec<String> {
    let lines = source.code.lines().enumerate();
    lines
        .flat_map(|(number, line)| {
            FORBIDDEN.iter().filter(|(text, _)| line.contains(text)).map(move |(text, instead)| {
                format!("{}:{}: `{text}` has no place here: {instead}", source.path, number + 1)
            })
        })
        .collect()
}

/// `text` without what follows `//`, line by line, so that line numbers stay.
fn without_comments(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    for line in text.lines() {
        // `://` stands in addresses; no line of code ends a comment's text early for it.
        let end = line.find("//").filter(|at| !line[..*at].ends_with(':')).unwrap_or(line.len());
        code.push_str(&line[..end]);
        code.push('\n');
    }
    code
}

fn sources() -> Vec<Source> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("src is readable") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec![];
    collect(&root.join("src"), &mut paths);
    paths.sort();
    paths
        .into_iter()
        .map(|path| Source {
            code: without_comments(&fs::read_to_string(&path).expect("a source file is text")),
            path: path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned(),
        })
        .collect()
}

fn planted(path: &str, text: &str) -> Vec<String> {
    faults(&Source { path: path.to_owned(), code: without_comments(text) })
}

#[test]
fn every_room_uses_only_what_it_may() {
    let sources = sources();
    assert!(sources.len() > 20, "only {} files were found", sources.len());
    let faults: Vec<String> = sources.iter().flat_map(faults).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_file_lies_in_a_known_room() {
    for source in sources() {
        let known =
            source.module().first().is_none_or(|room| *room == "bin" || allowed(ROOMS, room).is_some());
        assert!(known, "{} lies in no room of ARCHITECTURE.md", source.path);
    }
}

#[test]
fn no_exception_outlives_its_reason() {
    for (path, what, reason) in EXCEPTIONS {
        let source = sources().into_iter().find(|source| source.path == *path);
        let source = source.unwrap_or_else(|| panic!("{path} is gone, and its exception is left ({reason})"));
        let used = source.uses().iter().any(|path| path.join("::").contains(what));
        assert!(used, "{path} no longer uses {what}: remove its exception");
    }
}

#[test]
fn the_fence_sees_what_is_planted() {
    let cases: &[(&str, &str, usize)] = &[
        ("src/worker/x.rs", "use crate::model::fleet::host::Host;", 0),
        ("src/worker/x.rs", "use crate::coordinator::run;", 1),
        ("src/worker/x.rs", "use crate::{model::fleet, report::{text, html}};", 2),
        ("src/worker.rs", "use super::lab::spec;", 1),
        ("src/worker/x.rs", "fn f() { super::super::cli::main() }", 1),
        ("src/worker/x.rs", "// use crate::cli;", 0),
        ("src/report/x.rs", "let at = std::time::Instant::now();", 1),
        ("src/model/plan/x.rs", "use crate::model::{fleet::units, judge::verdict};", 1),
        ("src/model/plan/x.rs", "use super::super::judge::verdict;", 1),
        ("src/model/plan/x.rs", "use super::dose::Dose;", 0),
        ("src/model/record/x.rs", "use crate::model::run::event::RunEvent;", 1),
        ("src/model/run/event.rs", "use crate::model::judge::{summary::Summary, verdict::judge};", 1),
        ("src/bin/nicburn.rs", "use nicburn::{cli, coordinator};", 1),
    ];
    for (path, text, count) in cases {
        let found = planted(path, text);
        assert_eq!(found.len(), *count, "{path}: {text}\n{found:?}");
    }
}
