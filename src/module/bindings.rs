// SPDX-License-Identifier: GPL-2.0

//! What bindgen makes of `include/bindings_helper.h`.
//!
//! Only the files that style.md marks as unsafe views use it.
#![allow(
    clippy::all,
    clippy::as_ptr_cast_mut,
    clippy::as_underscore,
    clippy::cast_lossless,
    clippy::mut_mut,
    clippy::ptr_as_ptr,
    clippy::ref_as_ptr,
    clippy::undocumented_unsafe_blocks,
    clippy::unnecessary_safety_comment,
    clippy::unnecessary_safety_doc,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    improper_ctypes,
    dead_code,
    unnecessary_transmutes
)]

pub(crate) use kernel::bindings::tracepoint;
use kernel::ffi;

type __kernel_size_t = usize;
type __kernel_ssize_t = isize;
type __kernel_ptrdiff_t = isize;

include!("bindings/bindings_generated.rs");
