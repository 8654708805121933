// SPDX-License-Identifier: GPL-2.0

//! What our netlink family tells of a connection, a subflow and an interface.
//!
//! Nothing is remembered and nothing allocated for it: each message says what is so at its moment.
//!
//! C counterpart: net/mptcp/mptcp_diag.c, net/mptcp/sockopt.c.

use crate::addresses;
use crate::bindings;
use crate::choice;
use crate::connection::Connection;
use crate::info;
use crate::interfaces::Interface;
use crate::netlink::{
    Message,
    Request, //
};
use crate::paths::{
    self,
    End, //
};
use crate::sock::Sock;
use crate::subflow::{
    self,
    Subflow, //
};
use kernel::prelude::*;
use kernel::sync::rcu;
use mptcp_proto::ids::{
    Address,
    AddressId, //
};
use mptcp_proto::path_manager::{
    Policy,
    SubflowId, //
};

/// The flags that are set.
fn flags(flags: &[(bool, u32)]) -> u32 {
    let set = flags.iter().filter(|(is_set, _)| *is_set);
    set.fold(0, |word, (_, flag)| word | flag)
}

/// Writes an end of a socket: its address and port have these numbers.
fn put_end(message: &mut Message, (addr, port): End, numbers: (u32, u32)) -> Result {
    match &addr {
        Address::V4(bytes) => message.put(numbers.0, bytes)?,
        Address::V6(bytes) => message.put(numbers.0, bytes)?,
    }
    message.put(numbers.1, &port.to_be_bytes())
}

/// Writes all there is to say of a connection.
///
/// # Errors
///
/// `EMSGSIZE`: it does not fit.
///
/// # Context
///
/// Process; may sleep. The connection socket is not owned.
pub(crate) fn put_connection(
    message: &mut Message,
    request: &Request<'_>,
    connection: &Connection,
) -> Result {
    let msk = connection.msk();
    let info = info::of(connection);
    let settings = choice::settings(msk);
    let owner = request.owner(msk);
    let (local, peer) = paths::ends(connection.first());
    let flags = flags(&[
        (
            connection.is_client(),
            bindings::mptcp_rs_connection_flags_MPTCP_RS_CONNECTION_FLAGS_CLIENT,
        ),
        (
            connection.is_joinable(),
            bindings::mptcp_rs_connection_flags_MPTCP_RS_CONNECTION_FLAGS_JOINABLE,
        ),
        (
            connection.has_fallen_back(),
            bindings::mptcp_rs_connection_flags_MPTCP_RS_CONNECTION_FLAGS_FALLBACK,
        ),
        (
            connection.uses_checksum(),
            bindings::mptcp_rs_connection_flags_MPTCP_RS_CONNECTION_FLAGS_CHECKSUM,
        ),
        (
            msk.flag(bindings::sock_flags_SOCK_DEAD) || !connection.is_off_queue(),
            bindings::mptcp_rs_connection_flags_MPTCP_RS_CONNECTION_FLAGS_ORPHAN,
        ),
    ]);
    let numbers = [
        (bindings::MPTCP_RS_A_CONNECTION_TOKEN, info.mptcpi_token),
        (
            bindings::MPTCP_RS_A_CONNECTION_PEER_TOKEN,
            connection.identity().peer_token.get(),
        ),
        (bindings::MPTCP_RS_A_CONNECTION_FAMILY, msk.family()),
        (bindings::MPTCP_RS_A_CONNECTION_STATE, msk.state()),
        (bindings::MPTCP_RS_A_CONNECTION_FLAGS, flags),
        (
            bindings::MPTCP_RS_A_CONNECTION_SUBFLOWS,
            info.mptcpi_subflows_total.into(),
        ),
        (
            bindings::MPTCP_RS_A_CONNECTION_LAST_DATA_SENT,
            info.mptcpi_last_data_sent,
        ),
        (
            bindings::MPTCP_RS_A_CONNECTION_LAST_DATA_RECEIVED,
            info.mptcpi_last_data_recv,
        ),
        (
            bindings::MPTCP_RS_A_CONNECTION_LAST_ACK_RECEIVED,
            info.mptcpi_last_ack_recv,
        ),
        (bindings::MPTCP_RS_A_CONNECTION_UID, owner.uid),
    ];
    let amounts = [
        (
            bindings::MPTCP_RS_A_CONNECTION_BYTES_SENT,
            info.mptcpi_bytes_sent,
        ),
        (
            bindings::MPTCP_RS_A_CONNECTION_BYTES_ACKED,
            info.mptcpi_bytes_acked,
        ),
        (
            bindings::MPTCP_RS_A_CONNECTION_BYTES_RECEIVED,
            info.mptcpi_bytes_received,
        ),
        (
            bindings::MPTCP_RS_A_CONNECTION_BYTES_REINJECTED,
            info.mptcpi_bytes_retrans,
        ),
        (
            bindings::MPTCP_RS_A_CONNECTION_WRITE_SEQ,
            info.mptcpi_write_seq,
        ),
        (bindings::MPTCP_RS_A_CONNECTION_SND_UNA, info.mptcpi_snd_una),
        (bindings::MPTCP_RS_A_CONNECTION_RCV_NXT, info.mptcpi_rcv_nxt),
        (bindings::MPTCP_RS_A_CONNECTION_INODE, owner.inode),
    ];
    for (number, value) in numbers {
        message.put_u32(number, value)?;
    }
    for (number, value) in amounts {
        message.put_uint(number, value)?;
    }
    let local_numbers = (
        bindings::MPTCP_RS_A_CONNECTION_LOCAL_ADDR,
        bindings::MPTCP_RS_A_CONNECTION_LOCAL_PORT,
    );
    put_end(message, local, local_numbers)?;
    let peer_numbers = (
        bindings::MPTCP_RS_A_CONNECTION_PEER_ADDR,
        bindings::MPTCP_RS_A_CONNECTION_PEER_PORT,
    );
    put_end(message, peer, peer_numbers)?;
    let manager = settings.path_manager.name().as_bytes();
    message.put_text(bindings::MPTCP_RS_A_CONNECTION_PATH_MANAGER, manager)?;
    let scheduler = settings.scheduler.name().as_bytes();
    message.put_text(bindings::MPTCP_RS_A_CONNECTION_SCHEDULER, scheduler)
}

/// What the module knows of a subflow at one moment.
pub(crate) struct Look {
    /// What the path manager calls it.
    pub(crate) id: SubflowId,
    /// What the hosts call its addresses, ours first.
    address_ids: (AddressId, AddressId),
    /// MPTCP_RS_SUBFLOW_FLAGS_*.
    flags: u32,
}

impl Look {
    /// Looks at a subflow; `None` if it is none any more.
    pub(crate) fn at(ssk: Sock) -> Option<Self> {
        let _guard = rcu::read_lock();
        let subflow = subflow::of(ssk)?;
        Some(Self {
            id: subflow.id(),
            address_ids: subflow.address_ids(),
            flags: subflow_flags(ssk, subflow),
        })
    }
}

/// MPTCP_RS_SUBFLOW_FLAGS_*.
fn subflow_flags(ssk: Sock, subflow: &Subflow) -> u32 {
    let connected = !ssk.in_states(bindings::TCPF_SYN_SENT | bindings::TCPF_SYN_RECV);
    let is_accepted = if subflow.is_joined() {
        subflow.is_accepted()
    } else {
        !subflow.connection().is_client()
    };
    flags(&[
        (
            !subflow.is_joined(),
            bindings::mptcp_rs_subflow_flags_MPTCP_RS_SUBFLOW_FLAGS_INITIAL,
        ),
        (
            is_accepted,
            bindings::mptcp_rs_subflow_flags_MPTCP_RS_SUBFLOW_FLAGS_ACCEPTED,
        ),
        (
            connected && subflow.may_send(),
            bindings::mptcp_rs_subflow_flags_MPTCP_RS_SUBFLOW_FLAGS_ESTABLISHED,
        ),
        (
            subflow.wants_backup(),
            bindings::mptcp_rs_subflow_flags_MPTCP_RS_SUBFLOW_FLAGS_BACKUP_LOCAL,
        ),
        (
            subflow.peer().1,
            bindings::mptcp_rs_subflow_flags_MPTCP_RS_SUBFLOW_FLAGS_BACKUP_PEER,
        ),
        (
            subflow.is_stale(),
            bindings::mptcp_rs_subflow_flags_MPTCP_RS_SUBFLOW_FLAGS_STALE,
        ),
        (
            subflow.is_probing(),
            bindings::mptcp_rs_subflow_flags_MPTCP_RS_SUBFLOW_FLAGS_PROBING,
        ),
    ])
}

/// The interface of a subflow; 0 if there is none.
fn interface_of(ssk: Sock, local: Address) -> u32 {
    match u32::try_from(ssk.bound_interface()) {
        Ok(index @ 1..) => index,
        _ => addresses::find(ssk.net(), local).map_or(0, |interface| interface.index),
    }
}

/// Writes all there is to say of a subflow.
///
/// # Errors
///
/// `EMSGSIZE`: it does not fit.
///
/// # Context
///
/// Process. The subflow is not owned.
pub(crate) fn put_subflow(
    message: &mut Message,
    connection: &Connection,
    ssk: Sock,
    look: &Look,
) -> Result {
    let (local, peer) = paths::ends(ssk);
    let info = info::tcp_info_of(ssk);
    let numbers = [
        (bindings::MPTCP_RS_A_SUBFLOW_TOKEN, connection.token().get()),
        (bindings::MPTCP_RS_A_SUBFLOW_ID, look.id.number()),
        (bindings::MPTCP_RS_A_SUBFLOW_STATE, info.tcpi_state.into()),
        (bindings::MPTCP_RS_A_SUBFLOW_FLAGS, look.flags),
        (bindings::MPTCP_RS_A_SUBFLOW_RTT, info.tcpi_rtt),
        (bindings::MPTCP_RS_A_SUBFLOW_RTT_VAR, info.tcpi_rttvar),
        (bindings::MPTCP_RS_A_SUBFLOW_CWND, info.tcpi_snd_cwnd),
        (bindings::MPTCP_RS_A_SUBFLOW_MSS, info.tcpi_snd_mss),
        (
            bindings::MPTCP_RS_A_SUBFLOW_BYTES_UNSENT,
            info.tcpi_notsent_bytes,
        ),
    ];
    let amounts = [
        (
            bindings::MPTCP_RS_A_SUBFLOW_DELIVERY_RATE,
            info.tcpi_delivery_rate,
        ),
        (
            bindings::MPTCP_RS_A_SUBFLOW_BYTES_SENT,
            info.tcpi_bytes_sent,
        ),
        (
            bindings::MPTCP_RS_A_SUBFLOW_BYTES_ACKED,
            info.tcpi_bytes_acked,
        ),
        (
            bindings::MPTCP_RS_A_SUBFLOW_BYTES_RECEIVED,
            info.tcpi_bytes_received,
        ),
        (
            bindings::MPTCP_RS_A_SUBFLOW_BYTES_RETRANSMITTED,
            info.tcpi_bytes_retrans,
        ),
    ];
    for (number, value) in numbers {
        message.put_u32(number, value)?;
    }
    for (number, value) in amounts {
        message.put_uint(number, value)?;
    }
    let (local_id, peer_id) = look.address_ids;
    message.put(bindings::MPTCP_RS_A_SUBFLOW_LOCAL_ID, &[local_id.get()])?;
    message.put(bindings::MPTCP_RS_A_SUBFLOW_PEER_ID, &[peer_id.get()])?;
    let interface = interface_of(ssk, local.0);
    if interface != 0 {
        message.put_u32(bindings::MPTCP_RS_A_SUBFLOW_IF_INDEX, interface)?;
    }
    let local_numbers = (
        bindings::MPTCP_RS_A_SUBFLOW_LOCAL_ADDR,
        bindings::MPTCP_RS_A_SUBFLOW_LOCAL_PORT,
    );
    put_end(message, local, local_numbers)?;
    let peer_numbers = (
        bindings::MPTCP_RS_A_SUBFLOW_PEER_ADDR,
        bindings::MPTCP_RS_A_SUBFLOW_PEER_PORT,
    );
    put_end(message, peer, peer_numbers)
}

/// Writes all there is to say of an interface.
///
/// # Errors
///
/// `EMSGSIZE`: it does not fit.
pub(crate) fn put_interface(message: &mut Message, interface: &Interface) -> Result {
    let policy = match interface.policy() {
        Policy::On => bindings::mptcp_rs_policy_MPTCP_RS_POLICY_ON,
        Policy::Off => bindings::mptcp_rs_policy_MPTCP_RS_POLICY_OFF,
        Policy::Backup => bindings::mptcp_rs_policy_MPTCP_RS_POLICY_BACKUP,
    };
    message.put_u32(bindings::MPTCP_RS_A_INTERFACE_IF_INDEX, interface.index)?;
    message.put_text(bindings::MPTCP_RS_A_INTERFACE_NAME, interface.name.bytes())?;
    message.put_u32(bindings::MPTCP_RS_A_INTERFACE_POLICY, policy)
}
