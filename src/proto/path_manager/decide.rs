// SPDX-License-Identifier: GPL-2.0

//! What to do now: the state is compared with what it should be, one difference at a time.
//!
//! Events only change what is known. [`Paths::decide`] finds the first thing that is not as it
//! should be, notes that it is being done, and returns it. So nothing is queued, nothing can be lost
//! when events come faster than decisions are taken, and what has become pointless in between is
//! never done.
//!
//! Signals travel on subflows. While none works, or only such as are about to be closed, they wait.
//!
//! RFC 8684, Sections 3.3.8 and 3.4.

use super::address::is_announceable;
use super::connect::{
    LocalEnd,
    PeerEnd, //
};
use super::peer::Standing;
use super::signalling::{
    AddressIds,
    Announcement,
    RETRANSMISSIONS, //
};
use super::subflow::{
    CloseReason,
    Stage,
    Subflow,
    SubflowId, //
};
use super::tick::Tick;
use super::Paths;
use crate::ids::{
    Address,
    AddressId, //
};
use crate::time::{
    Duration,
    Timestamp, //
};

/// The shortest time in which a subflow must show that it is alive.
const PROBE_TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// One thing to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Close a subflow. The path manager has forgotten it: nothing more is to be said of it.
    CloseSubflow {
        /// The subflow.
        subflow: SubflowId,
        /// Why, and with that how.
        reason: CloseReason,
    },
    /// Send a REMOVE_ADDR.
    Withdraw {
        /// The addresses it names.
        ids: AddressIds,
    },
    /// Send an MP_PRIO on a subflow.
    SetPriority {
        /// The subflow.
        subflow: SubflowId,
        /// The bit B.
        backup: bool,
    },
    /// Send a TCP keepalive on a subflow, and call [`Paths::on_heard`] when a segment has come.
    Probe {
        /// The subflow.
        subflow: SubflowId,
    },
    /// Send an ADD_ADDR with the code.
    Announce {
        /// Names the address.
        id: AddressId,
        /// The address.
        addr: Address,
        /// The port to announce with it, host order, which the code covers; only endpoints and
        /// entries have one.
        port: Option<u16>,
    },
    /// Set up a subflow; one of [`Paths::on_subflow_established`] and [`Paths::on_subflow_ended`]
    /// follows.
    Connect {
        /// Names the subflow from now on.
        subflow: SubflowId,
        /// Where from.
        local: LocalEnd,
        /// Where to.
        peer: PeerEnd,
        /// The bit B of the MP_JOIN.
        backup: bool,
    },
    /// Let the timer fire at this time, instead of what was said before.
    ArmTimer {
        /// When.
        at: Timestamp,
    },
}

impl Paths {
    /// Returns the next thing to do, or `None` if all is as it should be.
    ///
    /// To be called after each event until it returns `None`. `rto` is the largest retransmission
    /// timeout of the subflows, or zero if there is none.
    pub fn decide(&mut self, now: Timestamp, rto: Duration) -> Option<Decision> {
        if self.is_over {
            return None;
        }
        // The peer of an endpoint that is a backup from now on hears so on its subflows, although some of
        // them may be set up anew.
        let early = if self.uses_endpoints() {
            self.prioritize()
        } else {
            None
        };
        early
            .or_else(|| self.close(now))
            .or_else(|| self.withdraw(now, rto))
            .or_else(|| self.prioritize())
            .or_else(|| self.probe(now, rto))
            .or_else(|| self.announce(now, rto))
            .or_else(|| self.connect_asked())
            .or_else(|| self.connect(now))
            .or_else(|| self.arm(now))
    }

    /// Tells whether the subflow in a slot works and its local address may be used.
    fn is_sound(&self, subflow: &Subflow) -> bool {
        let local = self.locals.get(subflow.local);
        subflow.is_working() && local.is_none_or(|local| local.is_usable())
    }

    /// Tells whether the subflow in a slot works and is to stay.
    pub(super) fn is_lasting(&self, subflow: &Subflow) -> bool {
        self.is_sound(subflow) && subflow.doom.is_none()
    }

    /// Tells whether there is a subflow to send signals on.
    ///
    /// An address whose endpoint was removed can still send.
    fn can_signal(&self) -> bool {
        let uses_endpoints = self.uses_endpoints();
        let mut all = self.subflows.iter();
        all.any(|(_, s)| self.is_sound(s) || (uses_endpoints && s.is_working()))
    }

    /// Tells why the subflow should not be there, if so.
    pub(super) fn fault(&self, subflow: &Subflow, now: Timestamp) -> Option<CloseReason> {
        if subflow.doom.is_some() {
            return subflow.doom;
        }
        let local = self.locals.get(subflow.local);
        if local.is_some_and(|local| !local.is_reachable()) {
            return Some(if self.uses_endpoints() {
                CloseReason::EndpointChanged
            } else {
                CloseReason::AddressLost
            });
        }
        if local.is_some_and(|local| !local.is_usable()) {
            return Some(CloseReason::PolicyOff);
        }
        let unanswered = match subflow.stage {
            Stage::Probing => subflow.tick <= Tick::at(now),
            // What a program has commanded is looked at by the ID that it named.
            Stage::Connecting if !self.is_commanded() => self
                .peers
                .get(subflow.peer)
                .is_some_and(|peer| peer.standing == Standing::Withdrawn),
            Stage::Asked
            | Stage::Connecting
            | Stage::Established
            | Stage::PriorityDue
            | Stage::ProbeDue => false,
        };
        unanswered.then_some(CloseReason::PeerWithdrew)
    }

    /// Tells whether there may be one more subflow.
    ///
    /// If all that there are should not be there, one more than the limit may, or a host with a
    /// limit of one could never change its address.
    pub(super) fn has_room(&self, now: Timestamp) -> bool {
        if self.uses_endpoints() {
            return self.has_room_to_join(now);
        }
        let mut all = self.subflows.iter();
        self.subflow_count() < self.subflow_limit()
            || all.all(|(_, subflow)| self.fault(subflow, now).is_some())
    }

    /// Closes a subflow that should not be there.
    ///
    /// Not the last ones: whatever is wrong with them may pass, and nothing is better yet. Of those,
    /// as many stay as the limit allows; one with endpoints and with `userspace`. The subflow that a
    /// program wants closed is.
    fn close(&mut self, now: Timestamp) -> Option<Decision> {
        let is_replaced = self.subflows.iter().any(|(_, s)| self.is_lasting(s));
        let too_many = if self.has_listings() {
            let mut working = self.subflows.iter().filter(|(_, s)| s.is_working());
            working.nth(1).is_some()
        } else {
            self.subflow_count() > self.subflow_limit().max(1)
        };
        let (slot, generation, reason) = self.subflows.iter().find_map(|(slot, subflow)| {
            let reason = self.fault(subflow, now)?;
            let is_asked_for = reason == CloseReason::Commanded;
            let expendable = is_replaced || too_many || is_asked_for || !subflow.has_connected();
            expendable.then_some((slot, subflow.generation, reason))
        })?;
        self.remove_subflow(slot)?;
        Some(Decision::CloseSubflow {
            subflow: SubflowId { slot, generation },
            reason,
        })
    }

    /// Withdraws the addresses that are not usable any longer.
    fn withdraw(&mut self, now: Timestamp, rto: Duration) -> Option<Decision> {
        let can_signal = self.can_signal();
        for index in 0..self.local_slots() {
            let Some(mut local) = self.locals.get(index) else {
                continue;
            };
            if local.is_usable() || self.has_subflow_from(index) {
                continue;
            }
            //= https://www.rfc-editor.org/rfc/rfc8684#section-3.4.2
            //# the affected host SHOULD
            //# announce this situation so that the peer can remove subflows related
            //# to this address.
            //= https://www.rfc-editor.org/rfc/rfc8684#section-3.4.2
            //# Even if an address is not in use by an MPTCP
            //# connection, if it has been previously announced, an implementation
            //# SHOULD announce its removal.
            if let Some(id) = local.id {
                if !can_signal {
                    continue;
                }
                if !self.has_listings() {
                    self.withdrawals.push(id);
                } else if !self.withdrawals.push_once(id) {
                    continue;
                }
                local.id = None;
                local.announcement = Announcement::Unsent;
            }
            if local.is_present || index == 0 {
                if let Some(place) = self.locals.get_mut(index) {
                    *place = local;
                }
            } else {
                self.forget_local(index);
            }
        }
        if !can_signal {
            return None;
        }
        let ids = self.withdrawals.take_due(now, rto)?;
        Some(Decision::Withdraw { ids })
    }

    /// Tells the peer of a change of policy, or of what a program says of one subflow.
    ///
    /// RFC 8684, Section 3.3.8.
    fn prioritize(&mut self) -> Option<Decision> {
        let is_commanded = self.is_commanded();
        let locals = &self.locals;
        self.subflows.iter_mut().find_map(|(slot, subflow)| {
            if subflow.stage == Stage::PriorityDue {
                subflow.stage = Stage::Established;
            } else {
                let local = locals.get(subflow.local).filter(|_| !is_commanded)?;
                let is_told = subflow.local_backup == local.is_backup();
                if !local.is_usable() || !subflow.is_working() || is_told {
                    return None;
                }
                subflow.local_backup = local.is_backup();
            }
            let (generation, backup) = (subflow.generation, subflow.local_backup);
            let subflow = SubflowId { slot, generation };
            Some(Decision::SetPriority { subflow, backup })
        })
    }

    /// Asks a subflow whose peer address was withdrawn whether it is alive.
    ///
    /// RFC 8684, Section 3.4.2.
    fn probe(&mut self, now: Timestamp, rto: Duration) -> Option<Decision> {
        let mut due = self.subflows.iter_mut();
        let (slot, subflow) = due.find(|(_, subflow)| subflow.stage == Stage::ProbeDue)?;
        subflow.stage = Stage::Probing;
        subflow.tick = Tick::after(now, rto.saturating_mul(3).max(PROBE_TIMEOUT_MIN));
        let generation = subflow.generation;
        let subflow = SubflowId { slot, generation };
        Some(Decision::Probe { subflow })
    }

    /// Tells whether an address that was not announced is to be.
    fn is_to_be_announced(&self, index: u8) -> bool {
        if self.uses_endpoints() {
            return self.is_to_be_signalled(index);
        }
        let is_unknown = |id: Option<AddressId>| id != Some(AddressId::INITIAL);
        self.config.announces
            && self.config.kind.announces()
            && self.locals.get(index).is_some_and(|local| {
                local.is_usable() && is_unknown(local.id) && is_announceable(local.addr)
            })
    }

    /// Announces an address, or announces it again.
    ///
    /// RFC 8684, Section 3.4.1.
    fn announce(&mut self, now: Timestamp, rto: Duration) -> Option<Decision> {
        let can_signal = self.can_signal();
        let timeout = self.echo_timeout(rto);
        for index in 0..self.local_slots() {
            let Some(local) = self.locals.get(index) else {
                continue;
            };
            match local.announcement {
                Announcement::Waiting { sent } if local.due <= Tick::at(now) => {
                    if sent > RETRANSMISSIONS {
                        self.locals.get_mut(index)?.announcement = Announcement::GivenUp;
                        continue;
                    }
                    if !local.is_usable() {
                        continue;
                    }
                }
                Announcement::Asked if local.is_usable() => {}
                Announcement::Unsent
                    if self.is_to_be_announced(index)
                        && self.announced() < self.announced_limit() => {}
                Announcement::Unsent
                | Announcement::Asked
                | Announcement::Waiting { .. }
                | Announcement::Echoed
                | Announcement::GivenUp => continue,
            }
            if !can_signal {
                continue;
            }
            let Some(id) = self.name_local(index) else {
                continue;
            };
            let port = Some(local.port()).filter(|port| *port != 0);
            let (announcement, wait) = local.announcement.on_sent(timeout);
            let addr = local.addr;
            let local = self.locals.get_mut(index)?;
            local.announcement = announcement;
            local.due = Tick::after(now, wait);
            return Some(Decision::Announce { id, addr, port });
        }
        None
    }

    /// Returns how many addresses are announced.
    pub(super) fn announced(&self) -> usize {
        let all = self.locals.iter();
        all.filter(|(_, local)| local.announcement != Announcement::Unsent)
            .count()
    }

    /// Arms the timer if something is due earlier than it fires.
    fn arm(&mut self, now: Timestamp) -> Option<Decision> {
        let can_signal = self.can_signal();
        let announcements = self
            .locals
            .iter()
            .filter_map(|(_, local)| match local.announcement {
                Announcement::Waiting { .. } => Some(local.due),
                Announcement::Unsent
                | Announcement::Asked
                | Announcement::Echoed
                | Announcement::GivenUp => None,
            });
        let withdrawals = self.withdrawals.due().into_iter();
        let signals = announcements.chain(withdrawals).filter(|_| can_signal);
        let probes = self
            .subflows
            .iter()
            .filter(|(_, subflow)| subflow.stage == Stage::Probing)
            .map(|(_, subflow)| subflow.tick);
        // What is due and still not done waits for an event, not for the timer.
        let is_later = |due: &Tick| *due > Tick::at(now);
        let next = signals.chain(probes).filter(is_later).min();
        let next = self.next_join(now).into_iter().chain(next).min()?;
        if self.armed.is_some_and(|armed| armed <= next) {
            return None;
        }
        self.armed = Some(next);
        Some(Decision::ArmTimer { at: next.begin() })
    }

    /// When the next join is due that is not due yet.
    fn next_join(&self, now: Timestamp) -> Option<Tick> {
        let mut next = None;
        self.for_each_missing(&self.uses(), now, |_, due| {
            if due > Tick::at(now) && next.is_none_or(|next| due < next) {
                next = Some(due);
            }
        });
        next
    }
}
