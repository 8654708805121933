// SPDX-License-Identifier: GPL-2.0

//! The whole decision table, and what must hold in all of it.

use super::*;
use Reaction::{
    AnswerMpFail,
    FallBackToTcp,
    FallBackWithInfiniteMapping,
    Ignore,
    ResetSubflow,
    ResetWithMpFail,
    SendMpFail, //
};

/// A RST for an MPTCP-specific error.
const SPECIFIC: Reaction = ResetSubflow(Reason::MptcpSpecific);
/// A RST for middlebox interference.
const MIDDLEBOX: Reaction = ResetSubflow(Reason::MiddleboxInterference);
/// A RST for lack of resources.
const RESOURCES: Reaction = ResetSubflow(Reason::LackOfResources);

/// Returns every situation.
fn situations() -> impl Iterator<Item = Situation> {
    (0..64u8).map(|bits| Situation {
        origin: if bits & 1 == 0 {
            Origin::Initial
        } else {
            Origin::Joined
        },
        proven: bits & 2 != 0,
        other_subflows: bits & 4 != 0,
        contiguous: bits & 8 != 0,
        checksum: bits & 16 != 0,
        fallen_back: bits & 32 != 0,
    })
}

/// The table: for every event the reactions on an initial subflow (can fall back and not proven, can
/// fall back and proven, cannot and not proven, cannot and proven), then on a joined one.
const TABLE: [(Event, [Reaction; 4], [Reaction; 4]); 14] = [
    (
        Event::SynWithoutOption,
        [FallBackToTcp, Ignore, MIDDLEBOX, Ignore],
        [SPECIFIC, Ignore, SPECIFIC, Ignore],
    ),
    (
        Event::ThirdAckWithoutOption,
        [FallBackToTcp, Ignore, MIDDLEBOX, Ignore],
        [SPECIFIC, Ignore, SPECIFIC, Ignore],
    ),
    (
        Event::DataWithoutMapping,
        [FallBackWithInfiniteMapping, Ignore, MIDDLEBOX, Ignore],
        [MIDDLEBOX, Ignore, MIDDLEBOX, Ignore],
    ),
    (
        Event::FirstDataWithoutMapping,
        [
            FallBackWithInfiniteMapping,
            FallBackWithInfiniteMapping,
            MIDDLEBOX,
            MIDDLEBOX,
        ],
        [MIDDLEBOX; 4],
    ),
    (
        Event::MappingOverdue,
        [FallBackWithInfiniteMapping, MIDDLEBOX, MIDDLEBOX, MIDDLEBOX],
        [MIDDLEBOX; 4],
    ),
    (
        Event::AckWithoutDss,
        [FallBackWithInfiniteMapping, Ignore, MIDDLEBOX, Ignore],
        [MIDDLEBOX, Ignore, MIDDLEBOX, Ignore],
    ),
    (
        Event::NoDataAck,
        [
            FallBackWithInfiniteMapping,
            FallBackWithInfiniteMapping,
            MIDDLEBOX,
            MIDDLEBOX,
        ],
        [MIDDLEBOX; 4],
    ),
    (
        Event::ChecksumFailed,
        [SendMpFail, SendMpFail, ResetWithMpFail, ResetWithMpFail],
        [SendMpFail, SendMpFail, ResetWithMpFail, ResetWithMpFail],
    ),
    (
        Event::MpFailReceived,
        [AnswerMpFail, AnswerMpFail, ResetWithMpFail, ResetWithMpFail],
        [AnswerMpFail, AnswerMpFail, ResetWithMpFail, ResetWithMpFail],
    ),
    (
        Event::InfiniteMapping,
        [FallBackToTcp, FallBackToTcp, SPECIFIC, SPECIFIC],
        [FallBackToTcp, FallBackToTcp, SPECIFIC, SPECIFIC],
    ),
    (Event::MappingConflict, [SPECIFIC; 4], [SPECIFIC; 4]),
    (Event::ChecksumPresence, [SPECIFIC; 4], [SPECIFIC; 4]),
    (Event::NoRoomForMapping, [RESOURCES; 4], [RESOURCES; 4]),
    (Event::UnknownOption, [Ignore; 4], [Ignore; 4]),
];

#[test]
fn every_event_in_every_situation_matches_the_table() {
    for (row, event) in TABLE.iter().zip(Event::ALL) {
        assert_eq!(row.0, event);
    }
    for (event, initial, joined) in TABLE {
        for situation in situations() {
            let fallback = !situation.other_subflows && situation.contiguous;
            let column = usize::from(!fallback) * 2 + usize::from(situation.proven);
            let row = match situation.origin {
                Origin::Initial => initial,
                Origin::Joined => joined,
            };
            let no_checksum = event == Event::ChecksumFailed && !situation.checksum;
            let expected = if situation.fallen_back || no_checksum {
                Some(&Ignore)
            } else {
                row.get(column)
            };
            let found = decide(event, situation);
            assert_eq!(Some(&found), expected, "{event:?} in {situation:?}");
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc8684#section-3.7
//= type=test
//# When a connection has fallen back with an infinite mapping, only one
//# subflow can send data; otherwise, the receiver would not know how to
//# reorder the data.
#[test]
fn other_subflows_never_fall_back() {
    for event in Event::ALL {
        for situation in situations().filter(|situation| situation.other_subflows) {
            let reaction = decide(event, situation);
            assert!(
                matches!(reaction, Ignore | ResetSubflow(_) | ResetWithMpFail),
                "{event:?} in {situation:?} leads to {reaction:?}"
            );
        }
    }
}
