// SPDX-License-Identifier: GPL-2.0

//! What a connection does when TCP tells of one of its subflows: room, another state, its end.
//!
//! C counterpart: `subflow_state_change`, `subflow_write_space` in net/mptcp/subflow.c.

use crate::bindings;
use crate::connection::Connection;
use crate::event;
use crate::life;
use crate::locks::DataLock;
use crate::sock::Sock;
use crate::subflow::Subflow;
use mptcp_proto::connection::FinOutcome;

impl Connection {
    /// The subflow has room to write again.
    pub(crate) fn on_subflow_room(&self) {
        if self.has_unsent() {
            self.schedule(event::PUSH);
        }
        self.msk().call_write_space();
    }

    /// Whether the application may write. What it writes goes to a single subflow at once, so that
    /// the subflow's room is the connection's; before several it waits in the send buffer. `wake`
    /// asks whether to wake a writer, which waits for more room than it takes to go on, and for what
    /// waits already: that takes the room first.
    pub(crate) fn has_room(&self, wake: kernel::ffi::c_int) -> bool {
        let is_taken = wake != 0 && self.has_unsent();
        self.only_first()
            .is_none_or(|first| !is_taken && first.has_room(wake))
    }

    /// The TCP state of the subflow has changed, or an error has hit it.
    ///
    /// # Locking
    ///
    /// `ssk` is owned.
    pub(crate) fn on_subflow_state(&self, ssk: Sock, subflow: &Subflow) {
        if ssk.error() != 0 {
            subflow.set_error(ssk.error());
        }
        if ssk.state() == bindings::TCP_CLOSE_WAIT && self.subflows().count() > 1 {
            // Only this subflow is over, unless a DATA_FIN says more.
            self.schedule(event::LOST);
            return;
        }
        if ssk.state() != bindings::TCP_CLOSE && ssk.error() == 0 && !self.has_fallen_back() {
            return;
        }
        let mut data = DataLock::take(self);
        if self.has_fallen_back() {
            let mut events = 0;
            // A reset is no end of the stream.
            let is_shut = ssk.shutdown_mask() & bindings::RCV_SHUTDOWN as u8 != 0;
            if is_shut && ssk.error() == 0 {
                let end = data.proto.rcv_nxt();
                if data.proto.on_data_fin(end) == FinOutcome::Finished {
                    events |= event::PEER_FINISHED;
                }
            }
            if ssk.state() != bindings::TCP_CLOSE && ssk.error() == 0 {
                if events != 0 {
                    data.publish(events);
                }
                return;
            }
            self.raise(events);
        }
        let alone = self.subflows().count() <= 1 && !self.waits_for_subflow();
        if ssk.error() != 0 && alone && self.msk().state() != bindings::TCP_CLOSE {
            self.msk().set_error(ssk.error());
        }
        data.publish(event::BROKEN);
    }

    /// A subflow has stopped making progress, or begun again.
    pub(crate) fn on_subflow_stale(&self, stale: bool) {
        if self.subflows().count() > 1 {
            self.schedule(if stale { event::LOST } else { event::PUSH });
        }
    }

    /// TCP is destroying a subflow's socket: the connection has taken it out of its slot before, or
    /// no application has ever held it, and with it the connection.
    pub(crate) fn on_subflow_gone(&self, ssk: Sock) {
        let data = DataLock::take(self);
        let taken = self.subflows().take(0, ssk);
        if taken && !self.is_adopted() {
            let alone = self.subflows().count() == 0;
            if alone {
                self.subflows().shut();
            }
            drop(data);
            if alone {
                life::destroy(self.msk());
            } else {
                self.schedule(event::GIVE_UP);
            }
            return;
        }
        data.publish(event::BROKEN);
    }
}
