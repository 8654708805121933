// SPDX-License-Identifier: GPL-2.0

//! A host whose manager changes all the time: whatever comes of it, it ends, and no name is doubled.

use std::collections::BTreeSet;

use mptcp_proto::ids::AddressId;
use mptcp_proto::options::RemoveAddr;
use mptcp_proto::path_manager::{
    Config,
    Decision,
    Ended,
    Endpoint,
    EndpointFlags,
    Interface,
    Kind,
    Paths,
    PeerEnd,
    Policy,
    Role,
    SubflowId, //
};
use mptcp_proto::time::{
    Duration,
    Timestamp, //
};

use super::commanded::{
    endpoint,
    Command, //
};
use super::host::{
    address,
    announcement,
    join,
    peer_id,
    setup,
    PORT,
    RTO, //
};

/// The host around the path manager.
pub(super) struct SwitchingHost {
    /// What is tested.
    paths: Paths,
    /// The time.
    now: Timestamp,
    /// The subflows, each with the number of its peer address if it is not established.
    subflows: Vec<(SubflowId, Option<u8>)>,
    /// The endpoints that were named.
    list: Vec<Endpoint>,
}

impl SwitchingHost {
    /// Makes a host with the first subflow.
    pub(super) fn new() -> Self {
        let config = Config::new(Role::Client);
        Self {
            paths: Paths::new(config, &setup(true), Timestamp::ORIGIN),
            now: Timestamp::ORIGIN,
            subflows: vec![(SubflowId::INITIAL, None)],
            list: Vec::new(),
        }
    }

    /// Changes the manager.
    pub(super) fn switch(&mut self, kind: Kind) {
        let config = Config {
            kind,
            announces: true,
            ..*self.paths.config()
        };
        self.paths.set_config(config);
        self.check();
    }

    /// Lets something happen, whatever the manager makes of it.
    pub(super) fn on_command(&mut self, command: Command, is_looked_at: bool) {
        match command {
            Command::Announce(id, local, has_port) => {
                let new = endpoint(id, local, has_port, EndpointFlags::SIGNAL);
                let _ = self.paths.announce_entry(&new);
                let is_same = |old: &Endpoint| {
                    old.id == new.id || (old.addr, old.port) == (new.addr, new.port)
                };
                self.list.retain(|old| !is_same(old));
                self.list.push(new);
                let interface = Interface {
                    index: u32::from(local),
                    is_running: true,
                    policy: Policy::On,
                };
                if self.paths.config().kind == Kind::FullMesh {
                    self.paths.on_local_added(new.addr, interface);
                }
                self.paths.set_endpoints(&self.list);
            }
            Command::Withdraw(id) => {
                let _ = self.paths.withdraw_entry(AddressId::new(id));
                self.list.retain(|old| old.id.get() != id);
                if self.paths.config().kind == Kind::FullMesh {
                    let index = u32::from(id);
                    self.paths.on_local_removed(address(id, true), index);
                }
                self.paths.set_endpoints(&self.list);
            }
            Command::Create(id, local, has_port, _, peer, _) => {
                let entry = endpoint(id, local, has_port, EndpointFlags::NONE);
                let end = PeerEnd {
                    id: peer_id(peer),
                    addr: address(peer, false),
                    port: PORT,
                };
                if let Ok(subflow) = self.paths.create_subflow(&entry, &end) {
                    self.subflows.push((subflow, Some(peer)));
                }
            }
            Command::Destroy(pick) => {
                if let Some((subflow, _)) = self.pick(pick) {
                    let _ = self.paths.destroy_subflow(subflow);
                }
            }
            Command::SetBackup(pick, backup) => {
                if let Some((subflow, _)) = self.pick(pick) {
                    let _ = self.paths.set_backup(subflow, backup);
                }
            }
            Command::AddAddr(peer) => {
                self.paths.on_add_addr(&announcement(peer, None), self.now);
            }
            Command::RemoveAddr(peer) => {
                if let Some(option) = RemoveAddr::new(&[peer_id(peer).get()]) {
                    self.paths.on_remove_addr(&option);
                }
            }
            Command::Join(local, _, peer) => {
                if let Ok(subflow) = self.paths.on_joined(&join(local, peer), self.now) {
                    self.subflows.push((subflow, None));
                }
            }
            Command::End(pick, ended) => {
                if let Some((subflow, None)) = self.pick(pick) {
                    self.end(subflow, ended);
                }
            }
            Command::Establish => self.establish(),
            Command::Wait(millis) => self.now = self.now.advance(Duration::from_millis(millis)),
        }
        self.check();
        if is_looked_at {
            self.act();
        }
    }

    /// Returns a subflow chosen by number.
    fn pick(&self, pick: usize) -> Option<(SubflowId, Option<u8>)> {
        let count = self.subflows.len().max(1);
        self.subflows.get(pick % count).copied()
    }

    /// Lets a subflow come to its end.
    fn end(&mut self, subflow: SubflowId, ended: Ended) {
        self.subflows.retain(|(known, _)| *known != subflow);
        self.paths.on_subflow_ended(subflow, ended, self.now);
    }

    /// Lets all joins under way succeed.
    fn establish(&mut self) {
        self.act();
        let pending: Vec<_> = self.subflows.iter_mut().collect();
        for (subflow, peer) in pending {
            if let Some(peer) = peer.take() {
                let (id, now) = (peer_id(peer), self.now);
                self.paths.on_local_chosen(*subflow, address(1, true));
                self.paths.on_subflow_established(*subflow, id, false, now);
            }
        }
    }

    /// Checks the entries.
    fn check(&self) {
        let all: Vec<_> = self.paths.entries().collect();
        let is_commanded = self.paths.config().kind == Kind::Userspace;
        assert!(is_commanded || all.is_empty());
        let ids: BTreeSet<_> = all.iter().map(|entry| entry.id.get()).collect();
        let places: BTreeSet<_> = all
            .iter()
            .map(|e| (format!("{:?}", e.addr), e.port))
            .collect();
        assert_eq!((ids.len(), places.len()), (all.len(), all.len()), "{all:?}");
    }

    /// Does what the path manager decides, until it is content.
    fn act(&mut self) {
        self.paths.on_timer();
        for round in 0.. {
            assert!(round < 200, "it does not end");
            match self.paths.decide(self.now, RTO) {
                None => return,
                Some(Decision::CloseSubflow { subflow, .. }) => {
                    let before = self.subflows.len();
                    self.subflows.retain(|(known, _)| *known != subflow);
                    assert_eq!(self.subflows.len() + 1, before);
                }
                Some(Decision::Connect { subflow, peer, .. }) => {
                    let is_new = self.subflows.iter().all(|(known, _)| *known != subflow);
                    if is_new {
                        let number = super::host::number(peer.addr);
                        self.subflows.push((subflow, Some(number)));
                    }
                }
                Some(_) => {}
            }
            self.check();
            assert_eq!(self.paths.subflow_count(), self.subflows.len());
        }
    }

    /// Lets everything succeed; nothing is left that was commanded.
    pub(super) fn settle(&mut self) {
        for _ in 0..60 {
            self.establish();
            self.now = self.now.advance(Duration::from_secs(20));
        }
        self.act();
        assert!(self.subflows.iter().all(|(_, peer)| peer.is_none()));
    }
}
