// SPDX-License-Identifier: GPL-2.0

//! The MP_CAPABLE handshake on a real TCP socket: what the SYN, the SYN-ACK and the third ACK lead to.
//!
//! Nothing is allocated for a connection before the handshake has succeeded. A client's state is
//! that its socket is hooked; a server's is the request socket, marked by the copy of the
//! operations table it points to, and its key is derived from a secret until the connection exists.
//!
//! RFC 8684, Section 3.1. C counterpart: net/mptcp/subflow.c.

use crate::af_ops;
use crate::attach;
use crate::bindings;
use crate::choice;
use crate::config::Config;
use crate::counters::{
    count,
    Counter, //
};
use crate::crypto;
use crate::join::{
    self,
    mp_join,
    Fate, //
};
use crate::net;
use crate::request::{
    self,
    Pending, //
};
use crate::schedule::now;
use crate::skb::{
    Header,
    Skb,
    ACK,
    SYN, //
};
use crate::sock::Sock;
use mptcp_proto::handshake::{
    on_syn,
    overtakes_keys,
    Blackhole,
    Checksums,
    Client,
    Policy,
    Server,
    SynAckOutcome,
    SynOutcome,
    Terms,
    ThirdAckOutcome, //
};
use mptcp_proto::options::{
    mp_capable,
    mptcp_options,
    MpCapable, //
};
use mptcp_proto::path_manager::Refusal;
use mptcp_proto::time::Duration;

/// What we offer and accept in a namespace with these settings.
#[inline]
fn policy(config: &Config) -> Policy {
    Policy {
        checksums: if config.requires_checksums() {
            Checksums::Required
        } else {
            Checksums::Accepted
        },
        no_joins: !config.allows_join_initial(),
        syn_attempts: config.syn_attempts(),
    }
}

/// What the handshake has agreed on, when it succeeded.
pub(crate) struct Agreement {
    /// Our key.
    pub(crate) local_key: mptcp_proto::ids::Key,
    /// The peer's key.
    pub(crate) peer_key: mptcp_proto::ids::Key,
    /// Whether every mapping carries a checksum.
    pub(crate) checksum: bool,
    /// Whether the peer refuses more subflows at the address and port of this one.
    pub(crate) no_joins: bool,
    /// The client's state, which repeats MP_CAPABLE until the server has shown that it got it.
    pub(crate) client: Option<Client>,
    /// Our initial sequence number on the subflow.
    pub(crate) local_isn: u32,
    /// The peer's.
    pub(crate) peer_isn: u32,
    /// Bytes mapped by the third ACK itself, and their checksum.
    pub(crate) first_data: Option<(u16, Option<u16>)>,
}

/// What a SYN says.
pub(crate) enum Syn {
    /// It asks for MPTCP.
    Asks(MpCapable),
    /// It does not ask any more: those that did got no answer.
    GaveUp,
    /// It does not ask: others have asked in vain.
    Blocked,
}

/// Says what the SYN that `ssk` sends now says, and counts it.
#[inline(always)]
pub(crate) fn make_syn(ssk: Sock) -> Syn {
    let (config, counters) = net::config_and_counters(ssk.net());
    let timeouts = u32::from(ssk.retransmits());
    let blackhole = config.blackhole();
    if timeouts == 0 && blackhole != Blackhole::NONE && is_blocked(config, blackhole) {
        counters.add(Counter::MPCapableSYNTXDisabled, 1);
        return Syn::Blocked;
    }
    let policy = policy(config);
    // The key is not on the SYN of version 1, so any will do here.
    let client = Client::new(
        policy,
        mptcp_proto::ids::Key::from_non_zero(core::num::NonZeroU64::MIN),
    );
    match client.syn_option(timeouts) {
        Some(option) => {
            if timeouts == 0 {
                counters.add(Counter::MPCapableSYNTX, 1);
            }
            Syn::Asks(option)
        }
        None => {
            if timeouts == policy.syn_attempts {
                counters.add(Counter::MPCapableSYNTXDrop, 1);
            }
            Syn::GaveUp
        }
    }
}

/// Whether a connection that begins now does without MPTCP.
#[cold]
fn is_blocked(config: &Config, blackhole: Blackhole) -> bool {
    blackhole.blocks(now(), config.blackhole_timeout())
}

/// The peer of a hooked client connects to it at the same time: the SYN-ACK that leaves has no option, and
/// the connection is plain TCP.
#[cold]
pub(crate) fn on_simultaneous_open(ssk: Sock) {
    count(ssk.net(), Counter::SimultConnectFallback);
    af_ops::unhook(ssk);
}

/// Whether `packet`, whose header TCP has just taken apart for `ssk`, is a SYN-ACK with no option of
/// ours: none that TCP does not know. It costs next to nothing to see that.
#[inline]
pub(crate) fn is_plain_answer(ssk: Sock, packet: Skb) -> bool {
    packet.had_flags(SYN | ACK) && !ssk.saw_unknown_option()
}

/// A hooked client has received a SYN-ACK without an option of ours.
#[inline]
pub(crate) fn on_plain_answer(ssk: Sock) {
    match ssk.timeouts() {
        0 => count(ssk.net(), Counter::MPCapableFallbackSYNACK),
        timeouts => on_late_answer(ssk, timeouts),
    }
}

/// See [`on_plain_answer`]; SYNs had to be repeated. If the first one without the option got the answer, the
/// option is what was dropped.
#[cold]
fn on_late_answer(ssk: Sock, timeouts: u32) {
    let (config, counters) = net::config_and_counters(ssk.net());
    let attempts = config.syn_attempts();
    if timeouts < attempts {
        counters.add(Counter::MPCapableFallbackSYNACK, 1);
        return;
    }
    let timeout = config.blackhole_timeout();
    if timeouts == attempts && timeout != Duration::ZERO {
        let before = config.blackhole();
        config.note_blackhole(before, before.on_dropped(now(), timeout));
        counters.add(Counter::Blackhole, 1);
    }
}

/// The option gets through. Over a loopback device that says nothing of the network.
#[inline]
fn note_passage(config: &Config, packet: Skb) {
    let blackhole = config.blackhole();
    if blackhole != Blackhole::NONE && !packet.came_by_loopback() {
        config.note_blackhole(blackhole, Blackhole::NONE);
    }
}

/// A hooked client has received its SYN-ACK.
///
/// # Locking
///
/// `ssk` is owned. # Context: softirq or process.
pub(crate) fn on_established(ssk: Sock, mut packet: Skb) {
    let Some((header, options)) = packet.incoming() else {
        return;
    };
    if header.flags & (SYN | ACK) != SYN | ACK {
        return;
    }
    let Some(option) = mp_capable(options) else {
        on_plain_answer(ssk);
        af_ops::unhook(ssk);
        return;
    };
    let config = net::config(ssk.net());
    // An answer to an earlier SYN: the last one has told the server that this is plain TCP. Or TCP takes
    // data from a SYN-ACK, and nothing says what numbers that has.
    let is_late = ssk.timeouts() >= config.syn_attempts();
    if is_late || header.payload > 0 && ssk.asked_for_fast_open() {
        af_ops::unhook(ssk);
        return;
    }
    count(ssk.net(), Counter::MPCapableSYNACKRX);
    note_passage(config, packet);
    let mut client = Client::new(policy(config), crypto::random_key());
    if let SynAckOutcome::Established {
        peer_key,
        checksum,
        no_joins,
        ..
    } = client.on_syn_ack(Some(&option))
    {
        let agreement = Agreement {
            local_key: client.local_key(),
            peer_key,
            checksum,
            no_joins,
            local_isn: header.ack_seq.wrapping_sub(1),
            peer_isn: header.seq,
            client: Some(client),
            first_data: None,
        };
        if attach::attach_first(ssk, &agreement, &header).is_ok() {
            return;
        }
    }
    af_ops::unhook(ssk);
}

/// Lets the kernel `answer` a SYN on behalf of a listener; the SYN-ACK that it sends meanwhile gets our
/// answer.
///
/// A join with a token of ours comes here only while the packet hook is new, as the first one of a
/// namespace may: it is answered as if it had been steered. With another token it is refused.
pub(crate) fn while_answering(
    listener: Sock,
    mut packet: Skb,
    answer: impl FnOnce(Sock) -> i32,
) -> i32 {
    let whole = packet;
    let Some((_, options)) = packet.incoming() else {
        return answer(listener);
    };
    if mptcp_options(options).next().is_none() && !choice::is_port(listener) {
        // The commonest case there is: a peer that speaks plain TCP.
        return answer(listener);
    }
    let capable = mp_capable(options);
    if capable.is_none() && mp_join(options).is_some() {
        match join::on_syn(listener.net(), whole, whole.family(), Some(listener)) {
            Fate::Steer(listener) => {
                return join::while_answering(listener, whole, || answer(listener));
            }
            Fate::Drop => {}
            Fate::Pass => {
                count(listener.net(), Counter::MPJoinNoTokenFound);
                //= https://www.rfc-editor.org/rfc/rfc8684#section-3.2
                //# If the token received at Host B is unknown or local policy prohibits
                //# the acceptance of the new subflow, the recipient MUST respond with a
                //# TCP RST for the subflow.
                join::refuse(whole, whole.family(), join::UNPROVED);
            }
        }
        return 0;
    }
    if choice::is_port(listener) {
        // Only joins have any business there.
        count(listener.net(), Counter::MPCapableEndpAttempt);
        join::refuse(whole, whole.family(), Refusal::Prohibited.reset());
        return 0;
    }
    let answer = || answer(listener);
    match on_syn(policy(net::config(listener.net())), capable.as_ref()) {
        SynOutcome::Answer(terms) => {
            count(listener.net(), Counter::MPCapableSYNRX);
            request::with_pending(Pending::Capable(terms), answer)
        }
        _ => answer(),
    }
}

/// The option for a SYN-ACK of a namespace that agrees to `terms`.
pub(crate) fn syn_ack_option(
    net: *const bindings::net,
    terms: Terms,
    header: &Header,
    addresses: [u64; 2],
) -> MpCapable {
    let ports = (u32::from(header.destination) << 16) | u32::from(header.source);
    terms.syn_ack(
        policy(net::config(net)),
        request::secret().key(addresses, ports, header.seq),
    )
}

/// Whether a segment for `request` has overtaken the one with MP_CAPABLE: a child made now would be plain
/// TCP.
///
/// The client's TCP sends the segment again. When a SYN-ACK had to be repeated, the request has lost
/// its mark, and whatever comes is taken.
///
/// # Safety
///
/// `request` is live.
pub(crate) unsafe fn is_premature(mut packet: Skb, request: *mut bindings::request_sock) -> bool {
    // SAFETY: By this function's contract.
    if unsafe { request::terms(request) }.is_none() {
        return false;
    }
    let Some((header, options)) = packet.incoming() else {
        return false;
    };
    // SAFETY: By this function's contract; a TCP request, as only those are marked.
    let first = unsafe { bindings::mptcp_shim_request_peer_isn(request) }.wrapping_add(1);
    // MP_CAPABLE is on the first data, or never comes: the kernel's own client repeats so what it has sent
    // with its SYN.
    overtakes_keys(options, header.payload > 0 && header.seq == first)
}

/// What a request that was made of a SYN cookie would be marked with: its SYN-ACK had the option if its third
/// ACK has, in which the key has to be right.
///
/// # Safety
///
/// `request` is live.
unsafe fn cookie_terms(
    request: *mut bindings::request_sock,
    option: Option<&MpCapable>,
    config: &Config,
) -> (Terms, u32) {
    // Checksums are used if either host requires them. Whether the client does shows in its third ACK,
    // which repeats what was agreed on.
    let agreed = option.is_some_and(|option| option.flags().checksum_required());
    let terms = Terms {
        checksum: agreed || config.requires_checksums(),
        no_joins: false,
    };
    // SAFETY: By this function's contract; a TCP request, as TCP calls with it.
    (terms, unsafe { bindings::mptcp_shim_request_isn(request) })
}

/// A child has been made by the third ACK of a handshake, of a request or of a SYN `cookie`.
///
/// # Safety
///
/// `request` is the request that `child` was made from.
///
/// # Locking
///
/// `child` is locked and not yet known to anybody else. # Context: softirq.
pub(crate) unsafe fn on_third_ack(
    child: Sock,
    mut packet: Skb,
    request: *mut bindings::request_sock,
    cookie: bool,
) {
    // SAFETY: By this function's contract.
    let marked = unsafe { request::terms(request) };
    if marked.is_none() && !cookie {
        return;
    }
    let addresses = packet.addresses();
    let Some((header, options)) = packet.incoming() else {
        return;
    };
    let option = mp_capable(options);
    let (terms, local_isn) = match marked {
        Some(marked) => marked,
        // SAFETY: By this function's contract.
        None => unsafe { cookie_terms(request, option.as_ref(), net::config(child.net())) },
    };
    let ports = (u32::from(header.source) << 16) | u32::from(header.destination);
    let local_key = request::secret().key(addresses, ports, local_isn);
    let mut server = Server::new(terms, local_key);
    let (peer_key, first_data) = match server.on_third_ack(option.as_ref()) {
        ThirdAckOutcome::Established { peer_key } => (peer_key, None),
        ThirdAckOutcome::EstablishedWithData {
            peer_key,
            data_len,
            checksum,
        } => (peer_key, Some((data_len, checksum))),
        _ => {
            if !cookie {
                count(child.net(), Counter::MPCapableFallbackACK);
            }
            return;
        }
    };
    count(child.net(), Counter::MPCapableACKRX);
    let agreement = Agreement {
        local_key,
        peer_key,
        checksum: terms.checksum,
        no_joins: option.is_some_and(|option| option.flags().no_joins()),
        client: None,
        local_isn,
        peer_isn: child.rcv_nxt().wrapping_sub(1),
        first_data,
    };
    // Without memory the child stays plain TCP; the client sees no DSS and falls back as well.
    let _ = attach::attach_first(child, &agreement, &header);
}
