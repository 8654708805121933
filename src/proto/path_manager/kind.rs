// SPDX-License-Identifier: GPL-2.0

//! The managers there are, by name.
//!
//! A manager only says how many subflows it wants between two addresses that are usable, and
//! whether the peer is to know the local addresses. Everything else is common to all of them.

use super::endpoint::{
    ByEndpoint,
    EndpointFlags,
    Source, //
};
use super::full_mesh::FullMesh;
use super::ndiffports::NDiffPorts;
use super::peer::Standing;
use super::Pair;
use crate::ids::Address;

/// Two addresses between which there could be subflows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Candidate {
    /// Which slots the addresses are in.
    pub(super) pair: Pair,
    /// The local address.
    pub(super) local: Address,
    /// The address of the peer.
    pub(super) peer: Address,
    /// How the endpoint of the local address is used.
    pub(super) flags: EndpointFlags,
    /// What may be done with the address of the peer.
    pub(super) standing: Standing,
}

/// What a manager decides.
pub(super) trait Strategy: Copy {
    /// Returns how many subflows there are to be between a usable local address and one of the peer.
    fn wanted(self, candidate: &Candidate) -> u8;

    /// Tells whether local addresses are announced.
    fn announces(self) -> bool;
}

/// The managers `none` and `userspace`: wait for what the peer does, or a program commands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Passive;

impl Strategy for Passive {
    fn wanted(self, _candidate: &Candidate) -> u8 {
        0
    }

    fn announces(self) -> bool {
        false
    }
}

/// A manager, by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default)]
pub enum Kind {
    /// One subflow for each local address and address of the peer that can meet.
    #[default]
    FullMesh,
    /// Several subflows between the addresses of the first.
    NDiffPorts,
    /// Nothing of its own accord; announcements are echoed, joins are accepted.
    None,
    /// What the endpoints say that an administrator has configured.
    Endpoint,
    /// What a program commands for this connection.
    Userspace,
}

impl Kind {
    /// All managers, the default first.
    pub const ALL: [Self; 5] = [
        Self::FullMesh,
        Self::NDiffPorts,
        Self::None,
        Self::Endpoint,
        Self::Userspace,
    ];

    /// Returns the name by which people choose the manager.
    #[inline]
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FullMesh => "fullmesh",
            Self::NDiffPorts => "ndiffports",
            Self::None => "none",
            Self::Endpoint => "endpoint",
            Self::Userspace => "userspace",
        }
    }

    /// Returns the manager with this name, exactly as [`Kind::name`] writes it.
    #[must_use]
    pub fn parse(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name().as_bytes() == name)
    }

    /// Returns how many subflows there are to be between a usable local address and one of the peer.
    ///
    /// `ports` is the number that `ndiffports` is configured with, `source` where `endpoint` begins
    /// subflows to announced addresses.
    pub(super) fn wanted(self, ports: u8, source: Source, candidate: &Candidate) -> u8 {
        match self {
            Self::FullMesh => FullMesh.wanted(candidate),
            Self::NDiffPorts => NDiffPorts { subflows: ports }.wanted(candidate),
            Self::None | Self::Userspace => Passive.wanted(candidate),
            Self::Endpoint => ByEndpoint { source }.wanted(candidate),
        }
    }

    /// Tells whether the peer can join only where an application listens, or where an endpoint says so.
    #[inline]
    #[must_use]
    pub const fn needs_listener(self) -> bool {
        matches!(self, Self::Endpoint | Self::Userspace)
    }

    /// Tells whether local addresses are announced.
    pub(super) fn announces(self) -> bool {
        match self {
            Self::FullMesh => FullMesh.announces(),
            Self::NDiffPorts => NDiffPorts { subflows: 0 }.announces(),
            Self::None | Self::Userspace => Passive.announces(),
            Self::Endpoint => ByEndpoint {
                source: Source::Routing,
            }
            .announces(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_named_is_found_by_its_name_only() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.name().as_bytes()), Some(kind));
        }
        for name in [&b""[..], b"FULLMESH", b"fullmesh\n", b"non", b"nonee"] {
            assert_eq!(Kind::parse(name), None);
        }
        assert_eq!(Kind::default(), Kind::FullMesh);
    }
}
