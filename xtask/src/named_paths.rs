//! The documents stay true: every path of the repository that one of them names in backticks exists.
//!
//! 1. Code spans are taken from the prose, not from fenced blocks (those show commands and output).
//! 2. `store/{sqlite,postgres}/refresh.rs` stands for both.
//! 3. A span is held for a path if it has a slash and either begins with something at the root (or in `crates/`), or ends
//!    like a source file; so `application/json` and `/token` are left alone, and `crates/gone/src/lib.rs` is not.
//! 4. It may be written from the root, from `crates/`, or from the document's own folder.

use std::path::Path;

use crate::command::Failure;

pub(crate) fn check(root: &Path) -> Result<(), Failure> {
    let mut gone = Vec::new();
    let mut checked = 0;
    for document in DOCUMENTS {
        let text = std::fs::read_to_string(root.join(document))
            .map_err(|error| Failure::new(format!("{document} cannot be read: {error}"), "write it, or restore it"))?;
        for (line, path) in paths_named_in(&text) {
            let beside = Path::new(document).parent().unwrap_or(Path::new(""));
            if !looks_like_ours(root, &path) {
                continue;
            }
            checked += 1;
            if ![Path::new(""), Path::new("crates"), beside].iter().any(|base| root.join(base).join(&path).exists()) {
                gone.push(format!("{document}:{line}: `{path}`"));
            }
        }
    }
    if gone.is_empty() {
        println!("{checked} paths named in {} exist", DOCUMENTS.join(" and "));
        return Ok(());
    }
    Err(Failure::new(
        format!("paths that are named but do not exist:\n  {}", gone.join("\n  ")),
        "correct the document, or put the file where the document says it is",
    ))
}

/// Every code span that is written like a path, with the number of its line.
fn paths_named_in(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            // Between backticks is every second piece.
            for span in line.split('`').skip(1).step_by(2).filter(|span| is_written_like_a_path(span)) {
                found.extend(alternatives(span).into_iter().map(|path| (index + 1, path)));
            }
        }
    }
    found
}

fn is_written_like_a_path(span: &str) -> bool {
    let characters = |c: char| c.is_ascii_alphanumeric() || "._-/{},".contains(c);
    span.contains('/') && !span.starts_with('/') && span.chars().all(characters)
}

fn looks_like_ours(root: &Path, path: &str) -> bool {
    let first = path.split('/').next().unwrap_or_default();
    // Made by running something, so not there in a fresh clone.
    if ["target", "regrant-data", ".", ".."].contains(&first) {
        return false;
    }
    let begins_here = root.join(first).exists() || root.join("crates").join(first).exists();
    let ends_like_source = path.rsplit_once('.').is_some_and(|(_, extension)| SOURCES.contains(&extension));
    begins_here || ends_like_source
}

/// `a/{b,c}/d` is `a/b/d` and `a/c/d`.
fn alternatives(span: &str) -> Vec<String> {
    let parts = span.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)));
    let Some((before, (choices, after))) = parts else {
        return vec![span.to_owned()];
    };
    choices.split(',').flat_map(|choice| alternatives(&format!("{before}{choice}{after}"))).collect()
}

const DOCUMENTS: [&str; 2] = ["docs/ARCHITECTURE.md", "README.md"];
const SOURCES: [&str; 8] = ["rs", "toml", "md", "sql", "ts", "html", "css", "svg"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_spans_outside_fences_are_read() {
        let text = "See `crates/engine/src/refresh.rs`, not docs/x.md.\n```\n`a/b.rs`\n```\n`GET /token` `/token` `store/src/`";
        assert_eq!(
            paths_named_in(text),
            [(1, "crates/engine/src/refresh.rs".to_owned()), (5, "store/src/".to_owned())]
        );
    }

    #[test]
    fn braces_stand_for_each_choice() {
        assert_eq!(alternatives("s/{a,b}/{c,d}.rs"), ["s/a/c.rs", "s/a/d.rs", "s/b/c.rs", "s/b/d.rs"]);
        assert_eq!(alternatives("s/a.rs"), ["s/a.rs"]);
        assert_eq!(alternatives("s/{a.rs"), ["s/{a.rs"]);
    }

    #[test]
    fn media_types_are_no_paths_and_vanished_files_are() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(!looks_like_ours(root, "application/json"));
        assert!(!looks_like_ours(root, "target/release/regrant"));
        assert!(looks_like_ours(root, "src/gone"));
        assert!(looks_like_ours(root, "gone/src/lib.rs"));
    }
}
