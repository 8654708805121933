// SPDX-License-Identifier: GPL-2.0

//! Trace events: what include/mptcp_rs_trace.h says of each. Those of every segment are behind a branch that
//! the kernel patches when one is switched on; the others cost a call.

use crate::bindings;
use crate::connection::Connection;
use crate::subflow::Subflow;
use kernel::jump_label::static_branch_unlikely;
use kernel::prelude::*;
use mptcp_proto::fallback::{
    Event,
    Reaction, //
};
use mptcp_proto::ids::AddressId;
use mptcp_proto::mapping::Mapping;
use mptcp_proto::path_manager::Decision;

/// Whether somebody has switched on the event with this switch.
macro_rules! is_on {
    ($switch:ident) => {
        // SAFETY: The switch of an event, which src/shims/trace.c defines.
        unsafe { static_branch_unlikely!(bindings::$switch, bindings::tracepoint, key) }
    };
}

/// A run of data is handed to a subflow, `again` if it was handed to one before.
#[inline(always)]
pub(crate) fn on_schedule(subflow: &Subflow, mapping: Mapping, again: bool) {
    if is_on!(__tracepoint_mptcp_rs_schedule) {
        trace_schedule(subflow, mapping, again);
    }
}

/// See [`on_schedule`].
#[cold]
fn trace_schedule(subflow: &Subflow, mapping: Mapping, again: bool) {
    let (token, number) = (subflow.connection().token().get(), subflow.id().number());
    // SAFETY: Takes numbers.
    unsafe {
        bindings::mptcp_shim_trace_schedule(
            token,
            number,
            mapping.dsn().get(),
            mapping.len(),
            again,
        )
    };
}

/// A mapping leaves or has arrived, on a segment of its own or one that is repeated.
#[inline(always)]
pub(crate) fn on_mapping(subflow: &Subflow, mapping: Mapping, sent: bool) {
    if is_on!(__tracepoint_mptcp_rs_mapping) {
        trace_mapping(subflow, mapping, sent);
    }
}

/// See [`on_mapping`].
#[cold]
fn trace_mapping(subflow: &Subflow, mapping: Mapping, sent: bool) {
    let (token, number) = (subflow.connection().token().get(), subflow.id().number());
    let (dsn, ssn) = (mapping.dsn().get(), mapping.ssn().get());
    // SAFETY: Takes numbers.
    unsafe {
        bindings::mptcp_shim_trace_mapping(token, number, dsn, ssn, mapping.len(), sent);
    };
}

/// Something that a connection cannot digest has happened, and what follows from it.
pub(crate) fn on_fallback(subflow: &Subflow, event: Event, reaction: Reaction) {
    let (token, number) = (subflow.connection().token().get(), subflow.id().number());
    let (event, reaction) = (event_name(event), reaction_name(reaction));
    // SAFETY: Takes numbers and static texts.
    unsafe {
        bindings::mptcp_shim_trace_fallback(
            token,
            number,
            event.as_char_ptr(),
            reaction.as_char_ptr(),
        );
    }
}

/// The path manager has decided something.
pub(crate) fn on_path(connection: &Connection, decision: &Decision) {
    let none = AddressId::INITIAL;
    let (name, subflow, local, peer) = match decision {
        Decision::CloseSubflow { subflow, .. } => (c"close", subflow.number(), none, none),
        Decision::Withdraw { ids } => {
            let first = ids.as_bytes().first().copied().map(AddressId::new);
            (c"withdraw", 0, first.unwrap_or(none), none)
        }
        Decision::SetPriority { subflow, .. } => (c"set_priority", subflow.number(), none, none),
        Decision::Probe { subflow } => (c"probe", subflow.number(), none, none),
        Decision::Announce { id, .. } => (c"announce", 0, *id, none),
        Decision::Connect {
            subflow,
            local,
            peer,
            ..
        } => (
            c"connect",
            subflow.number(),
            local.id.unwrap_or(none),
            peer.id,
        ),
        Decision::ArmTimer { .. } => (c"arm_timer", 0, none, none),
    };
    let token = connection.token().get();
    // SAFETY: Takes numbers and a static text.
    unsafe {
        bindings::mptcp_shim_trace_path(token, name.as_char_ptr(), subflow, local.get(), peer.get())
    };
}

/// The name of an event.
fn event_name(event: Event) -> &'static CStr {
    match event {
        Event::SynWithoutOption => c"syn_without_option",
        Event::ThirdAckWithoutOption => c"third_ack_without_option",
        Event::DataWithoutMapping => c"data_without_mapping",
        Event::NoDataAck => c"no_data_ack",
        Event::FirstDataWithoutMapping => c"first_data_without_mapping",
        Event::MappingOverdue => c"mapping_overdue",
        Event::AckWithoutDss => c"ack_without_dss",
        Event::ChecksumFailed => c"checksum_failed",
        Event::MpFailReceived => c"mp_fail_received",
        Event::InfiniteMapping => c"infinite_mapping",
        Event::MappingConflict => c"mapping_conflict",
        Event::ChecksumPresence => c"checksum_presence",
        Event::NoRoomForMapping => c"no_room_for_mapping",
        Event::UnknownOption => c"unknown_option",
    }
}

/// The name of a reaction.
fn reaction_name(reaction: Reaction) -> &'static CStr {
    match reaction {
        Reaction::Ignore => c"ignore",
        Reaction::FallBackToTcp => c"fall_back",
        Reaction::FallBackWithInfiniteMapping => c"fall_back_with_infinite_mapping",
        Reaction::SendMpFail => c"send_mp_fail",
        Reaction::AnswerMpFail => c"answer_mp_fail",
        Reaction::ResetSubflow(_) => c"reset_subflow",
        Reaction::ResetWithMpFail => c"reset_with_mp_fail",
    }
}
