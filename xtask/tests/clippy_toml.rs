//! What clippy.toml bans, tidy bans as well: the weak check is no stricter than the strong one.

use std::fs;
use std::path::Path;
use std::process::Command;

use toml_edit::Document;

#[test]
fn tidy_finds_whatever_clippy_is_told_to_find() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in the workspace");
    let text = fs::read_to_string(root.join("clippy.toml")).expect("clippy.toml");
    let document = Document::parse(text.as_str()).expect("it is TOML");
    let paths: Vec<_> = ["disallowed-types", "disallowed-methods"]
        .iter()
        .flat_map(|list| document[list].as_array().expect("a list"))
        .map(|entry| {
            let entry = entry.as_inline_table().expect("a table");
            assert!(entry.contains_key("reason"), "{entry:?} has no replacement");
            entry["path"].as_str().expect("a path").to_owned()
        })
        .collect();
    assert!(paths.len() > 50, "the list was read");

    // As an expression each path is legal, as far as tidy is concerned.
    let source: String =
        paths.iter().map(|path| format!("const _: () = drop({path});\n")).collect();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.rs", std::process::id()));
    fs::write(&file, source).expect("the file can be written");
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["tidy", "--json"])
        .arg(&file)
        .output()
        .expect("xtask can be run");
    fs::remove_file(&file).expect("the file can be removed");
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let findings = summary["findings"].as_array().expect("findings");
    for (index, path) in paths.iter().enumerate() {
        let found = findings.iter().any(|finding| {
            finding["rule"] == "platform" && finding["line"].as_u64() == Some(index as u64 + 1)
        });
        assert!(found, "tidy does not find {path}");
    }
}
