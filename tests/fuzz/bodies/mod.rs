// SPDX-License-Identifier: GPL-2.0

//! What the fuzz targets do with the bytes they are given.
//!
//! The files are compiled twice: into the fuzz targets, and into the test that replays the corpus.
#![allow(
    dead_code,
    reason = "each fuzz target is a binary of its own and uses one of the bodies"
)]

pub(crate) mod connection_ops;
pub(crate) mod handshake_ops;
pub(crate) mod options_parse;
pub(crate) mod options_roundtrip;
pub(crate) mod path_manager_ops;
pub(crate) mod scheduler_ops;
pub(crate) mod source;
