// SPDX-License-Identifier: GPL-2.0

//! A host whose endpoints say what is done, around the path manager: it checks each decision.

use std::collections::{
    BTreeMap,
    BTreeSet, //
};

use mptcp_proto::ids::{
    Address,
    AddressId, //
};
use mptcp_proto::options::{
    AddAddr,
    RemoveAddr, //
};
use mptcp_proto::path_manager::{
    AddAddrOutcome,
    Config,
    Decision,
    Ended,
    Endpoint,
    EndpointFlags,
    JoinVerdict,
    Kind,
    Limits,
    Paths,
    Refusal,
    Role,
    SubflowId, //
};
use mptcp_proto::time::{
    Duration,
    Timestamp, //
};

use super::host::{
    address,
    announcement,
    join,
    number,
    peer_id,
    setup,
    Timed,
    COPIES,
    PORT,
    RTO, //
};

/// The port of endpoints that have one.
const ENDPOINT_PORT: u16 = 8_080;

/// Something that happens. Numbers name addresses: 1 is the first subflow's, those from five on are
/// IPv6.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// An endpoint is added: its ID, its address, whether with a port, and its flags.
    Add(u8, u8, bool, EndpointFlags),
    /// An endpoint, chosen by number, is removed.
    Remove(usize),
    /// An endpoint, chosen by number, gets other flags.
    SetFlags(usize, EndpointFlags),
    /// All endpoints are removed at once.
    Flush,
    /// The first subflow's address is given up.
    RemoveInitial,
    /// The peer announces an address, perhaps with a port.
    AddAddr(u8, bool),
    /// The peer withdraws an address.
    RemoveAddr(u8),
    /// The peer joins from one of its addresses to a local one.
    Join(u8, u8),
    /// A subflow or join, chosen by number, comes to its end.
    End(usize, Ended),
    /// All joins under way succeed; where the routing chooses, it chooses this address.
    Establish(u8),
    /// Time passes, in milliseconds.
    Wait(u64),
}

/// A subflow as the model knows it.
#[derive(Clone, Copy, Debug)]
struct Subflow {
    /// The number of its local address, if that is known.
    local: Option<u8>,
    /// The number of its peer address.
    peer: u8,
    /// It is not established.
    is_pending: bool,
    /// It is not the first one.
    has_joined: bool,
    /// Something has happened for which it may be closed.
    may_close: bool,
}

/// What stands behind a try to set up a subflow; the same is there once.
type Try = (Option<(u32, u32)>, u8, u16, u32);

/// An announcement that waits for its echo.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// What the address is called.
    id: AddressId,
    /// What its endpoint is called.
    endpoint: AddressId,
    /// The address.
    addr: Address,
    /// The port.
    port: Option<u16>,
    /// Tells its endpoint from one that was added again.
    serial: u32,
    /// How many times it was sent.
    count: usize,
}

/// The host around the path manager.
pub(super) struct EndpointHost {
    /// What is tested.
    paths: Paths,
    /// How many subflows may join.
    limit: usize,
    /// How many addresses of the peer may be accepted.
    accepted: u8,
    /// Whether the peer lets itself be joined at its first address and port.
    initial_joinable: bool,
    /// Whether the peer echoes announcements.
    echoes: bool,
    /// The time.
    now: Timestamp,
    /// When the timer fires.
    timer: Option<Timestamp>,
    /// The endpoints, each with a count of changes after which it is tried again.
    list: Vec<(Endpoint, u32)>,
    /// The endpoints that the path manager was told of.
    told: Vec<(Endpoint, u32)>,
    /// How many endpoints were added.
    serial: u32,
    /// The subflows.
    subflows: BTreeMap<u8, (SubflowId, Subflow)>,
    /// What was tried.
    tried: BTreeSet<Try>,
    /// How often each address and port of the peer was announced with success.
    announced: BTreeMap<(u8, u16), u32>,
    /// The addresses of the peer that it has joined from.
    observed: BTreeSet<u8>,
    /// What local addresses in use were ever called.
    names: BTreeSet<(u8, u8)>,
    /// The announcement that waits for its echo.
    waiting: Option<Waiting>,
}

impl Timed for EndpointHost {
    fn act(&mut self) {
        EndpointHost::act(self);
    }

    fn clock(&mut self) -> (&mut Timestamp, &mut Option<Timestamp>, &mut Paths) {
        (&mut self.now, &mut self.timer, &mut self.paths)
    }
}

impl EndpointHost {
    /// Makes a host with the first subflow, limits of further ones and of accepted addresses.
    pub(super) fn new(limit: u8, accepted: u8, initial_joinable: bool, echoes: bool) -> Self {
        let config = Config {
            kind: Kind::Endpoint,
            limits: Limits {
                subflows: limit + 1,
                peer_addresses: accepted + 1,
                ..Limits::default()
            },
            ..Config::new(Role::Client)
        };
        let first = Subflow {
            local: Some(1),
            peer: 1,
            is_pending: false,
            has_joined: false,
            may_close: false,
        };
        Self {
            paths: Paths::new(config, &setup(initial_joinable), Timestamp::ORIGIN),
            limit: usize::from(limit),
            accepted,
            initial_joinable,
            echoes,
            now: Timestamp::ORIGIN,
            timer: None,
            list: Vec::new(),
            told: Vec::new(),
            serial: 0,
            subflows: BTreeMap::from([(0, (SubflowId::INITIAL, first))]),
            tried: BTreeSet::new(),
            announced: BTreeMap::new(),
            observed: BTreeSet::new(),
            names: BTreeSet::new(),
            waiting: None,
        }
    }

    /// Lets something happen; `is_looked_at` tells whether the list is told of afterwards.
    pub(super) fn on_change(&mut self, change: Change, is_looked_at: bool) {
        let count = self.list.len().max(1);
        match change {
            Change::Add(id, local, has_port, flags) => self.add(id, local, has_port, flags),
            Change::Remove(pick) if !self.list.is_empty() => {
                self.list.remove(pick % count);
            }
            Change::SetFlags(pick, flags) => {
                if let Some((endpoint, changes)) = self.list.get_mut(pick % count) {
                    *changes += 1;
                    let mask = if endpoint.flags.contains(EndpointFlags::SIGNAL) {
                        EndpointFlags::BACKUP.bits()
                    } else {
                        EndpointFlags::BACKUP.with(EndpointFlags::FULL_MESH).bits()
                    };
                    let bits = (endpoint.flags.bits() & !mask) | (flags.bits() & mask);
                    endpoint.flags = EndpointFlags::from_known_bits(bits);
                }
            }
            Change::Flush => {
                self.list.clear();
                self.paths.on_endpoints_flushed();
                self.note_changes();
            }
            Change::RemoveInitial => {
                self.paths.on_initial_removed(address(1, true));
                self.allow_close(|subflow| subflow.local == Some(1));
                for (endpoint, changes) in &mut self.list {
                    *changes += u32::from(endpoint.addr == address(1, true));
                }
            }
            Change::AddAddr(peer, has_port) => self.on_add_addr(peer, has_port),
            Change::RemoveAddr(peer) => {
                let ids = [peer_id(peer).get()];
                if let Some(option) = RemoveAddr::new(&ids) {
                    self.paths.on_remove_addr(&option);
                }
                self.allow_close(|subflow| subflow.peer == peer);
            }
            Change::Join(local, peer) => self.on_join(local, peer),
            Change::End(pick, ended) => {
                let slots: Vec<_> = self.subflows.keys().copied().collect();
                let slot = slots.get(pick % slots.len().max(1));
                if let Some((id, _)) = slot.and_then(|slot| self.subflows.remove(slot)) {
                    self.paths.on_subflow_ended(id, ended, self.now);
                }
            }
            Change::Establish(local) => self.establish(local),
            Change::Wait(millis) => {
                self.wait_until(self.now.advance(Duration::from_millis(millis)))
            }
            Change::Remove(_) => {}
        }
        if is_looked_at {
            self.tell();
        }
        self.act();
    }

    /// Adds an endpoint, unless there is one like it.
    fn add(&mut self, id: u8, local: u8, has_port: bool, flags: EndpointFlags) {
        // The namespace refuses these.
        let has = |flag| flags.contains(flag);
        let is_signal = has(EndpointFlags::SIGNAL);
        let connects = has(EndpointFlags::SUBFLOW) || has(EndpointFlags::LAMINAR);
        if is_signal && has(EndpointFlags::FULL_MESH) {
            return;
        }
        let port = (has_port && is_signal && !connects).then_some(ENDPOINT_PORT);
        let addr = address(local, true);
        let mut all = self.list.iter();
        if all.any(|(e, _)| e.id.get() == id || (e.addr, e.port) == (addr, port)) {
            return;
        }
        self.serial += 1;
        let endpoint = Endpoint {
            id: AddressId::new(id),
            addr,
            port,
            interface_index: u32::from(local),
            flags,
            serial: self.serial,
        };
        self.list.push((endpoint, 0));
    }

    /// Tells the path manager of the list.
    fn tell(&mut self) {
        let list: Vec<_> = self.list.iter().map(|(endpoint, _)| *endpoint).collect();
        self.paths.set_endpoints(&list);
        self.note_changes();
    }

    /// Notes which subflows may be closed since the list has changed.
    fn note_changes(&mut self) {
        let told = core::mem::replace(&mut self.told, self.list.clone());
        for (old, _) in told {
            let is_same =
                |new: &Endpoint| (new.id, new.addr, new.port) == (old.id, old.addr, old.port);
            let new = self.list.iter().find(|(new, _)| is_same(new));
            let kept = EndpointFlags::FULL_MESH.with(EndpointFlags::SIGNAL).bits();
            if new.is_none_or(|(new, _)| (new.flags.bits() ^ old.flags.bits()) & kept != 0) {
                self.allow_close(|subflow| subflow.local == Some(number(old.addr)));
            }
        }
    }

    /// Notes that the subflows that are meant may be closed.
    fn allow_close(&mut self, is_meant: impl Fn(&Subflow) -> bool) {
        for (_, subflow) in self.subflows.values_mut() {
            subflow.may_close |= is_meant(subflow);
        }
    }

    /// Lets the peer announce an address.
    fn on_add_addr(&mut self, peer: u8, has_port: bool) {
        let port = has_port.then_some(8_081);
        let option = announcement(peer, port);
        match self.paths.on_add_addr(&option, self.now) {
            AddAddrOutcome::Stored | AddAddrOutcome::Refreshed => {
                let target = (peer, port.unwrap_or(PORT));
                *self.announced.entry(target).or_default() += 1;
            }
            AddAddrOutcome::Ignored(_) => {}
            AddAddrOutcome::Echo | AddAddrOutcome::Reported => unreachable!("no echo"),
        }
        let limit = if self.accepted == 0 && !self.initial_joinable {
            1
        } else {
            self.accepted
        };
        assert!(self.paths.usage().accepted <= limit);
    }

    /// Lets the peer join.
    fn on_join(&mut self, local: u8, peer: u8) {
        let join = join(local, peer);
        let verdict = self.paths.accept_join(&join, self.now);
        match (verdict, self.paths.on_joined(&join, self.now)) {
            (JoinVerdict::Accept { id, backup }, Ok(subflow)) => {
                self.check_name(id, local);
                self.check_backup(local, backup);
                self.observed.insert(peer);
                self.enter(subflow, Some(local), peer, false);
            }
            // Whether there is room is seen when the third ACK comes.
            (_, Err(Refusal::TooManySubflows)) => {}
            (JoinVerdict::Refuse(one), Err(other)) => assert_eq!(one, other),
            other => unreachable!("{other:?}"),
        }
    }

    /// Checks what the peer is told to call a local address that is in use.
    fn check_name(&mut self, id: AddressId, local: u8) {
        self.names.insert((id.get(), local));
        assert_eq!(id == AddressId::INITIAL, local == 1);
        for (other, subflow) in self.subflows.values() {
            if let Some((known, _)) = self.paths.address_ids(*other) {
                assert!(known != id || subflow.local == Some(local), "{id:?} twice");
            }
        }
    }

    /// Checks the bit B for a local address without a port.
    fn check_backup(&self, local: u8, backup: bool) {
        let mut all = self.told.iter();
        let is_meant = |(endpoint, _): &&(Endpoint, u32)| {
            endpoint.addr == address(local, true) && endpoint.flags.contains(EndpointFlags::BACKUP)
        };
        assert!(!backup || all.any(|entry| is_meant(&entry)));
    }

    /// Notes a new subflow, and checks that there may be one.
    fn enter(&mut self, id: SubflowId, local: Option<u8>, peer: u8, is_pending: bool) {
        let subflow = Subflow {
            local,
            peer,
            is_pending,
            has_joined: true,
            may_close: false,
        };
        let old = self.subflows.insert(id.slot(), (id, subflow));
        assert!(old.is_none(), "the slot is taken");
        // What is about to be closed makes room.
        let all = self.subflows.values();
        let joined = all.filter(|(_, s)| s.has_joined && !s.may_close).count();
        assert!(joined <= self.limit);
    }

    /// Lets all joins under way succeed.
    fn establish(&mut self, chosen: u8) {
        let pending = self.subflows.values().filter(|(_, s)| s.is_pending);
        let pending: Vec<_> = pending.copied().collect();
        for (id, mut subflow) in pending {
            if subflow.local.is_none() {
                // The routing chooses an address of the family.
                let local = if (chosen < 5) == (subflow.peer < 5) {
                    chosen
                } else if subflow.peer < 5 {
                    1
                } else {
                    5
                };
                let Some(name) = self.paths.on_local_chosen(id, address(local, true)) else {
                    self.paths.on_subflow_ended(id, Ended::TimedOut, self.now);
                    self.subflows.remove(&id.slot());
                    continue;
                };
                subflow.local = Some(local);
                // The address may be one that is on its way out.
                subflow.may_close = true;
                self.subflows.insert(id.slot(), (id, subflow));
                self.check_name(name.id, local);
                self.check_backup(local, name.backup);
            }
            subflow.is_pending = false;
            let peer = peer_id(subflow.peer);
            self.paths.on_subflow_established(id, peer, false, self.now);
            self.subflows.insert(id.slot(), (id, subflow));
        }
    }

    /// Lets everything succeed until nothing is left to do.
    pub(super) fn settle(&mut self) {
        self.come_to_rest(60, |host| {
            host.tell();
            host.act();
            host.establish(1);
        });
        let all = self.told.iter().map(|(endpoint, _)| endpoint);
        let signals = all.filter(|endpoint| endpoint.flags.contains(EndpointFlags::SIGNAL));
        let mut subflows = self.subflows.values();
        // What was removed is withdrawn, if that can be said on a subflow that stays.
        if subflows.any(|(_, subflow)| !subflow.may_close) {
            assert!(usize::from(self.paths.usage().announced) <= signals.count());
        }
    }

    /// Does what the path manager decides, until it is content.
    fn act(&mut self) {
        for round in 0.. {
            assert!(round < 200, "it does not end");
            let Some(decision) = self.paths.decide(self.now, RTO) else {
                return;
            };
            self.execute(decision);
            assert_eq!(self.paths.subflow_count(), self.subflows.len());
        }
    }

    /// Returns the endpoint that the path manager knows by its ID, address and port.
    fn known(&self, id: AddressId, addr: Address, port: Option<u16>) -> (Endpoint, u32) {
        // An address keeps the name that it had before it was an endpoint while the peer knows it.
        let is_named = self.names.contains(&(id.get(), number(addr)));
        let is_meant = |endpoint: &Endpoint| {
            (endpoint.addr, endpoint.port) == (addr, port)
                && (endpoint.id == id || is_named || id == AddressId::INITIAL)
        };
        match self.told.iter().find(|(endpoint, _)| is_meant(endpoint)) {
            Some(known) => *known,
            None => unreachable!("no endpoint is {id:?}, {addr:?}"),
        }
    }

    /// Does one thing.
    fn execute(&mut self, decision: Decision) {
        match decision {
            Decision::Connect {
                subflow,
                local,
                peer,
                backup,
            } => {
                let (target, port) = (number(peer.addr), peer.port);
                assert_eq!(peer.id, peer_id(target));
                let generation = self.announced.get(&(target, port)).copied();
                let source = local.id.map(|id| {
                    let (endpoint, changes) = self.known(id, local.addr, None);
                    self.check_name(id, number(local.addr));
                    self.check_backup(number(local.addr), backup);
                    let has = |flags| endpoint.flags.contains(flags);
                    let is_mesh = has(EndpointFlags::FULL_MESH.with(EndpointFlags::SUBFLOW));
                    let is_initial = (target, port) == (1, PORT);
                    assert!(!is_initial || self.initial_joinable);
                    assert!(!is_initial || has(EndpointFlags::SUBFLOW));
                    assert!(is_initial || generation.is_some() || is_mesh);
                    (endpoint.serial, changes)
                });
                assert!(source.is_some() || generation.is_some());
                assert!(generation.is_some() || target == 1 || self.observed.contains(&target));
                let attempt = (source, target, port, generation.unwrap_or(0));
                assert!(self.tried.insert(attempt), "{attempt:?} was tried");
                let from = local.id.map(|_| number(local.addr));
                self.enter(subflow, from, target, true);
            }
            Decision::CloseSubflow { subflow, .. } => {
                let closed = self.subflows.remove(&subflow.slot());
                let Some((_, closed)) = closed.filter(|(id, _)| *id == subflow) else {
                    unreachable!("there is no {subflow:?}");
                };
                assert!(closed.may_close, "nothing is wrong with {closed:?}");
                let mut others = self.subflows.values();
                assert!(closed.is_pending || others.any(|(_, s)| !s.is_pending));
            }
            Decision::Withdraw { ids } => {
                assert!((1..=8).contains(&ids.as_bytes().len()));
                let is_meant = |id: AddressId| ids.as_bytes().contains(&id.get());
                self.waiting.take_if(|waiting| is_meant(waiting.id));
            }
            Decision::SetPriority { subflow, backup } => {
                let known = self.subflows.get(&subflow.slot());
                let Some((_, known)) = known.filter(|(id, _)| *id == subflow) else {
                    unreachable!("there is no {subflow:?}");
                };
                self.check_backup(known.local.unwrap_or(0), backup);
            }
            Decision::Announce { id, addr, port } => {
                let (endpoint, _) = self.known(id, addr, port);
                assert!(endpoint.flags.contains(EndpointFlags::SIGNAL));
                assert_eq!(
                    id == AddressId::INITIAL,
                    addr == address(1, true) && port.is_none()
                );
                let before = self.waiting.map_or(0, |waiting| {
                    if (waiting.id, waiting.addr, waiting.port) == (id, addr, port) {
                        // Added again, it is announced anew, as is the first address when it is in
                        // use again.
                        let is_back = id == AddressId::INITIAL && waiting.count == COPIES;
                        let is_new = is_back || waiting.serial != endpoint.serial;
                        return if is_new { 0 } else { waiting.count };
                    }
                    let mut told = self.told.iter();
                    // The first address may have been given up although its endpoint stays.
                    let is_there = told.any(|(e, _)| {
                        (e.id, e.addr, e.port) == (waiting.endpoint, waiting.addr, waiting.port)
                            && e.flags.contains(EndpointFlags::SIGNAL)
                    }) && waiting.addr != address(1, true);
                    assert!(!is_there || waiting.count == COPIES, "one is outstanding");
                    0
                });
                assert!(before < COPIES);
                self.waiting = Some(Waiting {
                    id,
                    endpoint: endpoint.id,
                    addr,
                    port,
                    serial: endpoint.serial,
                    count: before + 1,
                });
                if self.echoes {
                    let echo = AddAddr {
                        id,
                        addr,
                        port,
                        hmac: None,
                    };
                    self.paths.on_add_addr(&echo, self.now);
                    self.waiting = None;
                }
            }
            Decision::Probe { .. } => unreachable!("endpoints do not ask"),
            Decision::ArmTimer { at } => {
                assert!(at > self.now);
                assert!(self.timer.is_none_or(|timer| at < timer));
                self.timer = Some(at);
            }
        }
    }
}
