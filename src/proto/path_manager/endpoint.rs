// SPDX-License-Identifier: GPL-2.0

//! The manager `endpoint`: what an administrator has configured, address by address.
//!
//! An endpoint is a local address that is to be used in certain ways, as its flags say:
//!
//! | flag | what the endpoint is used for |
//! |---|---|
//! | signal | it is announced to the peer |
//! | subflow | a subflow from it to the first address of the peer |
//! | fullmesh | subflows from it to the addresses that the peer announces |
//! | fullmesh and subflow | and to those from which the peer has joined before it was added |
//! | laminar | a subflow from it to an announced address, if no other uses the endpoint |
//! | backup | its subflows are backups |
//!
//! Without an endpoint with the flag fullmesh or laminar, the routing chooses where a subflow to an
//! announced address begins. If the peer does not want to be joined at its first address, and no
//! announced one is to be accepted, one is, and the flag subflow is for that. A pair of addresses
//! is tried once. Both hosts connect, whichever has opened the connection.
//!
//! C counterpart: `net/mptcp/pm_kernel.c`.

use super::address::can_meet;
use super::kind::{
    Candidate,
    Strategy, //
};
use super::peer::Standing;
use super::Pair;
use crate::ids::{
    Address,
    AddressId, //
};

/// How an endpoint is used: a set of flags.
///
/// The bits are those of the kernel's generic netlink family.
///
/// C counterpart: `MPTCP_PM_ADDR_FLAG_*` in `include/uapi/linux/mptcp.h`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default)]
pub struct EndpointFlags(u8);

impl EndpointFlags {
    /// No flag: the address only has a name.
    pub const NONE: Self = Self(0);
    /// The address is announced to the peer.
    pub const SIGNAL: Self = Self(1);
    /// A subflow is set up from the address to the peer's first one.
    pub const SUBFLOW: Self = Self(1 << 1);
    /// The peer is to use subflows of the address only if no other is usable.
    pub const BACKUP: Self = Self(1 << 2);
    /// Subflows are set up from the address to every address of the peer.
    pub const FULL_MESH: Self = Self(1 << 3);
    /// Nobody has configured the endpoint: a subflow uses the address, so it has a name.
    pub const IMPLICIT: Self = Self(1 << 4);
    /// A subflow is set up from the address to one announced address of the peer.
    pub const LAMINAR: Self = Self(1 << 5);

    /// All flags.
    const ALL: u32 = (1 << 6) - 1;

    /// Makes a set from the bits of netlink; those that nobody knows are left out.
    #[inline]
    #[must_use]
    pub fn from_known_bits(bits: u32) -> Self {
        Self(u8::try_from(bits & Self::ALL).unwrap_or(0))
    }

    /// Returns the bits of netlink.
    #[inline]
    #[must_use]
    pub fn bits(self) -> u32 {
        u32::from(self.0)
    }

    /// Tells whether all of `flags` are set.
    #[inline]
    #[must_use]
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Returns the set with `flags` set as well.
    #[inline]
    #[must_use]
    pub const fn with(self, flags: Self) -> Self {
        Self(self.0 | flags.0)
    }

    /// Returns the set with `flags` cleared.
    #[inline]
    #[must_use]
    pub const fn without(self, flags: Self) -> Self {
        Self(self.0 & !flags.0)
    }

    /// Tells whether the address is to be used for anything, and not only named.
    pub(super) const fn is_used(self) -> bool {
        let uses = Self::SIGNAL
            .with(Self::SUBFLOW)
            .with(Self::FULL_MESH)
            .with(Self::LAMINAR);
        self.0 & uses.0 != 0
    }

    /// Tells whether one of the two sets has the flags and the other does not.
    pub(super) const fn differs_in(self, other: Self, flags: Self) -> bool {
        (self.0 ^ other.0) & flags.0 != 0
    }
}

/// A local address with a name, and how it is used.
///
/// C counterpart: `struct mptcp_pm_addr_entry`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// What the peer is to call the address, 1..=255; one with 0 is ignored.
    ///
    /// The address of the first subflow is always called 0.
    pub id: AddressId,
    /// The address.
    pub addr: Address,
    /// The port to announce, host order; only joins to this port come to the endpoint.
    ///
    /// `None`: the address is announced without, and joins to any port come to it.
    pub port: Option<u16>,
    /// The interface that subflows are to leave through; zero if any.
    pub interface_index: u32,
    /// How it is used.
    pub flags: EndpointFlags,
    /// Tells it from an earlier endpoint with the same ID, address and port.
    ///
    /// The caller counts the endpoints that were ever added; wraps.
    pub serial: u32,
}

/// Where subflows to the addresses that the peer announces begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// At each endpoint with the flag fullmesh.
    FullMesh,
    /// At one endpoint with the flag laminar.
    Laminar,
    /// At each endpoint with the flag subflow: the first address of the peer is not for them.
    Subflow,
    /// Where the routing chooses.
    Routing,
}

/// Uses endpoints as their flags say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ByEndpoint {
    /// Where subflows to announced addresses begin.
    pub(super) source: Source,
}

impl Strategy for ByEndpoint {
    fn wanted(self, candidate: &Candidate) -> u8 {
        let has = |flags| candidate.flags.contains(flags);
        let Pair { local, peer } = candidate.pair;
        let is_wanted = match (peer == Pair::INITIAL.peer, candidate.standing) {
            (true, Standing::Joinable) => has(EndpointFlags::SUBFLOW),
            // The peer has joined from there.
            (false, Standing::Observed) => {
                has(EndpointFlags::SUBFLOW.with(EndpointFlags::FULL_MESH))
            }
            (false, Standing::Joinable) => match self.source {
                Source::FullMesh => has(EndpointFlags::FULL_MESH),
                Source::Laminar => has(EndpointFlags::LAMINAR),
                Source::Subflow => has(EndpointFlags::SUBFLOW) && local != Pair::INITIAL.local,
                Source::Routing => false,
            },
            (_, Standing::Withdrawn) | (true, Standing::Observed) => false,
        };
        u8::from(is_wanted && can_meet(candidate.local, candidate.peer))
    }

    fn announces(self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_those_of_netlink() {
        for (flags, bits) in [
            (EndpointFlags::NONE, 0),
            (EndpointFlags::SIGNAL, 0x01),
            (EndpointFlags::SUBFLOW, 0x02),
            (EndpointFlags::BACKUP, 0x04),
            (EndpointFlags::FULL_MESH, 0x08),
            (EndpointFlags::IMPLICIT, 0x10),
            (EndpointFlags::LAMINAR, 0x20),
        ] {
            assert_eq!(EndpointFlags::from_known_bits(bits), flags);
            assert_eq!(EndpointFlags::from_known_bits(bits | 0xffff_ff40), flags);
            assert_eq!(flags.bits(), bits);
        }
    }

    #[test]
    fn flags_set_are_contained() {
        let both = EndpointFlags::SIGNAL.with(EndpointFlags::BACKUP);
        assert!(both.contains(EndpointFlags::SIGNAL) && both.contains(EndpointFlags::NONE));
        assert!(!EndpointFlags::SIGNAL.contains(both));
        assert!(both.is_used() && !EndpointFlags::BACKUP.is_used());
        assert!(!EndpointFlags::IMPLICIT.is_used());
        assert!(both.differs_in(EndpointFlags::SIGNAL, EndpointFlags::BACKUP));
        assert!(!both.differs_in(EndpointFlags::NONE, EndpointFlags::FULL_MESH));
    }
}
