// SPDX-License-Identifier: GPL-2.0

//! ADD_ADDR and REMOVE_ADDR on their way to the peer: what was sent, and when it is sent again.
//!
//! ```text
//!                        Announce              echo
//!   Unsent, or Asked -------------> Waiting -------> Echoed
//!                                    |   ^  |
//!                            timeout +---+  +---> GivenUp
//!                                           the last timeout
//! ```
//!
//! Each address has an announcement of its own, so several are outstanding at once. An ADD_ADDR is
//! echoed and can be repeated until then. A REMOVE_ADDR is answered by nothing, so it is sent three
//! times, whatever happens. With endpoints, one announcement is outstanding at a time. With them and
//! with `userspace` a REMOVE_ADDR is sent once: an ID that was withdrawn may be in use again at once.
//! A program can ask for an announcement in any state.
//!
//! RFC 8684, Sections 3.4.1 and 3.4.2.
//!
//! C counterpart: `net/mptcp/pm.c` (`mptcp_pm_add_timer`, `mptcp_adjust_add_addr_timeout`).

use super::address::canonical;
use super::tick::Tick;
use super::{
    Paths,
    LOCALS, //
};
use crate::ids::AddressId;
use crate::options::AddAddr;
use crate::time::{
    Duration,
    Timestamp, //
};

/// How many times an ADD_ADDR is sent again.
pub(super) const RETRANSMISSIONS: u8 = 3;

/// How many times a REMOVE_ADDR is sent.
const WITHDRAWALS: u8 = 3;

/// The shortest time between two copies of a REMOVE_ADDR.
const WITHDRAWAL_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// How far the announcement of an address has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Announcement {
    /// The peer was not told.
    Unsent,
    /// A program wants the peer to be told, maybe once more.
    Asked,
    /// The peer was told, but has not shown that it knows.
    Waiting {
        /// How many times it was told, 1 or more.
        sent: u8,
    },
    /// The peer knows.
    Echoed,
    /// The peer was told often enough.
    GivenUp,
}

impl Announcement {
    /// Returns what follows when the announcement is sent once more, and how long that lasts.
    ///
    /// `timeout` is that of the first time, and doubled each time; zero means not to repeat it.
    pub(super) fn on_sent(self, timeout: Duration) -> (Self, Duration) {
        let before = match self {
            Self::Waiting { sent } => sent,
            Self::Unsent | Self::Asked | Self::Echoed | Self::GivenUp => 0,
        };
        if timeout == Duration::ZERO {
            return (Self::GivenUp, timeout);
        }
        let sent = before.saturating_add(1);
        (Self::Waiting { sent }, timeout.doubled(u32::from(before)))
    }
}

/// Address IDs by value, as one REMOVE_ADDR carries them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddressIds {
    /// The IDs, as they are on the wire.
    ids: [u8; LOCALS],
    /// How many there are.
    len: u8,
}

impl AddressIds {
    /// No IDs.
    const EMPTY: Self = Self {
        ids: [0; LOCALS],
        len: 0,
    };

    /// Returns the IDs, 1..=8 of them, as [`crate::options::RemoveAddr::new`] takes them.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.ids.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// Adds an ID; does nothing if there is no room.
    fn push(&mut self, id: AddressId) {
        if let Some(place) = self.ids.get_mut(usize::from(self.len)) {
            *place = id.get();
            self.len = self.len.saturating_add(1);
        }
    }
}

/// The address IDs that are being withdrawn: one REMOVE_ADDR names all of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Withdrawals {
    /// The IDs, each with how many times it is still sent; zero if the slot is free.
    slots: [(AddressId, u8); LOCALS],
    /// When the next copy is sent.
    due: Tick,
}

impl Withdrawals {
    /// Nothing is withdrawn.
    pub(super) const EMPTY: Self = Self {
        slots: [(AddressId::INITIAL, 0); LOCALS],
        due: Tick::ORIGIN,
    };

    /// Adds an ID, to be sent at once. If there is no room, the one that was sent most often goes.
    pub(super) fn push(&mut self, id: AddressId) {
        if let Some(slot) = self.slots.iter_mut().min_by_key(|(_, left)| *left) {
            *slot = (id, WITHDRAWALS);
            self.due = Tick::ORIGIN;
        }
    }

    /// Adds an ID that may stand for another address soon, to be sent at once and only once; returns
    /// false if there is no room.
    pub(super) fn push_once(&mut self, id: AddressId) -> bool {
        match self.slots.iter_mut().find(|(_, left)| *left == 0) {
            Some(slot) => {
                *slot = (id, 1);
                self.due = Tick::ORIGIN;
                true
            }
            None => false,
        }
    }

    /// Has an ID that is still sent sent once more, at once: it may stand for another address then.
    pub(super) fn hurry(&mut self, id: AddressId) {
        for (other, left) in self.slots.iter_mut().filter(|(_, left)| *left > 0) {
            if *other == id {
                *left = 1;
                self.due = Tick::ORIGIN;
            }
        }
    }

    /// Sends an ID no more.
    pub(super) fn cancel(&mut self, id: AddressId) {
        for (other, left) in &mut self.slots {
            if *other == id {
                *left = 0;
            }
        }
    }

    /// Tells whether the ID is being withdrawn.
    pub(super) fn contains(&self, id: AddressId) -> bool {
        self.slots
            .iter()
            .any(|(other, left)| *other == id && *left > 0)
    }

    /// Returns when the next copy is sent, if there is one.
    pub(super) fn due(&self) -> Option<Tick> {
        let pending = self.slots.iter().any(|(_, left)| *left > 0);
        pending.then_some(self.due)
    }

    /// Returns the IDs that a copy sent now names, if it is due.
    pub(super) fn take_due(&mut self, now: Timestamp, rto: Duration) -> Option<AddressIds> {
        if self.due()? > Tick::at(now) {
            return None;
        }
        let mut ids = AddressIds::EMPTY;
        for (id, left) in self.slots.iter_mut().filter(|(_, left)| *left > 0) {
            ids.push(*id);
            *left = left.saturating_sub(1);
        }
        self.due = Tick::after(now, rto.max(WITHDRAWAL_INTERVAL_MIN));
        Some(ids)
    }
}

impl Paths {
    /// Takes in the echo of an announcement; one that echoes nothing is ignored.
    pub(super) fn on_echo(&mut self, echo: &AddAddr) {
        let addr = canonical(echo.addr);
        for (_, local) in self.locals.iter_mut() {
            let port = Some(local.port()).filter(|port| *port != 0);
            let is_meant = local.id == Some(echo.id)
                && local.addr == addr
                && (port.is_none() || port == echo.port);
            if is_meant && matches!(local.announcement, Announcement::Waiting { .. }) {
                local.announcement = Announcement::Echoed;
            }
        }
    }

    /// Takes in that an announcement has found no room in a segment, and never will: it is given up.
    pub fn on_announcement_dropped(&mut self, id: AddressId) {
        for (_, local) in self.locals.iter_mut() {
            let waits = matches!(local.announcement, Announcement::Waiting { .. });
            if local.id == Some(id) && waits {
                local.announcement = Announcement::GivenUp;
            }
        }
    }

    /// Returns how long to wait for the echo of an announcement that is sent for the first time;
    /// zero if it is not to be repeated.
    ///
    /// ```text
    /// min(rto, configured), or configured if no subflow has a timeout
    /// ```
    pub(super) fn echo_timeout(&self, rto: Duration) -> Duration {
        if rto == Duration::ZERO {
            self.config.announce_timeout
        } else {
            rto.min(self.config.announce_timeout)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a point in time.
    fn at(seconds: u64) -> Timestamp {
        Timestamp::ORIGIN.advance(Duration::from_secs(seconds))
    }

    #[test]
    fn withdrawal_pending_is_sent_three_times() {
        let mut withdrawals = Withdrawals::EMPTY;
        assert_eq!(withdrawals.take_due(at(9), Duration::ZERO), None);
        withdrawals.push(AddressId::new(5));
        let ids = withdrawals.take_due(at(0), Duration::ZERO);
        assert_eq!(ids.as_ref().map(AddressIds::as_bytes), Some(&[5][..]));
        assert_eq!(withdrawals.take_due(at(0), Duration::ZERO), None);
        withdrawals.push(AddressId::new(6));
        let ids = withdrawals.take_due(at(0), Duration::ZERO);
        assert_eq!(ids.as_ref().map(AddressIds::as_bytes), Some(&[5, 6][..]));
        let ids = withdrawals.take_due(at(2), Duration::ZERO);
        assert_eq!(ids.as_ref().map(AddressIds::as_bytes), Some(&[5, 6][..]));
        assert!(!withdrawals.contains(AddressId::new(5)));
        assert!(withdrawals.contains(AddressId::new(6)));
        let ids = withdrawals.take_due(at(4), Duration::ZERO);
        assert_eq!(ids.as_ref().map(AddressIds::as_bytes), Some(&[6][..]));
        assert_eq!(withdrawals.due(), None);
    }

    #[test]
    fn withdrawals_full_give_up_the_one_sent_most_often() {
        let mut withdrawals = Withdrawals::EMPTY;
        withdrawals.push(AddressId::new(1));
        assert!(withdrawals.take_due(at(0), Duration::ZERO).is_some());
        for id in 2..=9 {
            withdrawals.push(AddressId::new(id));
        }
        assert!(!withdrawals.contains(AddressId::new(1)));
        let ids = withdrawals.take_due(at(0), Duration::ZERO);
        assert_eq!(ids.map(|ids| ids.as_bytes().len()), Some(8));
    }

    #[test]
    fn withdrawal_hurried_is_sent_once_more_and_cancelled_never() {
        let mut withdrawals = Withdrawals::EMPTY;
        withdrawals.push(AddressId::new(5));
        withdrawals.push(AddressId::new(6));
        assert!(withdrawals.take_due(at(0), Duration::ZERO).is_some());
        withdrawals.hurry(AddressId::new(5));
        withdrawals.hurry(AddressId::new(7));
        let ids = withdrawals.take_due(at(0), Duration::ZERO);
        assert_eq!(ids.as_ref().map(AddressIds::as_bytes), Some(&[5, 6][..]));
        assert!(!withdrawals.contains(AddressId::new(5)));
        assert!(withdrawals.contains(AddressId::new(6)));
        withdrawals.cancel(AddressId::new(6));
        assert_eq!(withdrawals.due(), None);
    }

    #[test]
    fn announcement_repeated_waits_longer() {
        let timeout = Duration::from_secs(2);
        let mut announcement = Announcement::Unsent;
        for (sent, seconds) in [(1, 2), (2, 4), (3, 8)] {
            let (next, wait) = announcement.on_sent(timeout);
            assert_eq!(next, Announcement::Waiting { sent });
            assert_eq!(wait, Duration::from_secs(seconds));
            announcement = next;
        }
        let (never, _) = Announcement::Unsent.on_sent(Duration::ZERO);
        assert_eq!(never, Announcement::GivenUp);
    }
}
