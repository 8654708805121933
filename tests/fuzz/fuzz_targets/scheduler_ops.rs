// SPDX-License-Identifier: GPL-2.0

//! Fuzz target: see `bodies/scheduler_ops.rs`.
#![no_main]

#[path = "../bodies/mod.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::scheduler_ops::run(data));
