// SPDX-License-Identifier: GPL-2.0

//! Shows that the arithmetic of sequence numbers obeys its laws wherever in the space it happens.

use mptcp_proto::seq::{
    DataSeq,
    SubflowSeq, //
};
use proptest::prelude::*;

/// Half of the space of data sequence numbers.
const HALF_64: u64 = 1 << 63;

/// Half of the space of subflow sequence numbers.
const HALF_32: u32 = 1 << 31;

/// Numbers everywhere, and more often near the places where something wraps.
fn any_u64() -> impl Strategy<Value = u64> {
    let edges = [0, 1 << 31, 1 << 32, HALF_64, u64::MAX << 32];
    prop_oneof![
        any::<u64>(),
        (prop::sample::select(edges.to_vec()), -3i64..=3)
            .prop_map(|(edge, offset)| edge.wrapping_add_signed(offset)),
    ]
}

/// As [`any_u64`].
fn any_u32() -> impl Strategy<Value = u32> {
    let edges = [0, HALF_32];
    prop_oneof![
        any::<u32>(),
        (prop::sample::select(edges.to_vec()), -3i32..=3)
            .prop_map(|(edge, offset)| edge.wrapping_add_signed(offset)),
    ]
}

proptest! {
    #[test]
    fn data_seq_advance_and_retreat_are_inverse(x in any_u64(), n in any_u64()) {
        let x = DataSeq::new(x);
        prop_assert_eq!(x.advance(n).retreat(n), x);
        prop_assert_eq!(x.advance(n).distance_from(x), n);
        prop_assert_eq!(x.advance(n).distance_from(x.advance(n)), 0);
    }

    #[test]
    fn data_seq_exactly_one_order(x in any_u64(), y in any_u64()) {
        prop_assume!(x.wrapping_sub(y) != HALF_64);
        let (x, y) = (DataSeq::new(x), DataSeq::new(y));
        let orders = [x.before(y), x == y, x.after(y)];
        prop_assert_eq!(orders.iter().filter(|order| **order).count(), 1);
        prop_assert_eq!(x.at_or_before(y), !x.after(y));
        prop_assert_eq!(x.at_or_after(y), !x.before(y));
        prop_assert_eq!(x.before(y), y.after(x));
    }

    #[test]
    fn data_seq_before_is_transitive_in_half_the_space(
        x in any_u64(),
        m in 1..HALF_64,
        n in 1..HALF_64,
    ) {
        prop_assume!(m.checked_add(n).is_some_and(|sum| sum < HALF_64));
        let x = DataSeq::new(x);
        let y = x.advance(m);
        let z = y.advance(n);
        prop_assert!(x.before(y) && y.before(z) && x.before(z));
    }

    #[test]
    fn data_seq_order_does_not_depend_on_the_place(
        x in any_u64(),
        y in any_u64(),
        shift in any_u64(),
    ) {
        let (x, y) = (DataSeq::new(x), DataSeq::new(y));
        prop_assert_eq!(x.before(y), x.advance(shift).before(y.advance(shift)));
    }

    #[test]
    fn expand_finds_the_nearest(near in any_u64(), low in any_u32()) {
        let near = DataSeq::new(near);
        let found = DataSeq::expand(near, low);
        prop_assert_eq!(found.low32(), low);
        let distance = |other: DataSeq| {
            other.distance_from(near).min(near.distance_from(other))
        };
        prop_assert!(distance(found) <= distance(found.advance(1 << 32)));
        prop_assert!(distance(found) <= distance(found.retreat(1 << 32)));
        prop_assert!(distance(found) <= 1 << 31);
    }

    #[test]
    fn expand_recovers_what_is_within_reach(near in any_u64(), offset in any_u32()) {
        let near = DataSeq::new(near);
        let reach = u64::from(offset >> 1);
        let (later, earlier) = (near.advance(reach), near.retreat(reach));
        prop_assert_eq!(DataSeq::expand(near, later.low32()), later);
        prop_assert_eq!(DataSeq::expand(near, earlier.low32()), earlier);
    }

    #[test]
    fn subflow_seq_advance_and_retreat_are_inverse(x in any_u32(), n in any_u32()) {
        let x = SubflowSeq::new(x);
        prop_assert_eq!(x.advance(n).retreat(n), x);
        prop_assert_eq!(x.advance(n).distance_from(x), n);
    }

    #[test]
    fn subflow_seq_exactly_one_order(x in any_u32(), y in any_u32()) {
        prop_assume!(x.wrapping_sub(y) != HALF_32);
        let (x, y) = (SubflowSeq::new(x), SubflowSeq::new(y));
        let orders = [x.before(y), x == y, x.after(y)];
        prop_assert_eq!(orders.iter().filter(|order| **order).count(), 1);
        prop_assert_eq!(x.at_or_before(y), !x.after(y));
        prop_assert_eq!(x.at_or_after(y), !x.before(y));
    }

    #[test]
    fn subflow_seq_before_is_transitive_in_half_the_space(
        x in any_u32(),
        m in 1..HALF_32,
        n in 1..HALF_32,
    ) {
        prop_assume!(m.checked_add(n).is_some_and(|sum| sum < HALF_32));
        let x = SubflowSeq::new(x);
        let y = x.advance(m);
        let z = y.advance(n);
        prop_assert!(x.before(y) && y.before(z) && x.before(z));
    }
}
