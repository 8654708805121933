// SPDX-License-Identifier: GPL-2.0

//! What socket diagnostics tell of a subflow: `ss -ti` shows its connection and how it came to it.
//!
//! C counterpart: net/mptcp/diag.c.

use crate::bindings;
use crate::connection::Connection;
use crate::locks::DataLock;
use crate::sock::Sock;
use crate::subflow::{
    self,
    Handshake,
    Subflow, //
};
use kernel::ffi::c_int;
use mptcp_proto::mapping::Mapping;

/// Writes the attributes of a subflow, nested as INET_ULP_INFO_MPTCP.
///
/// # Safety
///
/// Called by TCP as the `get_info` of our upper layer protocol, in process context, with a live socket
/// that is not owned.
pub(crate) unsafe extern "C" fn get_info(
    sk: *mut bindings::sock,
    skb: *mut bindings::sk_buff,
    net_admin: bool,
) -> c_int {
    // SAFETY: By the function's contract.
    let Some(ssk) = (unsafe { Sock::from_raw(sk) }) else {
        return 0;
    };
    ssk.lock(false);
    let state = subflow::of(ssk).map(|subflow| state(ssk, subflow));
    ssk.release();
    match state {
        // SAFETY: `skb` is TCP's, with room at its end or none.
        Some(state) => unsafe { bindings::mptcp_shim_put_subflow(skb, &state, net_admin) },
        None => 0,
    }
}

/// How much [`get_info`] writes at most, in bytes.
///
/// # Safety
///
/// Called by TCP.
pub(crate) unsafe extern "C" fn get_info_size(
    _sk: *const bindings::sock,
    net_admin: bool,
) -> usize {
    // SAFETY: Only adds up sizes.
    unsafe { bindings::mptcp_shim_subflow_size(net_admin) }
}

/// The state of a subflow as the attributes have it.
///
/// # Locking
///
/// `ssk` is owned; takes the data lock.
fn state(ssk: Sock, subflow: &Subflow) -> bindings::mptcp_subflow_state {
    let connection = subflow.connection();
    let data = DataLock::take(connection);
    let (local, peer) = subflow.address_ids();
    let next = subflow.peer_ssn(ssk.copied_seq());
    // SAFETY: The data lock is held, and the reference ends here.
    let mapping = unsafe { subflow.receive() }.lookup(next);
    drop(data);
    let map = mapping.unwrap_or(Mapping::EMPTY);
    bindings::mptcp_subflow_state {
        token_rem: connection.identity().peer_token.get(),
        token_loc: connection.token().get(),
        flags: flags(connection, ssk, subflow, mapping),
        id_rem: peer.get(),
        id_loc: local.get(),
        // CAST: Declared mappings are no longer; one that grew is told up to there.
        map_datalen: map.len().min(u32::from(u16::MAX)) as u16,
        relwrite_seq: subflow.local_ssn(ssk.write_seq()).get(),
        map_sfseq: map.ssn().get(),
        ssn_offset: ssk.copied_seq().wrapping_sub(next.get()),
        map_seq: map.dsn().get(),
    }
}

/// MPTCP_SUBFLOW_FLAG_*.
fn flags(connection: &Connection, ssk: Sock, subflow: &Subflow, mapping: Option<Mapping>) -> u32 {
    // SAFETY: The subflow is owned, and the reference ends here.
    let joining = matches!(unsafe { subflow.handshake() }, Handshake::Joining { .. });
    let connected = ssk.state() != bindings::TCP_SYN_SENT;
    let joined = subflow.is_joined();
    let flags = [
        (!joined, bindings::MPTCP_SUBFLOW_FLAG_MCAP_REM),
        (
            !joined && connection.is_client(),
            bindings::MPTCP_SUBFLOW_FLAG_MCAP_LOC,
        ),
        (joined && connected, bindings::MPTCP_SUBFLOW_FLAG_JOIN_REM),
        (joining, bindings::MPTCP_SUBFLOW_FLAG_JOIN_LOC),
        (subflow.peer().1, bindings::MPTCP_SUBFLOW_FLAG_BKUP_REM),
        (
            subflow.wants_backup(),
            bindings::MPTCP_SUBFLOW_FLAG_BKUP_LOC,
        ),
        (
            subflow.is_proven(),
            bindings::MPTCP_SUBFLOW_FLAG_FULLY_ESTABLISHED,
        ),
        (connected, bindings::MPTCP_SUBFLOW_FLAG_CONNECTED),
        (mapping.is_some(), bindings::MPTCP_SUBFLOW_FLAG_MAPVALID),
    ];
    let set = flags.iter().filter(|(is_set, _)| *is_set);
    set.fold(0, |word, (_, flag)| word | flag)
}
