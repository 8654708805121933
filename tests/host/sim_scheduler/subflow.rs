// SPDX-License-Identifier: GPL-2.0

//! A subflow as a scheduler sees it: a bottleneck with a queue, and a TCP that fills it.
//!
//! The TCP has NewReno's windows, learns of each packet by its own ACK, and delivers in order.

use std::collections::{
    BTreeMap,
    VecDeque, //
};

use mptcp_proto::scheduler::{
    DeliveryRate,
    Limit,
    Path,
    Penalty, //
};
use mptcp_proto::time::{
    Duration,
    Timestamp, //
};

/// The payload of a full segment, in bytes.
pub(crate) const MSS: u32 = 1_400;

/// The congestion window to begin with, in bytes.
const CWND_INITIAL: u32 = 10 * MSS;

/// The least congestion window after a loss, in bytes.
const CWND_MIN: u32 = 2 * MSS;

/// The least retransmission timeout, in microseconds.
const RTO_MIN: u64 = 200_000;

/// How many later packets have to be acknowledged before one is lost.
const REORDERING: u64 = 3;

/// A path between the hosts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// What the bottleneck lets through, in bytes per second.
    pub(crate) rate: u64,
    /// The round-trip time with an empty queue, in microseconds.
    pub(crate) rtt: u64,
    /// What the queue before the bottleneck holds, in bytes.
    pub(crate) queue: u64,
    /// Whether the peer wants it to be a backup.
    pub(crate) backup: bool,
}

/// A piece of the stream, as it travels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk {
    /// Its first byte in the connection.
    pub(crate) dsn: u64,
    /// How many bytes.
    pub(crate) len: u32,
    /// Its first byte in the subflow.
    pub(crate) ssn: u64,
}

/// A packet in flight.
#[derive(Clone, Copy, Debug)]
struct Packet {
    /// What it carries.
    chunk: Chunk,
    /// When it was sent.
    sent: u64,
    /// When the packet was sent that had been acknowledged last.
    first_sent: u64,
    /// What was delivered by then, in bytes.
    delivered: u64,
    /// When the last of that was delivered.
    delivered_at: u64,
    /// Whether TCP had nothing more to send.
    limited: bool,
}

/// Both ends of a subflow and what is between them.
#[derive(Debug)]
pub(crate) struct Subflow {
    /// The path it takes.
    pub(crate) link: Link,
    /// Whether the path carries anything.
    pub(crate) alive: bool,
    /// Whether the last timeout was not followed by an ACK.
    pub(crate) stale: bool,
    /// When its congestion window was last halved to make way.
    pub(crate) penalty: Penalty,
    /// The next DSN that it has not carried, for schedulers that duplicate.
    pub(crate) next: u64,
    /// What was handed over and not sent.
    unsent: VecDeque<Chunk>,
    /// What is to be sent again.
    lost: VecDeque<Chunk>,
    /// What is in flight, by the number of the packet.
    flight: BTreeMap<u64, Packet>,
    /// The number of the next packet.
    number: u64,
    /// The next byte of the subflow to be handed over.
    ssn: u64,
    /// The next byte of the subflow that the receiver expects.
    expected: u64,
    /// What the receiver has of the subflow beyond that.
    early: BTreeMap<u64, Chunk>,
    /// When the bottleneck is done with all that it has.
    busy: u64,
    /// Bytes in flight.
    in_flight: u32,
    /// The congestion window, in bytes.
    cwnd: u32,
    /// Below it the window doubles each RTT.
    ssthresh: u32,
    /// Losses of packets before this number have been answered.
    recovery: u64,
    /// When something was sent last.
    sent_at: u64,
    /// Smoothed RTT, in microseconds.
    srtt: u64,
    /// Its deviation.
    rttvar: u64,
    /// Bytes acknowledged.
    delivered: u64,
    /// When the last of them was.
    delivered_at: u64,
    /// The measured rate.
    rate: DeliveryRate,
    /// When the packet that was acknowledged last was sent.
    first_sent: u64,
    /// When to give up waiting for an ACK.
    pub(crate) deadline: u64,
    /// Timeouts in a row.
    timeouts: u32,
}

/// A packet that has got through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// Its number.
    pub(crate) number: u64,
    /// What it carries.
    pub(crate) chunk: Chunk,
    /// When it arrives.
    pub(crate) arrival: u64,
}

impl Subflow {
    /// Sets a subflow up; the handshake has measured the RTT.
    pub(crate) fn new(link: Link) -> Self {
        Self {
            link,
            alive: true,
            stale: false,
            penalty: Penalty::new(),
            next: 0,
            unsent: VecDeque::new(),
            lost: VecDeque::new(),
            flight: BTreeMap::new(),
            number: 0,
            ssn: 0,
            expected: 0,
            early: BTreeMap::new(),
            busy: 0,
            in_flight: 0,
            cwnd: CWND_INITIAL,
            ssthresh: u32::MAX,
            recovery: 0,
            sent_at: 0,
            srtt: link.rtt,
            rttvar: link.rtt / 2,
            delivered: 0,
            delivered_at: 0,
            rate: DeliveryRate::new(),
            first_sent: 0,
            deadline: u64::MAX,
            timeouts: 0,
        }
    }

    /// Returns the measured rate, in bytes per second.
    pub(crate) fn delivery_rate(&self) -> u64 {
        self.rate.get()
    }

    /// Returns what TCP knows of the subflow.
    pub(crate) fn snapshot(&self, index: u8, now: u64) -> Path {
        let queued = self.unsent.iter().chain(&self.lost);
        Path {
            index,
            srtt: Duration::from_micros(self.srtt),
            min_rtt: Duration::from_micros(self.link.rtt),
            rttvar: Duration::from_micros(self.rttvar),
            cwnd: self.cwnd,
            headroom: 0,
            in_flight: self.in_flight,
            unsent: queued.map(|chunk| chunk.len).sum(),
            idle: Duration::from_micros(now - self.sent_at),
            mss: MSS,
            delivery_rate: 0,
            behind: 0,
            backup: self.link.backup,
            stale: self.stale,
            timed_out: self.timeouts > 0,
            usable: true,
        }
    }

    /// Takes over bytes of the stream.
    pub(crate) fn hand_over(&mut self, mut dsn: u64, mut bytes: u32) {
        while bytes > 0 {
            let len = bytes.min(MSS);
            let ssn = self.ssn;
            self.unsent.push_back(Chunk { dsn, len, ssn });
            dsn += u64::from(len);
            self.ssn += u64::from(len);
            bytes -= len;
        }
    }

    /// Reduces the congestion window from outside; slow start goes on.
    pub(crate) fn penalise(&mut self, cwnd: u32) {
        if self.cwnd >= self.ssthresh {
            self.ssthresh = cwnd;
        }
        self.cwnd = cwnd;
    }

    /// Sends what the congestion window allows, and returns what gets through.
    pub(crate) fn transmit(&mut self, now: u64) -> Vec<Sent> {
        let mut sent = Vec::new();
        while let Some(chunk) = self.lost.front().or(self.unsent.front()).copied() {
            if self.in_flight > 0 && self.in_flight + chunk.len > self.cwnd {
                break;
            }
            if self.lost.pop_front().is_none() {
                self.unsent.pop_front();
            }
            if self.in_flight == 0 {
                (self.delivered_at, self.first_sent) = (now, now);
                self.deadline = now + self.timeout();
            }
            self.in_flight += chunk.len;
            self.sent_at = now;
            let packet = Packet {
                chunk,
                sent: now,
                first_sent: self.first_sent,
                delivered: self.delivered,
                delivered_at: self.delivered_at,
                limited: self.unsent.is_empty() && self.in_flight + MSS <= self.cwnd,
            };
            self.flight.insert(self.number, packet);
            let backlog = self.busy.saturating_sub(now) * self.link.rate / 1_000_000;
            if self.alive && backlog + u64::from(chunk.len) <= self.link.queue + u64::from(MSS) {
                self.busy = self.busy.max(now) + u64::from(chunk.len) * 1_000_000 / self.link.rate;
                sent.push(Sent {
                    number: self.number,
                    chunk,
                    arrival: self.busy + self.link.rtt / 2,
                });
            }
            self.number += 1;
        }
        sent
    }

    /// The receiver's TCP gets a packet, and returns what it delivers to the connection.
    pub(crate) fn on_arrival(&mut self, chunk: Chunk) -> Vec<Chunk> {
        self.early.insert(chunk.ssn, chunk);
        let mut delivered = Vec::new();
        while let Some(entry) = self.early.first_entry() {
            if *entry.key() > self.expected {
                break;
            }
            let chunk = entry.remove();
            if chunk.ssn == self.expected {
                self.expected += u64::from(chunk.len);
                delivered.push(chunk);
            }
        }
        delivered
    }

    /// The sender's TCP learns that a packet has arrived.
    pub(crate) fn on_ack(&mut self, now: u64, number: u64) {
        let Some(packet) = self.flight.remove(&number) else {
            return;
        };
        (self.stale, self.timeouts) = (false, 0);
        let flight = self.in_flight;
        self.in_flight -= packet.chunk.len;
        self.delivered += u64::from(packet.chunk.len);
        self.delivered_at = now;
        self.measure(now, &packet);
        self.deadline = match self.in_flight {
            0 => u64::MAX,
            _ => now + self.timeout(),
        };
        self.detect_losses(number);
        let grown = if self.cwnd < self.ssthresh {
            packet.chunk.len * u32::from(self.cwnd < 2 * flight)
        } else {
            MSS * packet.chunk.len / self.cwnd * u32::from(flight + MSS > self.cwnd)
        };
        if number >= self.recovery {
            self.cwnd += grown;
        }
    }

    /// Takes the samples of the RTT and of the rate that an ACK gives.
    fn measure(&mut self, now: u64, packet: &Packet) {
        let rtt = now - packet.sent;
        self.rttvar = (3 * self.rttvar + self.srtt.abs_diff(rtt)) / 4;
        self.srtt = (7 * self.srtt + rtt) / 8;
        let time = (now - packet.delivered_at).max(packet.sent - packet.first_sent);
        let rate = (self.delivered - packet.delivered) * 1_000_000 / time.max(1);
        let limit = if packet.limited {
            Limit::Application
        } else {
            Limit::Path
        };
        let srtt = Duration::from_micros(self.srtt);
        self.rate
            .on_sample(Timestamp::from_micros(now), rate, limit, srtt);
        self.first_sent = packet.sent;
    }

    /// Gives packets up that were overtaken, and halves the window once for all of them.
    fn detect_losses(&mut self, number: u64) {
        let lost: Vec<_> = self
            .flight
            .range(..number.saturating_sub(REORDERING))
            .collect();
        let lost: Vec<_> = lost.into_iter().map(|(number, _)| *number).collect();
        if lost.last().is_some_and(|last| *last >= self.recovery) {
            self.ssthresh = (self.cwnd / 2).max(CWND_MIN);
            self.cwnd = self.ssthresh;
            self.recovery = self.number;
        }
        for number in lost {
            self.give_up(number);
        }
    }

    /// Counts a packet as lost.
    fn give_up(&mut self, number: u64) {
        if let Some(packet) = self.flight.remove(&number) {
            self.in_flight -= packet.chunk.len;
            self.lost.push_back(packet.chunk);
        }
    }

    /// Returns the retransmission timeout, in microseconds.
    fn timeout(&self) -> u64 {
        (self.srtt + 4 * self.rttvar).max(RTO_MIN) << self.timeouts.min(6)
    }

    /// No ACK came in time: starts over, and returns all that is not known to have arrived if that
    /// is news.
    pub(crate) fn on_timeout(&mut self, now: u64) -> Option<Vec<Chunk>> {
        if now < self.deadline {
            return None;
        }
        let numbers: Vec<_> = self.flight.keys().copied().collect();
        for number in numbers {
            self.give_up(number);
        }
        self.ssthresh = (self.cwnd / 2).max(CWND_MIN);
        (self.cwnd, self.recovery) = (MSS, self.number);
        self.timeouts += 1;
        self.deadline = now + self.timeout();
        let news = !self.stale;
        self.stale = true;
        news.then(|| self.lost.iter().chain(&self.unsent).copied().collect())
    }
}
