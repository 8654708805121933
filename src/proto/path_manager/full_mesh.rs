// SPDX-License-Identifier: GPL-2.0

//! The manager `fullmesh`: one subflow for each pair of addresses that can meet.
//!
//! C counterpart: `net/mptcp/pm_kernel.c`, endpoints with the flag `fullmesh`.

use super::address::can_meet;
use super::kind::{
    Candidate,
    Strategy, //
};
use super::peer::Standing;

/// Uses every local address with every address of the peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FullMesh;

impl Strategy for FullMesh {
    fn wanted(self, candidate: &Candidate) -> u8 {
        let is_joinable = candidate.standing == Standing::Joinable;
        u8::from(is_joinable && can_meet(candidate.local, candidate.peer))
    }

    fn announces(self) -> bool {
        true
    }
}
