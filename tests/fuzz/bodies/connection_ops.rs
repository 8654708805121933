// SPDX-License-Identifier: GPL-2.0

//! Shows that no sequence of events upsets the data level of a connection.
//!
//! The input is a list of events with arguments of any size. Whatever comes, the edges of both
//! windows keep their order and no state is left for an earlier one.

use mptcp_proto::connection::{
    AckOutcome,
    Connection,
    FinOutcome,
    ReceiveOutcome,
    State, //
};
use mptcp_proto::mapping::{
    Mapping,
    Table, //
};
use mptcp_proto::reassembly::{
    place,
    Placement, //
};
use mptcp_proto::seq::{
    DataSeq,
    SubflowSeq, //
};
use mptcp_proto::window::Advertised;

use super::source::Source;

/// Returns how far a state is from the beginning: no event leads back.
fn stage(state: State) -> u8 {
    match state {
        State::Established => 0,
        State::FinWait1 | State::CloseWait => 1,
        State::FinWait2 | State::Closing | State::LastAck => 2,
        State::TimeWait => 3,
        State::Closed => 4,
    }
}

/// Chooses a number near another, or anywhere.
fn near(source: &mut Source<'_>, number: DataSeq) -> DataSeq {
    match source.u8() % 4 {
        0 => DataSeq::new(source.u64()),
        1 => number.retreat(u64::from(source.u16())),
        _ => number.advance(u64::from(source.u16())),
    }
}

/// Runs the body on one input.
pub(crate) fn run(data: &[u8]) {
    let source = &mut Source::new(data);
    let mut c = Connection::new(DataSeq::new(source.u64()), DataSeq::new(source.u64()));
    let mut advertised = Advertised::new(c.rcv_nxt(), u32::from(source.u16()));
    let mut table = Table::new([Mapping::EMPTY; 8]);
    let mut oldest = SubflowSeq::new(source.u32());
    while !source.is_empty() {
        let before = c;
        match source.u8() % 10 {
            0 => {
                let ack = near(source, c.snd_una());
                let outcome = c.on_data_ack(ack, source.u32() >> (source.u8() % 32));
                match outcome {
                    AckOutcome::Invalid => assert_eq!(c, before),
                    AckOutcome::New { .. } => assert_eq!(c.snd_una(), ack),
                    AckOutcome::Old { .. } | AckOutcome::Same { .. } => {
                        assert_eq!(c.snd_una(), before.snd_una());
                    }
                }
            }
            1 => {
                let sent = c.on_send(u32::from(source.u16()));
                assert!(sent.is_err() || sent == Ok(before.snd_nxt()));
            }
            2 => {
                let (dsn, len) = (near(source, c.rcv_nxt()), u32::from(source.u16()));
                if let Placement::InOrder { skip, take } =
                    place(c.rcv_nxt(), advertised.edge(), dsn, len)
                {
                    assert!(take > 0 && skip + take <= len);
                    assert_eq!(dsn.advance(u64::from(skip)), c.rcv_nxt());
                    if c.on_receive(take) == ReceiveOutcome::BeyondFin {
                        assert_eq!(c, before);
                    }
                }
            }
            3 => {
                let dsn = near(source, c.rcv_nxt());
                match c.on_data_fin(dsn) {
                    FinOutcome::Finished => assert!(c.peer_finished()),
                    FinOutcome::Remembered => assert_eq!(c.peer_end(), Some(dsn)),
                    FinOutcome::Duplicate | FinOutcome::Inconsistent => assert_eq!(c, before),
                }
            }
            4 => {
                c.shutdown_send();
                assert_eq!(c.usable(), 0);
            }
            5 => match source.u8() {
                0 => c.on_fastclose(),
                1 => c.abort(),
                2 => c.give_up(),
                _ => c.on_time_wait_over(),
            },
            6 => {
                let edge = advertised.edge();
                let (free, mss, scale) = (source.u32(), source.u32(), source.u8());
                let window = advertised.advertise(c.rcv_nxt(), free, mss, scale);
                let end = c.rcv_nxt().advance(u64::from(window) << scale.min(14));
                assert!(!advertised.edge().before(edge));
                // A DATA_FIN may lie just behind the edge.
                assert!(window == 0 || !end.after(advertised.edge()));
            }
            7 | 8 => {
                let ssn = oldest.advance(u32::from(source.u16())).retreat(200);
                let mapping = Mapping::new(ssn, near(source, c.rcv_nxt()), u32::from(source.u16()));
                let known = table.lookup(oldest);
                let result = table.insert_within(mapping, oldest, 1 << 15);
                let now = table.lookup(oldest);
                assert!(known.is_none() || known.map(Mapping::dsn) == now.map(Mapping::dsn));
                if result.is_ok() && mapping.contains(oldest) {
                    assert!(now.is_some());
                }
            }
            _ => {
                oldest = oldest.advance(u32::from(source.u16()));
                table.prune(oldest);
                let first = table.first();
                assert!(first.is_none_or(|first| !first.ssn().before(oldest)));
            }
        }
        assert!(stage(c.state()) >= stage(before.state()));
        assert!(!c.snd_una().before(before.snd_una()) && !c.snd_una().after(c.snd_nxt()));
        assert!(!c.snd_wnd_end().before(before.snd_wnd_end()));
        assert!(!c.rcv_nxt().before(before.rcv_nxt()));
        let finished = matches!(c.state(), State::FinWait2 | State::TimeWait);
        assert!(!finished || c.data_fin_to_send().is_none());
    }
}
