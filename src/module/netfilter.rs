// SPDX-License-Identifier: GPL-2.0

//! The packet hooks: incoming segments before TCP sees them, outgoing SYN-ACKs.
//!
//! Netfilter calls them after the firewall, so what it drops is never seen. They are registered in a
//! namespace only while it has something for them to do, see [`crate::net`].

use crate::bindings;
use crate::close;
use crate::fast_open;
use crate::handshake;
use crate::join::{
    self,
    Fate, //
};
use crate::mapped;
use crate::request::{
    self,
    Answer, //
};
use crate::segment::{
    self,
    Holds, //
};
use crate::signal;
use crate::skb::{
    Header,
    Skb,
    ACK,
    RST,
    SYN, //
};
use crate::sock::Sock;
use crate::subflow;
use core::cell::UnsafeCell;
use core::ffi::c_void;
use kernel::error::to_result;
use kernel::ffi::{
    c_int,
    c_uint, //
};
use kernel::prelude::*;
use mptcp_proto::handshake::Terms;
use mptcp_proto::options::MptcpOption;

/// One hook's entry.
const fn entry(
    hook: unsafe extern "C" fn(
        *mut c_void,
        *mut bindings::sk_buff,
        *const bindings::nf_hook_state,
    ) -> c_uint,
    family: u32,
    number: u32,
) -> bindings::nf_hook_ops {
    // SAFETY: Zeroes are valid for the fields that netfilter fills itself.
    let mut entry: bindings::nf_hook_ops = unsafe { core::mem::zeroed() };
    entry.hook = Some(hook);
    // CAST: Protocol families are below 256.
    entry.pf = family as u8;
    entry.hooknum = number;
    entry.priority = c_int::MAX;
    entry
}

/// The hooks of one direction, for both address families.
pub(crate) struct Hooks(UnsafeCell<[bindings::nf_hook_ops; 2]>);

// SAFETY: Netfilter only reads the entries.
unsafe impl Sync for Hooks {}

/// Incoming segments: in a namespace while it has subflows.
pub(crate) static INCOMING: Hooks = Hooks(UnsafeCell::new([
    entry(
        local_in,
        bindings::NFPROTO_IPV4,
        bindings::nf_inet_hooks_NF_INET_LOCAL_IN,
    ),
    entry(
        local_in,
        bindings::NFPROTO_IPV6,
        bindings::nf_inet_hooks_NF_INET_LOCAL_IN,
    ),
]));

/// Outgoing SYN-ACKs: in a namespace while it has listeners.
pub(crate) static OUTGOING: Hooks = Hooks(UnsafeCell::new([
    entry(
        local_out,
        bindings::NFPROTO_IPV4,
        bindings::nf_inet_hooks_NF_INET_LOCAL_OUT,
    ),
    entry(
        local_out,
        bindings::NFPROTO_IPV6,
        bindings::nf_inet_hooks_NF_INET_LOCAL_OUT,
    ),
]));

impl Hooks {
    /// Registers the hooks in `net`.
    ///
    /// # Errors
    ///
    /// Those of `nf_register_net_hooks`: no memory, or too many hooks.
    ///
    /// # Context
    ///
    /// Process; may sleep.
    pub(crate) fn register(&self, net: *mut bindings::net) -> Result {
        // SAFETY: `net` is a live namespace; the table is only read.
        to_result(unsafe { bindings::nf_register_net_hooks(net, self.0.get().cast(), 2) })
    }

    /// Removes the hooks from `net`.
    ///
    /// # Context
    ///
    /// Process; may sleep.
    pub(crate) fn unregister(&self, net: *mut bindings::net) {
        // SAFETY: Registered by `register`.
        unsafe { bindings::nf_unregister_net_hooks(net, self.0.get().cast(), 2) };
    }
}

/// The address family of a packet whose hook says `state`.
#[inline]
fn family(state: *const bindings::nf_hook_state) -> u32 {
    // SAFETY: Netfilter passes the state of the call.
    if u32::from(unsafe { (*state).pf }) == bindings::NFPROTO_IPV4 {
        bindings::AF_INET
    } else {
        bindings::AF_INET6
    }
}

/// A packet for this host.
///
/// # Safety
///
/// Called by netfilter in softirq, inside an RCU read-side section.
unsafe extern "C" fn local_in(
    _private: *mut c_void,
    skb: *mut bindings::sk_buff,
    state: *const bindings::nf_hook_state,
) -> c_uint {
    // SAFETY: Netfilter hands the packet over for the duration of the call.
    if let Some(packet) = unsafe { Skb::from_raw(skb) } {
        if packet.is_tcp(family(state)) {
            match on_incoming(packet, state) {
                Fate::Pass => {}
                Fate::Steer(listener) => packet.steer(listener),
                Fate::Drop => return bindings::NF_DROP,
            }
        }
    }
    bindings::NF_ACCEPT
}

/// Hands an incoming segment to its subflow, if it has one of ours.
fn on_incoming(mut packet: Skb, state: *const bindings::nf_hook_state) -> Fate {
    let attached = packet.raw_sock();
    let (raw, referenced) = if attached.is_null() {
        let Some((header, _)) = packet.incoming() else {
            return Fate::Pass;
        };
        if header.flags & (SYN | ACK | RST) == SYN {
            // SAFETY: Netfilter passes the state of the call, and in it a live namespace.
            let net = unsafe { (*state).net };
            return join::on_syn(net, packet, family(state), None);
        }
        // SAFETY: Netfilter passes a live namespace; the TCP header is linear.
        let found = unsafe {
            bindings::mptcp_shim_lookup_established(
                (*state).net,
                packet.as_ptr(),
                // CAST: AF_INET and AF_INET6 are small.
                family(state) as c_int,
            )
        };
        (found, true)
    } else {
        (attached, false)
    };
    let mut fate = Fate::Pass;
    // SAFETY: A socket attached by early demultiplexing, or with a reference of ours.
    if unsafe { is_full_tcp_socket(raw) } {
        // SAFETY: Checked above.
        if let Some(ssk) = unsafe { Sock::from_raw(raw) } {
            if let Some(subflow) = subflow::of(ssk) {
                let whole = packet;
                if let Some((header, options)) = packet.incoming() {
                    segment::on_segment(ssk, subflow, &header, options, whole, Holds::Nothing);
                    if header.payload > 0 && subflow.connection().is_over() {
                        close::refuse_data(ssk, subflow, &header, options, whole);
                    }
                    if signal::is_bare_signal(ssk, &header, options) {
                        fate = Fate::Drop;
                    }
                    // On its fast path TCP acknowledges what it gets before the data is handed on.
                    let is_quiet = header.payload == 0 || ssk.waits_with_ack(header.payload);
                    if is_quiet && subflow.is_proven() {
                        whole.take_option_off(options);
                    }
                }
            } else {
                fate = fast_open::on_segment(ssk, packet);
            }
            if referenced {
                ssk.put();
            }
        }
    }
    fate
}

/// Whether `sk` is a TCP socket and neither a request nor a time-wait one.
///
/// # Safety
///
/// `sk` is NULL or alive.
#[inline]
unsafe fn is_full_tcp_socket(sk: *mut bindings::sock) -> bool {
    if sk.is_null() {
        return false;
    }
    // SAFETY: All kinds of sockets begin with `sock_common`; the packet is TCP's, so is the socket.
    let state = u32::from(unsafe { (*sk).__sk_common.skc_state });
    (1 << state) & (bindings::TCPF_TIME_WAIT | bindings::TCPF_NEW_SYN_RECV) == 0
}

/// A packet from this host.
///
/// # Safety
///
/// Called by netfilter, inside an RCU read-side section.
unsafe extern "C" fn local_out(
    _private: *mut c_void,
    skb: *mut bindings::sk_buff,
    state: *const bindings::nf_hook_state,
) -> c_uint {
    // SAFETY: Netfilter hands the packet over for the duration of the call; an attached socket of
    // any kind begins with `sock_common`.
    unsafe {
        let sk = (*skb).sk;
        let sk_state = if sk.is_null() {
            0
        } else {
            u32::from((*sk).__sk_common.skc_state)
        };
        if let Some(packet) = Skb::from_raw(skb) {
            if sk_state == bindings::TCP_NEW_SYN_RECV {
                on_syn_ack(packet, sk, state);
            } else if sk_state == bindings::TCP_SYN_RECV {
                on_fast_open(packet, sk, state);
            } else if sk_state == bindings::TCP_SYN_SENT {
                on_syn(packet, sk, state);
            } else if let Some(reset) = request::pending_reset() {
                // With IPv4 it belongs to a socket of the kernel's, with IPv6 to none.
                if packet.is_tcp(family(state)) {
                    if let Some(seq) = reset.seq {
                        packet.set_seq(packet.network_header_len(), seq);
                    }
                    add_option(packet, reset.option, family(state));
                }
            } else if sk.is_null() {
                on_cookie(packet, state);
            }
        }
    }
    bindings::NF_ACCEPT
}

/// A SYN leaves, whose option is there already but for an IPv6 socket that connects to an IPv4 address.
///
/// # Safety
///
/// `sk` is the socket that sends the packet; `state` is that of the call.
unsafe fn on_syn(packet: Skb, sk: *mut bindings::sock, state: *const bindings::nf_hook_state) {
    // SAFETY: By the function's contract.
    let socket_family = u32::from(unsafe { (*sk).__sk_common.skc_family });
    if family(state) == bindings::AF_INET && socket_family == bindings::AF_INET6 {
        // SAFETY: By the function's contract; a socket that sends is owned.
        if let Some(option) = unsafe { mapped::syn_option(sk) } {
            add_option(packet, option, bindings::AF_INET);
        }
    }
}

/// A SYN-ACK leaves: MP_CAPABLE with our key, or MP_JOIN, when its SYN asked for it.
///
/// # Safety
///
/// `sk` is the request socket that the packet belongs to; `state` is that of the call.
#[inline(never)]
unsafe fn on_syn_ack(packet: Skb, sk: *mut bindings::sock, state: *const bindings::nf_hook_state) {
    // SAFETY: By the function's contract; the request is busy sending this very packet.
    let answer = unsafe { request::on_syn_ack(bindings::mptcp_shim_request_from_sock(sk)) };
    // SAFETY: By the function's contract.
    let net = unsafe { (*state).net };
    let option = match answer {
        Some(Answer::Capable(terms)) => {
            let Some(option) = capable(packet, net, terms) else {
                return;
            };
            if packet.make_room_in_syn_ack(family(state)) {
                // SAFETY: As above: nobody has seen the SYN-ACK yet.
                unsafe { bindings::mptcp_shim_request_drop_timestamps(sk) };
            }
            option
        }
        Some(Answer::Join(join)) => {
            let Some(option) = join::syn_ack_option(net, &join) else {
                return;
            };
            MptcpOption::MpJoin(option)
        }
        None => return,
    };
    add_option(packet, option, family(state));
}

/// The SYN-ACK of a socket leaves that TCP has made for the data of a SYN.
///
/// # Safety
///
/// As for [`on_syn`].
#[cold]
unsafe fn on_fast_open(
    packet: Skb,
    sk: *mut bindings::sock,
    state: *const bindings::nf_hook_state,
) {
    let mut segment = packet;
    let is_answer = |header: &Header| header.flags & (SYN | ACK | RST) == SYN | ACK;
    // SAFETY: By the function's contract.
    let (terms, net) = unsafe { (fast_open::syn_ack_terms(sk), (*state).net) };
    let Some(terms) = terms else {
        return;
    };
    if segment
        .incoming()
        .is_some_and(|(header, _)| is_answer(&header))
    {
        if let Some(option) = capable(packet, net, terms) {
            add_option(packet, option, family(state));
        }
    }
}

/// MP_CAPABLE for a SYN-ACK that leaves.
fn capable(
    mut packet: Skb,
    net: *const bindings::net,
    terms: Terms,
) -> Option<MptcpOption<'static>> {
    let [local, peer] = packet.addresses();
    let (header, _) = packet.incoming()?;
    let option = handshake::syn_ack_option(net, terms, &header, [peer, local]);
    Some(MptcpOption::MpCapable(option))
}

/// A packet leaves that belongs to no socket: a SYN-ACK whose sequence number is a SYN cookie, if a SYN is
/// being answered. Its key can be told again from that number, as all are.
///
/// # Safety
///
/// `state` is that of the call.
unsafe fn on_cookie(packet: Skb, state: *const bindings::nf_hook_state) {
    let Some(terms) = request::pending_terms().filter(|_| packet.is_tcp(family(state))) else {
        return;
    };
    let mut segment = packet;
    let is_answer = |header: &Header| header.flags & (SYN | ACK | RST) == SYN | ACK;
    if !segment
        .incoming()
        .is_some_and(|(header, _)| is_answer(&header))
    {
        return;
    }
    // SAFETY: By the function's contract.
    let net = unsafe { (*state).net };
    if let Some(option) = capable(packet, net, terms) {
        add_option(packet, option, family(state));
    }
}

/// Adds an option to a packet that has its IP header already.
fn add_option(packet: Skb, option: MptcpOption<'_>, family: u32) {
    let below = packet.network_header_len();
    let mut bytes = [0; crate::skb::OPTIONS_MAX];
    let option = option.emit_padded(&mut bytes);
    if let Some(option) = option.and_then(|len| bytes.get(..len)) {
        packet.grow_options(below, option);
        packet.fix_ip_header(family);
    }
}
