// SPDX-License-Identifier: GPL-2.0

//! Where joins may come in: at any address and port of this host, or only where somebody listens.
//!
//! C counterpart: net/mptcp/subflow.c (`subflow_use_different_sport`, `mptcp_pm_sport_in_anno_list`).

use crate::af_ops;
use crate::bindings;
use crate::choice;
use crate::connection::Connection;
use crate::paths;
use crate::skb::{
    Header,
    Skb, //
};
use crate::sock::Sock;
use mptcp_proto::path_manager::{
    Endpoint,
    EndpointFlags, //
};

/// Whether a join may come to where its SYN was sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// It may, as far as the port is concerned.
    Open,
    /// It may: this is not the connection's port, but it was announced.
    AnnouncedPort,
    /// It may not: this is not the connection's port, and it was not announced.
    OtherPort,
    /// Nobody listens there who would accept connections of ours.
    None,
}

/// Whether a program has announced the address and the port that a SYN was sent to.
fn is_announced(connection: &Connection, port: u16, packet: Skb, family: u32) -> bool {
    let [_, local] = packet.ends(family);
    let is_meant = |entry: &Endpoint| {
        let is_there = entry.addr == local && entry.port == Some(port);
        is_there && entry.flags.contains(EndpointFlags::SIGNAL)
    };
    paths::look(connection, |paths| paths.entries().find(is_meant)).is_some()
}

/// Where the SYN of a join was sent. Where an administrator or a program says which paths there are, joins
/// need a listener, as in the kernel's own MPTCP, or an endpoint with that port. `listener` is the one there,
/// if TCP has found it already. A connection that is bound to an interface takes joins only from there.
///
/// # Context
///
/// Softirq, inside an RCU read-side section.
pub(crate) fn of(
    connection: &Connection,
    header: &Header,
    packet: Skb,
    family: u32,
    listener: Option<Sock>,
) -> Door {
    let msk = connection.msk();
    // SAFETY: A packet that netfilter shows, and a live socket. CAST: Address families are small.
    if !unsafe { bindings::mptcp_shim_takes_from(msk.as_ptr(), packet.as_ptr(), family as i32) } {
        return Door::None;
    }
    if !choice::settings(msk).path_manager.needs_listener() {
        return Door::Open;
    }
    let (initial, _) = paths::ends(connection.first());
    let look = || {
        let (net, skb) = (msk.net(), packet.as_ptr());
        // SAFETY: A packet that netfilter shows, in a live namespace. The listener lives until the end of
        // the read-side section. CAST: Address families are small.
        unsafe {
            Sock::from_raw(bindings::mptcp_shim_lookup_listener(
                net,
                skb,
                family as i32,
            ))
        }
    };
    match listener
        .or_else(look)
        .filter(|listener| af_ops::is_hooked(*listener))
    {
        None => Door::None,
        Some(_) if header.destination == initial.1 => Door::Open,
        Some(listener) if choice::is_port(listener) => Door::AnnouncedPort,
        Some(_) if is_announced(connection, header.destination, packet, family) => {
            Door::AnnouncedPort
        }
        Some(_) => Door::OtherPort,
    }
}
