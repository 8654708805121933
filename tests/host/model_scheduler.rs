// SPDX-License-Identifier: GPL-2.0

//! Shows that every scheduler keeps the rules that all share, whatever it is told, and that the end of a transfer is
//! copied as a naive model says.

use mptcp_proto::mapping::Mapping;
use mptcp_proto::scheduler::{
    AnyScheduler,
    Choice,
    Demand,
    Kind,
    Path,
    Scheduler,
    Tail,
    BURST_MAX, //
};
use mptcp_proto::seq::{
    DataSeq,
    SubflowSeq, //
};
use mptcp_proto::time::{
    Duration,
    Timestamp, //
};
use proptest::prelude::*;

/// Makes sizes and times: none, some, any.
fn amount(typical: u64) -> impl Strategy<Value = u64> {
    prop_oneof![1 => Just(0), 6 => 0..typical, 1 => any::<u64>()]
}

/// The same in 32 bits.
fn small(typical: u64) -> impl Strategy<Value = u32> {
    amount(typical).prop_map(|value| value as u32)
}

prop_compose! {
    /// Makes a path; its index is given later.
    fn path()(
        srtt in amount(300_000),
        min_rtt in amount(100_000),
        rttvar in amount(20_000),
        (idle, cwnd, headroom) in (amount(100_000), small(200_000), small(10_000)),
        (in_flight, unsent) in (small(100_000), small(10_000)),
        mss in prop_oneof![4 => 500..9_000u32, 1 => any::<u32>()],
        (delivery_rate, behind) in (amount(1_000_000), amount(50_000)),
        (backup, stale, timed_out) in
            (prop::bool::weighted(0.2), prop::bool::weighted(0.2), prop::bool::weighted(0.2)),
        usable in prop::bool::weighted(0.8),
    ) -> Path {
        Path {
            index: 0,
            srtt: Duration::from_micros(srtt),
            min_rtt: Duration::from_micros(min_rtt),
            rttvar: Duration::from_micros(rttvar),
            cwnd,
            headroom,
            in_flight,
            unsent,
            idle: Duration::from_micros(idle),
            mss,
            delivery_rate,
            behind,
            backup,
            stale,
            timed_out,
            usable,
        }
    }
}

prop_compose! {
    /// Makes up to five paths with indexes that are not in order.
    fn paths()(mut paths in prop::collection::vec(path(), 0..6), first: u8) -> Vec<Path> {
        for (nth, path) in (0..).zip(&mut paths) {
            path.index = first.wrapping_add(77u8.wrapping_mul(nth));
        }
        paths
    }
}

prop_compose! {
    /// Makes what a connection wants.
    fn demand()(
        now in amount(1_000_000),
        waiting in amount(500_000),
        window in amount(500_000),
        in_flight in amount(200_000),
        buffer_free in amount(500_000),
    ) -> Demand {
        Demand { now: Timestamp::from_micros(now), waiting, window, in_flight, buffer_free }
    }
}

/// What the rules say of one choice.
fn check(kind: Kind, choice: Choice, paths: &[Path], demand: &Demand) -> Result<(), TestCaseError> {
    let duplicates = kind == Kind::Redundant;
    let (index, bytes, most) = match choice {
        Choice::Send { index, bytes } => (index, bytes, demand.waiting.min(demand.window)),
        Choice::Repeat { index, bytes } => {
            prop_assert!(duplicates);
            let path = paths.iter().find(|path| path.index == index);
            (index, bytes, path.map_or(0, |path| path.behind))
        }
        Choice::Wait => return check_wait(duplicates, paths, demand),
    };
    let Some(path) = paths.iter().find(|path| path.index == index) else {
        return Err(TestCaseError::fail("no such path"));
    };
    prop_assert!(path.usable);
    let working = |backup| {
        let mut paths = paths.iter();
        paths.any(|path| path.usable && !path.stale && path.backup == backup)
    };
    let answering = || {
        let mut paths = paths.iter();
        paths.any(|other| other.usable && other.answers() && other.backup == path.backup)
    };
    prop_assert!(!path.backup || !working(false));
    prop_assert!(path.stale || !path.timed_out || !answering());
    prop_assert!(!path.stale || !(working(false) || working(true)));
    prop_assert!(bytes > 0 && bytes <= BURST_MAX && u64::from(bytes) <= most);
    let limit = u64::from(path.cwnd) + u64::from(path.headroom);
    let queued = u64::from(path.in_flight) + u64::from(path.unsent);
    let segment = u64::from(path.mss.clamp(1, BURST_MAX));
    prop_assert!(
        queued + u64::from(bytes) <= limit || (queued == 0 && u64::from(bytes) <= segment)
    );
    Ok(())
}

/// What the rules say of waiting: there must be something to wait for.
fn check_wait(duplicates: bool, paths: &[Path], demand: &Demand) -> Result<(), TestCaseError> {
    let may_send = demand.waiting > 0 && demand.window > 0 && demand.in_flight == 0;
    let mut usable = paths.iter().filter(|path| path.usable);
    let quiet = usable
        .clone()
        .all(|path| path.in_flight == 0 && path.unsent == 0);
    prop_assert!(!may_send || !quiet || usable.next().is_none());
    // Who waits although the best paths have room waits for an ACK on one of them that works.
    let best = paths.iter().filter_map(Path::standing).min();
    let mut best = paths
        .iter()
        .filter(|path| path.usable && path.standing() == best);
    let could = demand.waiting > 0
        && best.clone().any(|path| {
            let whole = demand.window.min(u64::from(path.room())) >= u64::from(path.segment());
            whole && (path.behind == 0 || !duplicates)
        });
    let ack_comes = best.any(|path| path.answers() && path.in_flight.max(path.unsent) > 0);
    prop_assert!(!could || ack_comes);
    Ok(())
}

proptest! {
    #[test]
    fn every_choice_keeps_the_rules(
        steps in prop::collection::vec((paths(), demand()), 1..20),
        live in prop::collection::vec(0..Kind::ALL.len(), 1..20),
    ) {
        for kind in Kind::ALL {
            let mut scheduler = AnyScheduler::new(*kind);
            prop_assert_eq!(scheduler.duplicates(), *kind == Kind::Redundant);
            for (paths, demand) in &steps {
                let choice = scheduler.choose(paths, demand);
                check(*kind, choice, paths, demand)?;
            }
        }
        // A scheduler that is changed at any time does not know what was before.
        for ((paths, demand), kind) in steps.iter().zip(live.iter().cycle()) {
            if let Some(kind) = Kind::ALL.get(*kind) {
                let choice = AnyScheduler::new(*kind).choose(paths, demand);
                check(*kind, choice, paths, demand)?;
            }
        }
    }

    #[test]
    fn asking_until_told_to_wait_ends_and_fills_what_there_is(
        paths in paths(),
        demand in demand(),
        answered in prop::collection::vec(any::<prop::sample::Index>(), 1..10),
    ) {
        for kind in Kind::ALL {
            let mut scheduler = AnyScheduler::new(*kind);
            let (mut paths, mut demand) = (paths.clone(), demand);
            demand.waiting = demand.waiting.min(300_000);
            demand.in_flight = demand.in_flight.min(300_000);
            for path in &mut paths {
                path.cwnd = path.cwnd.min(100_000);
                path.headroom = path.headroom.min(10_000);
                path.mss = path.mss.clamp(100, 9_000);
                path.behind = path.behind.min(100_000);
            }
            let mut acks = answered.iter().cycle();
            // Each round acknowledges all of one path; nothing may be left in the end.
            for _ in 0..20_000 {
                let choice = scheduler.choose(&paths, &demand);
                check(*kind, choice, &paths, &demand)?;
                let (index, bytes, new) = match choice {
                    Choice::Send { index, bytes } => (index, bytes, true),
                    Choice::Repeat { index, bytes } => (index, bytes, false),
                    Choice::Wait => {
                        let mut busy: Vec<_> = paths
                            .iter_mut()
                            .filter(|path| path.usable && path.queued() > 0)
                            .collect();
                        if busy.is_empty() {
                            break;
                        }
                        let nth = acks.next().map_or(0, |ack| ack.index(busy.len()));
                        let path = busy.swap_remove(nth);
                        (path.in_flight, path.unsent) = (0, 0);
                        if busy.is_empty() {
                            demand.in_flight = 0;
                        }
                        continue;
                    }
                };
                if new {
                    demand.waiting -= u64::from(bytes);
                    demand.window -= u64::from(bytes);
                    demand.in_flight += u64::from(bytes);
                }
                for path in &mut paths {
                    if path.index == index {
                        path.unsent += bytes;
                        path.behind -= if new { 0 } else { u64::from(bytes) };
                    } else if new && *kind == Kind::Redundant {
                        path.behind += u64::from(bytes);
                    }
                }
            }
            let some = paths.iter().any(|path| path.usable);
            let quiet = paths.iter().all(|path| !path.usable || path.queued() == 0);
            prop_assert!(quiet);
            prop_assert!(!some || demand.in_flight > 0 || demand.waiting.min(demand.window) == 0);
        }
    }
}

/// What happens to a connection whose end is copied.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The slow path gets so many bytes, after so many that others carry.
    Send(u8, u8),
    /// The peer has the oldest so many bytes.
    Acknowledge(u8),
    /// Data waits.
    Wait,
    /// So many bytes are to be copied.
    Copy(u8),
}

/// Makes a step.
fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..20u8, 1..60u8).prop_map(|(others, slow)| Step::Send(others, slow)),
        1 => (0..30u8).prop_map(Step::Acknowledge),
        1 => Just(Step::Wait),
        5 => (1..40u8).prop_map(Step::Copy),
    ]
}

/// The naive model: runs of bytes, and which byte was copied when.
#[derive(Default)]
struct Copies {
    /// What the slow path has got: first byte, and the one behind the last.
    runs: Vec<(usize, usize)>,
    /// What the connection has sent.
    sent: usize,
    /// What the peer has.
    acknowledged: usize,
    /// The bytes copied since data waited last.
    copied: Vec<usize>,
    /// The byte behind the newest that was copied before that.
    floor: usize,
}

impl Copies {
    /// Whether a byte may be copied: the newest first, and none that was passed.
    fn may_copy(&self, byte: usize) -> bool {
        let is_below = self.copied.iter().all(|copied| byte < *copied);
        is_below && byte >= self.acknowledged.max(self.floor)
    }

    /// The newest bytes of one run that may be copied.
    fn take(&mut self, bytes: usize) -> Option<(usize, usize)> {
        let allowed = |&(start, end): &(usize, usize)| {
            let bytes = (start..end).filter(|byte| self.may_copy(*byte));
            bytes.collect::<Vec<_>>()
        };
        let newest = self
            .runs
            .iter()
            .map(allowed)
            .max_by_key(|run| run.last().copied())?;
        let taken = newest.into_iter().rev().take(bytes).collect::<Vec<_>>();
        let range = (*taken.last()?, taken.first()? + 1);
        self.copied.extend(taken);
        Some(range)
    }

    /// Data waits.
    fn wait(&mut self) {
        let newest = self.copied.drain(..).max();
        self.floor = newest.map_or(self.floor, |newest| newest + 1);
    }
}

proptest! {
    #[test]
    fn end_is_copied_as_the_model_says(
        first in prop_oneof![Just(0), Just(u64::MAX - 100), any::<u64>()],
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let dsn = |byte: usize| DataSeq::new(first).advance(byte as u64);
        let (mut tail, mut model) = (Tail::new(), Copies::default());
        for step in steps {
            match step {
                Step::Send(others, slow) => {
                    let start = model.sent + usize::from(others);
                    model.sent = start + usize::from(slow);
                    model.runs.push((start, model.sent));
                }
                Step::Acknowledge(bytes) => {
                    model.acknowledged = model.sent.min(model.acknowledged + usize::from(bytes));
                }
                Step::Wait => {
                    tail.on_waiting();
                    model.wait();
                }
                Step::Copy(bytes) => {
                    let runs = model.runs.iter().map(|&(start, end)| {
                        Mapping::new(SubflowSeq::new(1), dsn(start), (end - start) as u32)
                    });
                    let taken = tail.take(dsn(model.acknowledged), runs, bytes.into());
                    let expected = model.take(bytes.into());
                    let expected = expected.map(|(start, end)| (dsn(start), dsn(end)));
                    prop_assert_eq!(taken.map(|range| (range.start, range.end)), expected);
                }
            }
        }
    }
}
