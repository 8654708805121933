// SPDX-License-Identifier: GPL-2.0

//! A host that speaks Multipath TCP with nothing but the pieces of the crate.

use std::collections::BTreeMap;

use mptcp_proto::connection::{
    AckOutcome,
    Connection,
    FinOutcome,
    ReceiveOutcome,
    RetransmitTimer,
    ShutdownOutcome,
    TimeoutDecision, //
};
use mptcp_proto::fallback::{
    decide,
    Event,
    Origin,
    Reaction,
    Situation, //
};
use mptcp_proto::handshake::{
    Client,
    JoinClient,
    JoinServer,
    Policy,
    Server, //
};
use mptcp_proto::ids::Key;
use mptcp_proto::mapping::{
    Checked,
    CheckedMapping,
    Declared,
    InsertError,
    Inserted,
    Mapping,
    Table, //
};
use mptcp_proto::options::dss::verify_dss_checksum;
use mptcp_proto::options::mp_tcprst::Reason;
use mptcp_proto::reassembly::{
    fit,
    place,
    Fit,
    Placement, //
};
use mptcp_proto::seq::{
    DataSeq,
    SubflowSeq, //
};
use mptcp_proto::time::{
    Duration,
    Timestamp, //
};
use mptcp_proto::window::Advertised;

use crate::tcp::{
    Tcp,
    MSS,
    RTO, //
};
use crate::world::Chance;

/// How much data may arrive without a mapping before the subflow counts as broken, in bytes.
const UNMAPPED_MAX: usize = 16_000;

/// How many data-level timeouts in a row end a connection.
const ATTEMPTS: u32 = 12;

/// The byte at a position of the stream that a host sends.
pub(crate) fn stream_byte(is_client: bool, position: u64) -> u8 {
    let seed = position.wrapping_mul(2).wrapping_add(u64::from(is_client));
    Chance::new(seed).next().to_be_bytes()[0]
}

/// Sums bytes up as 16-bit words.
pub(crate) fn sum(bytes: &[u8]) -> u32 {
    let words = bytes.chunks(2).map(|word| match word {
        [a, b] => u32::from(u16::from_be_bytes([*a, *b])),
        [a] => u32::from(*a) << 8,
        _ => 0,
    });
    let total: u32 = words.sum();
    (total & 0xffff) + (total >> 16)
}

/// How a subflow is being set up.
#[derive(Debug)]
pub(crate) enum Setup {
    /// The SYN has not been answered; it was sent so often.
    SynSent(u32),
    /// The SYN/ACK has been sent with these options, so often.
    SynReceived(Vec<u8>, u32),
    /// It is set up.
    Done,
    /// It was reset.
    Reset,
}

/// One subflow.
#[derive(Debug)]
pub(crate) struct Subflow {
    /// The TCP connection.
    pub(crate) tcp: Tcp,
    /// How far its handshake is.
    pub(crate) setup: Setup,
    /// When to repeat a segment of the handshake, in microseconds.
    pub(crate) setup_deadline: u64,
    /// Whether options are known to pass.
    pub(crate) proven: bool,
    /// What the peer declared.
    pub(crate) received: Table<Vec<Mapping>>,
    /// The same with checksums.
    pub(crate) checked: Checked<Vec<CheckedMapping>>,
    /// What was declared to the peer.
    pub(crate) declared: Declared<Vec<Mapping>>,
    /// What was sent here.
    pub(crate) assigned: Table<Vec<Mapping>>,
    /// The initiator's side of MP_JOIN.
    pub(crate) join_client: Option<JoinClient>,
    /// The responder's side of MP_JOIN.
    pub(crate) join_server: Option<JoinServer>,
    /// Whether an acknowledgment is due.
    pub(crate) ack_due: bool,
    /// Whether the peer is to be made to acknowledge.
    pub(crate) probe_due: bool,
    /// Why a RST is due.
    pub(crate) reset_due: Option<(Reason, bool)>,
}

impl Subflow {
    /// Makes a subflow whose handshake begins.
    pub(crate) fn new(setup: Setup, now: u64) -> Self {
        Self {
            tcp: Tcp::new(),
            setup,
            setup_deadline: now,
            proven: false,
            received: Table::new(vec![Mapping::EMPTY; 64]),
            checked: Checked::new(vec![CheckedMapping::EMPTY; 64]),
            declared: Declared::new(vec![Mapping::EMPTY; 2]),
            assigned: Table::new(vec![Mapping::EMPTY; 256]),
            join_client: None,
            join_server: None,
            ack_due: false,
            probe_due: false,
            reset_due: None,
        }
    }

    /// Tells whether data can be sent and received.
    pub(crate) fn usable(&self) -> bool {
        let joined = self
            .join_client
            .is_none_or(|join_client| join_client.may_send());
        matches!(self.setup, Setup::Done) && joined
    }

    /// Tells whether the subflow is gone.
    pub(crate) fn is_reset(&self) -> bool {
        matches!(self.setup, Setup::Reset)
    }
}

/// How a connection is carried on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// Not decided.
    Undecided,
    /// Multipath TCP.
    Multipath,
    /// Regular TCP.
    Plain,
}

/// One host.
pub(crate) struct Host {
    /// Whether it opens the connection.
    pub(crate) is_client: bool,
    /// What it wants.
    pub(crate) policy: Policy,
    /// Its key.
    pub(crate) key: Key,
    /// How the connection is carried on.
    pub(crate) mode: Mode,
    /// The client's handshake.
    pub(crate) client: Option<Client>,
    /// The server's handshake.
    pub(crate) server: Option<Server>,
    /// The data level.
    pub(crate) data: Option<Connection>,
    /// The peer's key.
    pub(crate) peer_key: Option<Key>,
    /// Whether checksums are used.
    pub(crate) checksum: bool,
    /// The first data sequence numbers of both directions: sent and received.
    pub(crate) origins: (DataSeq, DataSeq),
    /// The subflows.
    pub(crate) subflows: Vec<Subflow>,
    /// Whether every byte sent went out once and in order on the first subflow.
    pub(crate) contiguous: bool,
    /// How much there is to send, in bytes.
    pub(crate) to_send: u64,
    /// How much of it got numbers or was given to plain TCP.
    pub(crate) assigned: u64,
    /// What is to be sent again: start and length.
    pub(crate) reinject: Vec<(DataSeq, u32)>,
    /// The data-level timer.
    pub(crate) timer: RetransmitTimer,
    /// What was promised to receive.
    pub(crate) advertised: Advertised,
    /// How many bytes have arrived in order.
    pub(crate) delivered: u64,
    /// How many of them the application has not read.
    pub(crate) unread: u64,
    /// The size of the receive buffer, in bytes.
    pub(crate) buffer: u64,
    /// How many bytes the application reads in 2 ms.
    pub(crate) pace: u64,
    /// Out-of-order data by distance from the first DSN.
    pub(crate) waiting: BTreeMap<u64, Vec<u8>>,
    /// Whether the infinite mapping has to be declared, and until which subflow byte is acknowledged.
    pub(crate) infinite: Option<Option<u32>>,
    /// Whether the DATA_FIN is to be sent, or sent again.
    pub(crate) fin_due: bool,
    /// Whether the connection was ended before its time.
    pub(crate) aborted: bool,
    /// How often a wrong checksum was found.
    pub(crate) mp_fails: u32,
    /// When the last segment came from the peer, in microseconds.
    pub(crate) heard_at: u64,
}

impl Host {
    /// Returns how much of the receive buffer is free, in bytes.
    pub(crate) fn free_space(&self) -> u32 {
        let waiting: u64 = self.waiting.values().map(|piece| piece.len() as u64).sum();
        self.buffer.saturating_sub(self.unread + waiting) as u32
    }

    /// Tells whether nothing more will happen to the streams.
    pub(crate) fn finished(&self) -> bool {
        let plain = self.mode == Mode::Plain
            && self
                .subflows
                .first()
                .is_some_and(|s| s.tcp.close_acknowledged() && s.tcp.peer_closed);
        let multipath =
            self.mode == Mode::Multipath && self.data.is_some_and(|d| d.may_close_subflows());
        self.aborted || plain || multipath
    }

    /// Returns the situation of a subflow.
    fn situation(&self, index: usize) -> Situation {
        let others = self.subflows.iter().enumerate();
        Situation {
            origin: if index == 0 {
                Origin::Initial
            } else {
                Origin::Joined
            },
            proven: self.subflows.get(index).is_some_and(|s| s.proven),
            other_subflows: others.into_iter().any(|(i, s)| i != index && !s.is_reset()),
            contiguous: self.contiguous && self.waiting.is_empty(),
            checksum: self.checksum,
            fallen_back: self.mode == Mode::Plain,
        }
    }

    /// Lets the table decide on an event and does what it says; returns whether the subflow goes on
    /// as it was.
    pub(crate) fn on_event(&mut self, index: usize, event: Event) -> bool {
        let reaction = decide(event, self.situation(index));
        match reaction {
            Reaction::Ignore => return true,
            Reaction::FallBackToTcp => self.fall_back(),
            Reaction::FallBackWithInfiniteMapping => {
                self.infinite = Some(None);
                self.fall_back();
            }
            Reaction::SendMpFail | Reaction::AnswerMpFail => {
                unreachable!("payload is changed only where there is another subflow")
            }
            Reaction::ResetSubflow(reason) => self.reset(index, reason, false),
            Reaction::ResetWithMpFail => self.reset(index, Reason::MiddleboxInterference, true),
        }
        false
    }

    /// Goes on as plain TCP.
    pub(crate) fn fall_back(&mut self) {
        self.mode = Mode::Plain;
        if let (Some(_), Some(first)) = (self.data, self.subflows.first()) {
            // Subflow and connection are the same, as the table was told.
            assert_eq!(self.assigned, u64::from(first.tcp.end()) - 1);
            assert_eq!(self.delivered, u64::from(first.tcp.head()) - 1);
        }
        self.timer.stop();
        for subflow in self.subflows.iter_mut().skip(1) {
            subflow.setup = Setup::Reset;
        }
    }

    /// Closes a subflow with a RST and sends elsewhere what it has not delivered.
    pub(crate) fn reset(&mut self, index: usize, reason: Reason, mp_fail: bool) {
        if let Some(subflow) = self.subflows.get_mut(index) {
            subflow.reset_due = Some((reason, mp_fail));
        }
        self.lose(index);
    }

    /// Notes that a subflow is gone.
    pub(crate) fn lose(&mut self, index: usize) {
        self.contiguous = false;
        let Some(subflow) = self.subflows.get_mut(index) else {
            return;
        };
        if subflow.is_reset() {
            return;
        }
        subflow.setup = Setup::Reset;
        if let Some(data) = self.data {
            for entry in subflow.assigned.iter() {
                let una = data.snd_una();
                let skip = if una.after(entry.dsn()) {
                    una.distance_from(entry.dsn())
                } else {
                    0
                };
                let rest = entry.skip(u32::try_from(skip).unwrap_or(u32::MAX));
                if !rest.is_empty() {
                    self.reinject.push((rest.dsn(), rest.len()));
                }
            }
        }
        if self.subflows.iter().all(Subflow::is_reset) {
            if let Some(data) = &mut self.data {
                data.give_up();
            }
            self.aborted = true;
        }
    }

    /// Declares a mapping that the peer sent on a subflow.
    pub(crate) fn on_mapping(
        &mut self,
        index: usize,
        mapping: Mapping,
        fin: bool,
        sum: Option<u16>,
    ) {
        if sum.is_some() != self.checksum {
            self.on_event(index, Event::ChecksumPresence);
            return;
        }
        let Some(subflow) = self.subflows.get_mut(index) else {
            return;
        };
        let head = SubflowSeq::new(subflow.tcp.head());
        let result = if let Some(checksum) = sum {
            if mapping.end_ssn().at_or_before(head) {
                return;
            }
            let entry = CheckedMapping::new(mapping, checksum).with_data_fin(fin);
            subflow.checked.insert(entry)
        } else {
            subflow.received.insert_within(mapping, head, 1 << 20)
        };
        match result {
            Ok(Inserted::New | Inserted::Merged | Inserted::Known) | Err(InsertError::Past) => {}
            Ok(Inserted::Conflict { .. }) => {
                self.on_event(index, Event::MappingConflict);
            }
            Err(InsertError::Full) => {
                self.on_event(index, Event::NoRoomForMapping);
            }
            Err(InsertError::Distant) => unreachable!("no sender is so far ahead"),
        }
    }

    /// Moves what is in order on a subflow, and mapped, to the data level.
    pub(crate) fn pump(&mut self, index: usize) {
        while let Some(subflow) = self.subflows.get_mut(index) {
            let head = SubflowSeq::new(subflow.tcp.head());
            let ready = subflow.tcp.ready.len();
            if ready == 0 || subflow.is_reset() {
                return;
            }
            if self.mode == Mode::Plain {
                let bytes: Vec<u8> = subflow.tcp.ready.drain(..).collect();
                self.deliver(&bytes);
                return;
            }
            let found = if self.checksum {
                let entry = subflow.checked.lookup(head);
                entry.map(|entry| entry.mapping())
            } else {
                subflow.received.lookup(head)
            };
            let Some(mapping) = found else {
                let overdue = ready > UNMAPPED_MAX;
                let event = if overdue {
                    Event::MappingOverdue
                } else {
                    Event::DataWithoutMapping
                };
                if self.on_event(index, event) {
                    return;
                }
                continue;
            };
            let mut take = mapping.len().min(ready as u32);
            if self.checksum {
                if ready < mapping.len() as usize {
                    return;
                }
                take = mapping.len();
            }
            let bytes: Vec<u8> = subflow.tcp.ready.drain(..take as usize).collect();
            if self.checksum {
                let received = SubflowSeq::new(subflow.tcp.head());
                let entry = subflow.checked.take_complete(received);
                let fits = entry.is_some_and(|entry| {
                    verify_dss_checksum(
                        mapping.dsn(),
                        mapping.ssn(),
                        u16::try_from(entry.data_len()).unwrap_or(0),
                        sum(&bytes),
                        entry.checksum(),
                    )
                });
                if !fits {
                    self.mp_fails += 1;
                    self.on_event(index, Event::ChecksumFailed);
                    return;
                }
            } else {
                subflow.received.prune(head.advance(take));
            }
            self.on_data(mapping.dsn(), bytes);
        }
    }

    /// Takes in data at the data level.
    fn on_data(&mut self, dsn: DataSeq, bytes: Vec<u8>) {
        let Some(mut data) = self.data else { return };
        let edge = self.advertised.edge();
        let placement = place(data.rcv_nxt(), edge, dsn, bytes.len() as u32);
        let (skip, take) = match placement {
            Placement::InOrder { skip, take } => (skip, take),
            Placement::OutOfOrder { take } => (0, take),
            Placement::Duplicate => return,
            Placement::BeyondWindow => {
                // What was received and acknowledged before the peer repeated it is within.
                unreachable!("the peer overran the window")
            }
        };
        assert_eq!(
            (skip + take) as usize,
            bytes.len(),
            "the peer overran the window"
        );
        let kept: Vec<u8> = bytes.into_iter().skip(skip as usize).collect();
        self.store(dsn.advance(u64::from(skip)), kept);
        let origin = self.origins.1;
        while let Some(piece) = self.waiting.remove(&data.rcv_nxt().distance_from(origin)) {
            let outcome = data.on_receive(piece.len() as u32);
            assert_ne!(outcome, ReceiveOutcome::BeyondFin);
            self.deliver(&piece);
        }
        self.data = Some(data);
    }

    /// Keeps what is not there yet.
    fn store(&mut self, mut dsn: DataSeq, mut bytes: Vec<u8>) {
        let origin = self.origins.1;
        loop {
            let at = dsn.distance_from(origin);
            let previous = self.waiting.range(..=at).next_back();
            let previous = previous.map(|(at, piece)| origin.advance(at + piece.len() as u64));
            let next = self.waiting.range(at + 1..).next();
            let next = next.map(|(at, _)| origin.advance(*at));
            let len = bytes.len() as u32;
            let rest = match fit(previous, next, dsn, len) {
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
            bytes = bytes.split_off((len - rest) as usize);
            dsn = dsn.advance(u64::from(len - rest));
        }
    }

    /// Gives bytes to the application, which checks them.
    fn deliver(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let expected = stream_byte(!self.is_client, self.delivered);
            assert_eq!(*byte, expected, "at {} of the stream", self.delivered);
            self.delivered += 1;
            self.unread += 1;
        }
    }

    /// Takes in a DATA_FIN.
    pub(crate) fn on_data_fin(&mut self, index: usize, dsn: DataSeq) {
        if let (Some(data), Some(subflow)) = (&mut self.data, self.subflows.get_mut(index)) {
            let outcome = data.on_data_fin(dsn);
            assert_ne!(outcome, FinOutcome::Inconsistent);
            subflow.ack_due = true;
        }
    }

    /// Takes in a Data ACK.
    pub(crate) fn on_data_ack(&mut self, now: u64, index: usize, ack: DataSeq, window: u32) {
        let Some(data) = &mut self.data else { return };
        match data.on_data_ack(ack, window) {
            AckOutcome::Invalid => unreachable!("the peer acknowledges what was not sent"),
            AckOutcome::New { .. } => self.timer.on_progress(at(now), rto()),
            AckOutcome::Old { .. } | AckOutcome::Same { .. } => {}
        }
        if let Some(client) = &mut self.client {
            client.on_data_ack();
        }
        if let Some(subflow) = self.subflows.get_mut(index) {
            subflow.proven = true;
        }
    }

    /// Gives new data, and data to be sent again, to subflows.
    pub(crate) fn schedule(&mut self, now: u64, chance: &mut Chance) {
        match self.mode {
            Mode::Undecided => {}
            Mode::Plain => self.schedule_plain(),
            Mode::Multipath => self.schedule_multipath(now, chance),
        }
    }

    /// Gives new data to the only subflow.
    fn schedule_plain(&mut self) {
        let Some(subflow) = self.subflows.first_mut() else {
            return;
        };
        // The connection began on it and never was elsewhere: position follows from the number.
        self.assigned = u64::from(subflow.tcp.end()) - 1;
        let len = u64::from(subflow.tcp.room()).min(self.to_send.saturating_sub(self.assigned));
        let positions = self.assigned..self.assigned + len;
        let bytes: Vec<u8> = positions.map(|p| stream_byte(self.is_client, p)).collect();
        subflow.tcp.queue(&bytes);
        self.assigned += len;
        if self.assigned == self.to_send {
            subflow.tcp.close();
        }
    }

    /// Gives data to the subflows that have room.
    fn schedule_multipath(&mut self, now: u64, chance: &mut Chance) {
        let Some(mut data) = self.data else { return };
        if data.may_close_subflows() {
            self.timer.stop();
            for subflow in self.subflows.iter_mut().filter(|s| s.usable()) {
                subflow.tcp.close();
            }
            return;
        }
        for index in 0..self.subflows.len() {
            while let Some(subflow) = self.subflows.get(index).filter(|s| s.usable()) {
                let most = subflow.tcp.room().min(chance.below(4_000) as u32 + 1);
                if most < MSS / 2 {
                    break;
                }
                let una = data.snd_una();
                self.reinject
                    .retain(|(dsn, len)| dsn.advance(u64::from(*len)).after(una));
                let (dsn, len) = if let Some((dsn, len)) = self.reinject.pop() {
                    let piece = len.min(most);
                    if piece < len {
                        let rest = dsn.advance(u64::from(piece));
                        self.reinject.push((rest, len - piece));
                    }
                    self.contiguous = false;
                    (dsn, piece)
                } else {
                    let left = (self.to_send - self.assigned).min(data.usable());
                    let len = most.min(u32::try_from(left).unwrap_or(u32::MAX));
                    let Some(dsn) = data.on_send(len).ok().filter(|_| len > 0) else {
                        break;
                    };
                    self.assigned += u64::from(len);
                    (dsn, len)
                };
                self.contiguous &= index == 0;
                self.assign(index, dsn, len);
            }
        }
        if self.assigned == self.to_send {
            if let ShutdownOutcome::Queued(_) = data.shutdown_send() {
                self.fin_due = true;
            }
        }
        if data.outstanding() > 0 || self.assigned < self.to_send {
            self.timer.on_send(at(now), rto());
        } else {
            self.timer.stop();
        }
        self.data = Some(data);
    }

    /// Puts data on a subflow and declares its mapping.
    fn assign(&mut self, index: usize, dsn: DataSeq, len: u32) {
        let Some(subflow) = self.subflows.get_mut(index) else {
            return;
        };
        let mapping = Mapping::new(SubflowSeq::new(subflow.tcp.end()), dsn, len);
        subflow.declared.prune(SubflowSeq::new(subflow.tcp.una));
        while let (Some(first), Some(data)) = (subflow.assigned.first(), self.data) {
            if first.end_dsn().after(data.snd_una()) {
                break;
            }
            subflow.assigned.prune(first.end_ssn());
        }
        if subflow.declared.len() == subflow.declared.capacity() {
            let larger = vec![Mapping::EMPTY; subflow.declared.len() * 2];
            assert!(subflow.declared.replace_storage(larger).is_ok());
        }
        assert_eq!(subflow.declared.declare(mapping), Ok(()));
        assert!(subflow.assigned.insert(mapping).is_ok());
        let from = dsn.distance_from(self.origins.0);
        let positions = from..from + u64::from(len);
        let bytes: Vec<u8> = positions.map(|p| stream_byte(self.is_client, p)).collect();
        subflow.tcp.queue(&bytes);
    }

    /// Looks at the data-level timer.
    pub(crate) fn on_time(&mut self, now: u64) {
        let TimeoutDecision::Reinject { attempt } = self.timer.on_timeout(at(now), rto()) else {
            return;
        };
        let Some(data) = self.data else { return };
        if attempt > ATTEMPTS {
            self.aborted = true;
            for index in 0..self.subflows.len() {
                self.reset(index, Reason::Unspecified, false);
            }
            return;
        }
        let alive = self.subflows.iter().filter(|s| s.usable()).count();
        let una = data.snd_una();
        let end = data.data_fin_to_send().unwrap_or(data.snd_nxt());
        if alive > 1 && end.after(una) {
            let len = end.distance_from(una).min(u64::from(MSS));
            self.reinject.push((una, len as u32));
        }
        // An acknowledgment from the peer tells whether anything is missing at all.
        for subflow in self.subflows.iter_mut().filter(|s| s.usable()) {
            subflow.probe_due = true;
        }
        self.fin_due = true;
        let proven = self.subflows.iter().any(|s| s.proven);
        if !proven && attempt >= 3 {
            // Not even the DATA_FIN of an empty stream is answered.
            self.on_event(0, Event::AckWithoutDss);
        }
    }
}

/// Makes a point in time from microseconds.
pub(crate) fn at(now: u64) -> Timestamp {
    Timestamp::from_micros(now)
}

/// The retransmission timeout of the data level: longer than that of a subflow.
pub(crate) fn rto() -> Duration {
    Duration::from_micros(3 * RTO)
}
