// SPDX-License-Identifier: GPL-2.0

//! Packet schedulers: which subflow carries the next data.
//!
//! Data waits at the connection, and several subflows could take it. Every time data waits and
//! something has changed, the caller describes the subflows ([`Path`]) and the connection
//! ([`Demand`]) and asks a [`Scheduler`], again and again until it says [`Choice::Wait`]:
//!
//! ```text
//!                                  +--> Send(index, bytes) ----> hand over, describe, ask again
//!   snapshots --> choose() --------+--> Repeat(index, bytes) --> the same, with data sent before
//!                                  +--> Wait ------------------> until an ACK or room comes
//! ```
//!
//! | name | who gets the next data |
//! |---|---|
//! | `minrtt` | the lowest RTT, and a slower path only if it delays nothing; the default |
//! | `roundrobin` | each path in turn |
//! | `redundant` | every path, all of it |
//! | `blest` | the slower path if the window lasts for the faster one (Ferlin et al. 2016) |
//! | `ecf` | the slower path if the faster one would not be done earlier (Lim et al. 2017) |
//!
//! All of them keep to the same rules. Only the best [`Standing`] there is takes part, so that
//! backup subflows stay idle while a regular one works. A path gets what its congestion window
//! takes, in bursts of at most [`BURST_MAX`]. And nobody waits for nothing: if data may be sent and
//! every subflow is idle, it is sent.
//!
//! A scheduler is a small value in the connection. It holds no state that another one needs, so a
//! connection changes it by assignment, at any time. A new scheduler is a file that implements
//! [`Scheduler`], its `mod` and a line in the list below.
//!
//! [`Rescue`] is for what no scheduler can foresee: the connection stands still because the oldest
//! byte is on a slow path; and [`Tail`] for the end, when only a slow path has something to do.
//!
//! Not handled here: data that was lost with its subflow, which the caller offers again as data that
//! waits; the data-level retransmission timer (see the module `connection`); congestion control.
//!
//! RFC 8684, Sections 2.5 and 3.3.8.
//!
//! C counterpart: `net/mptcp/sched.c`, `net/mptcp/protocol.c` (`mptcp_subflow_get_send`).

mod blest;
mod blocked;
mod ecf;
mod min_rtt;
mod path;
mod rate;
mod redundant;
mod round_robin;
mod tail;
#[cfg(test)]
mod tests;

pub use blocked::{
    Head,
    Penalty,
    Remedy,
    Rescue, //
};
pub use path::{
    Path,
    Standing, //
};

pub use rate::{
    DeliveryRate,
    Limit, //
};

pub use tail::{
    Relief,
    Tail, //
};

use crate::time::Timestamp;

/// The most that one choice hands over.
///
/// Bytes. One GSO packet, 65,535 bytes, less the longest TCP header and the IPv6 header.
pub const BURST_MAX: u32 = 65_535 - 60 - 40;

/// What the connection wants to send, at the moment of a choice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Demand {
    /// What time it is.
    pub now: Timestamp,
    /// Data that was never sent.
    ///
    /// Bytes.
    pub waiting: u64,
    /// How much of it the peer's window allows: from the next DSN to the right edge.
    ///
    /// Bytes.
    pub window: u64,
    /// Data that was sent, on whichever subflow, and has no Data ACK; each byte counts once.
    ///
    /// Bytes.
    pub in_flight: u64,
    /// What the application may add to the send buffer before it has to wait, or `u64::MAX` if it
    /// will add nothing: then the buffer limits nothing either.
    ///
    /// Bytes. The send buffer holds `in_flight + waiting + buffer_free`.
    pub buffer_free: u64,
}

impl Demand {
    /// Returns how much can be sent now: what waits, as far as the window goes.
    #[inline]
    #[must_use]
    pub fn sendable(&self) -> u64 {
        self.waiting.min(self.window)
    }

    /// Returns how far the stream can get beyond a byte that has no Data ACK.
    ///
    /// Bytes: the whole peer's window, or the whole send buffer if that is smaller.
    #[inline]
    #[must_use]
    pub fn reach(&self) -> u64 {
        let buffer = self.waiting.saturating_add(self.buffer_free);
        self.window.min(buffer).saturating_add(self.in_flight)
    }

    /// Tells whether the application may be waiting for room, so that more data will come.
    ///
    /// Less than a third of the send buffer is free, which is when TCP stops saying that a socket
    /// can be written to.
    #[inline]
    #[must_use]
    pub fn is_backlogged(&self) -> bool {
        let used = self.waiting.saturating_add(self.in_flight);
        self.buffer_free < used / 2
    }
}

/// What to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    /// Hand data that was never sent over to a subflow, then ask again.
    Send {
        /// The [`Path::index`] of the subflow.
        index: u8,
        /// How many bytes, from the connection's next DSN on; 1 or more.
        bytes: u32,
    },
    /// Hand data that other subflows have carried before over to a subflow, then ask again.
    ///
    /// Only schedulers that [`duplicate`](Scheduler::duplicates) say this.
    Repeat {
        /// The [`Path::index`] of the subflow.
        index: u8,
        /// How many bytes, from the subflow's own next DSN on; 1 or more, at most [`Path::behind`].
        bytes: u32,
    },
    /// Hand nothing over, and ask again when an ACK has come, a subflow has room, or there is more
    /// to send.
    Wait,
}

/// Decides which subflow carries the next data.
pub trait Scheduler {
    /// Chooses among `paths`, one for each subflow, for as much of `demand` as goes out in one burst.
    ///
    /// The caller asks as long as data waits, also when the peer's window is closed: a scheduler may
    /// learn from that.
    #[must_use]
    fn choose(&mut self, paths: &[Path], demand: &Demand) -> Choice;

    /// Tells whether every subflow is to carry all data, so that the caller has to know how far each
    /// is [`behind`](Path::behind), and asks as long as one is.
    #[inline]
    #[must_use]
    fn duplicates(&self) -> bool {
        false
    }
}

/// Makes [`Kind`] and [`AnyScheduler`] from the list of schedulers.
macro_rules! schedulers {
    ($($module:ident::$scheduler:ident = $name:literal: $doc:literal,)*) => {
        $(pub use $module::$scheduler;)*

        /// The schedulers there are, by name.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        pub enum Kind {
            $(#[doc = $doc] $scheduler,)*
        }

        impl Kind {
            /// Every scheduler, for lists that people read.
            pub const ALL: &'static [Self] = &[$(Self::$scheduler,)*];

            /// Returns the name by which people choose the scheduler.
            #[inline]
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$scheduler => $name,)*
                }
            }
        }

        /// A scheduler of any kind, to be kept by value.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum AnyScheduler {
            $(#[doc = $doc] $scheduler($scheduler),)*
        }

        impl AnyScheduler {
            /// Makes a scheduler that has seen nothing yet.
            #[inline]
            #[must_use]
            pub const fn new(kind: Kind) -> Self {
                match kind {
                    $(Kind::$scheduler => Self::$scheduler($scheduler::new()),)*
                }
            }

            /// Returns which one it is.
            #[inline]
            #[must_use]
            pub const fn kind(&self) -> Kind {
                match self {
                    $(Self::$scheduler(_) => Kind::$scheduler,)*
                }
            }
        }

        impl Scheduler for AnyScheduler {
            fn choose(&mut self, paths: &[Path], demand: &Demand) -> Choice {
                match self {
                    $(Self::$scheduler(scheduler) => scheduler.choose(paths, demand),)*
                }
            }

            #[inline]
            fn duplicates(&self) -> bool {
                match self {
                    $(Self::$scheduler(scheduler) => scheduler.duplicates(),)*
                }
            }
        }
    };
}

schedulers! {
    min_rtt::MinRtt = "minrtt": "Lowest RTT first; a slower path only if it delays nothing.",
    round_robin::RoundRobin = "roundrobin": "Each path in turn.",
    redundant::Redundant = "redundant": "Everything on every path.",
    blest::Blest = "blest": "BLEST: a slower path if the window lasts for the faster one.",
    ecf::Ecf = "ecf": "ECF: a slower path if the faster one would not be done earlier.",
}

impl Kind {
    /// Finds a scheduler by its name, exactly as [`name`](Self::name) spells it.
    #[must_use]
    pub fn parse(name: &[u8]) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.name().as_bytes() == name)
    }
}

impl Default for Kind {
    #[inline]
    fn default() -> Self {
        Self::MinRtt
    }
}

/// Returns the paths that take part: those of the best standing there is.
///
/// RFC 8684, Section 3.3.8.
fn eligible(paths: &[Path]) -> impl Iterator<Item = &Path> + Clone {
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.8
    //# this path should be treated as a backup path to use only in the
    //# event of failure of other working subflows (i.e., a subflow where the
    //# receiver has indicated that B=1 SHOULD NOT be used to send data
    //# unless there are no usable subflows where B=0).
    let best = paths.iter().filter_map(Path::standing).min();
    paths
        .iter()
        .filter(move |path| best.is_some() && path.standing() == best)
}

/// Returns the fastest of the paths that take part.
#[inline]
fn fastest(paths: &[Path]) -> Option<&Path> {
    eligible(paths).min_by_key(|path| path.smoothed_rtt())
}

/// Chooses the fastest path that has room, unless `waits` tells that the slower one it is had better
/// be left out until `fast` has room; it is not asked where no ACK can be expected.
fn fastest_with_room(
    paths: &[Path],
    fast: &Path,
    demand: &Demand,
    waits: impl FnOnce(&Path) -> bool,
) -> Choice {
    let available = eligible(paths)
        .map(|path| (path, burst(path, demand, BURST_MAX)))
        .filter(|(_, bytes)| *bytes > 0)
        .min_by_key(|(path, _)| path.smoothed_rtt());
    match available {
        None => Choice::Wait,
        Some((path, bytes)) if path.index == fast.index || !path.answers() => send(path, bytes),
        Some((slow, _)) if waits(slow) => Choice::Wait,
        Some((slow, _)) => send(slow, burst(slow, demand, slow.share())),
    }
}

/// Returns how much of `demand` goes to `path` in one burst, at most about `most` bytes; zero if it
/// has no room or it is too early.
///
/// Whole segments, but for the last data there is. A window smaller than a segment is worth one
/// only if no Data ACK can be expected to open it.
///
/// RFC 1122, Section 4.2.3.4.
fn burst(path: &Path, demand: &Demand, most: u32) -> u32 {
    let segment = path.segment();
    let most = path.room().min(BURST_MAX).min(most.max(segment));
    let bytes = demand.sendable().min(u64::from(most));
    let bytes = u32::try_from(bytes).unwrap_or(most);
    if u64::from(bytes) == demand.waiting {
        return bytes;
    }
    match whole_segments(bytes, segment) {
        0 if demand.in_flight == 0 => bytes,
        whole => whole,
    }
}

/// Returns `bytes` rounded down to a multiple of `segment`.
#[inline]
fn whole_segments(bytes: u32, segment: u32) -> u32 {
    bytes.wrapping_sub(bytes.checked_rem(segment).unwrap_or(0))
}

/// Returns the choice that hands `bytes` over to `path`, or to wait if there are none.
#[inline]
fn send(path: &Path, bytes: u32) -> Choice {
    match bytes {
        0 => Choice::Wait,
        bytes => Choice::Send {
            index: path.index,
            bytes,
        },
    }
}
