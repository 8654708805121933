// SPDX-License-Identifier: GPL-2.0

//! The check that Rust and C mean the same places in the kernel's structures.
//!
//! bindgen reads the kernel's headers with its own parser; the kernel was compiled with another
//! compiler. A module that got a structure wrong would write into its neighbours, so a difference
//! refuses to load.

use crate::bindings;
use core::mem::offset_of;
use kernel::prelude::*;

/// What the places are called, and where Rust thinks they are: the list of `MPTCP_LAYOUT`.
const PLACES: [(&str, usize); bindings::MPTCP_LAYOUT_COUNT as usize] = [
    ("sock.sk_protocol", offset_of!(bindings::sock, sk_protocol)),
    ("sock.sk_shutdown", offset_of!(bindings::sock, sk_shutdown)),
    (
        "sock.sk_data_ready",
        offset_of!(bindings::sock, sk_data_ready),
    ),
    ("sock.sk_destruct", offset_of!(bindings::sock, sk_destruct)),
    (
        "sock.sk_receive_queue",
        offset_of!(bindings::sock, sk_receive_queue),
    ),
    (
        "inet_connection_sock.icsk_af_ops",
        offset_of!(bindings::inet_connection_sock, icsk_af_ops),
    ),
    (
        "inet_connection_sock.icsk_ulp_data",
        offset_of!(bindings::inet_connection_sock, icsk_ulp_data),
    ),
    (
        "tcp_sock.copied_seq",
        offset_of!(bindings::tcp_sock, copied_seq),
    ),
    ("tcp_sock.rcv_nxt", offset_of!(bindings::tcp_sock, rcv_nxt)),
    (
        "tcp_sock.rcvq_space",
        offset_of!(bindings::tcp_sock, rcvq_space),
    ),
    ("tcp_sock.linger2", offset_of!(bindings::tcp_sock, linger2)),
    ("sk_buff.data", offset_of!(bindings::sk_buff, data)),
    ("sk_buff.truesize", offset_of!(bindings::sk_buff, truesize)),
    (
        "request_sock.rsk_ops",
        offset_of!(bindings::request_sock, rsk_ops),
    ),
    ("socket.ops", offset_of!(bindings::socket, ops)),
    ("proto.owner", offset_of!(bindings::proto, owner)),
    ("proto_ops.owner", offset_of!(bindings::proto_ops, owner)),
    (
        "delayed_work.timer",
        offset_of!(bindings::delayed_work, timer),
    ),
];

/// Compares both sides.
///
/// # Errors
///
/// `EINVAL` when a place differs; the log names it.
pub(crate) fn check() -> Result {
    // SAFETY: A constant of our own C object.
    let compiled = unsafe { bindings::mptcp_shim_layout };
    for ((name, here), there) in PLACES.iter().zip(compiled) {
        if *here != there {
            pr_err!(
                "{} is at {} for Rust, at {} for C: build the module for this kernel\n",
                *name,
                *here,
                there
            );
            return Err(EINVAL);
        }
    }
    Ok(())
}
