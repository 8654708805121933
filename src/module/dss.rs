// SPDX-License-Identifier: GPL-2.0

//! DSS options that arrive: mappings are remembered, Data ACKs and DATA_FINs taken to heart. On a connection that has
//! fallen back, the ACKs of the subflow in their place.
//!
//! RFC 8684, Sections 3.3 and 3.7. C counterpart: `mptcp_incoming_options` in net/mptcp/options.c.

use crate::checksums;
use crate::connection::Connection;
use crate::counters::Counter;
use crate::event;
use crate::locks::DataLock;
use crate::segment::LARGEST_WINDOW;
use crate::skb::Header;
use crate::sock::Sock;
use crate::storage::storage;
use crate::subflow::{
    self,
    Subflow, //
};
use crate::trace;
use mptcp_proto::connection::{
    AckOutcome,
    FinOutcome, //
};
use mptcp_proto::fallback::{
    Event,
    Reaction, //
};
use mptcp_proto::mapping::{
    CheckedMapping,
    InsertError,
    Inserted,
    Mapping, //
};
use mptcp_proto::options::dss::verify_dss_checksum;
use mptcp_proto::options::{
    Dss,
    MpTcprst, //
};
use mptcp_proto::seq::{
    DataSeq,
    SubflowSeq, //
};

/// Most receive mappings of a subflow: beyond, further ones are ignored until some are used up.
const RECEIVE_MAPPINGS_MAX: usize = 1024;

/// A DSS option; returns the events that follow.
///
/// RFC 8684, Section 3.3.
pub(crate) fn on_dss(
    ssk: Sock,
    subflow: &Subflow,
    data: &mut DataLock<'_>,
    header: &Header,
    dss: &Dss,
) -> u32 {
    if !subflow.is_proven() {
        subflow.prove();
        data.connection().on_fully_established();
    }
    let mut events = 0;
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.2
    //# this behavior MUST be treated as valid.
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.2
    //# an implementation MUST NOT use the RCV.WND
    //# field of a TCP segment at the connection level if it does not also
    //# carry a DSS option with a Data ACK field.
    //= https://www.rfc-editor.org/rfc/rfc8684#section-4
    //# Implementations SHOULD NOT attempt to infer a data-level
    //# acknowledgment from the subflow ACKs.
    if let Some(ack) = dss.data_ack {
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.2
        //# an implementation MUST accept either in this
        //# situation.
        let ack = ack.expand(data.proto.snd_una());
        events |= on_data_ack(data, ack, u32::from(header.window) << ssk.snd_wscale());
    }
    let Some(mapping) = dss.mapping else {
        return events;
    };
    if mapping.is_infinite() {
        data.connection().count(Counter::InfiniteMapRx);
        if let Reaction::ResetSubflow(reason) = subflow.react(Event::InfiniteMapping) {
            subflow.fail(MpTcprst {
                transient: false,
                reason,
            });
        }
        return events;
    }
    if mapping.checksum.is_some() != data.connection().uses_checksum() {
        subflow.misdeclare();
        return events;
    }
    let dsn = mapping.dsn.expand(data.proto.rcv_nxt());
    let len = u32::from(mapping.data_len) - u32::from(dss.data_fin);
    let declared = Mapping::new(mapping.ssn, dsn, len);
    let checked = mapping.checksum;
    match checked.filter(|_| !data.connection().failure().state().takes_all()) {
        Some(checksum) if len > 0 => {
            // The DATA_FIN, too, counts only once all of that is verified.
            let entry = CheckedMapping::new(declared, checksum).with_data_fin(dss.data_fin);
            checksums::declare(ssk, subflow, entry);
            return events;
        }
        Some(checksum) if !verify_dss_checksum(dsn, mapping.ssn, mapping.data_len, 0, checksum) => {
            data.connection().count(Counter::DataCsumErr);
            return events;
        }
        _ => {}
    }
    if len > 0 {
        remember(ssk, subflow, declared);
    }
    if dss.data_fin {
        events |= match data.proto.on_data_fin(dsn.advance(u64::from(len))) {
            FinOutcome::Finished => {
                data.connection().set_rcv_nxt(data.proto.rcv_nxt());
                event::PEER_FINISHED | event::ANSWER
            }
            // The peer repeats it because our Data ACK was lost.
            FinOutcome::Duplicate => event::ANSWER,
            FinOutcome::Remembered | FinOutcome::Inconsistent => 0,
        };
    }
    events
}

/// A Data ACK with the window that came with it; returns the events that follow.
#[inline]
fn on_data_ack(data: &mut DataLock<'_>, ack: DataSeq, window: u32) -> u32 {
    match data.proto.on_data_ack(ack, window) {
        AckOutcome::New { window_grew, .. } => {
            // At once, whoever owns the connection: two hosts that both go on signalling what the
            // other has acknowledged would answer each other without end.
            if data.connection().data_fin().is_some() && data.proto.data_fin_to_send().is_none() {
                data.connection().set_data_fin(None);
            }
            event::ACKED | if window_grew { event::ROOM } else { 0 }
        }
        AckOutcome::Old { window_grew } | AckOutcome::Same { window_grew } => {
            if window_grew {
                event::ROOM
            } else {
                0
            }
        }
        AckOutcome::Invalid => 0,
    }
}

/// The peer has declared the first `len` bytes of the subflow, with a checksum if that was agreed on.
///
/// # Locking
///
/// The data lock is held.
pub(crate) fn declare_first(ssk: Sock, subflow: &Subflow, len: u16, checksum: Option<u16>) {
    let connection = subflow.connection();
    let dsn = connection.identity().peer_start();
    let mapping = Mapping::new(SubflowSeq::new(1), dsn, len.into());
    match checksum {
        Some(checksum) if connection.uses_checksum() => {
            checksums::declare(ssk, subflow, CheckedMapping::new(mapping, checksum));
        }
        None if !connection.uses_checksum() => remember(ssk, subflow, mapping),
        _ => subflow.misdeclare(),
    }
}

/// Remembers a mapping that the peer has declared.
///
/// # Locking
///
/// The data lock is held.
fn remember(ssk: Sock, subflow: &Subflow, mapping: Mapping) {
    trace::on_mapping(subflow, mapping, false);
    let oldest = subflow.peer_ssn(ssk.copied_seq());
    // SAFETY: The data lock is held, and the reference ends with this function.
    let table = unsafe { subflow.receive() };
    let window = LARGEST_WINDOW;
    let mut result = table.insert_within(mapping, oldest, window);
    if result == Err(InsertError::Full) && table.capacity() < RECEIVE_MAPPINGS_MAX {
        if let Ok(more) = storage(table.capacity() * 2) {
            let _ = table.replace_storage(more);
            result = table.insert_within(mapping, oldest, window);
        }
    }
    match result {
        Ok(Inserted::Conflict { .. }) => subflow.connection().count(Counter::DSSNotMatching),
        Err(InsertError::Distant) => subflow.connection().count(Counter::DSSNoMatchTCP),
        _ => {}
    }
}

/// An ACK of a connection that has fallen back: its bytes are the connection's.
pub(crate) fn on_plain_ack(ssk: Sock, subflow: &Subflow, header: &Header) {
    let mut data = DataLock::take(subflow.connection());
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.7
    //# After a sender signals an infinite mapping, it MUST only use subflow
    //# ACKs to clear its send buffer.
    // The position in the stream counts, not what is new since TCP's `snd_una`: TCP may still have
    // the ACKs before this one in its backlog. The FIN's number lies behind all data.
    let ack = data.sent.dsn_of(subflow.local_ssn(header.ack_seq));
    let ack = ack.earlier(data.proto.snd_nxt());
    let window = u32::from(header.window) << ssk.snd_wscale();
    let events = on_data_ack(&mut data, ack, window);
    if events != 0 {
        data.publish(events);
    }
}

/// What TCP knows to be acknowledged on a connection that has fallen back, in case its last ACK came before
/// the packet hook was there: nobody repeats it.
pub(crate) fn take_acked(connection: &Connection) {
    let Some(ssk) = connection.only_first() else {
        return;
    };
    let mut data = DataLock::take(connection);
    if let Some(subflow) = subflow::of(ssk) {
        let ack = data.sent.dsn_of(subflow.local_ssn(ssk.snd_una()));
        let ack = ack.earlier(data.proto.snd_nxt());
        let events = on_data_ack(&mut data, ack, 0);
        if events != 0 {
            data.publish(events);
        }
    }
}
