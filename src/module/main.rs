// SPDX-License-Identifier: GPL-2.0

//! The module: registration order, nothing else.
#![crate_name = "mptcp_rs"]

use kernel::prelude::*;

mod address_table;
mod addresses;
mod af_ops;
mod answer;
mod attach;
mod bindings;
mod canonical;
mod checksums;
mod choice;
mod close;
mod config;
mod connected;
mod connection;
mod counters;
mod crypto;
mod diag;
mod door;
mod dss;
mod dump;
mod early;
mod early_syn;
mod endpoints;
mod event;
mod failure;
mod family;
mod fast_open;
mod handshake;
mod identity;
mod in_use;
mod info;
mod interfaces;
mod join;
mod join_listener;
mod kprobe;
#[cfg(CONFIG_KUNIT = "y")]
mod kunit;
mod layout;
mod life;
mod locks;
mod mapped;
mod net;
mod netfilter;
mod netlink;
mod notify;
mod options_hook;
mod out_of_order;
mod paths;
mod pm_commands;
mod pm_events;
mod pm_userspace;
mod port_listener;
mod progress;
mod proto_ops;
mod push;
mod recovery;
mod renew;
mod request;
mod reset;
mod rx;
mod schedule;
mod segment;
mod send_queue;
mod setting;
mod signal;
mod skb;
mod sock;
mod sock_diag;
mod sockopt;
mod storage;
mod subflow;
mod subflows;
mod syn_data;
mod sysctl;
mod tcp_timers;
mod tell;
mod token_table;
mod trace;
mod transmit_map;
mod tx;
mod upcall;
mod worker;

module! {
    type: MptcpRs,
    name: "mptcp_rs",
    authors: ["The mptcp_rs developers"],
    description: "Multipath TCP for unmodified programs",
    license: "GPL",
}

/// The loaded module. Fields are dropped in the order in which they stand here: first nothing new
/// becomes ours, then nothing of ours is called any more.
struct MptcpRs {
    /// Connections are in socket diagnostics.
    _sock_diag: sock_diag::Registration,
    /// User space manages endpoints.
    _netlink: netlink::Registration,
    /// We hear of interfaces and addresses.
    _notify: notify::Registration,
    /// Namespaces have our sysctl directory and packet hooks.
    _net: net::Registration,
    /// `socket()` leads to us where the sysctl says so.
    _kprobe: kprobe::Registration,
    /// The protocol number leads to our tables.
    _proto_ops: proto_ops::Registration,
    /// TCP sockets may be our subflows.
    _subflow: attach::Registration,
    /// Connections have a worker.
    _connection: worker::Registration,
}

impl kernel::Module for MptcpRs {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        layout::check()?;
        // SAFETY: Module init runs once, before anything below makes these reachable.
        unsafe {
            request::init();
            token_table::init();
            kprobe::init();
        }
        let connection = worker::Registration::new()?;
        let subflow = attach::Registration::new()?;
        let proto_ops = proto_ops::Registration::new()?;
        let kprobe = kprobe::Registration::new()?;
        let net = net::Registration::new()?;
        let notify = notify::Registration::new()?;
        let netlink = netlink::Registration::new()?;
        let sock_diag = sock_diag::Registration::new();
        Ok(Self {
            _sock_diag: sock_diag,
            _netlink: netlink,
            _notify: notify,
            _net: net,
            _kprobe: kprobe,
            _proto_ops: proto_ops,
            _subflow: subflow,
            _connection: connection,
        })
    }
}
