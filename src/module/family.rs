// SPDX-License-Identifier: GPL-2.0

//! The commands of our own netlink family, `mptcp_rs`: what there is of connections, subflows and interfaces
//! is told and changed, in the network namespace of the socket that asks. A request that is refused says why,
//! and which attribute is to blame.
//!
//! A dump walks the table of connections and holds a lock only from one connection to the next. What comes or
//! goes meanwhile may be missed, or told twice.
//!
//! C counterpart: none in `net/mptcp`, which tells of connections by socket diagnostics.

use crate::addresses;
use crate::bindings;
use crate::close;
use crate::connection::Connection;
use crate::dump::{
    dumps,
    Dump, //
};
use crate::interfaces::Interface;
use crate::netlink::{
    commands,
    Attribute,
    Request, //
};
use crate::paths;
use crate::sock::Sock;
use crate::tell::{
    self,
    Look, //
};
use crate::token_table::Held;
use kernel::prelude::*;
use mptcp_proto::ids::Token;
use mptcp_proto::path_manager::Policy;

commands! {
    mptcp_rs_nl_connection_get_doit => tell_connection, MPTCP_RS_A_CONNECTION_TOKEN;
    mptcp_rs_nl_connection_kill_doit => kill_connection, MPTCP_RS_A_CONNECTION_TOKEN;
    mptcp_rs_nl_subflow_get_doit => tell_subflow, MPTCP_RS_A_SUBFLOW_ID;
    mptcp_rs_nl_subflow_kill_doit => kill_subflow, MPTCP_RS_A_SUBFLOW_ID;
    mptcp_rs_nl_interface_get_doit => tell_interface, MPTCP_RS_A_INTERFACE_IF_INDEX;
    mptcp_rs_nl_interface_set_doit => set_interface, MPTCP_RS_A_INTERFACE_POLICY;
}

// The kernel refuses attributes where the table of a dump has none, and its own table for that has one place.
dumps! {
    mptcp_rs_nl_connection_get_dumpit => dump_connections, MPTCP_RS_A_CONNECTION_TOKEN;
    mptcp_rs_nl_subflow_get_dumpit => dump_subflows, MPTCP_RS_A_SUBFLOW_TOKEN;
    mptcp_rs_nl_interface_get_dumpit => dump_interfaces, MPTCP_RS_A_INTERFACE_IF_INDEX;
}

/// The connection that an attribute names.
///
/// # Errors
///
/// `ENOENT`; the sender is told.
fn find<'a>(request: &Request<'a>, token: Attribute<'a>) -> Result<Held<'a>> {
    let found = Held::find(request.net(), Token::new(token.u32()));
    found.ok_or_else(|| request.refuse(Some(token), c"no connection has this token", ENOENT))
}

/// Tells of a connection.
fn tell_connection(request: &Request<'_>) -> Result {
    let token = request.require(bindings::MPTCP_RS_A_CONNECTION_TOKEN)?;
    let connection = find(request, token)?;
    request.reply(|message| tell::put_connection(message, request, &connection))
}

/// Tells of all connections.
fn dump_connections(dump: &mut Dump, request: &Request<'_>) -> Result {
    for_each(dump, request, |dump, connection| {
        dump.add(|message| tell::put_connection(message, request, connection))
    })
}

/// Calls `tell` with each connection; the one that it cannot tell of is the first in the next batch.
fn for_each(
    dump: &mut Dump,
    request: &Request<'_>,
    tell: impl Fn(&mut Dump, &Connection) -> Result,
) -> Result {
    loop {
        let before = dump.progress().connections;
        let next = Held::next(request.net(), &mut dump.progress().connections);
        let Some(connection) = next else {
            return Ok(());
        };
        if let Err(error) = tell(dump, &connection) {
            dump.progress().connections = before;
            return Err(error);
        }
    }
}

/// Ends a connection.
fn kill_connection(request: &Request<'_>) -> Result {
    let token = request.require(bindings::MPTCP_RS_A_CONNECTION_TOKEN)?;
    let connection = find(request, token)?;
    // CAST: An errno is small.
    close::end(&connection, bindings::ECONNABORTED as i32)
        .map_err(|error| request.refuse(Some(token), c"the connection is over", error))
}

/// Tells of one subflow.
fn tell_subflow(request: &Request<'_>) -> Result {
    let token = request.require(bindings::MPTCP_RS_A_SUBFLOW_TOKEN)?;
    let number = request.require(bindings::MPTCP_RS_A_SUBFLOW_ID)?;
    let connection = find(request, token)?;
    for ssk in connection.hold_subflows(|_| true) {
        let look = Look::at(ssk).filter(|look| look.id.number() == number.u32());
        let told = look.map(|look| {
            request.reply(|message| tell::put_subflow(message, &connection, ssk, &look))
        });
        ssk.put();
        if let Some(result) = told {
            return result;
        }
    }
    Err(no_subflow(request, number))
}

/// The refusal of a number that no subflow has.
fn no_subflow<'a>(request: &Request<'a>, number: Attribute<'a>) -> Error {
    request.refuse(
        Some(number),
        c"the connection has no subflow with this id",
        ENOENT,
    )
}

/// Tells of all subflows of one connection, or of all.
fn dump_subflows(dump: &mut Dump, request: &Request<'_>) -> Result {
    match request.get(bindings::MPTCP_RS_A_SUBFLOW_TOKEN) {
        Some(token) => dump_subflows_of(dump, &*find(request, token)?),
        None => for_each(dump, request, dump_subflows_of),
    }
}

/// Tells of the subflows of a connection that have not been told of.
fn dump_subflows_of(dump: &mut Dump, connection: &Connection) -> Result {
    let progress = dump.progress();
    if progress.token != connection.token().get() {
        (progress.token, progress.told) = (connection.token().get(), 0);
    }
    loop {
        let slot = u8::try_from(dump.progress().told).unwrap_or(u8::MAX);
        let Some((slot, ssk)) = connection.hold_subflow(slot) else {
            return Ok(());
        };
        let result = add_subflow(dump, connection, ssk);
        ssk.put();
        result?;
        dump.progress().told = usize::from(slot) + 1;
    }
}

/// Adds what there is to say of a subflow, nothing if it is ending.
fn add_subflow(dump: &mut Dump, connection: &Connection, ssk: Sock) -> Result {
    match Look::at(ssk) {
        Some(look) => dump.add(|message| tell::put_subflow(message, connection, ssk, &look)),
        None => Ok(()),
    }
}

/// Resets a subflow.
fn kill_subflow(request: &Request<'_>) -> Result {
    let token = request.require(bindings::MPTCP_RS_A_SUBFLOW_TOKEN)?;
    let number = request.require(bindings::MPTCP_RS_A_SUBFLOW_ID)?;
    let connection = find(request, token)?;
    if !connection.is_off_queue() {
        let why = c"no program has accepted the connection so far";
        return Err(request.refuse(Some(token), why, EBUSY));
    }
    if paths::kill(&connection, number.u32()) {
        Ok(())
    } else {
        Err(no_subflow(request, number))
    }
}

/// Does something with the interface that a request names.
///
/// # Errors
///
/// `EINVAL`: it names none. `ENODEV`: there is no such one. Those of `act`.
fn with_interface(request: &Request<'_>, act: impl FnOnce(&Interface) -> Result) -> Result {
    let attribute = request.require(bindings::MPTCP_RS_A_INTERFACE_IF_INDEX)?;
    let index = attribute.u32();
    addresses::with_interfaces(request.net(), |interfaces| {
        match interfaces.iter().find(|known| known.index == index) {
            Some(interface) => act(interface),
            None => Err(request.refuse(Some(attribute), c"no such interface", ENODEV)),
        }
    })
}

/// Tells how paths may use an interface.
fn tell_interface(request: &Request<'_>) -> Result {
    with_interface(request, |interface| {
        request.reply(|message| tell::put_interface(message, interface))
    })
}

/// Tells how paths may use each interface.
fn dump_interfaces(dump: &mut Dump, request: &Request<'_>) -> Result {
    addresses::with_interfaces(request.net(), |interfaces| {
        while let Some(interface) = interfaces.get(dump.progress().told) {
            dump.add(|message| tell::put_interface(message, interface))?;
            dump.progress().told += 1;
        }
        Ok(())
    })
}

/// Says how paths may use an interface.
fn set_interface(request: &Request<'_>) -> Result {
    request.require(bindings::MPTCP_RS_A_INTERFACE_IF_INDEX)?;
    let attribute = request.require(bindings::MPTCP_RS_A_INTERFACE_POLICY)?;
    let policy = match attribute.u32() {
        bindings::mptcp_rs_policy_MPTCP_RS_POLICY_ON => Policy::On,
        bindings::mptcp_rs_policy_MPTCP_RS_POLICY_OFF => Policy::Off,
        bindings::mptcp_rs_policy_MPTCP_RS_POLICY_BACKUP => Policy::Backup,
        // The kernel has refused it already.
        _ => return Err(request.refuse(Some(attribute), c"unknown policy", ERANGE)),
    };
    with_interface(request, |interface| {
        interface.set_policy(policy);
        Ok(())
    })
}
