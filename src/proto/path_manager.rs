// SPDX-License-Identifier: GPL-2.0

//! Which paths a connection uses: when to add a subflow, close one, announce or withdraw an address.
//!
//! A path is a pair of addresses, one local, one of the peer. Both hosts can have several, and they
//! come and go: an interface loses its carrier, the peer announces or withdraws an address, a join
//! fails and may succeed a minute later. [`Paths`] holds what is known of one connection's addresses
//! and subflows. It is told what happens and asked what to do:
//!
//! ```text
//!   on_local_added  on_add_addr     on_subflow_established           decide() until None
//!   on_local_removed on_remove_addr on_subflow_ended  accept_join    --> Connect, CloseSubflow,
//!   on_interface    on_mp_prio      on_heard          on_joined          Announce, Withdraw, Probe,
//!   set_endpoints         |         on_local_chosen       |              SetPriority, ArmTimer
//!   announce_entry, withdraw_entry, create_subflow, destroy_subflow, set_backup
//!          |             |                |               |
//!          +-------------+--> Paths <-----+---------------+
//! ```
//!
//! Which subflows there are to be is for a manager to say, chosen by name ([`Kind`]); the rest is
//! common to all managers. Storage is fixed: 8 local addresses, or the first one and 8 endpoints or
//! entries, 8 addresses of the peer, 64 subflows.
//!
//! The signals themselves are sent, and the codes in them checked, by the caller. Which subflow
//! carries which data is not decided here.
//!
//! RFC 8684, Sections 3.2, 3.3.8, 3.4, 3.6 and 3.9.
//!
//! C counterpart: `net/mptcp/pm.c`, `net/mptcp/pm_kernel.c`, `net/mptcp/pm_userspace.c`.

mod accept;
mod address;
mod allowance;
mod attempts;
mod backoff;
mod commanded;
mod connect;
mod decide;
mod endpoint;
mod endpoint_list;
mod entries;
mod full_mesh;
mod join;
mod kind;
mod listing;
mod local;
mod ndiffports;
mod peer;
mod signalling;
mod subflow;
mod table;
mod tick;

pub use address::canonical;
pub use commanded::CommandRefusal;
pub use connect::{
    LocalEnd,
    PeerEnd, //
};
pub use decide::Decision;
pub use endpoint::{
    Endpoint,
    EndpointFlags, //
};
pub use endpoint_list::{
    EndpointList,
    EndpointRefusal,
    ENDPOINT_IDS, //
};
pub use join::{
    Join,
    JoinVerdict,
    Refusal, //
};
pub use kind::Kind;
pub use listing::LocalName;
pub use local::{
    Interface,
    Policy,
    Taken, //
};
pub use peer::{
    AddAddrOutcome,
    Ignored, //
};
pub use signalling::AddressIds;
pub use subflow::{
    Backup,
    CloseReason,
    Ended,
    SubflowId, //
};

use crate::ids::{
    Address,
    AddressId, //
};
use crate::time::{
    Duration,
    Timestamp, //
};
use allowance::Allowance;
use attempts::Attempts;
use backoff::Backoff;
use endpoint::Source;
use kind::Candidate;
use local::Local;
use peer::{
    Peer,
    Standing, //
};
use signalling::Withdrawals;
use subflow::{
    Stage,
    Subflow, //
};
use table::{
    count,
    Table, //
};
use tick::Tick;

/// The most local addresses of one connection, unless they are those of endpoints.
pub const LOCALS: usize = 8;

/// The most endpoints of one connection, that of its first subflow aside.
pub const ENDPOINTS: usize = 8;

/// The most local addresses of one connection, whatever they are.
pub const LOCAL_SLOTS: usize = ENDPOINTS + 1;

/// The most addresses of the peer, that of the first subflow included.
pub const PEERS: usize = 8;

/// The most subflows, those that connect included.
pub const SUBFLOWS: usize = 64;

/// A pair of addresses, by their slots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Pair {
    /// The slot of the local address.
    local: u8,
    /// The slot of the peer's address.
    peer: u8,
}

impl Pair {
    /// The addresses of the first subflow.
    const INITIAL: Self = Self { local: 0, peer: 0 };
}

/// Which of the two hosts the local one is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It has opened the connection.
    Client,
    /// It has accepted the connection.
    Server,
}

/// Which joins of the peer are accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Joins {
    /// All, within the limits.
    Accepted,
    /// All but those to the address and port of the first subflow: the local host has set the
    /// flag C.
    NotToInitial,
    /// None.
    Refused,
}

/// How much of everything there may be at most; `userspace` has no limits but the storage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Subflows, the first one included; beyond [`SUBFLOWS`], that many.
    pub subflows: u8,
    /// Addresses of the peer to which subflows are set up, that of the first one included; beyond
    /// [`PEERS`], that many.
    pub peer_addresses: u8,
    /// Local addresses that are announced; beyond [`LOCALS`], that many.
    pub announced: u8,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            subflows: 8,
            peer_addresses: 8,
            announced: 8,
        }
    }
}

/// How a connection is to manage its paths.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// The manager.
    pub kind: Kind,
    /// How many subflows `ndiffports` sets up, the first included: 1..=8.
    pub ports: u8,
    /// How much there may be.
    pub limits: Limits,
    /// Whether the local host sets up subflows; with endpoints it does, with `userspace` when told.
    pub connects: bool,
    /// Whether the local host announces its addresses; with endpoints it does, with `userspace` when
    /// told.
    pub announces: bool,
    /// Which joins it accepts.
    pub joins: Joins,
    /// How long to wait at most for the first echo of an announcement; zero means that
    /// announcements are not repeated.
    pub announce_timeout: Duration,
}

impl Config {
    /// The most subflows of `ndiffports`.
    pub const PORTS_MAX: u8 = 8;

    /// Returns the default of a role: the client sets up subflows, the server announces addresses.
    ///
    /// If both hosts connect, two subflows for one pair are likely (RFC 8684, Section 3.9.2).
    #[must_use]
    pub fn new(role: Role) -> Self {
        Self {
            kind: Kind::default(),
            ports: 2,
            limits: Limits::default(),
            connects: role == Role::Client,
            announces: role == Role::Server,
            joins: Joins::Accepted,
            announce_timeout: Duration::from_secs(120),
        }
    }

    /// Returns how many subflows there are to be between a usable local address and one of the peer.
    fn wanted(&self, source: Source, candidate: &Candidate) -> u8 {
        let ports = self.ports.clamp(1, Self::PORTS_MAX);
        self.kind.wanted(ports, source, candidate)
    }
}

/// Which families of addresses the subflows of a connection can have.
///
/// Only the managers `endpoint` and `userspace` ask for it.
///
/// C counterpart: `net/mptcp/pm.c` (`mptcp_pm_addr_families_match`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Families {
    /// IPv4: the application's socket is of this family.
    V4,
    /// IPv6: the application's socket is of this family, and for no other.
    V6,
    /// Both.
    Both,
}

impl Families {
    /// Tells whether the address is of such a family.
    const fn include(self, addr: Address) -> bool {
        matches!(
            (self, addr),
            (Self::Both, _) | (Self::V4, Address::V4(_)) | (Self::V6, Address::V6(_))
        )
    }
}

/// What is known when a connection is fully established.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Setup {
    /// The local address of the first subflow.
    pub local: Address,
    /// Its port, host order.
    pub local_port: u16,
    /// The interface that has the address.
    pub interface: Interface,
    /// The peer's address of the first subflow.
    pub peer: Address,
    /// Its port, host order.
    pub peer_port: u16,
    /// The peer accepts more subflows there: it has not set the flag C.
    pub initial_joinable: bool,
    /// Which families of addresses endpoints and entries can use.
    pub families: Families,
    /// No subflow is set up before this time.
    ///
    /// Where both hosts connect, the caller puts some randomness into it.
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.9.2
    //# If a host does not support TCP simultaneous open, it
    //# is RECOMMENDED that some element of randomization be applied to the
    //# time to wait before opening new subflows, so that only one subflow is
    //# created between a given address pair.
    pub connect_from: Timestamp,
}

/// How much of what [`Limits`] limit there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Usage {
    /// Local addresses that are announced.
    pub announced: u8,
    /// Addresses of the peer to which subflows may be set up, that of the first one aside.
    pub accepted: u8,
    /// Local addresses that subflows use, that of the first one aside.
    pub locals: u8,
}

/// The paths of one connection: its addresses and subflows.
///
/// About 1.2 KiB. Slot 0 of each table of addresses belongs to the first subflow's for good.
#[derive(Clone, Copy, Debug)]
pub struct Paths {
    /// How paths are managed.
    config: Config,
    /// The connection speaks no MPTCP any longer.
    is_over: bool,
    /// The peer accepts more subflows at the address and port of the first.
    initial_joinable: bool,
    /// Which families of addresses endpoints and entries can use.
    families: Families,
    /// The local port of the first subflow.
    local_port: u16,
    /// The peer's port of the first subflow.
    peer_port: u16,
    /// The last address ID that was given to a local address.
    last_id: u8,
    /// The generation of the last subflow.
    generation: u8,
    /// Before when no subflow is set up.
    connect_from: Tick,
    /// When the timer fires.
    armed: Option<Tick>,
    /// How many addresses may be learned now.
    allowance: Allowance,
    /// The local addresses.
    locals: Table<Local, LOCAL_SLOTS>,
    /// The addresses of the peer.
    peers: Table<Peer, PEERS>,
    /// The subflows.
    subflows: Table<Subflow, SUBFLOWS>,
    /// The address IDs that are being withdrawn.
    withdrawals: Withdrawals,
    /// What is remembered of failures.
    backoff: Backoff,
    /// What was tried with endpoints.
    attempts: Attempts,
}

impl Paths {
    /// Begins with the first subflow, [`SubflowId::INITIAL`], of a fully established connection.
    #[must_use]
    pub fn new(config: Config, setup: &Setup, now: Timestamp) -> Self {
        let mut paths = Self {
            config,
            is_over: false,
            initial_joinable: setup.initial_joinable,
            families: setup.families,
            local_port: setup.local_port,
            peer_port: setup.peer_port,
            last_id: 0,
            generation: 0,
            // Only what lies ahead is rounded up: a join that may begin now begins now.
            connect_from: if setup.connect_from > now {
                Tick::after(setup.connect_from, Duration::ZERO)
            } else {
                Tick::at(now)
            },
            armed: None,
            allowance: Allowance::FULL,
            locals: Table::new(),
            peers: Table::new(),
            subflows: Table::new(),
            withdrawals: Withdrawals::EMPTY,
            backoff: Backoff::new(),
            attempts: Attempts::new(),
        };
        let mut local = Local::new(canonical(setup.local), setup.interface);
        local.id = Some(AddressId::INITIAL);
        paths.locals.insert(local);
        paths.peers.insert(Peer {
            addr: canonical(setup.peer),
            port: 0,
            id: AddressId::INITIAL,
            standing: if setup.initial_joinable {
                Standing::Joinable
            } else {
                Standing::Observed
            },
        });
        paths.subflows.insert(Subflow {
            generation: SubflowId::INITIAL.generation,
            local: Pair::INITIAL.local,
            peer: Pair::INITIAL.peer,
            peer_id: AddressId::INITIAL,
            stage: Stage::Established,
            local_backup: false,
            peer_backup: false,
            doom: None,
            tick: Tick::at(now),
        });
        paths
    }

    /// Returns how paths are managed.
    #[inline]
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Changes how paths are managed; subflows and announcements that exist stay.
    ///
    /// What the list of endpoints or a program has said of local addresses is forgotten with its
    /// manager; what a program has commanded and was not done yet is done. With `userspace`, the local
    /// addresses that the peer knows become entries.
    pub fn set_config(&mut self, config: Config) {
        let had_listings = self.has_listings();
        let is_changed = self.config.kind != config.kind;
        self.config = config;
        if is_changed && self.is_commanded() {
            self.adopt_locals();
        } else if is_changed && had_listings {
            self.forget_listings();
        }
    }

    /// Takes in that the timer has fired.
    #[inline]
    pub fn on_timer(&mut self) {
        self.armed = None;
    }

    /// Takes in that the connection has fallen back, or is being closed: nothing is decided and no
    /// join accepted from now on.
    #[inline]
    pub fn on_over(&mut self) {
        self.is_over = true;
    }

    /// Returns how many slots of local addresses there are.
    fn local_slots(&self) -> u8 {
        u8::try_from(LOCAL_SLOTS).unwrap_or(u8::MAX)
    }

    /// Returns how many slots of the peer's addresses there are.
    fn peer_slots(&self) -> u8 {
        u8::try_from(PEERS).unwrap_or(u8::MAX)
    }

    /// Returns how many subflows there may be; a program minds its own limits.
    fn subflow_limit(&self) -> usize {
        if self.is_commanded() {
            return SUBFLOWS;
        }
        usize::from(self.config.limits.subflows).min(SUBFLOWS)
    }

    /// Tells whether the local host sets up subflows of its own accord.
    fn connects(&self) -> bool {
        (self.config.connects && !self.is_commanded()) || self.uses_endpoints()
    }

    /// Returns how many local addresses may be announced.
    fn announced_limit(&self) -> usize {
        usize::from(self.config.limits.announced).min(LOCALS)
    }

    /// Returns how much there is of what is limited.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let number = |all: usize| u8::try_from(all).unwrap_or(u8::MAX);
        let locals = self.locals.iter();
        let used = locals.filter(|(slot, _)| *slot != 0 && self.has_subflow_from(*slot));
        Usage {
            announced: number(self.announced()),
            accepted: number(self.accepted()),
            locals: number(count(used)),
        }
    }

    /// Tells whether a subflow uses the local address in a slot.
    fn has_subflow_from(&self, index: u8) -> bool {
        self.subflows.iter().any(|(_, s)| s.local == index)
    }
}

#[cfg(test)]
mod tests;
