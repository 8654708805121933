// SPDX-License-Identifier: GPL-2.0

//! Fuzz target: see `bodies/path_manager_ops.rs`.
#![no_main]

#[path = "../bodies/mod.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::path_manager_ops::run(data));
