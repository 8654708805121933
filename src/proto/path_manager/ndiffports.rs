// SPDX-License-Identifier: GPL-2.0

//! The manager `ndiffports`: several subflows between the addresses of the first, told apart by
//! their local ports.
//!
//! Meant for networks that spread connections over paths by their addresses and ports.
//!
//! RFC 8684, Section 3.9.1.
//!
//! C counterpart: none in `net/mptcp`.

use super::kind::{
    Candidate,
    Strategy, //
};
use super::peer::Standing;
use super::Pair;

/// Uses the addresses of the first subflow several times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NDiffPorts {
    /// How many subflows there are to be, the first included.
    pub(super) subflows: u8,
}

impl Strategy for NDiffPorts {
    fn wanted(self, candidate: &Candidate) -> u8 {
        if candidate.pair == Pair::INITIAL && candidate.standing == Standing::Joinable {
            self.subflows
        } else {
            0
        }
    }

    fn announces(self) -> bool {
        false
    }
}
