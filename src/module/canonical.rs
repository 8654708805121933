// SPDX-License-Identifier: GPL-2.0

//! The names of the kernel's own MPTCP, which are ours where the kernel has none: the protocol number
//! with which programs ask for MPTCP, the sysctl directory `net.mptcp`, the upper layer protocol. What
//! was written for the kernel's MPTCP then works unchanged.
//!
//! A socket made with the protocol number is one that `net.mptcp_rs.enabled` makes, but for two things.
//! Its path manager is `endpoint`: such programs set no more paths up than somebody has configured. And if
//! the peer speaks plain TCP, it keeps the mark of the upper layer protocol, so that no other one can be
//! put on it: to its program it is an MPTCP socket still.
//!
//! C counterpart: net/mptcp/protocol.c (`mptcp_init_sock`), net/mptcp/ctrl.c.

use crate::bindings;
use crate::choice;
use crate::net;
use crate::sock::Sock;
use kernel::prelude::*;

/// Whether the names are ours to take.
pub(crate) const IS_FREE: bool = !cfg!(CONFIG_MPTCP);
/// The protocol number.
pub(crate) const PROTOCOL: u16 = bindings::IPPROTO_MPTCP as u16;
/// The name of the upper layer protocol of subflows, which `ss -ti` shows.
pub(crate) const ULP: &[u8] = if IS_FREE { b"mptcp" } else { b"mptcp_rs" };

/// A socket is made by the protocol number.
///
/// # Errors
///
/// `ENOPROTOOPT`: its namespace wants none.
///
/// # Locking
///
/// `sk` is not known to anybody else.
pub(crate) fn on_birth(sk: Sock) -> Result {
    if !net::config(sk.net()).accepts_by_name() {
        return Err(ENOPROTOOPT);
    }
    choice::on_asked_by_name(sk);
    Ok(())
}
