// SPDX-License-Identifier: GPL-2.0

//! Shows that the arithmetic of reassembly and windows agrees with a receiver that keeps every byte.

use std::collections::{
    BTreeMap,
    BTreeSet, //
};

use mptcp_proto::reassembly::{
    fit,
    place,
    Fit,
    NoRoom,
    Placement,
    Range,
    Ranges, //
};
use mptcp_proto::seq::DataSeq;
use mptcp_proto::window::{
    Advertised,
    SendWindow, //
};
use proptest::prelude::*;

/// How far segments reach from the start, in bytes.
const REACH: u64 = 300;

/// A receiver that stores pieces of segments; bytes are tagged with the segment they came with.
struct Receiver {
    /// The DSN of the first byte of all.
    start: DataSeq,
    /// The next DSN expected.
    rcv_nxt: DataSeq,
    /// What the reader got.
    delivered: Vec<u16>,
    /// What waits, by distance from the start.
    waiting: BTreeMap<u64, Vec<u16>>,
}

impl Receiver {
    /// Stores what neither neighbour has of bytes that begin at `dsn`.
    fn store(&mut self, mut dsn: DataSeq, mut bytes: &[u16]) {
        while let Ok(len) = u32::try_from(bytes.len()) {
            let at = dsn.distance_from(self.start);
            let previous = self.waiting.range(..=at).next_back();
            let previous_end =
                previous.map(|(at, piece)| self.start.advance(*at + piece.len() as u64));
            let next_start = self
                .waiting
                .range(at + 1..)
                .next()
                .map(|(at, _)| self.start.advance(*at));
            let rest = match fit(previous_end, next_start, dsn, len) {
                Fit::Keep { skip, take, rest } => {
                    let piece = bytes.iter().skip(skip as usize).take(take as usize);
                    self.waiting
                        .insert(at + u64::from(skip), piece.copied().collect());
                    rest
                }
                Fit::Covered { rest } => rest,
            };
            if rest == 0 {
                return;
            }
            dsn = dsn.advance(u64::from(len - rest));
            bytes = bytes.split_at((len - rest) as usize).1;
        }
    }

    /// Takes in a segment.
    fn on_segment(&mut self, window_end: DataSeq, dsn: DataSeq, bytes: &[u16]) {
        let placement = place(self.rcv_nxt, window_end, dsn, bytes.len() as u32);
        let (skip, take) = match placement {
            Placement::InOrder { skip, take } => (skip, take),
            Placement::OutOfOrder { take } => (0, take),
            Placement::Duplicate | Placement::BeyondWindow => return,
        };
        let kept: Vec<_> = bytes
            .iter()
            .skip(skip as usize)
            .take(take as usize)
            .copied()
            .collect();
        self.store(dsn.advance(u64::from(skip)), &kept);
        while let Some(piece) = self.waiting.remove(&self.rcv_nxt.distance_from(self.start)) {
            self.rcv_nxt = self.rcv_nxt.advance(piece.len() as u64);
            self.delivered.extend(piece);
        }
    }
}

proptest! {
    #[test]
    fn first_copy_of_every_byte_in_the_window_is_delivered(
        start in prop_oneof![any::<u64>(), (0..REACH).prop_map(|back| 0u64.wrapping_sub(back))],
        segments in prop::collection::vec((0..REACH, 0..60usize, 0..80u64), 1..80),
    ) {
        let start = DataSeq::new(start);
        let mut receiver = Receiver {
            start,
            rcv_nxt: start,
            delivered: Vec::new(),
            waiting: BTreeMap::new(),
        };
        let mut model: Vec<Option<u16>> = vec![None; REACH as usize + 200];
        let mut edge = 0;
        for (tag, (at, len, window)) in (0u16..).zip(segments) {
            let next = model.iter().take_while(|byte| byte.is_some()).count();
            edge = edge.max(next as u64 + window);
            for (offset, byte) in model.iter_mut().enumerate().skip(at as usize).take(len) {
                if offset >= next && (offset as u64) < edge && byte.is_none() {
                    *byte = Some(tag);
                }
            }
            receiver.on_segment(start.advance(edge), start.advance(at), &vec![tag; len]);
            let expected: Vec<_> = model.iter().map_while(|byte| *byte).collect();
            prop_assert_eq!(&receiver.delivered, &expected);
            prop_assert_eq!(receiver.rcv_nxt, start.advance(expected.len() as u64));
        }
    }

    #[test]
    fn ranges_hold_the_bytes_that_a_set_holds(
        start in any::<u64>(),
        room in 1..6usize,
        steps in prop::collection::vec((0..REACH, 0..60u32, prop::bool::weighted(0.1)), 1..60),
    ) {
        let start = DataSeq::new(start);
        let mut ranges = Ranges::new(vec![Range::EMPTY; room]);
        let mut model = BTreeSet::new();
        for (at, len, take) in steps {
            if take {
                let end = ranges.take_in_order(start.advance(at));
                let expected = (at..).find(|byte| !model.contains(byte));
                model.retain(|byte| *byte >= at);
                if let Some(expected) = expected.filter(|expected| *expected > at) {
                    prop_assert_eq!(end, Some(start.advance(expected)));
                    model.retain(|byte| *byte >= expected);
                } else {
                    prop_assert_eq!(end, None);
                }
            } else {
                let mut after = model.clone();
                after.extend(at..at + u64::from(len));
                match ranges.insert(Range::new(start.advance(at), len)) {
                    Ok(added) => {
                        prop_assert_eq!(added, (after.len() - model.len()) as u64);
                        model = after;
                    }
                    Err(NoRoom) => prop_assert_eq!(ranges.len(), room),
                }
            }
            let held: Vec<_> = ranges
                .iter()
                .flat_map(|r| r.start().distance_from(start)..r.end().distance_from(start))
                .collect();
            prop_assert!(model.iter().copied().eq(held));
            let ends: Vec<_> = ranges.iter().map(|r| (r.start(), r.end())).collect();
            let mut pairs = ends.iter().zip(ends.iter().skip(1));
            prop_assert!(pairs.all(|(one, next)| one.1.before(next.0)));
        }
    }

    #[test]
    fn window_promises_are_kept_and_believed(
        start in any::<u64>(),
        steps in prop::collection::vec(
            (0..5_000u64, any::<u16>(), 1..1_500u32, 0..15u8, any::<prop::sample::Index>()),
            1..60,
        ),
    ) {
        let mut rcv_nxt = DataSeq::new(start);
        let mut advertised = Advertised::new(rcv_nxt, 1_000);
        let mut sender = SendWindow::new(rcv_nxt, 1_000);
        let mut in_flight = Vec::new();
        for (received, free, mss, wscale, pick) in steps {
            rcv_nxt = rcv_nxt.advance(received.min(advertised.promised(rcv_nxt)));
            let before = advertised.edge();
            let promised = advertised.promised(rcv_nxt);
            let window = advertised.advertise(rcv_nxt, u32::from(free), mss, wscale);
            let bytes = u32::from(window) << wscale;
            prop_assert!(advertised.edge().at_or_after(before));
            prop_assert!(u64::from(bytes) <= promised.max(u64::from(free)));
            prop_assert!(rcv_nxt.advance(u64::from(bytes)).at_or_before(advertised.edge()));
            prop_assert!(advertised.edge() == before || u64::from(bytes) >= promised + u64::from(mss));
            // Acknowledgments arrive in any order, and some never.
            in_flight.push((rcv_nxt, bytes));
            let (ack, window) = in_flight.swap_remove(pick.index(in_flight.len()));
            let end = sender.end();
            sender.on_ack(ack, window);
            prop_assert!(sender.end().at_or_after(end));
            prop_assert!(sender.end().at_or_before(advertised.edge()));
            prop_assert!(sender.una().at_or_before(rcv_nxt));
        }
    }
}
