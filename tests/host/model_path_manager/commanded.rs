// SPDX-License-Identifier: GPL-2.0

//! A host whose program commands, around the path manager: it keeps a list of entries and a set of
//! subflows, and checks that nothing is done but what was commanded.

use std::collections::{
    BTreeMap,
    BTreeSet, //
};

use mptcp_proto::ids::AddressId;
use mptcp_proto::options::{
    AddAddr,
    RemoveAddr, //
};
use mptcp_proto::path_manager::{
    AddAddrOutcome,
    CloseReason,
    CommandRefusal,
    Config,
    Decision,
    Ended,
    Endpoint,
    EndpointFlags,
    Join,
    JoinVerdict,
    Kind,
    Paths,
    PeerEnd,
    Refusal,
    Role,
    SubflowId,
    ENDPOINTS,
    PEERS,
    SUBFLOWS, //
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

/// The port of entries, and of the peer, that is not the first subflow's.
const OTHER_PORT: u16 = 8_080;

/// Something that happens. Numbers name addresses: 1 is the first subflow's, those from five on are
/// IPv6.
#[derive(Clone, Copy, Debug)]
pub(super) enum Command {
    /// An address is announced: its ID, the address, whether with a port.
    Announce(u8, u8, bool),
    /// An ID is withdrawn.
    Withdraw(u8),
    /// A subflow is created: the entry as above, whether a backup, the peer's address and whether its
    /// other port.
    Create(u8, u8, bool, bool, u8, bool),
    /// A subflow, chosen by number, is destroyed.
    Destroy(usize),
    /// A subflow, chosen by number, is to be a backup or not.
    SetBackup(usize, bool),
    /// The peer announces an address.
    AddAddr(u8),
    /// The peer withdraws an address.
    RemoveAddr(u8),
    /// The peer joins: the local address, whether to another port, and the peer's.
    Join(u8, bool, u8),
    /// A subflow or join, chosen by number, comes to its end.
    End(usize, Ended),
    /// All joins under way succeed.
    Establish,
    /// Time passes, in milliseconds.
    Wait(u64),
}

/// How far a subflow has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// It was commanded.
    Asked,
    /// It was begun.
    Pending,
    /// It works.
    Up,
}

/// A subflow as the model knows it.
#[derive(Clone, Copy, Debug)]
struct Subflow {
    /// The number of its local address.
    local: u8,
    /// What that is called, if it is known; `None` if the ID has another meaning by now.
    name: Option<u8>,
    /// Its local address is the first subflow's by that name.
    is_initial: bool,
    /// The number and port of its peer address.
    peer: (u8, u16),
    /// What the peer calls that.
    peer_id: u8,
    /// How far it has come.
    stage: Stage,
    /// It is a backup.
    backup: bool,
    /// The peer is to be told of that.
    is_priority_due: bool,
    /// Why it is to be closed.
    closing: Option<CloseReason>,
}

/// An entry as the model knows it.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// As it was commanded.
    endpoint: Endpoint,
    /// The peer was told the name.
    is_named: bool,
    /// How often its announcement was sent, if there is one.
    sent: Option<usize>,
}

/// The host around the path manager.
pub(super) struct CommandedHost {
    /// What is tested.
    paths: Paths,
    /// Whether the peer echoes announcements.
    echoes: bool,
    /// The time.
    now: Timestamp,
    /// When the timer fires.
    timer: Option<Timestamp>,
    /// The entries, in their order.
    entries: Vec<Entry>,
    /// The subflows.
    subflows: BTreeMap<u8, (SubflowId, Subflow)>,
    /// The IDs that are to be withdrawn.
    withdrawals: BTreeSet<u8>,
}

impl Entry {
    /// Tells whether it is the one that a subflow uses.
    fn is_of(&self, subflow: &Subflow) -> bool {
        let (id, local) = (self.endpoint.id.get(), number(self.endpoint.addr));
        !subflow.is_initial && (subflow.name, subflow.local) == (Some(id), local)
    }
}

/// Makes an entry.
pub(super) fn endpoint(id: u8, local: u8, has_port: bool, flags: EndpointFlags) -> Endpoint {
    Endpoint {
        id: AddressId::new(id),
        addr: address(local, true),
        port: has_port.then_some(OTHER_PORT),
        interface_index: u32::from(local),
        flags,
        serial: 0,
    }
}

impl Timed for CommandedHost {
    fn act(&mut self) {
        CommandedHost::act(self);
    }

    fn clock(&mut self) -> (&mut Timestamp, &mut Option<Timestamp>, &mut Paths) {
        (&mut self.now, &mut self.timer, &mut self.paths)
    }
}

impl CommandedHost {
    /// Makes a host with the first subflow.
    pub(super) fn new(role: Role, echoes: bool) -> Self {
        let config = Config {
            kind: Kind::Userspace,
            ..Config::new(role)
        };
        let first = Subflow {
            local: 1,
            name: Some(0),
            is_initial: true,
            peer: (1, PORT),
            peer_id: 0,
            stage: Stage::Up,
            backup: false,
            is_priority_due: false,
            closing: None,
        };
        Self {
            paths: Paths::new(config, &setup(true), Timestamp::ORIGIN),
            echoes,
            now: Timestamp::ORIGIN,
            timer: None,
            entries: Vec::new(),
            subflows: BTreeMap::from([(0, (SubflowId::INITIAL, first))]),
            withdrawals: BTreeSet::new(),
        }
    }

    /// Lets something happen; `is_looked_at` tells whether the path manager is asked afterwards.
    pub(super) fn on_command(&mut self, command: Command, is_looked_at: bool) {
        match command {
            Command::Announce(id, local, has_port) => self.announce(id, local, has_port),
            Command::Withdraw(id) => self.withdraw(id),
            Command::Create(id, local, has_port, backup, peer, other_port) => {
                let flags = if backup {
                    EndpointFlags::BACKUP
                } else {
                    EndpointFlags::NONE
                };
                let port = if other_port { OTHER_PORT } else { PORT };
                self.create(&endpoint(id, local, has_port, flags), (peer, port));
            }
            Command::Destroy(pick) => self.destroy(pick),
            Command::SetBackup(pick, backup) => self.set_backup(pick, backup),
            Command::AddAddr(peer) => {
                let outcome = self.paths.on_add_addr(&announcement(peer, None), self.now);
                assert_eq!(outcome, AddAddrOutcome::Reported);
            }
            Command::RemoveAddr(peer) => {
                let ids = [peer_id(peer).get()];
                if let Some(option) = RemoveAddr::new(&ids) {
                    self.paths.on_remove_addr(&option);
                }
                for (_, subflow) in self.subflows.values_mut() {
                    if subflow.peer_id == ids[0] {
                        subflow.closing.get_or_insert(CloseReason::PeerRemoved);
                    }
                }
            }
            Command::Join(local, other_port, peer) => self.on_join(local, other_port, peer),
            Command::End(pick, ended) => self.end(pick, ended),
            Command::Establish => self.establish(),
            Command::Wait(millis) => {
                self.wait_until(self.now.advance(Duration::from_millis(millis)))
            }
        }
        self.check_entries();
        if is_looked_at {
            self.act();
        }
    }

    /// Returns a subflow chosen by number.
    fn pick(&self, pick: usize) -> Option<(SubflowId, Subflow)> {
        let all: Vec<_> = self.subflows.values().copied().collect();
        all.get(pick % all.len().max(1)).copied()
    }

    /// Tells whether a refusal for want of room can be true.
    fn may_be_full(&self) -> bool {
        let places: BTreeSet<_> = self.subflows.values().map(|(_, s)| s.peer).collect();
        let in_use = self.entries.len() + self.subflows.len();
        in_use >= ENDPOINTS
            || places.len() >= PEERS
            || self.subflows.len() >= SUBFLOWS
            || self.withdrawals.len() >= ENDPOINTS
    }

    /// Enters an entry in the list, if it may be there; returns whether it may.
    fn enter(&mut self, new: &Endpoint, refusal: Option<CommandRefusal>) -> bool {
        let same_place = |e: &Endpoint| (e.addr, e.port) == (new.addr, new.port);
        let is_known = |e: &Endpoint| same_place(e) && e.id == new.id;
        let is_clash = |e: &Endpoint| same_place(e) != (e.id == new.id);
        let mut all = self.entries.iter().map(|entry| &entry.endpoint);
        let is_there = all.clone().any(is_known);
        let clashes = all.any(is_clash);
        let (id, local) = (new.id.get(), number(new.addr));
        // A subflow may still use the name without an entry.
        let is_in_use =
            |s: &Subflow| s.name == Some(id) && id != 0 && s.local != local && s.closing.is_none();
        let in_use = self.subflows.values().any(|(_, s)| is_in_use(s));
        match refusal {
            None => assert!(!clashes && !in_use, "{new:?} is not refused"),
            Some(CommandRefusal::Mismatch) => assert!(clashes || in_use),
            Some(CommandRefusal::NoRoom) => assert!(self.may_be_full()),
            Some(other) => unreachable!("{other:?}"),
        }
        if refusal.is_none() && !is_there {
            let mut is_named = false;
            for (_, subflow) in self.subflows.values_mut() {
                if subflow.name == Some(id) && !subflow.is_initial {
                    is_named |= subflow.local == local;
                    if subflow.local != local {
                        subflow.name = None;
                    }
                }
            }
            self.entries.push(Entry {
                endpoint: *new,
                is_named,
                sent: None,
            });
        }
        refusal.is_none()
    }

    /// Has an address announced.
    fn announce(&mut self, id: u8, local: u8, has_port: bool) {
        let new = endpoint(id, local, has_port, EndpointFlags::SIGNAL);
        let outcome = self.paths.announce_entry(&new);
        if id == 0 {
            assert_eq!(outcome, Err(CommandRefusal::NoId));
        } else if self.enter(&new, outcome.err()) {
            let mut all = self.entries.iter_mut();
            if let Some(entry) = all.find(|entry| entry.endpoint.id == new.id) {
                entry.sent = Some(0);
            }
        }
    }

    /// Has an ID withdrawn.
    fn withdraw(&mut self, id: u8) {
        let found = self.entries.iter().position(|e| e.endpoint.id.get() == id);
        let entry = found.and_then(|index| self.entries.get(index)).copied();
        let has_name = |s: &Subflow| s.name == Some(id) && (id == 0 || !s.is_initial);
        let is_meant =
            |s: &Subflow| has_name(s) && (id == 0 || entry.is_some_and(|entry| entry.is_of(s)));
        let mut all = self.subflows.values();
        let is_used = all.any(|(_, s)| is_meant(s) && s.stage != Stage::Asked);
        let is_announced = entry.is_some_and(|entry| entry.is_named && entry.sent.is_some());
        match self.paths.withdraw_entry(AddressId::new(id)) {
            Err(CommandRefusal::NotFound) if id == 0 => assert!(!is_used),
            Err(CommandRefusal::NotFound) => assert!(entry.is_none()),
            Err(CommandRefusal::NoRoom) => assert!(self.withdrawals.len() >= ENDPOINTS),
            Err(other) => unreachable!("{other:?}"),
            Ok(()) => {
                assert!(if id == 0 { is_used } else { entry.is_some() });
                if is_used || (is_announced && id != 0) {
                    self.withdrawals.insert(id);
                }
                for (_, subflow) in self.subflows.values_mut() {
                    if is_meant(subflow) {
                        subflow.closing.get_or_insert(CloseReason::Withdrawn);
                    }
                }
                if let Some(index) = found.filter(|_| id != 0) {
                    self.entries.remove(index);
                }
            }
        }
    }

    /// Has a subflow created.
    fn create(&mut self, entry: &Endpoint, peer: (u8, u16)) {
        let end = PeerEnd {
            id: peer_id(peer.0),
            addr: address(peer.0, false),
            port: peer.1,
        };
        let outcome = self.paths.create_subflow(entry, &end);
        if (number(entry.addr) < 5) != (peer.0 < 5) {
            assert_eq!(outcome, Err(CommandRefusal::Families));
            return;
        }
        let flags = entry.flags.with(EndpointFlags::SUBFLOW);
        if !self.enter(&Endpoint { flags, ..*entry }, outcome.err()) {
            return;
        }
        let Ok(id) = outcome else { return };
        let mut all = self.entries.iter_mut();
        if let Some(known) = all.find(|known| known.endpoint.id == entry.id) {
            known.endpoint.interface_index = entry.interface_index;
        }
        let subflow = Subflow {
            local: number(entry.addr),
            name: Some(entry.id.get()),
            is_initial: false,
            peer,
            peer_id: end.id.get(),
            stage: Stage::Asked,
            backup: entry.flags.contains(EndpointFlags::BACKUP),
            is_priority_due: false,
            closing: None,
        };
        self.add(id, subflow);
    }

    /// Notes a new subflow.
    fn add(&mut self, id: SubflowId, subflow: Subflow) {
        let old = self.subflows.insert(id.slot(), (id, subflow));
        assert!(old.is_none(), "the slot is taken");
    }

    /// Has a subflow destroyed.
    fn destroy(&mut self, pick: usize) {
        let Some((id, subflow)) = self.pick(pick) else {
            return;
        };
        let outcome = self.paths.destroy_subflow(id);
        if subflow.closing == Some(CloseReason::Commanded) {
            assert_eq!(outcome, Err(CommandRefusal::NotFound));
            return;
        }
        assert_eq!(outcome, Ok(()));
        self.subflow(id).closing = Some(CloseReason::Commanded);
        self.entries.retain(|entry| !entry.is_of(&subflow));
    }

    /// Has a subflow's use changed.
    fn set_backup(&mut self, pick: usize, backup: bool) {
        let Some((id, subflow)) = self.pick(pick) else {
            return;
        };
        let outcome = self.paths.set_backup(id, backup);
        if subflow.stage != Stage::Up {
            assert_eq!(outcome, Err(CommandRefusal::NotFound));
            return;
        }
        assert_eq!(outcome, Ok(()));
        let known = self.subflow(id);
        (known.backup, known.is_priority_due) = (backup, true);
        let mut all = self.entries.iter_mut();
        if let Some(entry) = all.find(|entry| entry.is_of(&subflow)) {
            let flags = entry.endpoint.flags;
            entry.endpoint.flags = if backup {
                flags.with(EndpointFlags::BACKUP)
            } else {
                flags.without(EndpointFlags::BACKUP)
            };
        }
    }

    /// Lets the peer join.
    fn on_join(&mut self, local: u8, other_port: bool, peer: u8) {
        let join = Join {
            local_port: if other_port { OTHER_PORT } else { 1_000 },
            ..join(local, peer)
        };
        let verdict = self.paths.accept_join(&join, self.now);
        let joined = self.paths.on_joined(&join, self.now);
        let (id, backup, subflow) = match (verdict, joined) {
            (JoinVerdict::Accept { id, backup }, Ok(subflow)) => (id.get(), backup, subflow),
            (JoinVerdict::Refuse(one), Err(other)) if one == other => {
                match one {
                    Refusal::TooManySubflows => assert_eq!(self.subflows.len(), SUBFLOWS),
                    Refusal::TooManyAddresses => assert!(self.may_be_full()),
                    Refusal::Over | Refusal::Prohibited => unreachable!("{one:?}"),
                }
                // The address of the SYN is an entry nevertheless.
                self.learn_implicit();
                return;
            }
            other => unreachable!("{other:?}"),
        };
        self.learn_implicit();
        let mut all = self.entries.iter_mut();
        let entry = all.find(|entry| number(entry.endpoint.addr) == local);
        if local == 1 {
            assert_eq!((id, backup), (0, false));
        } else if let Some(entry) = entry {
            entry.is_named = true;
            assert_eq!(id, entry.endpoint.id.get());
            assert_eq!(backup, entry.endpoint.flags.contains(EndpointFlags::BACKUP));
        } else {
            unreachable!("{local} is an entry");
        }
        let new = Subflow {
            local,
            name: Some(id),
            is_initial: local == 1,
            peer: (peer, PORT),
            peer_id: peer_id(peer).get(),
            stage: Stage::Up,
            backup,
            is_priority_due: false,
            closing: None,
        };
        self.add(subflow, new);
    }

    /// Takes over entries that joins have made, and checks that nothing else has.
    fn learn_implicit(&mut self) {
        let all: Vec<_> = self.paths.entries().collect();
        for new in all {
            if self.entries.iter().any(|e| e.endpoint.id == new.id) {
                continue;
            }
            assert_eq!(new.flags, EndpointFlags::IMPLICIT);
            assert!(new.id.get() != 0 && number(new.addr) != 1);
            self.drop_spare();
            self.enter(&Endpoint { serial: 0, ..new }, None);
        }
    }

    /// Forgets entries of joins that have given way.
    fn drop_spare(&mut self) {
        let subflows = &self.subflows;
        let paths = &self.paths;
        self.entries.retain(|entry| {
            let is_used = subflows.values().any(|(_, s)| entry.is_of(s));
            let is_implicit = entry.endpoint.flags.contains(EndpointFlags::IMPLICIT);
            let may_go = is_implicit && !is_used && entry.sent.is_none();
            let known = paths.entry(entry.endpoint.id);
            !may_go || known.is_some_and(|known| known.addr == entry.endpoint.addr)
        });
    }

    /// Checks the list, and that IDs are not doubled.
    fn check_entries(&mut self) {
        self.drop_spare();
        let all = self.paths.entries();
        let all: Vec<_> = all.map(|entry| Endpoint { serial: 0, ..entry }).collect();
        let known: Vec<_> = self.entries.iter().map(|entry| entry.endpoint).collect();
        assert_eq!(all, known);
        let ids: BTreeSet<_> = all.iter().map(|entry| entry.id.get()).collect();
        assert_eq!(ids.len(), all.len());
        let mut meanings: BTreeMap<_, _> = all
            .iter()
            .map(|entry| (entry.id.get(), number(entry.addr)))
            .collect();
        for (id, subflow) in self.subflows.values() {
            let name = self.paths.address_ids(*id).map(|(name, _)| name.get());
            if subflow.stage != Stage::Asked {
                assert_eq!(name, subflow.name);
            }
            if let Some(name) = name.filter(|name| *name != 0 && subflow.closing.is_none()) {
                let meaning = *meanings.entry(name).or_insert(subflow.local);
                assert_eq!(meaning, subflow.local, "{name} is doubled");
            }
        }
    }

    /// Lets a subflow come to its end.
    fn end(&mut self, pick: usize, ended: Ended) {
        let Some((id, subflow)) = self.pick(pick) else {
            return;
        };
        if subflow.stage == Stage::Asked {
            return;
        }
        self.paths.on_subflow_ended(id, ended, self.now);
        self.subflows.remove(&id.slot());
        let is_used = |entry: &Entry| self.subflows.values().any(|(_, s)| entry.is_of(s));
        if ended == Ended::Unreachable && subflow.stage == Stage::Pending {
            self.entries
                .retain(|entry| !entry.is_of(&subflow) || entry.sent.is_some() || is_used(entry));
        }
    }

    /// Lets all joins under way succeed.
    fn establish(&mut self) {
        for (id, subflow) in self.subflows.values_mut() {
            if subflow.stage == Stage::Pending {
                subflow.stage = Stage::Up;
                let peer = peer_id(subflow.peer.0);
                self.paths
                    .on_subflow_established(*id, peer, false, self.now);
            }
        }
    }

    /// Lets everything succeed until nothing is left to do: what was commanded has been done.
    pub(super) fn settle(&mut self) {
        self.come_to_rest(10, Self::establish);
        self.check_entries();
        let subflows: Vec<_> = self.subflows.values().map(|(_, s)| *s).collect();
        assert!(subflows.iter().all(|s| s.stage == Stage::Up));
        assert!(subflows.iter().all(|s| !s.is_priority_due));
        let closing = subflows.iter().filter(|s| s.closing.is_some()).count();
        assert!(closing == 0 || subflows.len() == 1, "it is replaced");
        if !subflows.is_empty() {
            assert!(self.withdrawals.is_empty());
            let told = if self.echoes { 1 } else { COPIES };
            let mut counts = self.entries.iter().filter_map(|entry| entry.sent);
            assert!(counts.all(|count| count == told));
        }
    }

    /// Does what the path manager decides, until it is content.
    fn act(&mut self) {
        for round in 0.. {
            assert!(round < 200, "it does not end");
            let Some(decision) = self.paths.decide(self.now, RTO) else {
                break;
            };
            self.execute(decision);
            assert_eq!(self.paths.subflow_count(), self.subflows.len());
            self.check_entries();
        }
        // What can be done is done at once.
        let mut all = self.subflows.values();
        assert!(all.all(|(_, s)| {
            let is_closed = s.closing == Some(CloseReason::Commanded);
            s.stage != Stage::Asked && !s.is_priority_due && !is_closed
        }));
        if self.can_signal() {
            assert!(self.withdrawals.is_empty());
            assert!(self.entries.iter().all(|entry| entry.sent != Some(0)));
        }
    }

    /// Returns the subflow that a decision speaks of.
    fn subflow(&mut self, id: SubflowId) -> &mut Subflow {
        let known = self.subflows.get_mut(&id.slot());
        match known.filter(|(known, _)| *known == id) {
            Some((_, subflow)) => subflow,
            None => unreachable!("there is no {id:?}"),
        }
    }

    /// Tells whether a signal can be sent.
    fn can_signal(&self) -> bool {
        let mut all = self.subflows.values();
        all.any(|(_, subflow)| subflow.stage == Stage::Up)
    }

    /// Does one thing.
    fn execute(&mut self, decision: Decision) {
        match decision {
            Decision::Connect {
                subflow: id,
                local,
                peer,
                backup,
            } => {
                let can_signal = self.can_signal();
                let subflow = self.subflow(id);
                assert_eq!((subflow.stage, subflow.closing), (Stage::Asked, None));
                assert_eq!(local.addr, address(subflow.local, true));
                assert_eq!(local.id.map(AddressId::get), subflow.name);
                assert_eq!(local.interface_index, u32::from(subflow.local));
                assert_eq!(peer.addr, address(subflow.peer.0, false));
                assert_eq!((peer.port, backup), (subflow.peer.1, subflow.backup));
                assert_eq!(peer.id.get(), subflow.peer_id);
                subflow.stage = Stage::Pending;
                let subflow = *subflow;
                let mut all = self.entries.iter_mut();
                if let Some(entry) = all.find(|entry| entry.is_of(&subflow)) {
                    assert_eq!(local.port, entry.endpoint.port);
                    entry.is_named = true;
                }
                // It would be hit by a withdrawal that could not be sent.
                let was_due = subflow.name.filter(|name| self.withdrawals.remove(name));
                assert!(was_due.is_none() || !can_signal);
            }
            Decision::CloseSubflow { subflow, reason } => {
                let closed = *self.subflow(subflow);
                assert_eq!(closed.closing, Some(reason));
                self.subflows.remove(&subflow.slot());
                let is_commanded = reason == CloseReason::Commanded;
                assert!(is_commanded || closed.stage != Stage::Up || self.can_signal());
            }
            Decision::Withdraw { ids } => {
                assert!(self.can_signal());
                for id in ids.as_bytes() {
                    assert!(self.withdrawals.remove(id), "{id} is not withdrawn");
                }
            }
            Decision::SetPriority { subflow, backup } => {
                let subflow = self.subflow(subflow);
                assert!(core::mem::take(&mut subflow.is_priority_due));
                assert_eq!(subflow.backup, backup);
            }
            Decision::Announce { id, addr, port } => {
                assert!(self.can_signal());
                let echoes = self.echoes;
                let mut all = self.entries.iter_mut();
                let entry = all.find(|entry| entry.endpoint.id == id);
                let Some(entry) = entry else {
                    unreachable!("{id:?} is no entry");
                };
                assert_eq!((entry.endpoint.addr, entry.endpoint.port), (addr, port));
                assert!(!self.withdrawals.contains(&id.get()));
                entry.is_named = true;
                entry.sent = entry.sent.map(|sent| sent + 1);
                let limit = if echoes { 1 } else { COPIES };
                assert!(entry.sent.is_some_and(|sent| sent <= limit));
                if echoes {
                    let echo = AddAddr {
                        id,
                        addr,
                        port,
                        hmac: None,
                    };
                    let outcome = self.paths.on_add_addr(&echo, self.now);
                    assert_eq!(outcome, AddAddrOutcome::Echo);
                }
            }
            Decision::Probe { .. } => unreachable!("it does not ask"),
            Decision::ArmTimer { at } => {
                assert!(at > self.now);
                assert!(self.timer.is_none_or(|timer| at < timer));
                self.timer = Some(at);
            }
        }
    }
}
