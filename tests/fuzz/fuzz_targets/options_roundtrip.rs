// SPDX-License-Identifier: GPL-2.0

//! Fuzz target: see `bodies/options_roundtrip.rs`.
#![no_main]

#[path = "../bodies/mod.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::options_roundtrip::run(data));
