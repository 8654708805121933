// SPDX-License-Identifier: GPL-2.0

//! Does what the path manager decides: subflows are set up and closed, addresses announced and
//! withdrawn.
//!
//! Decisions are taken by the protocol crate, which is told of events as they happen, under the data
//! lock, and asked by the worker, which may sleep.
//!
//! RFC 8684, Sections 3.2, 3.3.8 and 3.4. C counterpart: net/mptcp/pm.c, net/mptcp/pm_kernel.c.

use crate::address_table::{
    address_of,
    Local, //
};
use crate::addresses;
use crate::bindings;
use crate::choice;
use crate::config::Settings;
use crate::connection::Connection;
use crate::counters::Counter;
use crate::endpoints;
use crate::event;
use crate::join;
use crate::locks::{
    DataLock,
    Owned, //
};
use crate::pm_events;
use crate::recovery;
use crate::reset::ResetOption;
use crate::schedule::now;
use crate::sock::Sock;
use crate::subflow::{
    self,
    Signal,
    Subflow, //
};
use crate::subflows::Removed;
use crate::trace;
use kernel::prelude::*;
use mptcp_proto::ids::Address;
use mptcp_proto::options::{
    AddAddr,
    MpPrio, //
};
use mptcp_proto::path_manager::{
    CloseReason,
    CommandRefusal,
    Decision,
    Ended,
    Families,
    Interface,
    Kind,
    Paths,
    Policy,
    Role,
    Setup,
    SubflowId,
    Taken,
    LOCALS, //
};
use mptcp_proto::scheduler::AnyScheduler;
use mptcp_proto::time::Duration;

/// Most decisions taken at once, so that the worker lets others go on.
const DECISIONS: u32 = 64;

/// Most ACKs in a row that only signal: a middlebox could take more for a sign of congestion.
//= https://www.rfc-editor.org/rfc/rfc8684#section-3
//# an MPTCP
//# implementation SHOULD NOT send more than two duplicate ACKs in a row
//# for the purposes of sending MPTCP options alone
//= https://www.rfc-editor.org/rfc/rfc8684#section-3.4.1
//# an MPTCP implementation SHOULD NOT send more than two
//# duplicate ACKs in a row for signaling purposes.
//= https://www.rfc-editor.org/rfc/rfc8684#section-4
//# MPTCP SHOULD NOT send more than two duplicate ACKs
//# containing (non-DSS) MPTCP signals in a row.
const SIGNALS: usize = 2;

/// The path manager's state of a connection; made when it is first asked for, `None` without memory.
pub(crate) fn of<'a>(data: &'a mut DataLock<'_>) -> Option<&'a mut Paths> {
    if data.paths.is_none() {
        data.paths = begin(data.connection());
    }
    data.paths.as_deref_mut()
}

/// The path manager's state of a connection; `None` as long as nothing has asked for it.
pub(crate) fn existing<'a>(data: &'a mut DataLock<'_>) -> Option<&'a Paths> {
    data.paths.as_deref()
}

/// The state of a connection that has only its first subflow; `None` without memory.
fn begin(connection: &Connection) -> Option<KBox<Paths>> {
    let settings = choice::settings(connection.msk());
    let config = settings.path_config(role(connection));
    let (local, peer) = ends(connection.first());
    let interface = addresses::find(connection.msk().net(), local.0).unwrap_or(Interface {
        index: 0,
        is_running: true,
        policy: Policy::On,
    });
    let setup = Setup {
        local: local.0,
        local_port: local.1,
        interface,
        peer: peer.0,
        peer_port: peer.1,
        initial_joinable: connection.identity().initial_joinable,
        families: families(connection.msk()),
        connect_from: now(),
    };
    let memory = KBox::new_uninit(GFP_ATOMIC).ok()?;
    let mut paths = KBox::write(memory, Paths::new(config, &setup, now()));
    if settings.path_manager == Kind::Endpoint {
        tell_endpoints(&mut paths, connection.msk().net());
    }
    Some(paths)
}

/// Which addresses a socket can have to do with.
fn families(msk: Sock) -> Families {
    if msk.family() == bindings::AF_INET {
        return Families::V4;
    }
    // SAFETY: A plain read of a live socket.
    match unsafe { (*msk.as_ptr()).__sk_common.skc_ipv6only() } {
        0 => Families::Both,
        _ => Families::V6,
    }
}

/// Which of the two hosts we are.
pub(crate) fn role(connection: &Connection) -> Role {
    if connection.is_client() {
        Role::Client
    } else {
        Role::Server
    }
}

/// Address and port of one end of a socket.
pub(crate) type End = (Address, u16);

/// Both ends of a socket, the local one first.
pub(crate) fn ends(ssk: Sock) -> (End, End) {
    // SAFETY: Zeroes are valid end points, which the call fills in from a live TCP socket.
    let (local, peer) = unsafe {
        let mut local: bindings::mptcp_endpoint = core::mem::zeroed();
        let mut peer: bindings::mptcp_endpoint = core::mem::zeroed();
        bindings::mptcp_shim_sock_ends(ssk.as_ptr(), &mut local, &mut peer);
        (local, peer)
    };
    let end = |end: bindings::mptcp_endpoint| (address_of(end.address, end.is_v6), end.port);
    (end(local), end(peer))
}

/// Whether a connection that has just been fully established has more to do than to use its first
/// subflow: most have one address at either end.
pub(crate) fn has_work(connection: &Connection) -> bool {
    let net = connection.msk().net();
    match choice::settings(connection.msk()).path_manager {
        Kind::None | Kind::Userspace => false,
        Kind::NDiffPorts => connection.is_client(),
        Kind::FullMesh => addresses::count(net) > 1,
        Kind::Endpoint => endpoints::look(net, |_| Some(())).is_some(),
    }
}

/// Takes all decisions that are due, as long as they do not have too much said at once.
pub(crate) fn run(owned: &mut Owned<'_>, removed: &mut Removed) {
    let connection = owned.connection();
    if !connection.is_joinable() || connection.msk().state() == bindings::TCP_CLOSE {
        return;
    }
    let settings = choice::settings(connection.msk());
    tell_addresses(owned, &settings);
    let mut said = send_echoes(owned);
    let again = repeat_third_acks(connection);
    // CAST: Microseconds.
    let rto = Duration::from_micros(u64::from(connection.subflows().rto_us()));
    if settings.path_manager == Kind::Endpoint {
        list_implicit(owned);
    }
    for _ in 0..DECISIONS {
        if said >= SIGNALS {
            // The rest after a round trip, in which something else may be acknowledged.
            return start_timer(connection, connection.subflows().round_trip_us());
        }
        let decision = {
            let mut data = owned.data();
            let Some(paths) = of(&mut data) else {
                return;
            };
            paths.on_timer();
            paths.decide(now(), rto)
        };
        if let Some(decision) = &decision {
            trace::on_path(connection, decision);
        }
        match decision {
            None => {
                if let Some(wait) = again {
                    start_timer(connection, wait);
                }
                return;
            }
            Some(Decision::Connect {
                subflow,
                local,
                peer,
                backup,
            }) => {
                if join::connect(owned, subflow, local, peer, backup).is_err() {
                    on_ended(owned, subflow, Ended::Unreachable);
                }
            }
            Some(Decision::CloseSubflow { subflow, reason }) => {
                close(owned, subflow, reason, removed)
            }
            Some(Decision::SetPriority { subflow, backup }) => {
                let option = MpPrio { backup, id: None };
                tell_priority(owned, subflow, option);
                said += 1;
            }
            Some(Decision::Withdraw { ids }) => {
                signal_on_any(connection, Signal::RemoveAddr(ids));
                said += 1;
            }
            Some(Decision::Announce { id, addr, port }) => {
                let option = AddAddr {
                    id,
                    addr,
                    port,
                    hmac: Some(connection.identity().local_hmac(id, addr, port)),
                };
                signal_on_any(connection, Signal::AddAddr(option));
                said += 1;
            }
            Some(Decision::Probe { subflow }) => probe(connection, subflow),
            Some(Decision::ArmTimer { at }) => {
                let wait = u32::try_from(at.since(now()).as_micros()).unwrap_or(u32::MAX);
                start_timer(connection, again.map_or(wait, |again| again.min(wait)));
                return;
            }
        }
    }
    connection.schedule(event::PATHS);
}

/// Lets the worker look again in so many microseconds.
fn start_timer(connection: &Connection, wait_us: u32) {
    // SAFETY: The timer was set up when the socket became a connection's.
    unsafe { bindings::mptcp_shim_start_path_timer(connection.msk().as_ptr(), wait_us) };
}

/// Carries a command of a program out: changes what is known, and does what follows.
///
/// # Errors
///
/// Those of `change`.
///
/// # Context
///
/// Process; may sleep. Nothing is owned.
pub(crate) fn command<R>(
    connection: &Connection,
    change: impl FnOnce(&mut Paths) -> core::result::Result<R, CommandRefusal>,
) -> core::result::Result<R, CommandRefusal> {
    command_and_look(connection, change, |_, result| result)
}

/// [`command`], and what `look` sees before anything else can happen to the connection.
///
/// # Errors
///
/// Those of `change`.
///
/// # Context
///
/// Process; may sleep. Nothing is owned.
pub(crate) fn command_and_look<R, T>(
    connection: &Connection,
    change: impl FnOnce(&mut Paths) -> core::result::Result<R, CommandRefusal>,
    look: impl FnOnce(&Connection, R) -> T,
) -> core::result::Result<T, CommandRefusal> {
    let mut removed = Removed::none();
    let mut owned = Owned::take(connection);
    let settings = choice::settings(connection.msk());
    let result = match of(&mut owned.data()) {
        Some(paths) => {
            paths.set_config(settings.path_config(role(connection)));
            change(paths)
        }
        None => Err(CommandRefusal::NoRoom),
    };
    if result.is_ok() && connection.is_off_queue() {
        run(&mut owned, &mut removed);
    }
    let result = result.map(|result| look(connection, result));
    drop(owned);
    removed.close();
    // What waits behind a subflow that is gone, or behind the listener's queue.
    connection.schedule(event::PATHS | event::PUSH);
    result
}

/// Looks at the state of a connection, if it has any.
pub(crate) fn look<R>(
    connection: &Connection,
    look: impl FnOnce(&Paths) -> Option<R>,
) -> Option<R> {
    let mut data = DataLock::take(connection);
    existing(&mut data).and_then(look)
}

/// Whether a connection has a subflow, or is about to.
pub(crate) fn has_subflow(connection: &Connection, id: SubflowId) -> bool {
    look(connection, |paths| paths.address_ids(id)).is_some()
}

/// Tells the path manager which addresses and settings the namespace has.
fn tell_addresses(owned: &mut Owned<'_>, settings: &Settings) {
    let connection = owned.connection();
    let net = connection.msk().net();
    if owned.scheduler().kind() != settings.scheduler {
        *owned.scheduler() = AnyScheduler::new(settings.scheduler);
    }
    let mut data = owned.data();
    let Some(paths) = of(&mut data) else {
        return;
    };
    paths.set_config(settings.path_config(role(connection)));
    if settings.path_manager == Kind::Endpoint {
        tell_endpoints(paths, net);
        return;
    }
    if settings.path_manager == Kind::Userspace {
        return;
    }
    let mut table = [Local::NONE; LOCALS];
    let count = addresses::snapshot(net, &mut table);
    let present = table.get_mut(..count).unwrap_or_default();
    let bound = connection.msk().bound_interface();
    for local in &mut *present {
        // A program that has bound its socket to an interface wants no other.
        if bound != 0 && i64::from(local.interface.index) != i64::from(bound) {
            local.interface.policy = Policy::Off;
        }
    }
    for (addr, index) in paths.locals().into_iter().flatten() {
        // What no interface has, such as the loopback address, is not in the table either.
        if index != 0 && !present.iter().any(|local| local.address == addr) {
            paths.on_local_removed(addr, index);
        }
    }
    for local in present {
        let _: Taken = paths.on_local_added(local.address, local.interface);
    }
}

/// Tells the path manager which endpoints the namespace has.
fn tell_endpoints(paths: &mut Paths, net: *const bindings::net) {
    let mut table = [endpoints::NONE; endpoints::SNAPSHOT];
    let count = endpoints::snapshot(net, &mut table);
    paths.set_endpoints(table.get(..count).unwrap_or_default());
}

/// Tells the path manager of what has happened to endpoints that the list of them does not show.
pub(crate) fn on_endpoints(owned: &mut Owned<'_>, events: u32) {
    if events & (event::FLUSHED | event::INITIAL_REMOVED) == 0 {
        return;
    }
    let (local, _) = ends(owned.connection().first());
    let mut data = owned.data();
    let Some(paths) = of(&mut data) else {
        return;
    };
    if events & event::FLUSHED != 0 {
        paths.on_endpoints_flushed();
    }
    if events & event::INITIAL_REMOVED != 0 {
        paths.on_initial_removed(local.0);
    }
}

/// Whether the first subflow of a connection has this local address, and the port if one is given.
pub(crate) fn begins_at(connection: &Connection, addr: Address, port: Option<u16>) -> bool {
    let (local, _) = ends(connection.first());
    local.0 == addr && port.is_none_or(|port| port == local.1)
}

/// Makes implicit endpoints of the local addresses that subflows use and no endpoint has, so that all
/// connections call them the same.
fn list_implicit(owned: &mut Owned<'_>) {
    let net = owned.connection().msk().net();
    let unlisted = existing(&mut owned.data()).map(Paths::unlisted);
    for (addr, id) in unlisted.into_iter().flatten().flatten() {
        endpoints::add_implicit(net, addr, id);
    }
}

/// Echoes some of the peer's announcements; returns how many.
///
/// RFC 8684, Section 3.4.1.
fn send_echoes(owned: &mut Owned<'_>) -> usize {
    let connection = owned.connection();
    let mut said = 0;
    while said < SIGNALS {
        let next = owned.data().echoes.iter_mut().find_map(Option::take);
        let Some(option) = next else {
            break;
        };
        signal_on_any(connection, Signal::AddAddr(option));
        said += 1;
    }
    said
}

/// Sends the third ACKs again that nothing has answered for a timeout, and then for twice as long; tells in how
/// many microseconds to look again, if there are any.
///
/// RFC 8684, Section 3.2.
fn repeat_third_acks(connection: &Connection) -> Option<u32> {
    let mut again = None;
    for (_, ssk) in connection.subflows().iter() {
        ssk.lock(true);
        let waits = subflow::of(ssk).is_some_and(|subflow| !subflow.may_send());
        if waits && ssk.state() == bindings::TCP_ESTABLISHED {
            let (rto, silence) = (ssk.rto_us(), ssk.silence_us());
            let wait = if silence < rto {
                rto - silence
            } else {
                ssk.send_ack();
                silence
            };
            again = Some(again.map_or(wait, |again: u32| again.min(wait)));
        }
        ssk.release();
    }
    again
}

/// Runs `action` on a subflow that is still there, owning it.
fn with_subflow(connection: &Connection, id: SubflowId, action: impl FnOnce(Sock, &Subflow)) {
    let Some(ssk) = connection.subflows().get(id.slot()) else {
        return;
    };
    ssk.lock(true);
    if let Some(subflow) = subflow::of(ssk).filter(|subflow| subflow.id() == id) {
        action(ssk, subflow);
    }
    ssk.release();
}

/// Says something on a subflow with an ACK of its own.
///
/// # Locking
///
/// `ssk` is owned.
fn signal(ssk: Sock, subflow: &Subflow, signal: Signal) {
    // SAFETY: The subflow is owned, and the reference ends here.
    *unsafe { subflow.signal() } = Some(signal);
    ssk.send_ack();
}

/// Says something on the subflow that is the likeliest to get it through.
fn signal_on_any(connection: &Connection, message: Signal) {
    let works = |(_, ssk): &(u8, Sock)| {
        ssk.in_states(bindings::TCPF_ESTABLISHED | bindings::TCPF_CLOSE_WAIT)
    };
    let best = connection
        .subflows()
        .iter()
        .filter(works)
        .min_by_key(|(_, ssk)| ssk.fruitless());
    if let Some((_, ssk)) = best {
        ssk.lock(true);
        if let Some(subflow) = subflow::of(ssk) {
            signal(ssk, subflow, message);
        }
        ssk.release();
    }
}

/// Tells the peer of another use of a subflow.
///
/// RFC 8684, Section 3.3.8.
fn tell_priority(owned: &mut Owned<'_>, id: SubflowId, option: MpPrio) {
    let connection = owned.connection();
    let mut data = owned.data();
    let backup = of(&mut data).and_then(|paths| paths.backup(id));
    drop(data);
    with_subflow(connection, id, |ssk, subflow| {
        if let Some(backup) = backup {
            subflow.set_backup(backup);
        }
        signal(ssk, subflow, Signal::Prio(option));
    });
}

/// Tells the subflows what the peer has said of their use.
///
/// RFC 8684, Section 3.3.8.
pub(crate) fn note_priorities(data: &mut DataLock<'_>) {
    let connection = data.connection();
    let Some(paths) = of(data) else {
        return;
    };
    for (_, ssk) in connection.subflows().iter() {
        if let Some(subflow) = subflow::of(ssk) {
            if let Some(backup) = paths.backup(subflow.id()) {
                subflow.set_backup(backup);
            }
        }
    }
}

/// Asks a subflow whether it is alive: TCP's keepalive closes it if it is not. Until it answers, the others
/// carry its data.
fn probe(connection: &Connection, id: SubflowId) {
    with_subflow(connection, id, |ssk, subflow| {
        subflow.set_probing(true);
        if subflow.set_stale(true) {
            connection.on_subflow_stale(true);
        }
        // SAFETY: A live, owned socket.
        unsafe { bindings::mptcp_shim_probe(ssk.as_ptr()) };
    });
}

/// Closes a subflow that the path manager has given up.
fn close(owned: &mut Owned<'_>, id: SubflowId, reason: CloseReason, removed: &mut Removed) {
    let connection = owned.connection();
    let Some(ssk) = connection.subflows().get(id.slot()) else {
        return;
    };
    recovery::repeat_data_of(owned, ssk, recovery::Lost::Undelivered);
    if !owned.take_subflow(id.slot(), ssk) {
        return;
    }
    if matches!(
        reason,
        CloseReason::EndpointChanged | CloseReason::AddressLost | CloseReason::Commanded
    ) {
        connection.count(Counter::RmSubflow);
    }
    pm_events::on_subflow_closed(ssk);
    ssk.lock(true);
    if let (Some(option), Some(subflow)) = (reason.reset(), subflow::of(ssk)) {
        subflow.resets().set_local(ResetOption::Tcprst(option));
        ssk.reset_on_close();
    }
    ssk.release();
    removed.push(ssk);
}

/// Resets a subflow because an administrator says so, and takes that for the end of the path between its
/// addresses; `false` if the connection has no subflow of that number.
///
/// # Context
///
/// Process; may sleep. Nothing is owned; the connection is off its listener's queue.
pub(crate) fn kill(connection: &Connection, number: u32) -> bool {
    let mut removed = Removed::none();
    let mut owned = Owned::take(connection);
    let is_meant = |id: &SubflowId| id.number() == number;
    let mut subflows = connection.subflows().iter();
    let found = subflows.find_map(|(_, ssk)| subflow::id_of(ssk).filter(is_meant));
    if let Some(id) = found {
        let reason = CloseReason::Killed;
        let decision = Decision::CloseSubflow {
            subflow: id,
            reason,
        };
        trace::on_path(connection, &decision);
        close(&mut owned, id, reason, &mut removed);
        if let Some(option) = reason.reset() {
            on_ended(&mut owned, id, Ended::Reset(option));
        }
        recovery::on_taken(&mut owned);
    }
    drop(owned);
    removed.close();
    // Others carry what it had.
    connection.schedule(event::PATHS | event::PUSH);
    found.is_some()
}

/// Tells the path manager that a subflow has come to its end.
pub(crate) fn on_ended(owned: &mut Owned<'_>, id: SubflowId, ended: Ended) {
    let mut data = owned.data();
    if let Some(paths) = of(&mut data) {
        paths.on_subflow_ended(id, ended, now());
    }
}
