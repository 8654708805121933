// SPDX-License-Identifier: GPL-2.0

//! Which subflow to set up next.
//!
//! RFC 8684, Sections 3.2, 3.4 and 3.9.1.
//!
//! C counterpart: `net/mptcp/pm_kernel.c` (`mptcp_pm_create_subflow_or_signal_addr`).

use super::address::unspecified;
use super::decide::Decision;
use super::endpoint::Source;
use super::kind::Candidate;
use super::local::Local;
use super::peer::Peer;
use super::subflow::{
    Stage,
    Subflow, //
};
use super::tick::Tick;
use super::{
    Pair,
    Paths,
    LOCAL_SLOTS,
    PEERS, //
};
use crate::ids::{
    Address,
    AddressId, //
};
use crate::time::Timestamp;

/// The local end of a subflow to be set up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LocalEnd {
    /// Names the address, for the MP_JOIN of the SYN.
    ///
    /// `None`: the routing chooses the address, and [`Paths::on_local_chosen`] names it.
    pub id: Option<AddressId>,
    /// The address to send from; the unspecified one of the peer's family if the routing chooses.
    pub addr: Address,
    /// The port to send from, host order; `None` if any.
    pub port: Option<u16>,
    /// The interface to send on; zero if any.
    pub interface_index: u32,
}

/// The peer's end of a subflow to be set up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PeerEnd {
    /// What the peer calls the address.
    pub id: AddressId,
    /// The address to send to.
    pub addr: Address,
    /// The port to send to, host order.
    pub port: u16,
}

/// How many subflows use each pair of addresses, and each address.
pub(super) struct Uses([[u8; PEERS]; LOCAL_SLOTS]);

impl Uses {
    /// Returns how many subflows use the pair.
    fn of(&self, pair: Pair) -> u8 {
        let row = self.0.get(usize::from(pair.local));
        row.and_then(|row| row.get(usize::from(pair.peer)))
            .copied()
            .unwrap_or(0)
    }

    /// Returns how many subflows use the local address, plus how many use the peer's.
    fn of_both(&self, pair: Pair) -> u8 {
        let row = self.0.get(usize::from(pair.local)).into_iter().flatten();
        let column = self
            .0
            .iter()
            .filter_map(|row| row.get(usize::from(pair.peer)));
        row.chain(column).fold(0, |sum, n| sum.saturating_add(*n))
    }
}

impl Paths {
    /// Counts the subflows of each pair.
    ///
    /// An address may be in several slots, if it was seen as the source of a join as well: a subflow
    /// counts for each of them.
    pub(super) fn uses(&self) -> Uses {
        let mut uses = Uses([[0; PEERS]; LOCAL_SLOTS]);
        for (_, subflow) in self.subflows.iter() {
            let Some(used) = self.peers.get(subflow.peer) else {
                continue;
            };
            let row = uses.0.get_mut(usize::from(subflow.local));
            for (count, peer) in row.into_iter().flatten().zip(self.peers.slots()) {
                if peer.is_some_and(|peer| (peer.addr, peer.port) == (used.addr, used.port)) {
                    *count = count.saturating_add(1);
                }
            }
        }
        uses
    }

    /// Calls `found` for each pair that has fewer subflows than it should, with when it may be tried.
    ///
    /// For no pair if there can be no more subflows.
    pub(super) fn for_each_missing(
        &self,
        uses: &Uses,
        now: Timestamp,
        mut found: impl FnMut(Pair, Tick),
    ) {
        if !self.connects() || !self.has_room(now) {
            return;
        }
        let uses_endpoints = self.uses_endpoints();
        let source = if uses_endpoints {
            self.source()
        } else {
            Source::Routing
        };
        for (local_index, local) in self.locals.iter() {
            if !local.is_usable() {
                continue;
            }
            for (peer_index, peer) in self.peers.iter() {
                let pair = Pair {
                    local: local_index,
                    peer: peer_index,
                };
                let candidate = Candidate {
                    pair,
                    local: local.addr,
                    peer: peer.addr,
                    flags: local.flags(),
                    standing: peer.standing,
                };
                if uses.of(pair) < self.config.wanted(source, &candidate) {
                    if let Some(retry_at) = self.retry_at(pair, local) {
                        found(pair, retry_at.max(self.connect_from));
                    }
                }
            }
        }
        if uses_endpoints {
            self.for_each_routed(|pair| found(pair, self.connect_from));
        }
    }

    /// Returns before when a pair is not tried, or `None` if it is closed.
    fn retry_at(&self, pair: Pair, local: &Local) -> Option<Tick> {
        if self.uses_endpoints() {
            self.may_try(pair, local).then_some(Tick::ORIGIN)
        } else {
            self.backoff.retry_at(pair)
        }
    }

    /// Returns the rank of a pair that may be tried; the lowest comes first.
    ///
    /// With endpoints, what the routing chooses comes first, and then what comes first in the list.
    fn rank(&self, pair: Pair, uses: &Uses) -> (bool, usize, u8) {
        let Some(local) = self.locals.get(pair.local) else {
            return (false, 0, pair.peer);
        };
        if self.uses_endpoints() {
            let place = local.listing.map_or(u8::MAX, |listing| listing.place);
            return (false, usize::from(place).saturating_add(1), pair.peer);
        }
        let on_interface = self.subflows_on(local.interface_index);
        (local.is_backup(), on_interface, uses.of_both(pair))
    }

    /// Counts the subflows that leave through an interface.
    fn subflows_on(&self, interface_index: u32) -> usize {
        let mut count = 0usize;
        for (_, subflow) in self.subflows.iter() {
            let local = self.locals.get(subflow.local);
            if local.is_some_and(|local| local.interface_index == interface_index) {
                count = count.wrapping_add(1);
            }
        }
        count
    }

    /// Returns the local end of a subflow to `peer`, and whether it is a backup.
    pub(super) fn local_end(&mut self, index: u8, peer: Address) -> Option<(LocalEnd, bool)> {
        if index == Subflow::NO_LOCAL {
            let end = LocalEnd {
                id: None,
                addr: unspecified(peer),
                port: None,
                interface_index: 0,
            };
            return Some((end, false));
        }
        let id = self.name_local(index)?;
        let local = self.locals.get(index)?;
        // The port of an endpoint is for joins of the peer.
        let is_own = self.is_commanded();
        let end = LocalEnd {
            id: Some(id),
            addr: local.addr,
            port: Some(local.port()).filter(|port| is_own && *port != 0),
            interface_index: local.interface_index,
        };
        Some((end, local.is_backup()))
    }

    /// Sets up a subflow that is missing.
    ///
    /// With more pairs than subflows are allowed, those come first that are not a backup, then those
    /// whose interface is used least, then those whose addresses are.
    pub(super) fn connect(&mut self, now: Timestamp) -> Option<Decision> {
        let uses = self.uses();
        let mut best = None;
        self.for_each_missing(&uses, now, |pair, from| {
            let rank = self.rank(pair, &uses);
            if from <= Tick::at(now) && best.is_none_or(|(least, _)| rank < least) {
                best = Some((rank, pair));
            }
        });
        let (_, pair) = best?;
        let peer = self.peers.get(pair.peer)?;
        let (local, backup) = self.local_end(pair.local, peer.addr)?;
        self.attempts.add(pair);
        let subflow = self.add_subflow(Subflow {
            generation: 0,
            local: pair.local,
            peer: pair.peer,
            peer_id: peer.id,
            stage: Stage::Connecting,
            local_backup: backup,
            peer_backup: false,
            doom: None,
            tick: Tick::ORIGIN,
        })?;
        Some(Decision::Connect {
            subflow,
            local,
            peer: self.peer_end(&peer),
            backup,
        })
    }

    /// Returns the peer's end of a subflow to one of its addresses.
    pub(super) fn peer_end(&self, peer: &Peer) -> PeerEnd {
        PeerEnd {
            id: peer.id,
            addr: peer.addr,
            //= https://www.rfc-editor.org/rfc/rfc8684#section-3.9.1
            //# In other words, the
            //# destination port of a SYN containing an MP_JOIN option SHOULD be the
            //# same as the remote port of the first subflow in the connection.
            port: if peer.port == 0 {
                self.peer_port
            } else {
                peer.port
            },
        }
    }
}
