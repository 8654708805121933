// SPDX-License-Identifier: GPL-2.0

//! The MP_JOIN handshake on real TCP sockets, both sides.
//!
//! A SYN that names one of our tokens never reaches the application's listener: it is steered to a
//! listener of ours ([`crate::join_listener`]), whichever port it was sent to. What the third ACK has
//! to be checked against waits in the request socket, where TCP has a place for a saved SYN. Our own
//! joins are TCP sockets that the worker makes and connects.
//!
//! RFC 8684, Section 3.2. C counterpart: net/mptcp/subflow.c.

use crate::address_table::address_of;
use crate::attach;
use crate::bindings;
use crate::choice;
use crate::connection::Connection;
use crate::counters::{
    count,
    Counter, //
};
use crate::crypto::{
    fill_random,
    KernelSha256, //
};
use crate::door::{
    self,
    Door, //
};
use crate::event;
use crate::join_listener;
use crate::locks::{
    DataLock,
    Owned, //
};
use crate::paths;
use crate::pm_events;
use crate::request::{
    self,
    Pending,
    Reset, //
};
use crate::schedule::now;
use crate::skb::{
    Header,
    Skb,
    ACK,
    SYN, //
};
use crate::sock::Sock;
use crate::subflow::{
    hold,
    Handshake,
    Subflow, //
};
use crate::token_table;
use core::ptr::null_mut;
use kernel::error::to_result;
use kernel::prelude::*;
use mptcp_proto::handshake::{
    JoinClient,
    JoinOutcome,
    JoinServer,
    JoinSyn,
    JoinSynAckOutcome, //
};
use mptcp_proto::ids::{
    Address,
    AddressId,
    Nonce,
    Token, //
};
use mptcp_proto::options::mp_tcprst::Reason;
use mptcp_proto::options::{
    mptcp_options,
    MpJoin,
    MpTcprst,
    MptcpOption, //
};
use mptcp_proto::path_manager::{
    Backup,
    Ended,
    Join,
    JoinVerdict,
    LocalEnd,
    PeerEnd,
    Refusal,
    SubflowId, //
};

/// What the reset of a join says that cannot be proved to come from the peer.
//= https://www.rfc-editor.org/rfc/rfc8684#section-3.2
//# the sender SHOULD send an MP_TCPRST option
//# (Section 3.6) on this RST packet with the reason code for an "MPTCP-
//# specific error".
pub(crate) const UNPROVED: MpTcprst = MpTcprst {
    transient: false,
    reason: Reason::MptcpSpecific,
};

/// The MP_JOIN option of a segment.
pub(crate) fn mp_join(options: &[u8]) -> Option<MpJoin> {
    mptcp_options(options).find_map(|option| match option {
        Ok(MptcpOption::MpJoin(option)) => Some(option),
        _ => None,
    })
}

/// What becomes of a SYN.
pub(crate) enum Fate {
    /// It goes on.
    Pass,
    /// It goes to this listener.
    Steer(Sock),
    /// It was answered.
    Drop,
}

/// A SYN for this host: with MP_JOIN and a token of ours it is ours, whoever listens on its port. `listener` is
/// who does, if TCP has looked already.
///
/// # Context
///
/// Softirq.
pub(crate) fn on_syn(
    net: *mut bindings::net,
    mut packet: Skb,
    family: u32,
    listener: Option<Sock>,
) -> Fate {
    let whole = packet;
    let Some((header, options)) = packet.incoming() else {
        return Fate::Pass;
    };
    let Some(syn) = mp_join(options).as_ref().and_then(JoinSyn::new) else {
        return Fate::Pass;
    };
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.2
    //# Demultiplexing subflow SYNs MUST be done using the token
    let Some(connection) = token_table::find(net, syn.token) else {
        return Fate::Pass;
    };
    if !whole.checksum_ok(family) {
        connection.msk().put();
        return Fate::Drop;
    }
    let door = door::of(connection, &header, whole, family, listener);
    if door == Door::None {
        connection.msk().put();
        return Fate::Pass;
    }
    count(net, Counter::MPJoinSynRx);
    if syn.backup {
        count(net, Counter::MPJoinSynBackupRx);
    }
    let verdict = match door {
        Door::OtherPort => {
            count(net, Counter::MismatchPortSynRx);
            JoinVerdict::Refuse(Refusal::Prohibited)
        }
        Door::AnnouncedPort => {
            count(net, Counter::MPJoinPortSynRx);
            admit(connection, syn, &header, whole, family)
        }
        Door::Open | Door::None => admit(connection, syn, &header, whole, family),
    };
    let is_marked = connection.msk().mark() != 0;
    connection.msk().put();
    let refusal = match (verdict, join_listener::of(net, family, is_marked)) {
        (JoinVerdict::Accept { .. }, Some(listener)) => return Fate::Steer(listener),
        (JoinVerdict::Accept { .. }, None) => Refusal::TooManySubflows.reset(),
        (JoinVerdict::Refuse(refusal), _) => refusal.reset(),
    };
    count(
        net,
        match verdict {
            JoinVerdict::Refuse(Refusal::Over) => Counter::MPJoinNotEstablished,
            JoinVerdict::Refuse(Refusal::TooManyAddresses) => Counter::MPJoinNoIdFound,
            _ => Counter::MPJoinRejected,
        },
    );
    refuse(whole, family, refusal);
    Fate::Drop
}

/// Answers a segment with a reset that says why.
pub(crate) fn refuse(packet: Skb, family: u32, option: MpTcprst) {
    let reset = Reset {
        option: MptcpOption::MpTcprst(option),
        seq: None,
    };
    request::reset(packet, family, reset);
}

/// Asks the path manager about a join.
fn admit(
    connection: &Connection,
    syn: JoinSyn,
    header: &Header,
    packet: Skb,
    family: u32,
) -> JoinVerdict {
    if !connection.is_joinable() {
        return JoinVerdict::Refuse(Refusal::Over);
    }
    let join = describe(syn.id, syn.backup, header, packet, family);
    let settings = choice::settings(connection.msk());
    let mut data = DataLock::take(connection);
    match paths::of(&mut data) {
        Some(paths) => {
            // Whether a program listens is not told when it changes.
            paths.set_config(settings.path_config(paths::role(connection)));
            paths.accept_join(&join, now())
        }
        None => JoinVerdict::Refuse(Refusal::TooManySubflows),
    }
}

/// A join as the path manager sees it.
fn describe(id: AddressId, backup: bool, header: &Header, packet: Skb, family: u32) -> Join {
    let [peer, local] = packet.ends(family);
    Join {
        id,
        backup,
        local,
        local_port: header.destination,
        peer,
    }
}

/// Lets the kernel answer a SYN that was steered to our listener; the SYN-ACK gets our MP_JOIN.
///
/// # Context
///
/// Softirq.
pub(crate) fn while_answering(
    listener: Sock,
    mut packet: Skb,
    answer: impl FnOnce() -> i32,
) -> i32 {
    let whole = packet;
    let Some((header, options)) = packet.incoming() else {
        return 0;
    };
    let Some(syn) = mp_join(options).as_ref().and_then(JoinSyn::new) else {
        return 0;
    };
    let Some(connection) = token_table::find(listener.net(), syn.token) else {
        return 0;
    };
    let verdict = admit(connection, syn, &header, whole, listener.family());
    let mark = connection.msk().mark();
    connection.msk().put();
    let JoinVerdict::Accept { id, backup } = verdict else {
        return 0;
    };
    let isn = random_nonce().get().max(1);
    // SAFETY: TCP's own listener and packet; TCP has taken its header apart.
    unsafe { bindings::mptcp_shim_keep_request(listener.as_ptr(), whole.as_ptr(), isn) };
    let join = bindings::mptcp_join {
        token: syn.token.get(),
        peer_nonce: syn.nonce.get(),
        local_nonce: random_nonce().get(),
        peer_id: syn.id.get(),
        local_id: id.get(),
        peer_backup: syn.backup,
        local_backup: backup,
    };
    join_listener::with_mark(listener, mark, || {
        request::with_pending(Pending::Join(join), answer)
    })
}

/// 32 random bits.
fn random_nonce() -> Nonce {
    let mut bytes = [0; 4];
    fill_random(&mut bytes);
    Nonce::new(u32::from_be_bytes(bytes))
}

/// The responder's side, made again from what a request remembers.
fn server(connection: &Connection, join: &bindings::mptcp_join) -> JoinServer {
    let syn = JoinSyn {
        token: Token::new(join.token),
        nonce: Nonce::new(join.peer_nonce),
        id: AddressId::new(join.peer_id),
        backup: join.peer_backup,
    };
    JoinServer::new(
        connection.identity().local_key,
        connection.identity().peer_key,
        syn,
        Nonce::new(join.local_nonce),
    )
}

/// The option for a SYN-ACK; `None` when the connection is gone.
pub(crate) fn syn_ack_option(
    net: *mut bindings::net,
    join: &bindings::mptcp_join,
) -> Option<MpJoin> {
    let connection = token_table::find(net, Token::new(join.token))?;
    let id = AddressId::new(join.local_id);
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.2
    //# the recipient SHOULD respond
    //# with a SYN/ACK also containing an MP_JOIN option containing a random
    //# number and a truncated (leftmost 64 bits) HMAC.
    let option = server(connection, join).syn_ack(id, join.local_backup, &KernelSha256);
    connection.msk().put();
    Some(option)
}

/// A child of our listener has been made by the third ACK. If it is not the peer's, it is reset, and
/// whoever takes it off the listener's queue closes it.
///
/// # Locking
///
/// `child` is locked and not yet known to anybody else. # Context: softirq.
pub(crate) fn on_third_ack(child: Sock, mut packet: Skb, family: u32, local_isn: u32) {
    let whole = packet;
    let Some((header, options)) = packet.incoming() else {
        return;
    };
    // SAFETY: Zeroes are a valid value; the child is ours alone.
    let join = unsafe {
        let mut join: bindings::mptcp_join = core::mem::zeroed();
        bindings::mptcp_shim_take_join(child.as_ptr(), &mut join).then_some(join)
    };
    let Some(join) = join else {
        return;
    };
    let Some(connection) = token_table::find(child.net(), Token::new(join.token)) else {
        count(child.net(), Counter::MPJoinNoTokenFound);
        refuse(whole, family, UNPROVED);
        return;
    };
    let mut server = server(connection, &join);
    let option = mp_join(options);
    let outcome = server.on_third_ack(option.as_ref(), &KernelSha256);
    let mut counter = match (&option, &outcome) {
        (None, _) => Counter::MPJoinAckNoMPJoin,
        (Some(_), JoinOutcome::Reset(_)) => Counter::MPJoinAckHMacFailure,
        (Some(_), _) => Counter::MPJoinAckRx,
    };
    let refusal = match outcome {
        JoinOutcome::Established => {
            let described = describe(
                AddressId::new(join.peer_id),
                join.peer_backup,
                &header,
                whole,
                family,
            );
            let (initial, _) = paths::ends(connection.first());
            if header.destination != initial.1 {
                connection.count(Counter::MPJoinPortAckRx);
            }
            let result = accept(connection, child, &join, &described, local_isn);
            let refused = result.err();
            counter = refused.map_or(counter, |(counter, _)| counter);
            refused.map(|(_, option)| option)
        }
        JoinOutcome::Repeated => None,
        JoinOutcome::Reset(reason) => Some(MpTcprst {
            transient: false,
            reason,
        }),
    };
    connection.count(counter);
    connection.msk().put();
    if let Some(refusal) = refusal {
        refuse(whole, family, refusal);
    }
}

/// Makes a child of our listener a subflow of the connection.
///
/// # Errors
///
/// What counts it, and what the reset says.
fn accept(
    connection: &Connection,
    child: Sock,
    join: &bindings::mptcp_join,
    described: &Join,
    local_isn: u32,
) -> Result<(), (Counter, MpTcprst)> {
    let mut data = DataLock::take(connection);
    if !connection.is_joinable() {
        return Err((Counter::MPJoinNotEstablished, Refusal::Over.reset()));
    }
    let no_memory = (Counter::MPJoinAckNoCtx, Refusal::TooManySubflows.reset());
    let paths = paths::of(&mut data).ok_or(no_memory)?;
    let refused = |refusal: Refusal| (Counter::MPJoinRejected, refusal.reset());
    let id = paths.on_joined(described, now()).map_err(refused)?;
    let attached = attach::attach_joined(child, connection, id, Handshake::Joined);
    let Ok(subflow) = attached else {
        paths.on_subflow_ended(id, Ended::Unreachable, now());
        return Err(no_memory);
    };
    subflow.set_backup(Backup {
        local: join.local_backup,
        peer: join.peer_backup,
    });
    subflow.set_local_id(AddressId::new(join.local_id));
    subflow.set_peer(described.id, join.peer_backup);
    subflow.set_copied(data.proto.snd_una());
    attach::begin(child, subflow, local_isn, child.rcv_nxt().wrapping_sub(1));
    // SAFETY: The child is nobody else's yet; the connection socket is alive. Data may be sent on it before
    // it is taken off the listener's queue.
    unsafe {
        bindings::mptcp_shim_inherit(child.as_ptr(), connection.msk().as_ptr());
        bindings::mptcp_shim_sock_detach(child.as_ptr());
    }
    if !connection.subflows().put(id.slot(), child) {
        subflow.change_hold(hold::QUEUE, hold::DOOMED);
        if let Some(paths) = paths::of(&mut data) {
            paths.on_subflow_ended(id, Ended::Unreachable, now());
        }
        return Err(refused(Refusal::TooManySubflows));
    }
    // The slot's hold; the listener's queue has its own.
    child.hold();
    drop(data);
    pm_events::on_subflow_established(child, subflow);
    connection.set_scattered();
    connection.schedule(event::JOINED);
    Ok(())
}

/// TCP's state of a subflow has changed: a join of the peer that has just succeeded is acknowledged; the worker
/// sees to it that one of ours is.
///
/// RFC 8684, Section 3.2.
///
/// # Locking
///
/// `ssk` is owned.
pub(crate) fn on_state(ssk: Sock, subflow: &Subflow) {
    // SAFETY: The subflow is owned, and the reference ends here.
    let handshake = unsafe { subflow.handshake() };
    if matches!(handshake, Handshake::Joined) && ssk.state() == bindings::TCP_ESTABLISHED {
        *handshake = Handshake::Accepted;
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.2
        //# receipt of this packet MUST trigger a regular TCP
        //# ACK in response
        ssk.send_ack();
    } else if matches!(handshake, Handshake::Joining { .. }) {
        subflow.connection().schedule(event::PATHS);
    }
}

/// Sets up a subflow that the path manager has decided on.
///
/// # Errors
///
/// Those of the socket calls: no memory, no route, no such address or interface. `ENOSPC`: the local
/// address that the routing has chosen cannot be named.
pub(crate) fn connect(
    owned: &mut Owned<'_>,
    id: SubflowId,
    local: LocalEnd,
    peer: PeerEnd,
    backup: bool,
) -> Result {
    let connection = owned.connection();
    let family = match local.addr {
        Address::V4(_) => bindings::AF_INET,
        Address::V6(_) => bindings::AF_INET6,
    };
    let is_routed = local.id.is_none();
    let (local, local_id, backup) = match local.id {
        Some(local_id) => (local, local_id, backup),
        None => {
            let chosen = route(connection, &peer)
                .inspect_err(|_| connection.count(Counter::MPJoinSynTxConnectErr))?;
            let mut data = owned.data();
            let paths = paths::of(&mut data).ok_or(ENOMEM)?;
            let name = paths.on_local_chosen(id, chosen).ok_or(ENOSPC)?;
            let local = LocalEnd {
                addr: chosen,
                ..local
            };
            (local, name.id, name.backup)
        }
    };
    let mut sock = null_mut();
    // SAFETY: The connection socket is alive and owned.
    to_result(unsafe {
        bindings::mptcp_shim_make_subflow(connection.msk().as_ptr(), family as i32, &mut sock)
    })
    .inspect_err(|_| connection.count(Counter::MPJoinSynTxCreatSkErr))?;
    // SAFETY: Just made.
    let Some(ssk) = (unsafe { Sock::from_raw((*sock).sk) }) else {
        return Err(ENOMEM);
    };
    let client = JoinClient::new(
        connection.identity().local_key,
        connection.identity().peer_key,
        random_nonce(),
    );
    let handshake = Handshake::Joining {
        client,
        id: local_id,
    };
    let subflow = match attach::attach_joined(ssk, connection, id, handshake) {
        Ok(subflow) => subflow,
        Err(error) => {
            // SAFETY: Nobody else knows the socket.
            unsafe { bindings::mptcp_shim_release_socket(sock) };
            return Err(error);
        }
    };
    subflow.set_backup(Backup {
        local: backup,
        peer: false,
    });
    subflow.set_local_id(local_id);
    // Its SYN-ACK says so, too, if there is one.
    subflow.set_peer(peer.id, false);
    let data = owned.data();
    subflow.set_copied(data.proto.snd_una());
    let placed = connection.subflows().put(id.slot(), ssk);
    drop(data);
    let port = local.port.unwrap_or(0);
    let ends = (endpoint(local.addr, port), endpoint(peer.addr, peer.port));
    // SAFETY: The socket is the worker's; afterwards it is held by its slot.
    let result = unsafe {
        // CAST: Interface numbers are positive.
        let interface = local.interface_index as i32;
        let bound = if is_routed {
            // The routing chooses the same again.
            Ok(())
        } else {
            to_result(bindings::mptcp_shim_bind_subflow(sock, &ends.0, interface))
        };
        let result = bound
            .inspect_err(|_| connection.count(Counter::MPJoinSynTxBindErr))
            .and_then(|()| {
                to_result(bindings::mptcp_shim_connect_subflow(sock, &ends.1))
                    .inspect_err(|_| connection.count(Counter::MPJoinSynTxConnectErr))
            });
        bindings::mptcp_shim_disown(sock);
        result
    };
    match result {
        Ok(()) if placed => Ok(()),
        result => {
            if owned.take_subflow(id.slot(), ssk) || !placed {
                crate::life::close_subflow(ssk);
            }
            result.and(Err(EBUSY))
        }
    }
}

/// The local address that the routing chooses for a subflow.
fn route(connection: &Connection, peer: &PeerEnd) -> Result<Address> {
    let to = endpoint(peer.addr, peer.port);
    // SAFETY: Zeroes are a valid end point, which the call fills in; the connection socket is alive.
    unsafe {
        let mut from: bindings::mptcp_endpoint = core::mem::zeroed();
        let msk = connection.msk().as_ptr();
        to_result(bindings::mptcp_shim_route_subflow(msk, &to, &mut from))?;
        Ok(address_of(from.address, from.is_v6))
    }
}

/// An address and a port for C.
pub(crate) fn endpoint(addr: Address, port: u16) -> bindings::mptcp_endpoint {
    let mut address = [0; 16];
    let is_v6 = match addr {
        Address::V4(bytes) => {
            for (place, byte) in address.iter_mut().zip(bytes) {
                *place = byte;
            }
            false
        }
        Address::V6(bytes) => {
            address = bytes;
            true
        }
    };
    bindings::mptcp_endpoint {
        address,
        port,
        is_v6,
    }
}

/// The option for the SYN of our join.
///
/// # Locking
///
/// `ssk` is owned.
pub(crate) fn syn_option(connection: &Connection, subflow: &Subflow) -> Option<MpJoin> {
    // SAFETY: The subflow is owned while it transmits, and the reference ends here.
    let Handshake::Joining { client, id } = (unsafe { subflow.handshake() }) else {
        return None;
    };
    Some(client.syn_option(
        connection.identity().peer_token,
        *id,
        subflow.wants_backup(),
    ))
}

/// The option for every segment until the responder has answered one.
///
/// # Locking
///
/// `ssk` is owned.
pub(crate) fn third_ack(subflow: &Subflow) -> Option<MpJoin> {
    // SAFETY: The subflow is owned while it transmits, and the reference ends here.
    match unsafe { subflow.handshake() } {
        Handshake::Joining { client, .. } => client.third_ack(&KernelSha256),
        _ => None,
    }
}

/// The SYN-ACK of our join has arrived.
///
/// # Locking
///
/// `ssk` is owned. # Context: softirq or process.
pub(crate) fn on_syn_ack(ssk: Sock, subflow: &Subflow, mut packet: Skb) {
    let Some((header, options)) = packet.incoming() else {
        return;
    };
    if header.flags & (SYN | ACK) != SYN | ACK {
        return;
    }
    // SAFETY: The subflow is owned, and the reference ends with this function.
    let Handshake::Joining { client, .. } = (unsafe { subflow.handshake() }) else {
        return;
    };
    let local_isn = header.ack_seq.wrapping_sub(1);
    let option = mp_join(options);
    let connection = subflow.connection();
    let outcome = client.on_syn_ack(option.as_ref(), &KernelSha256);
    connection.count(match (&option, &outcome) {
        (None, _) => Counter::MPJoinSynAckNoMPJoin,
        (Some(_), JoinSynAckOutcome::Reset(_)) => Counter::MPJoinSynAckHMacFailure,
        (Some(_), _) => Counter::MPJoinSynAckRx,
    });
    match outcome {
        JoinSynAckOutcome::PreEstablished { id, backup } => {
            let (_, initial) = paths::ends(connection.first());
            if header.source != initial.1 {
                connection.count(Counter::MPJoinPortSynAckRx);
            }
            if backup {
                connection.count(Counter::MPJoinSynAckBackupRx);
            }
            subflow.set_peer(id, backup);
            attach::begin(ssk, subflow, local_isn, header.seq);
            pm_events::on_subflow_established(ssk, subflow);
        }
        JoinSynAckOutcome::Repeated => {}
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.2
        //# then the subflow is unusable and Host A MUST
        //# close it with a RST.
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.9.3
        //# an incorrect handshake MUST lead to the
        //# subflow being closed with a RST.
        JoinSynAckOutcome::Reset(reason) => subflow.fail(MpTcprst {
            transient: false,
            reason,
        }),
    }
}
