// SPDX-License-Identifier: GPL-2.0

//! What happens to the host, told to the path manager and noted by the model.

use mptcp_proto::options::RemoveAddr;
use mptcp_proto::path_manager::{
    AddAddrOutcome,
    Ended,
    Ignored,
    Interface,
    JoinVerdict,
    Policy, //
};
use mptcp_proto::time::Duration;

use super::host::{
    address,
    announcement,
    join,
    peer_id,
    Host,
    Subflow,
    Timed,
    PORT, //
};

/// Something that happens. Numbers below ten name addresses: the first is the initial subflow's,
/// those from five on are IPv6.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// A local address appears, on an interface of its own.
    LocalAdded(u8, Policy),
    /// A local address goes.
    LocalRemoved(u8),
    /// An interface changes.
    Interface(u8, bool, Policy),
    /// The peer announces an address, perhaps with a port.
    AddAddr(u8, bool),
    /// The peer withdraws an address.
    RemoveAddr(u8),
    /// The peer joins from one of its addresses to a local one.
    Join(u8, u8),
    /// A subflow or join, chosen by number, comes to its end.
    End(usize, Ended),
    /// All joins under way succeed.
    Establish,
    /// A subflow, chosen by number, is heard of.
    Heard(usize),
    /// Time passes, in milliseconds.
    Wait(u64),
}

impl Host {
    /// Notes a change of a local address: what comes back is tried at once.
    fn set_local(&mut self, local: u8, state: Option<(bool, Policy)>) {
        let was_usable = self.is_usable(local);
        match state {
            Some(state) => self.locals.insert(local, state),
            None => self.locals.remove(&local),
        };
        if !was_usable && self.is_usable(local) {
            self.not_before.retain(|pair, _| pair.0 != local);
        }
    }

    /// Lets something happen.
    pub(super) fn on_event(&mut self, event: Event) {
        match event {
            Event::LocalAdded(local, policy) => {
                let interface = Interface {
                    index: u32::from(local),
                    is_running: true,
                    policy,
                };
                self.set_local(local, Some((true, policy)));
                self.paths.on_local_added(address(local, true), interface);
            }
            Event::LocalRemoved(local) => {
                self.set_local(local, None);
                let index = u32::from(local);
                self.paths.on_local_removed(address(local, true), index);
            }
            Event::Interface(local, is_running, policy) => {
                if self.locals.contains_key(&local) {
                    self.set_local(local, Some((is_running, policy)));
                }
                self.paths.on_interface(Interface {
                    index: u32::from(local),
                    is_running,
                    policy,
                });
            }
            Event::AddAddr(peer, has_port) => self.on_add_addr(peer, has_port),
            Event::RemoveAddr(peer) => {
                let ids = [peer_id(peer).get()];
                if let Some(option) = RemoveAddr::new(&ids) {
                    self.paths.on_remove_addr(&option);
                }
                self.announced.retain(|(known, _)| *known != peer);
                for (_, subflow) in self.subflows.values_mut() {
                    subflow.is_suspect |= subflow.peer == peer;
                }
                // The memory of failures goes with the address.
                self.not_before.retain(|pair, _| pair.1 != peer);
            }
            Event::Join(local, peer) => self.on_join(local, peer),
            Event::End(pick, ended) => {
                let slots: Vec<_> = self.subflows.keys().copied().collect();
                let slot = slots.get(pick % slots.len().max(1));
                if let Some((id, subflow)) = slot.and_then(|slot| self.subflows.remove(slot)) {
                    self.paths.on_subflow_ended(id, ended, self.now);
                    let target = (subflow.peer, subflow.port);
                    if self.is_usable(subflow.local) && self.announced.contains(&target) {
                        let pair = (subflow.local, subflow.peer, subflow.port);
                        let time = self.now.advance(Duration::from_secs(1));
                        self.not_before.insert(pair, time);
                    }
                }
            }
            Event::Establish => self.establish(),
            Event::Heard(pick) => {
                let count = self.subflows.len().max(1);
                if let Some((id, subflow)) = self.subflows.values_mut().nth(pick % count) {
                    self.paths.on_heard(*id);
                    subflow.is_suspect = false;
                }
            }
            Event::Wait(millis) => self.wait_until(self.now.advance(Duration::from_millis(millis))),
        }
        self.act();
    }

    /// Lets the peer announce an address.
    fn on_add_addr(&mut self, peer: u8, has_port: bool) {
        let port = has_port.then_some(8_080);
        let option = announcement(peer, port);
        let target = (peer, port.unwrap_or(PORT));
        let outcome = self.paths.on_add_addr(&option, self.now);
        match outcome {
            AddAddrOutcome::Stored => assert!(self.announced.insert(target)),
            AddAddrOutcome::Refreshed => assert!(self.announced.contains(&target)),
            AddAddrOutcome::Ignored(Ignored::Initial) => {
                assert!(!self.initial_joinable && target == (1, PORT));
            }
            AddAddrOutcome::Ignored(Ignored::NoRoom | Ignored::TooOften) => {
                assert!(!self.announced.contains(&target));
            }
            other => unreachable!("{other:?}"),
        }
    }

    /// Lets the peer join.
    fn on_join(&mut self, local: u8, peer: u8) {
        let join = join(local, peer);
        // Packets come only to addresses that exist.
        if !self.locals.contains_key(&local) {
            return;
        }
        let verdict = self.paths.accept_join(&join, self.now);
        match (verdict, self.paths.on_joined(&join, self.now)) {
            (JoinVerdict::Accept { id, backup }, Ok(subflow)) => {
                self.tell(id, local);
                let new = Subflow {
                    local,
                    peer,
                    port: 0,
                    is_pending: false,
                    backup,
                    is_suspect: false,
                };
                self.subflows.insert(subflow.slot(), (subflow, new));
            }
            (JoinVerdict::Refuse(one), Err(other)) => assert_eq!(one, other),
            other => unreachable!("{other:?}"),
        }
    }

    /// Lets all joins under way succeed.
    pub(super) fn establish(&mut self) {
        for (id, subflow) in self.subflows.values_mut() {
            if subflow.is_pending {
                subflow.is_pending = false;
                let peer = peer_id(subflow.peer);
                self.paths
                    .on_subflow_established(*id, peer, false, self.now);
            }
        }
    }

    /// Lets everything succeed until nothing is left to do.
    pub(super) fn settle(&mut self) {
        self.come_to_rest(60, Self::establish);
    }
}
