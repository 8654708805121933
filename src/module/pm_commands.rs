// SPDX-License-Identifier: GPL-2.0

//! The commands of the netlink family of path managers: endpoints and limits are added, told, changed
//! and removed. A request that is refused says why, and which attribute is to blame.
//!
//! C counterpart: net/mptcp/pm_netlink.c, net/mptcp/pm_kernel.c.

use crate::address_table::address_of;
use crate::bindings;
use crate::dump::{
    dumps,
    Dump, //
};
use crate::endpoints::{
    self,
    LIMIT_MAX, //
};
use crate::event;
use crate::net;
use crate::netlink::{
    commands,
    AddressAttributes,
    Attribute,
    Message,
    Request, //
};
use crate::paths;
use crate::pm_userspace;
use crate::port_listener::PortListener;
use crate::token_table;
use kernel::prelude::*;
use mptcp_proto::ids::{
    Address,
    AddressId, //
};
use mptcp_proto::path_manager::{
    Endpoint,
    EndpointFlags,
    EndpointRefusal, //
};

commands! {
    mptcp_pm_nl_add_addr_doit => add_endpoint, MPTCP_PM_ENDPOINT_ADDR;
    mptcp_pm_nl_del_addr_doit => remove_endpoint, MPTCP_PM_ENDPOINT_ADDR;
    mptcp_pm_nl_flush_addrs_doit => remove_all, MPTCP_PM_ENDPOINT_ADDR;
    mptcp_pm_nl_get_addr_doit => tell_endpoint, MPTCP_PM_ATTR_TOKEN;
    mptcp_pm_nl_set_limits_doit => set_limits, MPTCP_PM_ATTR_SUBFLOWS;
    mptcp_pm_nl_get_limits_doit => tell_limits, MPTCP_PM_ATTR_SUBFLOWS;
    mptcp_pm_nl_set_flags_doit => set_flags, MPTCP_PM_ATTR_ADDR_REMOTE;
    mptcp_pm_nl_announce_doit => pm_userspace::announce, MPTCP_PM_ATTR_TOKEN;
    mptcp_pm_nl_remove_doit => pm_userspace::withdraw, MPTCP_PM_ATTR_LOC_ID;
    mptcp_pm_nl_subflow_create_doit => pm_userspace::create_subflow, MPTCP_PM_ATTR_ADDR_REMOTE;
    mptcp_pm_nl_subflow_destroy_doit => pm_userspace::destroy_subflow, MPTCP_PM_ATTR_ADDR_REMOTE;
}

dumps! {
    mptcp_pm_nl_get_addr_dumpit => dump_endpoints, MPTCP_PM_ATTR_TOKEN;
}

/// Tells of all endpoints, or of the entries of a connection.
fn dump_endpoints(dump: &mut Dump, request: &Request<'_>) -> Result {
    if request.get(bindings::MPTCP_PM_ATTR_TOKEN).is_some() {
        return pm_userspace::dump_entries(dump, request);
    }
    loop {
        // IDs have eight bits, and only they are stored.
        let id = u8::try_from(dump.progress().told).unwrap_or(u8::MAX);
        let Some(endpoint) = endpoints::next(request.net(), id) else {
            return Ok(());
        };
        dump.add(|message| put_endpoint(message, &endpoint))?;
        dump.progress().told = endpoint.id.get().into();
    }
}

/// What a request says of an endpoint.
pub(crate) struct Wanted<'a> {
    /// The attribute that says it.
    pub(crate) attribute: Attribute<'a>,
    /// The ID; 0 if it says none.
    pub(crate) id: AddressId,
    /// The address, if it says one.
    pub(crate) addr: Option<Address>,
    /// The port.
    pub(crate) port: Option<u16>,
    /// The number of the interface; 0 for any.
    pub(crate) interface_index: u32,
    /// The flags.
    pub(crate) flags: EndpointFlags,
}

impl<'a> Wanted<'a> {
    /// Reads what the attribute `number` of a request says.
    pub(crate) fn read(request: &Request<'a>, number: u32) -> Result<Self> {
        let attribute = request.require(number)?;
        let address = request.address(attribute)?;
        let port = address.get(bindings::MPTCP_PM_ADDR_ATTR_PORT);
        let index = address.get(bindings::MPTCP_PM_ADDR_ATTR_IF_IDX);
        let flags = address.get(bindings::MPTCP_PM_ADDR_ATTR_FLAGS);
        let id = address.get(bindings::MPTCP_PM_ADDR_ATTR_ID);
        Ok(Self {
            attribute,
            id: id.map_or(AddressId::INITIAL, |id| AddressId::new(id.u8())),
            addr: read_address(request, attribute, &address)?,
            port: port.map(Attribute::u16).filter(|port| *port != 0),
            interface_index: index.map_or(0, |index| u32::try_from(index.i32()).unwrap_or(0)),
            // Flags that nobody knows yet are none, as ever.
            flags: flags.map_or(EndpointFlags::NONE, |flags| {
                EndpointFlags::from_known_bits(flags.u32())
            }),
        })
    }

    /// The address, which there must be.
    ///
    /// # Errors
    ///
    /// `EINVAL`; the sender is told.
    pub(crate) fn require_addr(&self, request: &Request<'_>) -> Result<Address> {
        let missing = || request.refuse(Some(self.attribute), c"missing family", EINVAL);
        self.addr.ok_or_else(missing)
    }

    /// What is described, with an address.
    ///
    /// # Errors
    ///
    /// Those of [`Self::require_addr`].
    pub(crate) fn endpoint(&self, request: &Request<'_>) -> Result<Endpoint> {
        Ok(Endpoint {
            id: self.id,
            addr: self.require_addr(request)?,
            port: self.port,
            interface_index: self.interface_index,
            flags: self.flags,
            serial: 0,
        })
    }
}

/// Reads an address, if there is one.
fn read_address<'a>(
    request: &Request<'a>,
    nest: Attribute<'a>,
    address: &AddressAttributes<'a>,
) -> Result<Option<Address>> {
    let refuse = |why| request.refuse(Some(nest), why, EINVAL);
    let Some(family) = address.get(bindings::MPTCP_PM_ADDR_ATTR_FAMILY) else {
        return Ok(None);
    };
    let number = match u32::from(family.u16()) {
        bindings::AF_INET => bindings::MPTCP_PM_ADDR_ATTR_ADDR4,
        bindings::AF_INET6 => bindings::MPTCP_PM_ADDR_ATTR_ADDR6,
        _ => return Err(refuse(c"unknown address family")),
    };
    let value = address.get(number);
    let value = value.ok_or_else(|| refuse(c"missing address data"))?;
    Ok(Some(if number == bindings::MPTCP_PM_ADDR_ATTR_ADDR6 {
        address_of(value.bytes(), true)
    } else {
        Address::V4(value.bytes())
    }))
}

/// Tells the sender why an endpoint is not added or changed.
fn explain<'a>(request: &Request<'a>, wanted: &Wanted<'a>, refusal: Refused) -> Error {
    let refusal = match refusal {
        Refused::Rule(refusal) => refusal,
        Refused::Kernel(error) => return error,
    };
    let (why, error) = match refusal {
        EndpointRefusal::PortNeedsSignal => (
            c"flags must have signal and not subflow when using port",
            EINVAL,
        ),
        EndpointRefusal::SignalAndFullMesh => {
            (c"flags mustn't have both signal and fullmesh", EINVAL)
        }
        EndpointRefusal::Implicit => (c"implicit endpoints come to be by themselves", EINVAL),
        EndpointRefusal::Duplicate => (c"an endpoint has this address already", EEXIST),
        EndpointRefusal::ImplicitHasId => {
            (c"an implicit endpoint has this address: give no ID", EINVAL)
        }
        EndpointRefusal::IdInUse => (c"another endpoint has this ID", EBUSY),
        EndpointRefusal::Full => (c"too many endpoints: all 255 IDs are in use", ERANGE),
        EndpointRefusal::Unknown => (c"address not found", EINVAL),
    };
    request.refuse(Some(wanted.attribute), why, error)
}

/// Why nothing has changed.
enum Refused {
    /// The list does not allow it.
    Rule(EndpointRefusal),
    /// No memory.
    Kernel(Error),
}

impl From<EndpointRefusal> for Refused {
    fn from(refusal: EndpointRefusal) -> Self {
        Self::Rule(refusal)
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Kernel(error)
    }
}

/// Adds an endpoint.
fn add_endpoint(request: &Request<'_>) -> Result {
    let wanted = Wanted::read(request, bindings::MPTCP_PM_ENDPOINT_ADDR)?;
    let endpoint = wanted.endpoint(request)?;
    let added = endpoints::change(request.net(), |list| {
        if endpoint.flags.contains(EndpointFlags::IMPLICIT) {
            return Err(EndpointRefusal::Implicit.into());
        }
        Ok::<_, Refused>(list.add(endpoint)?)
    });
    let id = added.map_err(|refusal| explain(request, &wanted, refusal))?;
    let Some(port) = endpoint.port else {
        return Ok(());
    };
    let opened = PortListener::new(request.net(), id, endpoint.addr, port)
        .and_then(|listener| endpoints::keep(request.net(), listener));
    opened.map_err(|error| {
        let _ = endpoints::change(request.net(), |list| Ok::<_, Refused>(list.remove(id)?));
        let why = c"cannot listen at the address and port";
        request.refuse(Some(wanted.attribute), why, error)
    })
}

/// Removes the endpoint with an ID.
fn remove_endpoint(request: &Request<'_>) -> Result {
    let wanted = Wanted::read(request, bindings::MPTCP_PM_ENDPOINT_ADDR)?;
    if wanted.id == AddressId::INITIAL {
        remove_initial(request.net(), &wanted);
        return Ok(());
    }
    endpoints::change(request.net(), |list| {
        Ok::<_, Refused>(list.remove(wanted.id)?)
    })
    .map_err(|refusal| explain(request, &wanted, refusal))?;
    endpoints::close(request.net(), wanted.id);
    Ok(())
}

/// Lets the connections that began at an address give it up: there it has the ID 0.
fn remove_initial(net: *mut bindings::net, wanted: &Wanted<'_>) {
    let Some(addr) = wanted.addr else {
        return;
    };
    token_table::for_each_in(net, |connection| {
        if paths::begins_at(connection, addr, wanted.port) {
            connection.schedule(event::INITIAL_REMOVED);
        }
    });
}

/// Removes all endpoints.
fn remove_all(request: &Request<'_>) -> Result {
    endpoints::remove_all(request.net());
    Ok(())
}

/// Changes an endpoint, found by its ID if there is no address.
fn set_flags(request: &Request<'_>) -> Result {
    if request.get(bindings::MPTCP_PM_ATTR_TOKEN).is_some() {
        return pm_userspace::set_backup(request);
    }
    let wanted = Wanted::read(request, bindings::MPTCP_PM_ATTR_ADDR)?;
    if wanted.addr.is_none() && wanted.id == AddressId::INITIAL {
        return Err(request.refuse(Some(wanted.attribute), c"missing address ID", EOPNOTSUPP));
    }
    endpoints::change(request.net(), |list| {
        let found = wanted.addr.map(|addr| list.find(addr, wanted.port));
        let id = match found {
            Some(found) => found.ok_or(EndpointRefusal::Unknown)?.id,
            None => wanted.id,
        };
        Ok::<_, Refused>(list.set_flags(id, wanted.flags)?)
    })
    .map_err(|refusal| explain(request, &wanted, refusal))
}

/// Tells of the endpoint with an ID.
fn tell_endpoint(request: &Request<'_>) -> Result {
    if request.get(bindings::MPTCP_PM_ATTR_TOKEN).is_some() {
        return pm_userspace::tell_entry(request);
    }
    let wanted = Wanted::read(request, bindings::MPTCP_PM_ATTR_ADDR)?;
    let found = endpoints::look(request.net(), |list| list.get(wanted.id).copied());
    let unknown = || request.refuse(Some(wanted.attribute), c"address not found", EINVAL);
    let endpoint = found.ok_or_else(unknown)?;
    request.reply(|message| put_endpoint(message, &endpoint))
}

/// Writes what there is to say of an endpoint.
pub(crate) fn put_endpoint(message: &mut Message, endpoint: &Endpoint) -> Result {
    // CAST: Address families are small.
    let (family, number) = match endpoint.addr {
        Address::V4(_) => (bindings::AF_INET as u16, bindings::MPTCP_PM_ADDR_ATTR_ADDR4),
        Address::V6(_) => (
            bindings::AF_INET6 as u16,
            bindings::MPTCP_PM_ADDR_ATTR_ADDR6,
        ),
    };
    let port = endpoint.port.unwrap_or(0).to_ne_bytes();
    let flags = endpoint.flags.bits().to_ne_bytes();
    message.nest(bindings::MPTCP_PM_ATTR_ADDR, |message| {
        message.put(bindings::MPTCP_PM_ADDR_ATTR_FAMILY, &family.to_ne_bytes())?;
        message.put(bindings::MPTCP_PM_ADDR_ATTR_PORT, &port)?;
        message.put(bindings::MPTCP_PM_ADDR_ATTR_ID, &[endpoint.id.get()])?;
        message.put(bindings::MPTCP_PM_ADDR_ATTR_FLAGS, &flags)?;
        if endpoint.interface_index != 0 {
            let index = endpoint.interface_index.to_ne_bytes();
            message.put(bindings::MPTCP_PM_ADDR_ATTR_IF_IDX, &index)?;
        }
        match &endpoint.addr {
            Address::V4(bytes) => message.put(number, bytes),
            Address::V6(bytes) => message.put(number, bytes),
        }
    })
}

/// Sets the limits that the request names.
fn set_limits(request: &Request<'_>) -> Result {
    let (subflows, accepted) = net::endpoints(request.net()).limits();
    let read = |number, now| {
        let Some(attribute) = request.get(number) else {
            return Ok(now);
        };
        let wanted = u8::try_from(attribute.u32()).ok();
        wanted.filter(|wanted| *wanted <= LIMIT_MAX).ok_or_else(|| {
            let why = c"limit greater than maximum (64)";
            request.refuse(Some(attribute), why, EINVAL)
        })
    };
    let accepted = read(bindings::MPTCP_PM_ATTR_RCV_ADD_ADDRS, accepted)?;
    let subflows = read(bindings::MPTCP_PM_ATTR_SUBFLOWS, subflows)?;
    endpoints::set_limits(request.net(), subflows, accepted);
    Ok(())
}

/// Tells the limits.
fn tell_limits(request: &Request<'_>) -> Result {
    let (subflows, accepted) = net::endpoints(request.net()).limits();
    let number = |limit: u8| u32::from(limit).to_ne_bytes();
    request.reply(|message| {
        message.put(bindings::MPTCP_PM_ATTR_RCV_ADD_ADDRS, &number(accepted))?;
        message.put(bindings::MPTCP_PM_ATTR_SUBFLOWS, &number(subflows))
    })
}
