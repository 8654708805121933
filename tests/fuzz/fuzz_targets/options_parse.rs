// SPDX-License-Identifier: GPL-2.0

//! Fuzz target: see `bodies/options_parse.rs`.
#![no_main]

#[path = "../bodies/mod.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::options_parse::run(data));
