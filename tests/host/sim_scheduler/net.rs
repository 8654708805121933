// SPDX-License-Identifier: GPL-2.0

//! A sender that always has data, a receiver that takes it in order, and subflows between them.

use std::cmp::Reverse;
use std::collections::{
    BTreeMap,
    BinaryHeap,
    VecDeque, //
};

use mptcp_proto::scheduler::{
    AnyScheduler,
    Choice,
    Demand,
    Head,
    Kind,
    Path,
    Remedy,
    Rescue,
    Scheduler, //
};
use mptcp_proto::seq::DataSeq;
use mptcp_proto::time::Timestamp;

use super::subflow::{
    Chunk,
    Link,
    Subflow, //
};

/// What is simulated.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// The scheduler.
    pub(crate) kind: Kind,
    /// The paths.
    pub(crate) links: Vec<Link>,
    /// The receive buffer, in bytes.
    pub(crate) window: u64,
    /// The send buffer, in bytes.
    pub(crate) buffer: u64,
    /// What may be handed over beyond the congestion window, in bytes.
    pub(crate) headroom: u32,
    /// Whether a blocked head of the line is sent again.
    pub(crate) rescue: bool,
    /// Whether the caller measures delivery rates.
    pub(crate) rates: bool,
    /// How much there is to send, in bytes.
    pub(crate) size: u64,
    /// When which path stops carrying anything, in microseconds.
    pub(crate) failure: Option<(u64, usize)>,
}

/// Something that happens at a point in time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Event {
    /// A packet reaches the receiver.
    Arrival {
        /// Which subflow carries it.
        subflow: usize,
        /// Its number.
        number: u64,
        /// DSN, length and subflow sequence number.
        chunk: (u64, u32, u64),
    },
    /// An ACK reaches the sender.
    Ack {
        /// Which subflow carries it.
        subflow: usize,
        /// The number of the packet that it acknowledges.
        number: u64,
        /// The Data ACK.
        data_ack: u64,
    },
    /// A retransmission timer may be due.
    Timer,
    /// A path stops carrying anything.
    Failure(usize),
}

/// The whole world.
#[derive(Debug)]
pub(crate) struct Net {
    /// What is simulated.
    scenario: Scenario,
    /// The scheduler.
    scheduler: AnyScheduler,
    /// What helps when the connection is blocked.
    rescue: Rescue,
    /// The subflows.
    subflows: Vec<Subflow>,
    /// What time it is, in microseconds.
    pub(crate) now: u64,
    /// What will happen, the earliest first.
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    /// When the next [`Event::Timer`] is.
    timer: u64,
    /// The number of events so far, which orders those of the same time.
    count: u64,
    /// The first byte without a Data ACK.
    una: u64,
    /// The first byte never sent.
    snd_nxt: u64,
    /// Which subflow carried what first, from `una` on: DSN behind the last byte, subflow,
    /// time.
    carriers: VecDeque<(u64, usize, u64)>,
    /// What was on a subflow that makes no progress: DSN and length.
    orphans: VecDeque<(u64, u32)>,
    /// The next byte that the receiver's reader gets.
    pub(crate) rcv_nxt: u64,
    /// What the receiver has beyond that: first byte to the byte behind the last.
    early: BTreeMap<u64, u64>,
    /// How many bytes each subflow was given.
    pub(crate) given: Vec<u64>,
}

impl Net {
    /// Sets everything up.
    pub(crate) fn new(scenario: Scenario) -> Self {
        let mut net = Self {
            scheduler: AnyScheduler::new(scenario.kind),
            rescue: Rescue::new(),
            subflows: scenario.links.iter().copied().map(Subflow::new).collect(),
            now: 0,
            events: BinaryHeap::new(),
            timer: u64::MAX,
            count: 0,
            una: 0,
            snd_nxt: 0,
            carriers: VecDeque::new(),
            orphans: VecDeque::new(),
            rcv_nxt: 0,
            early: BTreeMap::new(),
            given: vec![0; scenario.links.len()],
            scenario,
        };
        if let Some((time, subflow)) = net.scenario.failure {
            net.schedule(time, Event::Failure(subflow));
        }
        net.push();
        net
    }

    /// Runs until all has arrived, or until `end`.
    pub(crate) fn run(&mut self, end: u64) {
        while self.rcv_nxt < self.scenario.size {
            match self.events.pop() {
                Some(Reverse((time, _, event))) if time <= end => {
                    self.now = time;
                    self.on_event(event);
                }
                Some(event) => {
                    self.events.push(event);
                    break;
                }
                None => unreachable!("nothing will ever happen again: {self:?}"),
            }
        }
    }

    /// Returns how much there is to send, in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.scenario.size
    }

    /// Makes `event` happen at `time`.
    fn schedule(&mut self, time: u64, event: Event) {
        self.count += 1;
        self.events.push(Reverse((time, self.count, event)));
    }

    /// Lets an event happen.
    fn on_event(&mut self, event: Event) {
        match event {
            Event::Arrival {
                subflow,
                number,
                chunk: (dsn, len, ssn),
            } => {
                let Some(s) = self.subflows.get_mut(subflow).filter(|s| s.alive) else {
                    return;
                };
                let time = self.now + s.link.rtt - s.link.rtt / 2;
                for chunk in s.on_arrival(Chunk { dsn, len, ssn }) {
                    self.receive(chunk);
                }
                let data_ack = self.rcv_nxt;
                let ack = Event::Ack {
                    subflow,
                    number,
                    data_ack,
                };
                self.schedule(time, ack);
            }
            Event::Ack {
                subflow,
                number,
                data_ack,
            } => {
                let now = self.now;
                let Some(s) = self.subflows.get_mut(subflow).filter(|s| s.alive) else {
                    return;
                };
                s.on_ack(now, number);
                self.una = self.una.max(data_ack);
                self.push();
            }
            Event::Timer => {
                self.timer = u64::MAX;
                for s in &mut self.subflows {
                    for chunk in s.on_timeout(self.now).into_iter().flatten() {
                        self.orphans.push_back((chunk.dsn, chunk.len));
                    }
                }
                self.push();
            }
            Event::Failure(subflow) => {
                if let Some(s) = self.subflows.get_mut(subflow) {
                    s.alive = false;
                }
            }
        }
    }

    /// The receiver gets data from a subflow.
    fn receive(&mut self, chunk: Chunk) {
        let end = chunk.dsn + u64::from(chunk.len);
        assert!(end <= self.rcv_nxt + self.scenario.window, "window overrun");
        let known = self.early.entry(chunk.dsn).or_default();
        *known = end.max(*known);
        while let Some(entry) = self.early.first_entry() {
            if *entry.key() > self.rcv_nxt {
                break;
            }
            self.rcv_nxt = self.rcv_nxt.max(entry.remove());
        }
    }

    /// Hands over all that the scheduler lets go, and sends it.
    fn push(&mut self) {
        while self.step() {}
        let sent: Vec<_> = (0..)
            .zip(&mut self.subflows)
            .flat_map(|(i, s)| s.transmit(self.now).into_iter().map(move |sent| (i, sent)))
            .collect();
        for (subflow, sent) in sent {
            let arrival = Event::Arrival {
                subflow,
                number: sent.number,
                chunk: (sent.chunk.dsn, sent.chunk.len, sent.chunk.ssn),
            };
            self.schedule(sent.arrival, arrival);
        }
        let deadline = self.subflows.iter().map(|s| s.deadline).min();
        if let Some(deadline) = deadline.filter(|deadline| *deadline < self.timer) {
            self.timer = deadline;
            self.schedule(deadline, Event::Timer);
        }
    }

    /// Describes the subflows.
    fn paths(&self) -> Vec<Path> {
        let (headroom, rates) = (self.scenario.headroom, self.scenario.rates);
        let (una, nxt) = (self.una, self.snd_nxt);
        (0..)
            .zip(&self.subflows)
            .map(|(index, s)| Path {
                headroom,
                behind: nxt - s.next.max(una),
                delivery_rate: if rates { s.delivery_rate() } else { 0 },
                ..s.snapshot(index, self.now)
            })
            .collect()
    }

    /// Describes the connection.
    fn demand(&self) -> Demand {
        let in_flight = self.snd_nxt - self.una;
        let end = self.scenario.size.min(self.una + self.scenario.buffer);
        let waiting = end.saturating_sub(self.snd_nxt);
        Demand {
            now: Timestamp::from_micros(self.now),
            waiting,
            window: (self.una + self.scenario.window).saturating_sub(self.snd_nxt),
            in_flight,
            buffer_free: self.scenario.buffer.saturating_sub(in_flight + waiting),
        }
    }

    /// Makes one choice; tells whether anything was handed over.
    fn step(&mut self) -> bool {
        while self
            .carriers
            .front()
            .is_some_and(|(end, _, _)| *end <= self.una)
        {
            self.carriers.pop_front();
        }
        let mut paths = self.paths();
        let mut demand = self.demand();
        let una = self.una;
        self.orphans
            .retain(|(dsn, len)| dsn + u64::from(*len) > una);
        if let Some((dsn, len)) = self.orphans.front_mut() {
            (demand.waiting, demand.window) = (u64::from(*len), u64::from(*len));
            for path in &mut paths {
                path.behind = 0;
            }
            let choice = self.scheduler.choose(&paths, &demand);
            if let Choice::Send { index, bytes } = choice {
                let from = *dsn;
                (*dsn, *len) = (*dsn + u64::from(bytes), *len - bytes);
                self.orphans.retain(|(_, len)| *len > 0);
                self.hand_over(index, from, bytes);
                return true;
            }
        }
        if self.orphans.is_empty() {
            match self.scheduler.choose(&paths, &demand) {
                Choice::Send { index, bytes } => {
                    let from = self.snd_nxt;
                    self.snd_nxt += u64::from(bytes);
                    self.carriers
                        .push_back((self.snd_nxt, usize::from(index), self.now));
                    self.hand_over(index, from, bytes);
                    return true;
                }
                Choice::Repeat { index, bytes } => {
                    let subflow = self.subflows.get(usize::from(index));
                    let from = subflow.map_or(0, |s| s.next.max(una));
                    self.hand_over(index, from, bytes);
                    return true;
                }
                Choice::Wait => {}
            }
        }
        self.scenario.rescue && self.try_rescue(&paths, &demand)
    }

    /// Sends the head of the line again if that helps.
    fn try_rescue(&mut self, paths: &[Path], demand: &Demand) -> bool {
        let Some((_, carrier, sent)) = self.carriers.front().copied() else {
            return false;
        };
        let same = self.carriers.iter().take_while(|(_, c, _)| *c == carrier);
        let end = same.last().map_or(self.una, |(end, _, _)| *end);
        let head = Head {
            dsn: DataSeq::new(self.una),
            bytes: end - self.una,
            index: carrier as u8,
            sent: Timestamp::from_micros(sent),
        };
        let Some(slow) = self.subflows.get_mut(carrier) else {
            return false;
        };
        match self.rescue.decide(paths, demand, &head, &mut slow.penalty) {
            Remedy::Nothing => false,
            Remedy::Reinject {
                index,
                bytes,
                penalty,
            } => {
                if let Some(cwnd) = penalty {
                    slow.penalise(cwnd);
                }
                self.hand_over(index, self.una, bytes);
                true
            }
        }
    }

    /// Gives bytes from `dsn` on to a subflow.
    fn hand_over(&mut self, index: u8, dsn: u64, bytes: u32) {
        let index = usize::from(index);
        if let (Some(s), Some(given)) = (self.subflows.get_mut(index), self.given.get_mut(index)) {
            s.hand_over(dsn, bytes);
            s.next = s.next.max(dsn + u64::from(bytes));
            *given += u64::from(bytes);
        }
        if !self.scheduler.duplicates() {
            for s in &mut self.subflows {
                s.next = self.snd_nxt;
            }
        }
    }
}
