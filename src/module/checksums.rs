// SPDX-License-Identifier: GPL-2.0

//! DSS checksums of what the peer sends: no byte is delivered before its whole mapping has arrived
//! and was verified.
//!
//! A mapping that comes with a checksum is put aside ([`declare`]), and its bytes wait in the subflow's
//! receive queue. When the last one is there, [`crate::rx`] asks for what they stand for, and the sum
//! over the queue decides ([`verify`]): what fits becomes a mapping like any other.
//!
//! RFC 8684, Sections 3.3.1 and 3.7. C counterpart: `validate_data_csum` in net/mptcp/subflow.c.

use crate::counters::Counter;
use crate::event;
use crate::failure::State;
use crate::locks::DataLock;
use crate::reset::ResetOption;
use crate::sock::Sock;
use crate::storage::{
    entries,
    Checks,
    ReceiveMap, //
};
use crate::subflow::Subflow;
use kernel::prelude::*;
use mptcp_proto::connection::FinOutcome;
use mptcp_proto::fallback::{
    Event,
    Reaction, //
};
use mptcp_proto::mapping::{
    CheckedMapping,
    InsertError,
    Mapping, //
};
use mptcp_proto::options::dss::verify_dss_checksum;
use mptcp_proto::seq::{
    DataSeq,
    SubflowSeq, //
};

/// Mappings with checksums that a subflow has room for at first.
const CHECKS: usize = 8;
/// Most of them: beyond, further ones are ignored until some are used up. They are not merged, so that
/// a hole in front of a whole window of small packets takes one for each.
const CHECKS_MAX: usize = 4096;
/// How far a mapping may lie ahead: the largest window.
const AHEAD: u32 = 1 << 30;

/// What the bytes of a subflow from some number on stand for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// Data.
    Data(Mapping),
    /// Nobody knows yet whether they are what the peer has sent.
    Held,
    /// They have no mapping.
    Unmapped,
}

/// Remembers a mapping that the peer has declared with a checksum.
///
/// # Locking
///
/// The data lock is held.
pub(crate) fn declare(ssk: Sock, subflow: &Subflow, entry: CheckedMapping) {
    let mapping = entry.mapping();
    let oldest = subflow.peer_ssn(ssk.copied_seq());
    let ahead = mapping.ssn().distance_from(oldest);
    // SAFETY: The data lock is held, and the references end with this function.
    let (verified, checks) = unsafe { (subflow.receive(), subflow.checks()) };
    // What has begun to be delivered was verified with all of its bytes.
    if ahead >= AHEAD || verified.lookup(mapping.ssn()).is_some() {
        return;
    }
    let failure = subflow.connection().failure();
    if failure.state() == State::Reported && mapping.dsn().at_or_before(failure.reported()) {
        // The peer sends again what waits: its data is not contiguous, and it will not answer.
        subflow.fail_with(ResetOption::Fail(failure.reported()));
        return;
    }
    if checks.is_none() {
        let table = entries(CheckedMapping::EMPTY, CHECKS).ok().map(Checks::new);
        *checks = table.and_then(|table| KBox::new(table, GFP_ATOMIC).ok());
    }
    let Some(checks) = checks else {
        return;
    };
    if checks.insert(entry) == Err(InsertError::Full) && checks.capacity() < CHECKS_MAX {
        if let Ok(more) = entries(CheckedMapping::EMPTY, checks.capacity() * 2) {
            let _ = checks.replace_storage(more);
            let _ = checks.insert(entry);
        }
    }
}

/// Says what the bytes from `ssn` on, the first in the receive queue, stand for. They have no
/// mapping that was verified. Adds what follows from it to `events`.
///
/// # Locking
///
/// `ssk` is owned, the data lock is held.
#[cold]
pub(crate) fn verify(
    ssk: Sock,
    subflow: &Subflow,
    data: &mut DataLock<'_>,
    ssn: SubflowSeq,
    events: &mut u32,
) -> Found {
    let connection = data.connection();
    let failure = connection.failure();
    if failure.has_begun() || subflow.is_failed() {
        return Found::Held;
    }
    // SAFETY: The data lock is held, and the references end with this function.
    let (verified, checks) = unsafe { (subflow.receive(), subflow.checks()) };
    let Some(checks) = checks else {
        return Found::Unmapped;
    };
    let entry = loop {
        let Some(entry) = checks.first() else {
            return Found::Unmapped;
        };
        let begin = entry.mapping().ssn();
        if begin == ssn {
            break entry;
        }
        if begin.after(ssn) {
            return Found::Unmapped;
        }
        // Some of its bytes are gone.
        checks.prune(entry.mapping().end_ssn());
    };
    let mapping = entry.mapping();
    if mapping.end_ssn().after(subflow.peer_ssn(ssk.rcv_nxt())) {
        return Found::Held;
    }
    let Some(sum) = ssk.queued_sum(mapping.len()) else {
        return Found::Held;
    };
    // CAST: As the option had it, which has 16 bits for it.
    let data_len = entry.data_len() as u16;
    let (dsn, checksum) = (mapping.dsn(), entry.checksum());
    if !verify_dss_checksum(dsn, ssn, data_len, sum.into(), checksum) {
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.7
        //# Failed data MUST NOT be DATA_ACKed and so
        //# will be retransmitted on other subflows
        connection.count(Counter::DataCsumErr);
        on_failed(ssk, subflow, dsn);
        return Found::Held;
    }
    if !remember(verified, mapping, ssn) {
        return Found::Held;
    }
    checks.prune(mapping.end_ssn());
    if entry.has_data_fin() && data.proto.on_data_fin(mapping.end_dsn()) == FinOutcome::Finished {
        // The data had come another way.
        connection.set_rcv_nxt(data.proto.rcv_nxt());
        ssk.want_ack_now();
        *events |= event::PEER_FINISHED;
    }
    Found::Data(mapping)
}

/// Makes what was verified a mapping like any other; `false` without memory.
fn remember(verified: &mut ReceiveMap, mapping: Mapping, ssn: SubflowSeq) -> bool {
    verified.prune(ssn);
    verified.insert(mapping).is_ok()
}

/// The bytes of the mapping that begins with `dsn` are not what the peer has sent.
///
/// # Locking
///
/// `ssk` is owned, the data lock is held.
fn on_failed(ssk: Sock, subflow: &Subflow, dsn: DataSeq) {
    match subflow.react(Event::ChecksumFailed) {
        Reaction::SendMpFail => {
            subflow.connection().failure().report(dsn);
            ssk.want_ack_now();
        }
        // The others, or those to come, carry what it has lost.
        _ => subflow.fail_with(ResetOption::Fail(dsn)),
    }
}
