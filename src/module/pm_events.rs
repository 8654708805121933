// SPDX-License-Identifier: GPL-2.0

//! Events of connections, addresses, subflows and listeners, which generic netlink tells to those who
//! have joined the group `mptcp_pm_events` in the namespace. Attributes and moments are those of the
//! kernel's own MPTCP. While nobody listens, an event costs one look.
//!
//! C counterpart: net/mptcp/pm_netlink.c (`mptcp_event`).

use crate::bindings;
use crate::connection::Connection;
use crate::netlink::{
    has_listeners,
    notify,
    Message, //
};
use crate::paths::{
    ends,
    End, //
};
use crate::sock::Sock;
use crate::subflow::{
    self,
    Subflow, //
};
use kernel::prelude::*;
use mptcp_proto::ids::{
    Address,
    AddressId, //
};
use mptcp_proto::options::AddAddr;

/// A connection has begun.
///
/// # Context
///
/// Softirq or process, as for all events; may be called under spinlocks.
pub(crate) fn on_created(connection: &Connection) {
    tell_of_connection(connection, bindings::mptcp_event_type_MPTCP_EVENT_CREATED);
}

/// A connection is fully established: more subflows can follow.
pub(crate) fn on_established(connection: &Connection) {
    tell_of_connection(
        connection,
        bindings::mptcp_event_type_MPTCP_EVENT_ESTABLISHED,
    );
}

/// Tells of a connection and its first subflow.
fn tell_of_connection(connection: &Connection, event: u32) {
    let mut flags = 0;
    if !connection.is_client() {
        flags |= bindings::MPTCP_PM_EV_FLAG_SERVER_SIDE;
    }
    if !connection.identity().initial_joinable {
        flags |= bindings::MPTCP_PM_EV_FLAG_DENY_JOIN_ID0;
    }
    tell(connection, event, |message| {
        put_token(message, connection)?;
        if !connection.is_client() {
            message.put(bindings::mptcp_event_attr_MPTCP_ATTR_SERVER_SIDE, &[1])?;
        }
        if flags != 0 {
            // CAST: Two low bits.
            message.put(
                bindings::mptcp_event_attr_MPTCP_ATTR_FLAGS,
                &(flags as u16).to_ne_bytes(),
            )?;
        }
        let first = connection.first();
        let initial = (AddressId::INITIAL, AddressId::INITIAL);
        put_ends(message, first, first.family(), initial)
    });
}

/// A connection is over.
pub(crate) fn on_closed(connection: &Connection) {
    tell(
        connection,
        bindings::mptcp_event_type_MPTCP_EVENT_CLOSED,
        |message| put_token(message, connection),
    );
}

/// The peer has announced an address on a subflow.
pub(crate) fn on_announced(connection: &Connection, ssk: Sock, option: &AddAddr) {
    tell(
        connection,
        bindings::mptcp_event_type_MPTCP_EVENT_ANNOUNCED,
        |message| {
            let (_, peer) = ends(ssk);
            put_token(message, connection)?;
            message.put(
                bindings::mptcp_event_attr_MPTCP_ATTR_REM_ID,
                &[option.id.get()],
            )?;
            let port = option.port.unwrap_or(peer.1);
            message.put(
                bindings::mptcp_event_attr_MPTCP_ATTR_DPORT,
                &port.to_be_bytes(),
            )?;
            match &option.addr {
                Address::V4(bytes) => {
                    message.put(bindings::mptcp_event_attr_MPTCP_ATTR_DADDR4, bytes)
                }
                Address::V6(bytes) => {
                    message.put(bindings::mptcp_event_attr_MPTCP_ATTR_DADDR6, bytes)
                }
            }
        },
    );
}

/// The peer has withdrawn an address.
pub(crate) fn on_removed(connection: &Connection, id: AddressId) {
    tell(
        connection,
        bindings::mptcp_event_type_MPTCP_EVENT_REMOVED,
        |message| {
            put_token(message, connection)?;
            message.put(bindings::mptcp_event_attr_MPTCP_ATTR_REM_ID, &[id.get()])
        },
    );
}

/// A subflow has joined.
pub(crate) fn on_subflow_established(ssk: Sock, subflow: &Subflow) {
    tell_of_subflow(
        ssk,
        subflow,
        bindings::mptcp_event_type_MPTCP_EVENT_SUB_ESTABLISHED,
    );
}

/// The peer has changed the use of a subflow.
pub(crate) fn on_priority(ssk: Sock, subflow: &Subflow) {
    tell_of_subflow(
        ssk,
        subflow,
        bindings::mptcp_event_type_MPTCP_EVENT_SUB_PRIORITY,
    );
}

/// A connection goes on without one of its subflows.
///
/// # Locking
///
/// The connection socket is owned; `ssk` is locked.
pub(crate) fn on_subflow_closed(ssk: Sock) {
    if !has_listeners(ssk.net()) {
        return;
    }
    ssk.lock(true);
    if let Some(subflow) = subflow::of(ssk) {
        if subflow.msk().state() == bindings::TCP_ESTABLISHED {
            tell_of_subflow(
                ssk,
                subflow,
                bindings::mptcp_event_type_MPTCP_EVENT_SUB_CLOSED,
            );
        }
    }
    ssk.release();
}

/// Tells of a subflow, and how it has ended if it has.
fn tell_of_subflow(ssk: Sock, subflow: &Subflow, event: u32) {
    let connection = subflow.connection();
    tell(connection, event, |message| {
        put_token(message, connection)?;
        // What a listener accepts has its family; the one for joins stands for that of the connection.
        let family = if subflow.is_accepted() {
            connection.msk().family()
        } else {
            ssk.family()
        };
        put_ends(message, ssk, family, subflow.address_ids())?;
        message.put(
            bindings::mptcp_event_attr_MPTCP_ATTR_BACKUP,
            &[subflow.is_backup().into()],
        )?;
        let interface = ssk.bound_interface();
        if interface != 0 {
            message.put(
                bindings::mptcp_event_attr_MPTCP_ATTR_IF_IDX,
                &interface.to_ne_bytes(),
            )?;
        }
        let is_alive = connection.msk().state() == bindings::TCP_ESTABLISHED;
        // An errno has eight bits here, as programs expect.
        if let Ok(error @ 1..) = u8::try_from(subflow.error()) {
            if is_alive {
                message.put(bindings::mptcp_event_attr_MPTCP_ATTR_ERROR, &[error])?;
            }
        }
        if event != bindings::mptcp_event_type_MPTCP_EVENT_SUB_CLOSED {
            return Ok(());
        }
        let Some(reset) = subflow.resets().peer() else {
            return Ok(());
        };
        let reason = u32::from(reset.reason.code()).to_ne_bytes();
        let flags = u32::from(reset.transient).to_ne_bytes();
        message.put(bindings::mptcp_event_attr_MPTCP_ATTR_RESET_REASON, &reason)?;
        message.put(bindings::mptcp_event_attr_MPTCP_ATTR_RESET_FLAGS, &flags)
    });
}

/// A socket that listens, as it was when it did: a closed one has no port.
#[derive(Clone, Copy)]
pub(crate) struct Listener {
    /// Its namespace.
    net: *mut bindings::net,
    /// Its address family.
    family: u32,
    /// Where it listens.
    end: End,
}

impl Listener {
    /// A socket that listens.
    pub(crate) fn of(sk: Sock) -> Self {
        Self {
            net: sk.net(),
            family: sk.family(),
            end: ends(sk).0,
        }
    }

    /// It listens from now on.
    pub(crate) fn on_created(self) {
        self.tell(bindings::mptcp_event_type_MPTCP_EVENT_LISTENER_CREATED);
    }

    /// It listens no longer; its namespace is still there.
    pub(crate) fn on_closed(self) {
        self.tell(bindings::mptcp_event_type_MPTCP_EVENT_LISTENER_CLOSED);
    }

    /// Tells of it.
    fn tell(self, event: u32) {
        if !has_listeners(self.net) {
            return;
        }
        let (addr, port) = self.end;
        notify(self.net, event, |message| {
            put_family(message, self.family)?;
            message.put(
                bindings::mptcp_event_attr_MPTCP_ATTR_SPORT,
                &port.to_be_bytes(),
            )?;
            put_source(message, as_family(addr, self.family))
        });
    }
}

/// Tells those who listen in the namespace of a connection.
fn tell(connection: &Connection, event: u32, fill: impl FnOnce(&mut Message) -> Result) {
    let net = connection.msk().net();
    if has_listeners(net) {
        notify(net, event, fill);
    }
}

/// Names the connection.
fn put_token(message: &mut Message, connection: &Connection) -> Result {
    let token = connection.token().get().to_ne_bytes();
    message.put(bindings::mptcp_event_attr_MPTCP_ATTR_TOKEN, &token)
}

/// Adds both ends of a subflow as a socket of a family has them, and what the hosts call them, the local one
/// first.
fn put_ends(message: &mut Message, ssk: Sock, family: u32, ids: (AddressId, AddressId)) -> Result {
    let (local, peer) = ends(ssk);
    put_family(message, family)?;
    put_source(message, as_family(local.0, family))?;
    match &as_family(peer.0, family) {
        Address::V4(bytes) => message.put(bindings::mptcp_event_attr_MPTCP_ATTR_DADDR4, bytes)?,
        Address::V6(bytes) => message.put(bindings::mptcp_event_attr_MPTCP_ATTR_DADDR6, bytes)?,
    }
    message.put(
        bindings::mptcp_event_attr_MPTCP_ATTR_SPORT,
        &local.1.to_be_bytes(),
    )?;
    message.put(
        bindings::mptcp_event_attr_MPTCP_ATTR_DPORT,
        &peer.1.to_be_bytes(),
    )?;
    message.put(bindings::mptcp_event_attr_MPTCP_ATTR_LOC_ID, &[ids.0.get()])?;
    message.put(bindings::mptcp_event_attr_MPTCP_ATTR_REM_ID, &[ids.1.get()])
}

/// Adds the family of addresses.
fn put_family(message: &mut Message, family: u32) -> Result {
    // CAST: A small number.
    message.put(
        bindings::mptcp_event_attr_MPTCP_ATTR_FAMILY,
        &(family as u16).to_ne_bytes(),
    )
}

/// Adds the local address.
fn put_source(message: &mut Message, addr: Address) -> Result {
    match &addr {
        Address::V4(bytes) => message.put(bindings::mptcp_event_attr_MPTCP_ATTR_SADDR4, bytes),
        Address::V6(bytes) => message.put(bindings::mptcp_event_attr_MPTCP_ATTR_SADDR6, bytes),
    }
}

/// The address as a socket of a family has it: IPv4-mapped where an IPv6 socket has an IPv4 peer.
fn as_family(addr: Address, family: u32) -> Address {
    match addr {
        Address::V4([a, b, c, d]) if family == bindings::AF_INET6 => {
            Address::V6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d])
        }
        addr => addr,
    }
}
