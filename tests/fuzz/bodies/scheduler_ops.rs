// SPDX-License-Identifier: GPL-2.0

//! Shows that no figures upset a scheduler, nor what is decided beside it.
//!
//! The input is a list of situations with figures of any size, and of changes from one scheduler to
//! another. Whatever comes, data goes to usable paths only, and no more of it than they take.

use mptcp_proto::scheduler::{
    AnyScheduler,
    Choice,
    DeliveryRate,
    Demand,
    Head,
    Kind,
    Limit,
    Path,
    Penalty,
    Remedy,
    Rescue,
    Scheduler,
    Tail,
    BURST_MAX, //
};
use mptcp_proto::seq::DataSeq;
use mptcp_proto::time::{
    Duration,
    Timestamp, //
};

use super::source::Source;

/// Chooses a number of any magnitude.
fn amount(source: &mut Source<'_>) -> u64 {
    source.u64() >> (source.u8() % 64)
}

/// Chooses a smaller number of any magnitude.
fn small(source: &mut Source<'_>) -> u32 {
    source.u32() >> (source.u8() % 32)
}

/// Chooses a path.
fn path(source: &mut Source<'_>, index: u8) -> Path {
    let flags = source.u8();
    Path {
        index,
        srtt: Duration::from_micros(amount(source)),
        min_rtt: Duration::from_micros(amount(source)),
        rttvar: Duration::from_micros(amount(source)),
        cwnd: small(source),
        headroom: small(source),
        in_flight: small(source),
        unsent: small(source),
        idle: Duration::from_micros(amount(source)),
        mss: small(source),
        delivery_rate: amount(source),
        behind: amount(source),
        backup: flags & 1 != 0,
        stale: flags & 2 != 0,
        timed_out: flags & 8 != 0,
        usable: flags & 4 == 0,
    }
}

/// Runs the body on one input.
pub(crate) fn run(data: &[u8]) {
    let source = &mut Source::new(data);
    let mut scheduler = AnyScheduler::new(Kind::default());
    let (mut rescue, mut penalty) = (Rescue::new(), Penalty::new());
    let (mut rate, mut tail) = (DeliveryRate::new(), Tail::new());
    let mut now = Timestamp::ORIGIN;
    while !source.is_empty() {
        now = now.advance(Duration::from_micros(u64::from(small(source))));
        if let Some(kind) = Kind::ALL.get(usize::from(source.u8())) {
            scheduler = AnyScheduler::new(*kind);
        }
        let count = source.u8() % 5;
        let mut paths: Vec<_> = (0..count).map(|index| path(source, index)).collect();
        let limit = if source.bool() {
            Limit::Path
        } else {
            Limit::Application
        };
        let sample = amount(source);
        rate.on_sample(now, sample, limit, Duration::from_micros(amount(source)));
        assert!(rate.get() >= sample || limit == Limit::Path && sample == 0);
        if let Some(path) = paths.first_mut() {
            path.delivery_rate = rate.get();
        }
        let demand = Demand {
            now,
            waiting: amount(source),
            window: amount(source),
            in_flight: amount(source),
            buffer_free: amount(source),
        };
        let takes = |index: u8, bytes: u32, most: u64| {
            let path = paths.iter().find(|path| path.index == index);
            assert!(bytes > 0 && bytes <= BURST_MAX && u64::from(bytes) <= most);
            assert!(path.is_some_and(|path| path.usable && bytes <= path.room()));
        };
        match scheduler.choose(&paths, &demand) {
            Choice::Send { index, bytes } => takes(index, bytes, demand.sendable()),
            Choice::Repeat { index, bytes } => {
                assert!(scheduler.duplicates());
                takes(index, bytes, u64::MAX);
            }
            Choice::Wait => {}
        }
        if let Some(relief) = tail.decide(&paths, &demand) {
            takes(relief.to, relief.bytes, u64::MAX);
            assert_ne!(relief.from, relief.to);
            let slow = paths.iter().find(|path| path.index == relief.from);
            assert!(slow.is_some_and(|slow| relief.skip < u64::from(slow.queued())));
            assert_eq!(demand.waiting, 0);
        }
        let head = Head {
            dsn: DataSeq::new(amount(source)),
            bytes: amount(source),
            index: source.u8() % 5,
            sent: Timestamp::from_micros(amount(source)),
        };
        let remedy = rescue.decide(&paths, &demand, &head, &mut penalty);
        if let Remedy::Reinject {
            index,
            bytes,
            penalty,
        } = remedy
        {
            takes(index, bytes, head.bytes);
            assert_ne!(index, head.index);
            let slow = paths.iter().find(|path| path.index == head.index);
            assert!(slow.is_some_and(|slow| penalty.is_none_or(|cwnd| cwnd < slow.cwnd)));
        }
    }
}
