// SPDX-License-Identifier: GPL-2.0

//! A host around the path manager: it does what is decided, and checks that it makes sense.

use std::collections::{
    BTreeMap,
    BTreeSet, //
};

use mptcp_proto::ids::{
    Address,
    AddressId,
    TruncatedHmac, //
};
use mptcp_proto::options::AddAddr;
use mptcp_proto::path_manager::{
    AddAddrOutcome,
    Config,
    Decision,
    Families,
    Interface,
    Join,
    Kind,
    Paths,
    Policy,
    Setup,
    SubflowId,
    SUBFLOWS, //
};
use mptcp_proto::time::{
    Duration,
    Timestamp, //
};

/// The port of the first subflow, at the peer.
pub(super) const PORT: u16 = 80;

/// The retransmission timeout of all subflows.
pub(super) const RTO: Duration = Duration::from_millis(200);

/// How many times one ADD_ADDR may be sent.
pub(super) const COPIES: usize = 4;

/// How many times one REMOVE_ADDR may be sent.
const WITHDRAWALS: usize = 3;

/// A subflow as the model knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subflow {
    /// The number of its local address.
    pub(super) local: u8,
    /// The number of its peer address.
    pub(super) peer: u8,
    /// The port at the peer.
    pub(super) port: u16,
    /// The host that the path manager speaks for has begun it, and it is not established.
    pub(super) is_pending: bool,
    /// The B flag that was sent last.
    pub(super) backup: bool,
    /// The peer has withdrawn its address, and nothing was heard since.
    pub(super) is_suspect: bool,
}

/// The host around the path manager, which checks what it is asked to do.
pub(super) struct Host {
    /// What is tested.
    pub(super) paths: Paths,
    /// How it was made.
    pub(super) config: Config,
    /// Whether the peer lets itself be joined at its first address and port.
    pub(super) initial_joinable: bool,
    /// The time.
    pub(super) now: Timestamp,
    /// When the timer fires.
    pub(super) timer: Option<Timestamp>,
    /// The local addresses that exist: whether the interface runs, and its policy.
    pub(super) locals: BTreeMap<u8, (bool, Policy)>,
    /// The addresses and ports that the peer has announced and not withdrawn, and were stored.
    pub(super) announced: BTreeSet<(u8, u16)>,
    /// The subflows.
    pub(super) subflows: BTreeMap<u8, (SubflowId, Subflow)>,
    /// What the peer was told that local address IDs mean, and how often by ADD_ADDR.
    pub(super) ids: BTreeMap<u8, (u8, usize)>,
    /// How often each ID was withdrawn.
    withdrawn: BTreeMap<u8, usize>,
    /// Before when a pair is not to be tried.
    pub(super) not_before: BTreeMap<(u8, u8, u16), Timestamp>,
    /// Whether the peer echoes announcements.
    echoes: bool,
}

/// Returns the address with a number, local or the peer's.
pub(super) fn address(number: u8, is_local: bool) -> Address {
    let net = if is_local { 1 } else { 2 };
    if number < 5 {
        Address::V4([10, net, 0, number])
    } else {
        Address::V6([0x20, 1, net, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, number])
    }
}

/// Returns the number of an address.
pub(super) fn number(addr: Address) -> u8 {
    match addr {
        Address::V4([.., number]) | Address::V6([.., number]) => number,
    }
}

/// Returns what the peer calls an address of its own.
pub(super) fn peer_id(number: u8) -> AddressId {
    AddressId::new(if number == 1 { 0 } else { number })
}

/// Returns how a connection between the first addresses begins.
pub(super) fn setup(initial_joinable: bool) -> Setup {
    Setup {
        local: address(1, true),
        local_port: 1_000,
        interface: Interface {
            index: 1,
            is_running: true,
            policy: Policy::On,
        },
        peer: address(1, false),
        peer_port: PORT,
        initial_joinable,
        families: Families::Both,
        connect_from: Timestamp::ORIGIN,
    }
}

/// Returns an announcement of the peer.
pub(super) fn announcement(peer: u8, port: Option<u16>) -> AddAddr {
    AddAddr {
        id: peer_id(peer),
        addr: address(peer, false),
        port,
        hmac: Some(TruncatedHmac::new(0)),
    }
}

/// Returns a join of the peer, to the port of the first subflow.
pub(super) fn join(local: u8, peer: u8) -> Join {
    Join {
        id: peer_id(peer),
        backup: false,
        local: address(local, true),
        local_port: 1_000,
        peer: address(peer, false),
    }
}

/// What lives in time: a model's host.
pub(super) trait Timed {
    /// Does what is decided, until nothing is.
    fn act(&mut self);

    /// The time, when the timer fires, and whom it is for.
    fn clock(&mut self) -> (&mut Timestamp, &mut Option<Timestamp>, &mut Paths);

    /// Lets time pass, with the timer.
    fn wait_until(&mut self, end: Timestamp) {
        for round in 0.. {
            assert!(round < 1_000, "the timer fires without end");
            self.act();
            let (now, timer, paths) = self.clock();
            match timer.filter(|timer| *timer <= end) {
                Some(fires) => {
                    *now = (*now).max(fires);
                    *timer = None;
                    paths.on_timer();
                }
                None => break,
            }
        }
        let (now, ..) = self.clock();
        *now = (*now).max(end);
    }

    /// Lets `succeed` happen and time pass, so many times, until nothing is left to do.
    fn come_to_rest(&mut self, rounds: u32, succeed: impl Fn(&mut Self))
    where
        Self: Sized,
    {
        for _ in 0..rounds {
            succeed(self);
            let (now, ..) = self.clock();
            let end = now.advance(Duration::from_secs(20));
            self.wait_until(end);
        }
        self.act();
        let (_, timer, _) = self.clock();
        assert_eq!(*timer, None, "something is still to be done");
    }
}

impl Timed for Host {
    fn act(&mut self) {
        Host::act(self);
    }

    fn clock(&mut self) -> (&mut Timestamp, &mut Option<Timestamp>, &mut Paths) {
        (&mut self.now, &mut self.timer, &mut self.paths)
    }
}

impl Host {
    /// Makes a host with the first subflow.
    pub(super) fn new(config: Config, initial_joinable: bool, echoes: bool) -> Self {
        let first = Subflow {
            local: 1,
            peer: 1,
            port: PORT,
            is_pending: false,
            backup: false,
            is_suspect: false,
        };
        Self {
            paths: Paths::new(config, &setup(initial_joinable), Timestamp::ORIGIN),
            config,
            initial_joinable,
            now: Timestamp::ORIGIN,
            timer: None,
            locals: BTreeMap::from([(1, (true, Policy::On))]),
            announced: BTreeSet::from([(1, PORT)]),
            subflows: BTreeMap::from([(0, (SubflowId::INITIAL, first))]),
            ids: BTreeMap::from([(0, (1, 0))]),
            withdrawn: BTreeMap::new(),
            not_before: BTreeMap::new(),
            echoes,
        }
    }

    /// Tells whether a local address may be used.
    pub(super) fn is_usable(&self, local: u8) -> bool {
        let state = self.locals.get(&local);
        state.is_some_and(|(is_running, policy)| *is_running && *policy != Policy::Off)
    }

    /// Tells whether a local address is for backups.
    pub(super) fn is_backup(&self, local: u8) -> bool {
        let state = self.locals.get(&local);
        state.is_some_and(|(_, policy)| *policy == Policy::Backup)
    }

    /// Returns the addresses and ports of the peer that may be joined.
    pub(super) fn joinable(&self) -> BTreeSet<(u8, u16)> {
        let refused = (!self.initial_joinable).then_some((1, PORT));
        let all = self.announced.iter().copied();
        all.filter(|target| Some(*target) != refused).collect()
    }

    /// Returns the full mesh: every usable local address with every joinable one of the family.
    pub(super) fn mesh(&self) -> BTreeSet<(u8, u8, u16)> {
        let joinable = self.joinable();
        let locals = self.locals.keys().filter(|local| self.is_usable(**local));
        locals
            .flat_map(|local| {
                let targets = joinable.iter();
                targets
                    .filter(|(peer, _)| (*peer < 5) == (*local < 5))
                    .map(|(peer, port)| (*local, *peer, *port))
            })
            .collect()
    }

    /// Tells whether anything is wrong with a subflow's addresses.
    pub(super) fn is_good(&self, subflow: &Subflow) -> bool {
        self.is_usable(subflow.local) && !subflow.is_suspect
    }

    /// Tells whether a signal can be sent.
    pub(super) fn can_signal(&self) -> bool {
        let mut all = self.subflows.values();
        all.any(|(_, subflow)| !subflow.is_pending && self.is_good(subflow))
    }

    /// Returns the subflow that a decision speaks of.
    pub(super) fn subflow(&mut self, id: SubflowId) -> &mut Subflow {
        let entry = self.subflows.get_mut(&id.slot());
        match entry.filter(|(known, _)| *known == id) {
            Some((_, subflow)) => subflow,
            None => unreachable!("there is no {id:?}"),
        }
    }

    /// Notes that the peer is told an ID of a local address.
    pub(super) fn tell(&mut self, id: AddressId, local: u8) -> &mut usize {
        assert!(self.is_usable(local), "nobody is told of {local}");
        let (known, _) = self.ids.entry(id.get()).or_insert((local, 0));
        assert_eq!(*known, local, "one ID means one address");
        let others = self.ids.iter().filter(|(_, (known, _))| *known == local);
        assert_eq!(others.count(), 1, "one address has one ID");
        let (_, count) = self.ids.entry(id.get()).or_insert((local, 0));
        count
    }

    /// Does what the path manager decides, until it is content.
    pub(super) fn act(&mut self) {
        for round in 0.. {
            assert!(round < 200, "it does not end");
            let Some(decision) = self.paths.decide(self.now, RTO) else {
                return;
            };
            self.execute(decision);
            assert_eq!(self.paths.subflow_count(), self.subflows.len());
        }
    }

    /// Does one thing.
    pub(super) fn execute(&mut self, decision: Decision) {
        match decision {
            Decision::Connect {
                subflow,
                local,
                peer,
                backup,
            } => {
                let pair = (number(local.addr), number(peer.addr), peer.port);
                assert_eq!(local.addr, address(pair.0, true));
                assert_eq!(peer.addr, address(pair.1, false));
                assert_eq!(local.interface_index, u32::from(pair.0));
                assert_eq!(backup, self.is_backup(pair.0));
                assert_eq!(peer.id, peer_id(pair.1));
                assert!(self.config.connects);
                assert!(self.joinable().contains(&(pair.1, pair.2)));
                let not_before = self.not_before.get(&pair);
                assert!(not_before.is_none_or(|time| *time <= self.now), "too early");
                let Some(id) = local.id else {
                    unreachable!("only endpoints leave it to the routing");
                };
                self.tell(id, pair.0);
                let here = self
                    .subflows
                    .values()
                    .filter(|(_, s)| (s.local, s.peer, s.port) == pair)
                    .count();
                match self.config.kind {
                    Kind::FullMesh => assert_eq!(here, 0, "two subflows for {pair:?}"),
                    Kind::NDiffPorts => assert!(here < usize::from(self.config.ports)),
                    Kind::None | Kind::Endpoint | Kind::Userspace => {
                        unreachable!("none connects")
                    }
                }
                let new = Subflow {
                    local: pair.0,
                    peer: pair.1,
                    port: pair.2,
                    is_pending: true,
                    backup,
                    is_suspect: false,
                };
                let old = self.subflows.insert(subflow.slot(), (subflow, new));
                assert!(old.is_none(), "the slot is taken");
                let good = self.subflows.values().filter(|(_, s)| self.is_good(s));
                let limit = usize::from(self.config.limits.subflows).min(SUBFLOWS);
                assert!(self.subflows.len() <= limit || good.count() == 1);
                assert!(self.subflows.len() <= limit + 1);
            }
            Decision::CloseSubflow { subflow, .. } => {
                let closed = *self.subflow(subflow);
                assert!(!self.is_good(&closed), "nothing is wrong with it");
                self.subflows.remove(&subflow.slot());
                let limit = usize::from(self.config.limits.subflows);
                let is_surplus = self.subflows.len() >= limit;
                let is_last = !closed.is_pending && !self.can_signal();
                assert!(is_surplus || !is_last, "nothing is better");
            }
            Decision::Withdraw { ids } => {
                assert!(self.can_signal());
                for id in ids.as_bytes() {
                    if let Some((local, _)) = self.ids.remove(id) {
                        assert!(!self.is_usable(local));
                        self.withdrawn.insert(*id, 0);
                    }
                    let count = self.withdrawn.entry(*id).or_insert(WITHDRAWALS);
                    *count += 1;
                    assert!(*count <= WITHDRAWALS);
                }
            }
            Decision::SetPriority { subflow, backup } => {
                let known = *self.subflow(subflow);
                assert!(!known.is_pending);
                assert_eq!(
                    (known.backup, self.is_backup(known.local)),
                    (!backup, backup)
                );
                self.subflow(subflow).backup = backup;
            }
            Decision::Probe { subflow } => {
                let subflow = *self.subflow(subflow);
                assert!(!subflow.is_pending);
            }
            Decision::Announce { id, addr, port } => {
                assert!(self.config.announces && self.can_signal() && port.is_none());
                let local = number(addr);
                assert_eq!(addr, address(local, true));
                let count = self.tell(id, local);
                *count += 1;
                assert!(*count <= COPIES);
                if self.echoes {
                    let echo = AddAddr {
                        id,
                        addr,
                        port: None,
                        hmac: None,
                    };
                    assert_eq!(
                        self.paths.on_add_addr(&echo, self.now),
                        AddAddrOutcome::Echo
                    );
                    *self.tell(id, local) = COPIES;
                }
            }
            Decision::ArmTimer { at } => {
                assert!(at > self.now);
                assert!(self.timer.is_none_or(|timer| at < timer));
                self.timer = Some(at);
            }
        }
    }
}
