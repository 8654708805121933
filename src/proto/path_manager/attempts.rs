// SPDX-License-Identifier: GPL-2.0

//! Which pairs of addresses the manager `endpoint` has tried.
//!
//! A pair is tried once, whatever comes of it. It is open again when its endpoint is added again or
//! used in another way, or when the peer announces the address again. A subflow that the peer has
//! set up counts as a try.
//!
//! C counterpart: `net/mptcp/pm_kernel.c` (`id_avail_bitmap`), which has a bit for each endpoint.

use super::subflow::Subflow;
use super::{
    Pair,
    LOCAL_SLOTS, //
};

/// The pairs that were tried: a bit for each slot of the peer's addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempts {
    /// From each local address.
    locals: [u8; LOCAL_SLOTS],
    /// From wherever the routing chooses.
    routed: u8,
}

/// Returns the bit of a slot of the peer's addresses.
fn bit(peer: u8) -> u8 {
    1u8.checked_shl(u32::from(peer)).unwrap_or(0)
}

impl Attempts {
    /// Begins with the first subflow, which leaves nothing to try between its addresses.
    pub(super) fn new() -> Self {
        let mut attempts = Self {
            locals: [0; LOCAL_SLOTS],
            routed: bit(Pair::INITIAL.peer),
        };
        attempts.add(Pair::INITIAL);
        attempts
    }

    /// Returns the tries from a local address; [`Subflow::NO_LOCAL`] is where the routing chooses.
    fn row(&self, local: u8) -> u8 {
        if local == Subflow::NO_LOCAL {
            self.routed
        } else {
            self.locals.get(usize::from(local)).copied().unwrap_or(0)
        }
    }

    /// Returns the tries from a local address, to change them.
    fn row_mut(&mut self, local: u8) -> Option<&mut u8> {
        if local == Subflow::NO_LOCAL {
            Some(&mut self.routed)
        } else {
            self.locals.get_mut(usize::from(local))
        }
    }

    /// Returns the tries of all rows, to change them.
    fn rows_mut(&mut self) -> impl Iterator<Item = &mut u8> {
        self.locals.iter_mut().chain(Some(&mut self.routed))
    }

    /// Tells whether the pair was tried.
    pub(super) fn contains(&self, pair: Pair) -> bool {
        self.row(pair.local) & bit(pair.peer) != 0
    }

    /// Tells whether anything was tried from the local address.
    pub(super) fn has_any_from(&self, local: u8) -> bool {
        self.row(local) != 0
    }

    /// Tells whether anything was tried to the address of the peer.
    pub(super) fn has_any_to(&self, peer: u8) -> bool {
        let all = self.locals.iter().chain(Some(&self.routed));
        all.fold(0, |all, row| all | row) & bit(peer) != 0
    }

    /// Takes in that the pair is being tried.
    pub(super) fn add(&mut self, pair: Pair) {
        if let Some(row) = self.row_mut(pair.local) {
            *row |= bit(pair.peer);
        }
    }

    /// Opens the pair.
    pub(super) fn open(&mut self, pair: Pair) {
        if let Some(row) = self.row_mut(pair.local) {
            *row &= !bit(pair.peer);
        }
    }

    /// Opens the pairs of a local address.
    pub(super) fn open_local(&mut self, local: u8) {
        if let Some(row) = self.row_mut(local) {
            *row = 0;
        }
    }

    /// Opens the pairs of an address of the peer.
    pub(super) fn open_peer(&mut self, peer: u8) {
        self.rows_mut().for_each(|row| *row &= !bit(peer));
    }

    /// Closes the pairs of an address of the peer: only what is added from now on is tried with it.
    pub(super) fn close_peer(&mut self, peer: u8) {
        self.rows_mut().for_each(|row| *row |= bit(peer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a pair.
    fn pair(local: u8, peer: u8) -> Pair {
        Pair { local, peer }
    }

    #[test]
    fn pairs_tried_are_remembered_until_opened() {
        let mut attempts = Attempts::new();
        assert!(attempts.contains(pair(0, 0)));
        assert!(attempts.contains(pair(Subflow::NO_LOCAL, 0)));
        assert!(!attempts.contains(pair(8, 0)) && !attempts.has_any_from(8));
        for added in [pair(8, 7), pair(Subflow::NO_LOCAL, 2)] {
            attempts.add(added);
            assert!(attempts.contains(added) && attempts.has_any_from(added.local));
            assert!(attempts.has_any_to(added.peer));
            attempts.open(added);
            assert!(!attempts.contains(added) && !attempts.has_any_to(added.peer));
        }
        attempts.close_peer(3);
        assert!((0..=8).all(|local| attempts.contains(pair(local, 3))));
        attempts.open_local(4);
        assert!(!attempts.has_any_from(4) && attempts.has_any_to(3));
        attempts.open_peer(3);
        assert!(!attempts.has_any_to(3));
    }

    #[test]
    fn pairs_of_no_slot_are_never_tried() {
        let mut attempts = Attempts::new();
        for nowhere in [pair(9, 0), pair(1, 8), pair(1, Subflow::NO_PEER)] {
            attempts.add(nowhere);
            assert!(!attempts.contains(nowhere));
        }
    }
}
