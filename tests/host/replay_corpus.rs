// SPDX-License-Identifier: GPL-2.0

//! Shows that no input in the corpus of a fuzz target fails, without a fuzzer at hand.

use std::fs;
use std::io;
use std::path::Path;

#[path = "../fuzz/bodies/mod.rs"]
mod bodies;

/// Runs `body` on every file in the corpus of `target`.
fn replay(target: &str, body: fn(&[u8])) -> io::Result<()> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(target);
    let mut count = 0;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        // Shown by the test harness if the body panics: this is the input that fails.
        println!("{}", path.display());
        body(&fs::read(path)?);
        count += 1;
    }
    assert!(count > 0, "the corpus of {target} is empty");
    Ok(())
}

#[test]
fn connection_ops() -> io::Result<()> {
    replay("connection_ops", bodies::connection_ops::run)
}

#[test]
fn handshake_ops() -> io::Result<()> {
    replay("handshake_ops", bodies::handshake_ops::run)
}

#[test]
fn options_parse() -> io::Result<()> {
    replay("options_parse", bodies::options_parse::run)
}

#[test]
fn options_roundtrip() -> io::Result<()> {
    replay("options_roundtrip", bodies::options_roundtrip::run)
}

#[test]
fn scheduler_ops() -> io::Result<()> {
    replay("scheduler_ops", bodies::scheduler_ops::run)
}

#[test]
fn path_manager_ops() -> io::Result<()> {
    replay("path_manager_ops", bodies::path_manager_ops::run)
}
