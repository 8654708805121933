// SPDX-License-Identifier: GPL-2.0

//! The settings of a namespace: the files of its sysctl directory `net.mptcp_rs`.
//!
//! Anyone who needs them takes a snapshot with [`of`], in any context and without a lock. When one
//! changes, every connection of the namespace is told and looks again.
//!
//! C counterpart: net/mptcp/ctrl.c.

use crate::bindings;
use crate::canonical;
use crate::event;
use crate::net;
use crate::setting::{
    Rule,
    Setting,
    Values, //
};
use crate::sysctl::{
    Directory,
    File, //
};
use crate::token_table;
use core::sync::atomic::{
    AtomicU64,
    Ordering, //
};
use kernel::prelude::*;
use mptcp_proto::handshake::{
    Blackhole,
    SYN_ATTEMPTS, //
};
use mptcp_proto::path_manager::{
    self,
    Joins,
    Limits,
    Role, //
};
use mptcp_proto::scheduler;
use mptcp_proto::time::Duration;

/// The names of the path managers, in the order of `Kind::ALL`.
const PATH_MANAGERS: [&str; path_manager::Kind::ALL.len()] = {
    let mut names = [""; path_manager::Kind::ALL.len()];
    let mut place = 0;
    while place < names.len() {
        names[place] = path_manager::Kind::ALL[place].name();
        place += 1;
    }
    names
};

/// The names of the schedulers, in the order of `Kind::ALL`.
const SCHEDULERS: [&str; scheduler::Kind::ALL.len()] = {
    let mut names = [""; scheduler::Kind::ALL.len()];
    let mut place = 0;
    while place < names.len() {
        names[place] = scheduler::Kind::ALL[place].name();
        place += 1;
    }
    names
};

/// Makes the rule of a file in the namespace's directory; the default names come first in their lists.
const fn rule(
    name: &'static CStr,
    values: Values,
    default: u32,
    on_write: fn(*mut bindings::net),
) -> Rule {
    Rule {
        directory: "net.mptcp_rs.",
        name,
        values,
        default,
        on_write,
    }
}

/// Whether new sockets become ours.
static ENABLED: Rule = rule(c"enabled", Values::Numbers(0, 1), 0, net::on_switch);
/// Whether programs may ask for MPTCP by name.
static BY_NAME: Rule = Rule {
    directory: "net.mptcp.",
    ..rule(c"enabled", Values::Numbers(0, 1), 1, |_| ())
};
/// Which subflows there are to be.
pub(crate) static PATH_MANAGER: Rule = rule(
    c"path_manager",
    Values::Names(&PATH_MANAGERS),
    0,
    tell_connections,
);
/// Which subflow carries the next data.
pub(crate) static SCHEDULER: Rule = rule(
    c"scheduler",
    Values::Names(&SCHEDULERS),
    0,
    tell_connections,
);
/// Subflows that `ndiffports` sets up, the first included.
static NDIFFPORTS: Rule = rule(
    c"ndiffports",
    // CAST: A small number.
    Values::Numbers(1, path_manager::Config::PORTS_MAX as u32),
    2,
    tell_connections,
);
/// Subflows of a connection, the first included.
static SUBFLOWS_MAX: Rule = rule(
    c"subflows_max",
    // CAST: A small number.
    Values::Numbers(1, path_manager::SUBFLOWS as u32),
    8,
    tell_connections,
);
/// Announced addresses of the peer that a connection takes in.
static PEER_ADDRESSES_MAX: Rule = rule(
    c"peer_addresses_max",
    // CAST: A small number.
    Values::Numbers(0, path_manager::PEERS as u32),
    8,
    tell_connections,
);
/// Seconds that a connection without a subflow waits for one.
static CLOSE_TIMEOUT: Rule = rule(
    c"close_timeout",
    Values::Numbers(0, 3600),
    60,
    tell_connections,
);

/// Seconds that an ADD_ADDR waits for its echo at most before it is repeated; 0 for never.
static ADD_ADDR_TIMEOUT: Rule = rule(
    c"add_addr_timeout",
    Values::Numbers(0, 3600),
    120,
    tell_connections,
);
/// Whether the peer may join at the address and port of the first subflow.
static ALLOW_JOIN_INITIAL: Rule = rule(
    c"allow_join_initial_addr_port",
    Values::Numbers(0, 1),
    1,
    tell_connections,
);
/// Whether we require checksums; we use them as well if the peer does.
static CHECKSUMS: Rule = rule(c"checksum_enabled", Values::Numbers(0, 1), 0, |_| ());
/// Whether an ADD_ADDR may take the place of TCP's timestamps.
static DROP_TIMESTAMPS: Rule = rule(
    c"add_addr_v6_port_drop_ts",
    Values::Numbers(0, 1),
    1,
    |_| (),
);
/// Who manages the paths of sockets that were asked for by name: what is configured as endpoints, or a
/// program.
static BY_NAME_MANAGER: Rule = Rule {
    directory: "net.mptcp.",
    ..rule(
        c"path_manager",
        Values::Names(&["kernel", "userspace"]),
        0,
        |net| {
            let config = net::config(net);
            config.by_name_type.set(config.by_name_manager.get());
            tell_connections(net);
        },
    )
};
/// The same by number, as it was before it had a name.
static BY_NAME_TYPE: Rule = Rule {
    directory: "net.mptcp.",
    ..rule(c"pm_type", Values::Numbers(0, 1), 0, |net| {
        let config = net::config(net);
        config.by_name_manager.set(config.by_name_type.get());
        tell_connections(net);
    })
};
/// How many repeated SYNs carry MP_CAPABLE before one goes without; the last value means all.
static SYN_RETRANS: Rule = rule(
    c"syn_retrans_before_tcp_fallback",
    Values::Numbers(0, SYN_RETRANS_ALL),
    SYN_ATTEMPTS - 1,
    |_| (),
);
/// See [`SYN_RETRANS`].
const SYN_RETRANS_ALL: u32 = 128;

/// Seconds without MPTCP for new connections once SYNs with MP_CAPABLE are found to be dropped; 0 for never.
static BLACKHOLE_TIMEOUT: Rule = rule(
    c"blackhole_timeout",
    Values::Numbers(0, i32::MAX.unsigned_abs()),
    3600,
    |net| net::config(net).blackhole.store(0, Ordering::Relaxed),
);
/// Timeouts in a row after which a subflow makes no progress; 0 for none.
static STALE_LOSSES: Rule = rule(c"stale_loss_cnt", Values::Numbers(0, u32::MAX), 1, |_| ());

/// The settings of one namespace.
pub(crate) struct Config {
    /// See [`ENABLED`].
    enabled: Setting,
    /// See [`BY_NAME`].
    by_name: Setting,
    /// See [`PATH_MANAGER`].
    path_manager: Setting,
    /// See [`SCHEDULER`].
    scheduler: Setting,
    /// See [`NDIFFPORTS`].
    ndiffports: Setting,
    /// See [`SUBFLOWS_MAX`].
    subflows_max: Setting,
    /// See [`PEER_ADDRESSES_MAX`].
    peer_addresses_max: Setting,
    /// See [`CLOSE_TIMEOUT`].
    close_timeout: Setting,
    /// See [`ADD_ADDR_TIMEOUT`].
    add_addr_timeout: Setting,
    /// See [`ALLOW_JOIN_INITIAL`].
    allow_join_initial: Setting,
    /// See [`SYN_RETRANS`].
    syn_retrans: Setting,
    /// See [`CHECKSUMS`].
    checksums: Setting,
    /// See [`DROP_TIMESTAMPS`].
    drop_timestamps: Setting,
    /// See [`BLACKHOLE_TIMEOUT`].
    blackhole_timeout: Setting,
    /// What is known of SYNs with MP_CAPABLE that were dropped: [`Blackhole`] as a word.
    blackhole: AtomicU64,
    /// See [`STALE_LOSSES`].
    stale_losses: Setting,
    /// See [`BY_NAME_MANAGER`].
    by_name_manager: Setting,
    /// See [`BY_NAME_TYPE`].
    by_name_type: Setting,
}

/// Files of the settings, and the two lists of names; some are also where the kernel's own MPTCP has
/// them.
pub(crate) type Files = (Directory<16>, Option<Directory<14>>);

impl Config {
    /// Makes the settings of `net`, all at their defaults.
    pub(crate) const fn new(net: *mut bindings::net) -> Self {
        Self {
            enabled: Setting::new(&ENABLED, net),
            by_name: Setting::new(&BY_NAME, net),
            path_manager: Setting::new(&PATH_MANAGER, net),
            scheduler: Setting::new(&SCHEDULER, net),
            ndiffports: Setting::new(&NDIFFPORTS, net),
            subflows_max: Setting::new(&SUBFLOWS_MAX, net),
            peer_addresses_max: Setting::new(&PEER_ADDRESSES_MAX, net),
            close_timeout: Setting::new(&CLOSE_TIMEOUT, net),
            add_addr_timeout: Setting::new(&ADD_ADDR_TIMEOUT, net),
            allow_join_initial: Setting::new(&ALLOW_JOIN_INITIAL, net),
            syn_retrans: Setting::new(&SYN_RETRANS, net),
            checksums: Setting::new(&CHECKSUMS, net),
            drop_timestamps: Setting::new(&DROP_TIMESTAMPS, net),
            blackhole_timeout: Setting::new(&BLACKHOLE_TIMEOUT, net),
            blackhole: AtomicU64::new(Blackhole::NONE.bits()),
            stale_losses: Setting::new(&STALE_LOSSES, net),
            by_name_manager: Setting::new(&BY_NAME_MANAGER, net),
            by_name_type: Setting::new(&BY_NAME_TYPE, net),
        }
    }

    /// Puts the files of the settings into the tree of `net`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    ///
    /// # Safety
    ///
    /// `net` and the settings outlive the files.
    pub(crate) unsafe fn register(&self, net: *mut bindings::net) -> Result<Files> {
        let files = [
            self.enabled.file(),
            self.path_manager.file(),
            File::read_only(c"available_path_managers", &PATH_MANAGER.values),
            self.scheduler.file(),
            File::read_only(c"available_schedulers", &SCHEDULER.values),
            self.ndiffports.file(),
            self.subflows_max.file(),
            self.peer_addresses_max.file(),
            self.close_timeout.file(),
            self.add_addr_timeout.file(),
            self.allow_join_initial.file(),
            self.syn_retrans.file(),
            self.checksums.file(),
            self.drop_timestamps.file(),
            self.blackhole_timeout.file(),
            self.stale_losses.file(),
        ];
        // SAFETY: By the function's contract; the lists are static.
        let ours = unsafe { Directory::new(net, c"net/mptcp_rs", files)? };
        if !canonical::IS_FREE {
            return Ok((ours, None));
        }
        let files = [
            self.by_name.file(),
            self.scheduler.file(),
            File::read_only(c"available_schedulers", &SCHEDULER.values),
            self.close_timeout.file(),
            self.add_addr_timeout.file(),
            self.allow_join_initial.file(),
            self.syn_retrans.file(),
            self.checksums.file(),
            self.drop_timestamps.file(),
            self.blackhole_timeout.file(),
            self.stale_losses.file(),
            self.by_name_manager.file(),
            self.by_name_type.file(),
            File::read_only(c"available_path_managers", &BY_NAME_MANAGER.values),
        ];
        // SAFETY: As above.
        let canonical = unsafe { Directory::new(net, c"net/mptcp", files)? };
        Ok((ours, Some(canonical)))
    }

    /// Lets new sockets be TCP's from now on.
    pub(crate) fn disable(&self) {
        self.enabled.set(0);
    }

    /// Whether new sockets become ours.
    #[inline]
    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled.get() != 0
    }

    /// Whether programs may ask for MPTCP by name.
    pub(crate) fn accepts_by_name(&self) -> bool {
        self.by_name.get() != 0
    }

    /// Who manages the paths of sockets that were asked for by name.
    pub(crate) fn manager_by_name(&self) -> path_manager::Kind {
        match self.by_name_manager.get() {
            0 => path_manager::Kind::Endpoint,
            _ => path_manager::Kind::Userspace,
        }
    }

    /// Whether we require checksums.
    #[inline]
    pub(crate) fn requires_checksums(&self) -> bool {
        self.checksums.get() != 0
    }

    /// Whether an ADD_ADDR may take the place of TCP's timestamps.
    pub(crate) fn drops_timestamps(&self) -> bool {
        self.drop_timestamps.get() != 0
    }

    /// How many SYNs of a connection carry MP_CAPABLE before one goes without.
    #[inline]
    pub(crate) fn syn_attempts(&self) -> u32 {
        match self.syn_retrans.get() {
            SYN_RETRANS_ALL => u32::MAX,
            repeated => repeated.saturating_add(1),
        }
    }

    /// What is known of SYNs with MP_CAPABLE that were dropped.
    #[inline]
    pub(crate) fn blackhole(&self) -> Blackhole {
        Blackhole::from_bits(self.blackhole.load(Ordering::Relaxed))
    }

    /// Notes what is known now, unless somebody else has noted something since `before`.
    pub(crate) fn note_blackhole(&self, before: Blackhole, now: Blackhole) {
        let (before, now) = (before.bits(), now.bits());
        let relaxed = Ordering::Relaxed;
        // If it fails, the other one knows as much.
        let _ = self
            .blackhole
            .compare_exchange(before, now, relaxed, relaxed);
    }

    /// For how long new connections do without MPTCP when SYNs with MP_CAPABLE are dropped; none for never.
    pub(crate) fn blackhole_timeout(&self) -> Duration {
        Duration::from_secs(u64::from(self.blackhole_timeout.get()))
    }

    /// After how many timeouts in a row a subflow makes no progress.
    #[inline]
    pub(crate) fn losses_until_stale(&self) -> u32 {
        match self.stale_losses.get() {
            0 => u32::MAX,
            losses => losses,
        }
    }

    /// Whether the peer may join at the address and port of the first subflow.
    #[inline]
    pub(crate) fn allows_join_initial(&self) -> bool {
        self.allow_join_initial.get() != 0
    }
}

/// The settings that concern connections, at one moment.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    /// Which subflows there are to be.
    pub(crate) path_manager: path_manager::Kind,
    /// Which subflow carries the next data.
    pub(crate) scheduler: scheduler::Kind,
    /// Subflows that `ndiffports` sets up, the first included: 1..=8.
    pub(crate) ndiffports: u8,
    /// Subflows of a connection, the first included: 1..=64.
    pub(crate) subflows_max: u8,
    /// Announced addresses of the peer that a connection takes in: 0..=8.
    pub(crate) peer_addresses_max: u8,
    /// How long a connection without a subflow waits for one.
    pub(crate) close_timeout: Duration,
    /// How long an ADD_ADDR waits for its echo at most before it is repeated; zero for ever.
    pub(crate) add_addr_timeout: Duration,
    /// Which joins of the peer are accepted.
    pub(crate) joins: Joins,
    /// The limits for connections that go by endpoints: subflows, the first one aside, and announced
    /// addresses that are used.
    pub(crate) endpoint_limits: (u8, u8),
}

/// Takes a snapshot of the settings of `net`.
///
/// # Context
///
/// Any; no lock is taken.
pub(crate) fn of(net: *const bindings::net) -> Settings {
    let byte = |setting: &Setting| u8::try_from(setting.get()).unwrap_or(u8::MAX);
    let config = net::config(net);
    Settings {
        path_manager: config.path_manager.choose(&path_manager::Kind::ALL),
        scheduler: config.scheduler.choose(scheduler::Kind::ALL),
        ndiffports: byte(&config.ndiffports),
        subflows_max: byte(&config.subflows_max),
        peer_addresses_max: byte(&config.peer_addresses_max),
        close_timeout: Duration::from_secs(u64::from(config.close_timeout.get())),
        add_addr_timeout: Duration::from_secs(u64::from(config.add_addr_timeout.get())),
        joins: if config.allows_join_initial() {
            Joins::Accepted
        } else {
            Joins::NotToInitial
        },
        endpoint_limits: net::endpoints(net).limits(),
    }
}

impl Settings {
    /// Returns how a connection is to manage its paths.
    pub(crate) fn path_config(&self, role: Role) -> path_manager::Config {
        let (subflows, peer_addresses) = match self.path_manager {
            path_manager::Kind::Endpoint => {
                let (subflows, accepted) = self.endpoint_limits;
                (subflows.saturating_add(1), accepted)
            }
            _ => (self.subflows_max, self.peer_addresses_max),
        };
        path_manager::Config {
            kind: self.path_manager,
            ports: self.ndiffports,
            joins: self.joins,
            announce_timeout: self.add_addr_timeout,
            limits: Limits {
                subflows,
                // The path manager counts the address of the first subflow, too.
                peer_addresses: peer_addresses.saturating_add(1),
                ..Limits::default()
            },
            ..path_manager::Config::new(role)
        }
    }
}

/// Lets every connection of `net` look at its paths again: an address or a setting has changed.
///
/// # Context
///
/// Process. One pass over the token table; each connection's worker does the rest.
pub(crate) fn tell_connections(net: *mut bindings::net) {
    token_table::for_each_in(net, |connection| connection.schedule(event::PATHS));
}
