// SPDX-License-Identifier: GPL-2.0

//! The worker of a connection, and the timers that call for it: what needs to sleep or to lock
//! subflows.
//!
//! C counterpart: `mptcp_worker` in net/mptcp/protocol.c.

use crate::answer::answer;
use crate::bindings;
use crate::close::{
    self,
    abort,
    end_broken, //
};
use crate::connection::{
    self,
    Connection, //
};
use crate::dss;
use crate::event;
use crate::life;
use crate::locks::Owned;
use crate::paths;
use crate::push;
use crate::recovery;
use crate::rx;
use crate::schedule::now;
use crate::sock::Sock;
use crate::subflow;
use crate::subflows::Removed;
use kernel::error::to_result;
use kernel::prelude::*;
use mptcp_proto::time::{
    Duration,
    Timestamp, //
};

/// How long subflows outlive a connection that has ended, while its program does not close it.
const HELD_OPEN: Duration = Duration::from_millis(200);

/// The worker: what needs to sleep or to lock subflows.
///
/// # Safety
///
/// Called by the workqueue with the `work` of a connection of which it has a reference.
pub(crate) unsafe extern "C" fn work_function(work: *mut bindings::work_struct) {
    // SAFETY: By the function's contract `work` lies in a live `Connection`.
    let connection = unsafe { Connection::of_work(work) };
    let msk = connection.msk();
    let mut removed = Removed::none();
    run_events(&mut Owned::take(connection), &mut removed);
    removed.close();
    msk.put();
}

/// The data-level retransmission timer has run out.
///
/// # Safety
///
/// Called by the timer of a connection socket, which owns a reference.
pub(crate) unsafe extern "C" fn retransmit_timer(timer: *mut bindings::timer_list) {
    // SAFETY: By the function's contract.
    let msk = unsafe { Sock::from_raw(bindings::mptcp_shim_sk_from_retransmit_timer(timer)) };
    if let Some(msk) = msk {
        // SAFETY: Only connection sockets have this timer function.
        unsafe { connection::of(msk) }.schedule(event::TIMEOUT);
        msk.put();
    }
}

/// The path manager's timer has run out.
///
/// # Safety
///
/// Called by the timer of a connection socket, which owns a reference.
pub(crate) unsafe extern "C" fn path_timer(timer: *mut bindings::timer_list) {
    // SAFETY: By the function's contract.
    let msk = unsafe { Sock::from_raw(bindings::mptcp_shim_sk_from_path_timer(timer)) };
    if let Some(msk) = msk {
        // SAFETY: Only connection sockets have this timer function.
        unsafe { connection::of(msk) }.schedule(event::PATHS);
        msk.put();
    }
}

/// What the worker does; adds the subflows to close when nothing is owned any more.
fn run_events(owned: &mut Owned<'_>, removed: &mut Removed) {
    let connection = owned.connection();
    if !(connection.is_off_queue() || connection.has_events(event::GIVE_UP)) {
        // The events stay until somebody has accepted the connection.
        return;
    }
    let events = connection.take_events(event::WORK);
    if connection.is_over() {
        return;
    }
    if events & event::GIVE_UP != 0 && !connection.is_adopted() {
        abort(owned, removed);
        return;
    }
    if events & event::JOINED != 0 {
        recovery::on_joined(owned);
    }
    if events & event::LOST != 0 {
        recovery::remove_ended(owned, removed);
    }
    if events & event::TIMEOUT != 0 {
        on_timeout(owned);
    }
    if events & event::ABORT != 0 {
        if connection.is_adopted() {
            abort(owned, removed);
            return;
        }
        // The application still holds the subflow; adoption lets the worker go on.
        connection.leave_for_adoption(event::ABORT);
    }
    if events & event::PATH_EVENTS != 0 {
        paths::on_endpoints(owned, events);
        paths::run(owned, removed);
    }
    if events & event::HELD != 0 {
        rx::take_held(connection);
    }
    if events & event::ANSWER != 0 {
        answer(connection);
    }
    push::push(owned, 0);
    if events & event::PUSH != 0 {
        // What a SYN has carried is on its way without having been pushed.
        arm_timer(owned);
    }
    if events & (event::CLOSE | event::TIMEOUT | event::LOST) != 0
        && connection.msk().flag(bindings::sock_flags_SOCK_DEAD)
    {
        close::finish(owned, removed);
    }
}

/// Arms the data-level retransmission timer when something is unacknowledged and it is not running.
pub(crate) fn arm_timer(owned: &mut Owned<'_>) {
    let connection = owned.connection();
    let msk = connection.msk();
    // SAFETY: The timer was set up when the socket became a connection's.
    if unsafe { bindings::mptcp_shim_timer_runs(msk.as_ptr()) } {
        return;
    }
    let data = owned.data();
    if data.proto.outstanding() == 0 && data.proto.data_fin_to_send().is_none() {
        return;
    }
    let timeout = Duration::from_micros(u64::from(connection.retransmit_timeout()));
    // A single subflow has nothing to look for before.
    let due = match connection.only_first() {
        Some(_) => Timestamp::ORIGIN,
        None => now().advance(timeout),
    };
    connection.progress().watch(data.proto.snd_una(), due);
    drop(data);
    start_timer(connection, timeout);
}

/// Starts the data-level retransmission timer, to run out after `timeout`, or earlier if a subflow may
/// be found silent by then.
fn start_timer(connection: &Connection, timeout: Duration) {
    let timeout = u32::try_from(timeout.as_micros()).unwrap_or(u32::MAX);
    let sooner = recovery::next_look_us(connection);
    let timeout = sooner.map_or(timeout, |sooner| sooner.min(timeout));
    // SAFETY: The timer was set up when the socket became a connection's.
    unsafe { bindings::mptcp_shim_start_timer(connection.msk().as_ptr(), timeout) };
}

/// The data-level retransmission timer has run out: repeats what no Data ACK has come for.
fn on_timeout(owned: &mut Owned<'_>) {
    let connection = owned.connection();
    let msk = connection.msk();
    if msk.state() == bindings::TCP_CLOSE {
        if !msk.flag(bindings::sock_flags_SOCK_DEAD) {
            finish_subflows(connection);
        }
        return;
    }
    if connection.subflows().count() == 0 {
        // None has come in place of the last one.
        end_broken(connection, msk);
        return;
    }
    if connection.has_fallen_back() {
        dss::take_acked(connection);
    }
    let relieved = recovery::relieve_silent(owned);
    let left = connection.progress().left(now());
    if left != Duration::ZERO {
        start_timer(connection, left);
        return;
    }
    let una = owned.data().proto.snd_una();
    let timeout = connection.retransmit_timeout();
    if !connection.progress().note(una, timeout) {
        if !relieved {
            recovery::on_stall(owned, una);
        }
        if connection.data_fin().is_some() {
            answer(connection);
            if !owned.queue().has_unsent() {
                finish_unproven(connection);
            }
        }
    }
    arm_timer(owned);
}

/// A DATA_FIN has had no answer, and nothing has shown so far that the peer speaks MPTCP: sends the
/// FIN too, which every peer answers. Without a DSS that answer is the fallback.
fn finish_unproven(connection: &Connection) {
    let Some(ssk) = connection.only_first() else {
        return;
    };
    ssk.lock(true);
    if subflow::of(ssk).is_some_and(|subflow| !subflow.is_proven()) {
        life::shutdown_subflow(ssk);
    }
    ssk.release();
}

/// Both streams have ended and been acknowledged: what a program does that still has the socket does not
/// concern the subflows, so they end, too.
///
/// RFC 8684, Section 3.3.3. C counterpart: `mptcp_shutdown_subflows` in net/mptcp/protocol.c.
fn finish_subflows(connection: &Connection) {
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.3
    //# Once a DATA_FIN has been acknowledged, all remaining subflows MUST be
    //# closed with standard FIN exchanges.
    for (_, ssk) in connection.subflows().iter() {
        ssk.lock(true);
        life::shutdown_subflow(ssk);
        ssk.release();
    }
}

/// Lets the subflows end in a while, unless the program has closed the connection by then, as most do at
/// once.
pub(crate) fn finish_subflows_later(connection: &Connection) {
    start_timer(connection, HELD_OPEN);
}

/// Where connections work, while it lives.
pub(crate) struct Registration;

impl Registration {
    /// Makes the work queue.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: Module init runs once, before any connection exists.
        to_result(unsafe { bindings::mptcp_shim_make_workqueue() })?;
        Ok(Self)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: Made by `new`. No socket is left, or the module could not unload, but the worker
        // that gave back the last reference may still be returning: this waits for it.
        unsafe { bindings::mptcp_shim_destroy_workqueue() };
    }
}
