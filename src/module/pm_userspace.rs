// SPDX-License-Identifier: GPL-2.0

//! The commands by which a program manages the paths of one connection, which it names by its token: the
//! path manager `userspace`.
//!
//! They are carried out before they are answered, so that a program hears of a subflow that could not even
//! begin.
//!
//! C counterpart: net/mptcp/pm_userspace.c.

use crate::bindings;
use crate::choice;
use crate::connection::Connection;
use crate::dump::Dump;
use crate::netlink::{
    Attribute,
    Request, //
};
use crate::paths;
use crate::pm_commands::{
    put_endpoint,
    Wanted, //
};
use crate::subflow;
use crate::token_table::Held;
use kernel::prelude::*;
use mptcp_proto::ids::{
    Address,
    AddressId,
    Token, //
};
use mptcp_proto::path_manager::{
    canonical,
    CommandRefusal,
    EndpointFlags,
    Kind,
    Paths,
    PeerEnd,
    SubflowId, //
};

/// The connection that a request names.
///
/// # Errors
///
/// `EINVAL`: it names none, or one whose path manager is another.
pub(crate) fn managed<'a>(request: &Request<'_>) -> Result<Held<'a>> {
    let token = request.require(bindings::MPTCP_PM_ATTR_TOKEN)?;
    let found = Held::find(request.net(), Token::new(token.u32()));
    let unknown = || request.refuse(Some(token), c"invalid token", EINVAL);
    let connection = found.ok_or_else(unknown)?;
    if choice::settings(connection.msk()).path_manager != Kind::Userspace {
        return Err(request.refuse(Some(token), c"userspace PM not selected", EINVAL));
    }
    Ok(connection)
}

/// Why a command is refused, for its sender.
fn explain<'a>(
    request: &Request<'a>,
    attribute: Option<Attribute<'a>>,
    refusal: CommandRefusal,
) -> Error {
    let (why, error) = match refusal {
        CommandRefusal::Over => (c"the connection is over, or speaks TCP", EINVAL),
        CommandRefusal::OtherManager => (c"userspace PM not selected", EINVAL),
        CommandRefusal::NoId => (c"invalid addr id", EINVAL),
        CommandRefusal::Flags => (c"invalid addr flags", EINVAL),
        CommandRefusal::Unusable => (c"not an address of a host", EINVAL),
        CommandRefusal::Families => (c"families mismatch", EINVAL),
        CommandRefusal::Mismatch => (c"did not match address and id", EINVAL),
        CommandRefusal::NoRoom => (c"too many addresses or subflows", ENOSPC),
        CommandRefusal::NotFound => (c"not found", EINVAL),
    };
    request.refuse(attribute, why, error)
}

/// Announces an address to the peer.
pub(crate) fn announce(request: &Request<'_>) -> Result {
    request.require(bindings::MPTCP_PM_ATTR_ADDR)?;
    let connection = managed(request)?;
    let wanted = Wanted::read(request, bindings::MPTCP_PM_ATTR_ADDR)?;
    let entry = wanted.endpoint(request)?;
    paths::command(&connection, |paths| paths.announce_entry(&entry))
        .map_err(|refusal| explain(request, Some(wanted.attribute), refusal))
}

/// Withdraws an address.
pub(crate) fn withdraw(request: &Request<'_>) -> Result {
    let attribute = request.require(bindings::MPTCP_PM_ATTR_LOC_ID)?;
    let connection = managed(request)?;
    let id = AddressId::new(attribute.u8());
    paths::command(&connection, |paths| paths.withdraw_entry(id)).map_err(|refusal| match refusal {
        CommandRefusal::NotFound => {
            request.refuse(Some(attribute), c"address with this id not found", EINVAL)
        }
        refusal => explain(request, Some(attribute), refusal),
    })
}

/// Sets up a subflow.
pub(crate) fn create_subflow(request: &Request<'_>) -> Result {
    request.require(bindings::MPTCP_PM_ATTR_ADDR)?;
    request.require(bindings::MPTCP_PM_ATTR_ADDR_REMOTE)?;
    let connection = managed(request)?;
    let local = Wanted::read(request, bindings::MPTCP_PM_ATTR_ADDR)?;
    let mut entry = local.endpoint(request)?;
    if entry.flags.contains(EndpointFlags::SIGNAL) {
        return Err(explain(
            request,
            Some(local.attribute),
            CommandRefusal::Flags,
        ));
    }
    entry.flags = entry.flags.with(EndpointFlags::SUBFLOW);
    let peer = Wanted::read(request, bindings::MPTCP_PM_ATTR_ADDR_REMOTE)?;
    let end = PeerEnd {
        addr: peer.require_addr(request)?,
        port: peer
            .port
            .unwrap_or_else(|| paths::ends(connection.first()).1 .1),
        id: peer.id,
    };
    // One that the peer refuses at once has begun all the same.
    let has_begun = paths::command_and_look(
        &connection,
        |paths| paths.create_subflow(&entry, &end),
        paths::has_subflow,
    )
    .map_err(|refusal| {
        let attribute = match refusal {
            CommandRefusal::Families => None,
            _ => Some(local.attribute),
        };
        explain(request, attribute, refusal)
    })?;
    if connection.is_off_queue() && !has_begun {
        return Err(request.refuse(
            None,
            c"connect error: no way there from that address",
            EHOSTUNREACH,
        ));
    }
    Ok(())
}

/// Closes a subflow.
pub(crate) fn destroy_subflow(request: &Request<'_>) -> Result {
    request.require(bindings::MPTCP_PM_ATTR_ADDR)?;
    request.require(bindings::MPTCP_PM_ATTR_ADDR_REMOTE)?;
    let connection = managed(request)?;
    let local = Wanted::read(request, bindings::MPTCP_PM_ATTR_ADDR)?;
    let peer = Wanted::read(request, bindings::MPTCP_PM_ATTR_ADDR_REMOTE)?;
    let refuse = |wanted: &Wanted<'_>, why| request.refuse(Some(wanted.attribute), why, EINVAL);
    if local.port.is_none() {
        return Err(refuse(&local, c"missing local port"));
    }
    if peer.port.is_none() {
        return Err(refuse(&peer, c"missing remote port"));
    }
    let id = find(&connection, &local, &peer)
        .ok_or_else(|| request.refuse(None, c"subflow not found", ESRCH))?;
    paths::command(&connection, |paths| paths.destroy_subflow(id))
        .map_err(|refusal| explain(request, None, refusal))
}

/// Makes a subflow a backup, or a regular one.
pub(crate) fn set_backup(request: &Request<'_>) -> Result {
    request.require(bindings::MPTCP_PM_ATTR_ADDR_REMOTE)?;
    let connection = managed(request)?;
    let local = Wanted::read(request, bindings::MPTCP_PM_ATTR_ADDR)?;
    let peer = Wanted::read(request, bindings::MPTCP_PM_ATTR_ADDR_REMOTE)?;
    let refuse = |wanted: &Wanted<'_>, why| request.refuse(Some(wanted.attribute), why, EINVAL);
    if local.addr.is_none() {
        return Err(refuse(&local, c"invalid local address family"));
    }
    if peer.addr.is_none() {
        return Err(refuse(&peer, c"invalid remote address family"));
    }
    let id = find(&connection, &local, &peer)
        .ok_or_else(|| request.refuse(None, c"subflow not found", EINVAL))?;
    let backup = local.flags.contains(EndpointFlags::BACKUP);
    paths::command(&connection, |paths| paths.set_backup(id, backup))
        .map_err(|refusal| explain(request, None, refusal))
}

/// Tells of the entry with an ID.
pub(crate) fn tell_entry(request: &Request<'_>) -> Result {
    let connection = managed(request)?;
    let wanted = Wanted::read(request, bindings::MPTCP_PM_ATTR_ADDR)?;
    let found = paths::look(&connection, |paths| paths.entry(wanted.id));
    let unknown = || request.refuse(Some(wanted.attribute), c"address not found", EINVAL);
    let entry = found.ok_or_else(unknown)?;
    request.reply(|message| put_endpoint(message, &entry))
}

/// Tells of all entries of the connection that a dump names.
///
/// # Errors
///
/// Those of [`managed`] and [`Dump::add`].
pub(crate) fn dump_entries(dump: &mut Dump, request: &Request<'_>) -> Result {
    let connection = managed(request)?;
    loop {
        let told = dump.progress().told;
        let next = |paths: &Paths| paths.entries().nth(told);
        let Some(entry) = paths::look(&connection, next) else {
            return Ok(());
        };
        dump.add(|message| put_endpoint(message, &entry))?;
        dump.progress().told += 1;
    }
}

/// The subflow between two ends; a port that is not given may be any.
fn find(connection: &Connection, local: &Wanted<'_>, peer: &Wanted<'_>) -> Option<SubflowId> {
    let is = |wanted: &Wanted<'_>, (addr, port): (Address, u16)| {
        wanted.addr.map(canonical) == Some(addr) && wanted.port.is_none_or(|wanted| wanted == port)
    };
    let mut found = None;
    for ssk in connection.hold_subflows(|_| true) {
        let ends = paths::ends(ssk);
        if is(local, ends.0) && is(peer, ends.1) {
            ssk.lock(false);
            found = found.or(subflow::of(ssk).map(subflow::Subflow::id));
            ssk.release();
        }
        ssk.put();
    }
    found
}
