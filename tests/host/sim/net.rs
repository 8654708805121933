// SPDX-License-Identifier: GPL-2.0

//! Two hosts, the paths between them and the time that passes.

use std::cmp::Reverse;
use std::collections::{
    BTreeMap,
    BinaryHeap, //
};

use mptcp_proto::connection::RetransmitTimer;
use mptcp_proto::fallback::Event;
use mptcp_proto::handshake::{
    Carrier,
    Client,
    ClientState,
    JoinClient,
    Policy, //
};
use mptcp_proto::ids::{
    Key,
    Nonce, //
};
use mptcp_proto::mapping::{
    Mapping,
    Signal, //
};
use mptcp_proto::options::dss::dss_checksum;
use mptcp_proto::options::mp_tcprst::Reason;
use mptcp_proto::options::{
    mptcp_options,
    DsnField,
    Dss,
    DssMapping,
    MpFail,
    MpTcprst,
    MptcpOption, //
};
use mptcp_proto::seq::{
    DataSeq,
    SubflowSeq, //
};
use mptcp_proto::time::Duration;
use mptcp_proto::window::Advertised;

use crate::host::{
    stream_byte,
    sum,
    Host,
    Mode,
    Setup,
    Subflow, //
};
use crate::setup::{
    on_syn_ack_segment,
    on_syn_segment,
    on_third_ack,
    setup_segment, //
};
use crate::tcp::{
    Part,
    MSS, //
};
use crate::world::{
    Chance,
    Link,
    Segment, //
};

/// The window scale of every subflow.
pub(crate) const WSCALE: u8 = 2;

/// How long the application waits between reads, in microseconds.
const READ_INTERVAL: u64 = 2_000;

/// After how long without any segment a host gives up, in microseconds.
const SILENCE: u64 = 100_000_000;

/// What a simulation is about.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// The seed of chance.
    pub(crate) seed: u64,
    /// The paths: from client to server and back.
    pub(crate) paths: Vec<[Link; 2]>,
    /// How much each host sends, the client first, in bytes.
    pub(crate) sizes: [u64; 2],
    /// What each host wants.
    pub(crate) policies: [Policy; 2],
    /// The receive buffer of both hosts, in bytes.
    pub(crate) buffer: u64,
    /// How much both applications read in 2 ms, in bytes.
    pub(crate) pace: u64,
}

/// A segment on its way: when it arrives, a number that keeps the order, to whom, on which path.
type Arrival = (u64, u64, usize, usize);

/// The whole simulation.
pub(crate) struct Net {
    /// What it is about.
    scenario: Scenario,
    /// The time, in microseconds.
    pub(crate) now: u64,
    /// Chance.
    chance: Chance,
    /// Client and server.
    pub(crate) hosts: [Host; 2],
    /// Segments on their way.
    queue: BinaryHeap<Reverse<Arrival>>,
    /// The segments themselves, by their number.
    segments: BTreeMap<u64, Segment>,
    /// The number of the next segment.
    count: u64,
    /// When the applications read next.
    read_at: [u64; 2],
}

/// Makes a host.
fn host(scenario: &Scenario, index: usize) -> Host {
    let key = Key::new((scenario.seed << 8) | (index as u64 + 1)).unwrap_or_else(|| unreachable!());
    Host {
        is_client: index == 0,
        policy: *scenario.policies.get(index).unwrap_or(&Policy::DEFAULT),
        key,
        mode: Mode::Undecided,
        client: None,
        server: None,
        data: None,
        peer_key: None,
        checksum: false,
        origins: (DataSeq::new(1), DataSeq::new(1)),
        subflows: Vec::new(),
        contiguous: true,
        to_send: *scenario.sizes.get(index).unwrap_or(&0),
        assigned: 0,
        reinject: Vec::new(),
        timer: RetransmitTimer::new(Duration::from_millis(100), Duration::from_secs(5)),
        advertised: Advertised::new(DataSeq::new(1), 0),
        delivered: 0,
        unread: 0,
        buffer: scenario.buffer,
        pace: scenario.pace,
        waiting: BTreeMap::new(),
        infinite: None,
        fin_due: false,
        aborted: false,
        mp_fails: 0,
        heard_at: 0,
    }
}

impl Net {
    /// Makes both hosts; the client is about to send its SYN.
    pub(crate) fn new(scenario: Scenario) -> Self {
        let mut hosts = [host(&scenario, 0), host(&scenario, 1)];
        let [client, _] = &mut hosts;
        client.client = Some(Client::new(client.policy, client.key));
        client.subflows.push(Subflow::new(Setup::SynSent(0), 0));
        Self {
            now: 0,
            chance: Chance::new(scenario.seed),
            hosts,
            queue: BinaryHeap::new(),
            segments: BTreeMap::new(),
            count: 0,
            read_at: [0; 2],
            scenario,
        }
    }

    /// Runs until both hosts have finished, or the time is up; returns whether they have.
    pub(crate) fn run(&mut self, until: u64) -> bool {
        while self.now <= until {
            for index in 0..2 {
                self.step(index);
            }
            if self.hosts.iter().all(Host::finished) {
                return true;
            }
            let arrival = self.queue.peek().map(|Reverse(arrival)| arrival.0);
            let next = self.read_at.iter().copied().chain(arrival);
            self.now = next
                .chain(self.deadlines())
                .min()
                .unwrap_or(until + 1)
                .max(self.now + 1);
            while let Some(Reverse((time, number, to, path))) = self.queue.peek().copied() {
                if time > self.now {
                    break;
                }
                self.queue.pop();
                if let Some(segment) = self.segments.remove(&number) {
                    self.receive(to, path, &segment);
                }
            }
        }
        false
    }

    /// Tells how far both hosts are, for a test that fails.
    pub(crate) fn describe(&self) -> String {
        let describe = |host: &Host| {
            let subflows = host.subflows.iter().map(|s| {
                let (tcp, setup) = (&s.tcp, &s.setup);
                let sent = (tcp.una, tcp.nxt, tcp.end(), tcp.rcv_nxt, tcp.ready.len());
                format!(
                    "{setup:?} proven {} sent {sent:?} end {}",
                    s.proven, tcp.peer_closed
                )
            });
            format!(
                "{:?} sent {} delivered {} unread {} waiting {:?} finished {} {:?} {:?}",
                host.mode,
                host.assigned,
                host.delivered,
                host.unread,
                host.waiting.keys(),
                host.finished(),
                host.data,
                subflows.collect::<Vec<_>>(),
            )
        };
        self.hosts
            .iter()
            .map(describe)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Returns when a timer of either host expires.
    fn deadlines(&self) -> Vec<u64> {
        let mut deadlines = Vec::new();
        for host in &self.hosts {
            deadlines.extend(host.timer.deadline().map(|d| d.as_micros()));
            for subflow in host.subflows.iter().filter(|s| !s.is_reset()) {
                deadlines.extend(subflow.tcp.deadline);
                if !subflow.usable() {
                    deadlines.push(subflow.setup_deadline);
                }
            }
        }
        deadlines
    }

    /// Lets a host do whatever there is to do now.
    fn step(&mut self, index: usize) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(index) else {
            return;
        };
        if let Some(read_at) = self.read_at.get_mut(index).filter(|at| **at <= now) {
            *read_at = now + READ_INTERVAL;
            let read = host.unread.min(host.pace);
            host.unread -= read;
            let rcv_nxt = rcv_nxt(host);
            let step = MSS.min(host.buffer as u32 / 2);
            if read > 0
                && host
                    .advertised
                    .deserves_update(rcv_nxt, host.free_space(), step)
            {
                for subflow in &mut host.subflows {
                    subflow.ack_due = true;
                }
            }
        }
        if now > host.heard_at + SILENCE && !host.finished() {
            // What keep-alive and user timeout do: a host with nothing to send notices nothing else.
            host.aborted = true;
            if let Some(data) = &mut host.data {
                data.give_up();
            }
        }
        if host.mode == Mode::Multipath {
            host.on_time(now);
            let paths = self.scenario.paths.len();
            let proven = host.subflows.first().is_some_and(|s| s.proven);
            if host.is_client && proven && host.subflows.len() < paths && !host.finished() {
                if let Some(peer_key) = host.peer_key {
                    let mut subflow = Subflow::new(Setup::SynSent(0), now);
                    let nonce = Nonce::new(self.chance.below(1 << 32) as u32);
                    subflow.join_client = Some(JoinClient::new(host.key, peer_key, nonce));
                    host.subflows.push(subflow);
                }
            }
        }
        host.schedule(now, &mut self.chance);
        for path in 0..host_len(&self.hosts, index) {
            self.flush(index, path);
        }
        if let Some(host) = self.hosts.get_mut(index) {
            host.fin_due = false;
        }
    }

    /// Sends a segment on a path.
    fn send(&mut self, from: usize, path: usize, segment: &Segment) {
        let Some(link) = self
            .scenario
            .paths
            .get(path)
            .and_then(|links| links.get(from))
        else {
            return;
        };
        for (time, copy) in link.carry(self.now, segment, &mut self.chance) {
            self.queue.push(Reverse((time, self.count, 1 - from, path)));
            self.segments.insert(self.count, copy);
            self.count += 1;
        }
    }

    /// Sends what a subflow has to send.
    fn flush(&mut self, index: usize, path: usize) {
        let now = self.now;
        let mut out = Vec::new();
        let Some(host) = self.hosts.get_mut(index) else {
            return;
        };
        let Some(subflow) = host.subflows.get_mut(path) else {
            return;
        };
        if let Some((reason, mp_fail)) = subflow.reset_due.take() {
            out.push(reset_segment(reason, mp_fail, host));
        } else if !subflow.usable() {
            out.extend(setup_segment(host, path, now));
        } else if subflow.tcp.on_time(now) {
            if host.mode == Mode::Plain {
                host.aborted = true;
            }
            host.reset(path, Reason::UnacceptablePerformance, false);
        } else {
            let plain = host.mode == Mode::Plain;
            let before = out.len();
            while let Some(subflow) = host.subflows.get_mut(path) {
                // Retransmissions are cut in other places than the first transmission was.
                let most = MSS - self.chance.below(300) as u32;
                let Some(part) = subflow.tcp.next_part(most, plain) else {
                    break;
                };
                out.push(data_segment(host, path, now, part));
            }
            out.extend(bare_segments(host, path, out.len() > before));
        }
        for segment in out {
            self.send(index, path, &segment);
        }
    }

    /// Takes in a segment.
    fn receive(&mut self, index: usize, path: usize, segment: &Segment) {
        let now = self.now;
        let nonce = Nonce::new(self.chance.below(1 << 32) as u32);
        let Some(host) = self.hosts.get_mut(index) else {
            return;
        };
        host.heard_at = now;
        if segment.syn && !segment.ack_flag {
            on_syn_segment(host, path, now, segment, nonce);
            return;
        }
        let Some(subflow) = host.subflows.get_mut(path) else {
            return;
        };
        if subflow.is_reset() || segment.rst {
            if !segment.rst {
                subflow.reset_due = Some((Reason::Unspecified, false));
            } else if host.mode == Mode::Multipath {
                host.lose(path);
            } else {
                host.aborted = true;
                host.lose(path);
            }
            return;
        }
        if segment.syn {
            on_syn_ack_segment(host, path, now, segment);
            return;
        }
        on_segment(host, path, now, segment);
    }
}

/// Returns how many subflows a host has.
fn host_len(hosts: &[Host], index: usize) -> usize {
    hosts.get(index).map_or(0, |host| host.subflows.len())
}

/// Returns the next number that a host expects.
fn rcv_nxt(host: &Host) -> DataSeq {
    match (host.mode, host.data) {
        (Mode::Multipath, Some(data)) => data.rcv_nxt(),
        _ => host.origins.1.advance(host.delivered),
    }
}

/// Makes a segment with acknowledgment and window, without options.
fn segment(host: &mut Host, path: usize, seq: u32) -> Segment {
    let step = MSS.min(host.buffer as u32 / 2);
    let (rcv_nxt, free) = (rcv_nxt(host), host.free_space());
    Segment {
        ack_flag: true,
        seq,
        ack: host.subflows.get(path).map_or(0, |s| s.tcp.rcv_nxt),
        window: host.advertised.advertise(rcv_nxt, free, step, WSCALE),
        ..Segment::default()
    }
}

/// Makes a RST.
fn reset_segment(reason: Reason, mp_fail: bool, host: &Host) -> Segment {
    let mut segment = Segment {
        rst: true,
        ..Segment::default()
    };
    if mp_fail {
        let dsn = rcv_nxt(host);
        segment.add(MptcpOption::MpFail(MpFail { dsn }));
    }
    segment.add(MptcpOption::MpTcprst(MpTcprst {
        transient: false,
        reason,
    }));
    segment
}

/// Makes a segment with data, or with the end of the subflow.
fn data_segment(host: &mut Host, path: usize, now: u64, mut part: Part) -> Segment {
    let mut out = segment(host, path, part.seq);
    let declared = host.subflows.get(path).and_then(|subflow| {
        let seq = SubflowSeq::new(part.seq);
        let own = subflow.declared.covering(seq, 1.min(part.len))?;
        match subflow.declared.covering(seq, part.len) {
            // A checksum is over one declaration as it was made.
            Some(union) if !host.checksum || union == own => Some(union),
            _ => Some(own),
        }
    });
    if host.mode == Mode::Multipath && part.len > 0 {
        let mapping = declared.unwrap_or_else(|| unreachable!("all data is declared"));
        let left = mapping.end_ssn().distance_from(SubflowSeq::new(part.seq));
        if left < part.len {
            part.len = left;
            part.fin = false;
        }
        add_signal(host, &mut out, Some(mapping));
    } else {
        add_signal(host, &mut out, None);
    }
    if let Some(infinite) = &mut host.infinite {
        infinite.get_or_insert(part.seq + part.len + u32::from(part.fin));
    }
    if let Some(subflow) = host.subflows.get_mut(path) {
        out.payload = subflow.tcp.bytes(part.seq, part.len);
        out.fin = part.fin;
        subflow.tcp.sent(now, &part);
        subflow.ack_due = false;
    }
    out
}

/// Makes the segments without data that are due.
fn bare_segments(host: &mut Host, path: usize, sent: bool) -> Vec<Segment> {
    let mut out = Vec::new();
    let Some(subflow) = host.subflows.get_mut(path) else {
        return out;
    };
    let (nxt, probe) = (subflow.tcp.nxt, subflow.probe_due);
    let fin = host.fin_due && host.mode == Mode::Multipath;
    let due = (subflow.ack_due && !sent) || probe || fin;
    (subflow.ack_due, subflow.probe_due) = (false, false);
    if !due {
        return out;
    }
    let mut bare = segment(host, path, if probe { nxt - 1 } else { nxt });
    add_signal(host, &mut bare, None);
    out.push(bare);
    let fin_dsn = host.data.and_then(|data| data.data_fin_to_send());
    if let Some(dsn) = fin_dsn.filter(|_| fin) {
        let mut last = segment(host, path, nxt);
        let ssn = SubflowSeq::new(0);
        let checksum = host.checksum.then(|| dss_checksum(dsn, ssn, 1, 0));
        last.add(MptcpOption::Dss(Dss {
            data_fin: true,
            data_ack: Some(DsnField::long(rcv_nxt(host))),
            mapping: Some(DssMapping {
                dsn: DsnField::long(dsn),
                ssn,
                data_len: 1,
                checksum,
            }),
        }));
        out.push(last);
    }
    out
}

/// Adds the option that a segment needs: MP_CAPABLE, DSS, or nothing.
fn add_signal(host: &Host, out: &mut Segment, mapping: Option<Mapping>) {
    match host.mode {
        Mode::Undecided => {}
        Mode::Plain => {
            if host.infinite.is_some() {
                let una = host.subflows.first().map_or(1, |s| s.tcp.una);
                out.add(MptcpOption::Dss(Dss {
                    data_fin: false,
                    data_ack: None,
                    mapping: Some(DssMapping {
                        dsn: DsnField::long(host.origins.0.advance(u64::from(una - 1))),
                        ssn: SubflowSeq::new(una),
                        data_len: 0,
                        checksum: host.checksum.then_some(0),
                    }),
                }));
            }
        }
        Mode::Multipath => {
            let declared = mapping.map(|mapping| {
                let from = mapping.dsn().distance_from(host.origins.0);
                let data_len = mapping.len() as u16;
                let checksum = host.checksum.then(|| {
                    let positions = from..from + u64::from(data_len);
                    let bytes: Vec<_> = positions.map(|p| stream_byte(host.is_client, p)).collect();
                    dss_checksum(mapping.dsn(), mapping.ssn(), data_len, sum(&bytes))
                });
                (mapping, data_len, checksum)
            });
            let carrier = match declared {
                None => Carrier::Ack,
                Some((mapping, data_len, checksum)) if mapping.ssn() == SubflowSeq::new(1) => {
                    Carrier::FirstData { data_len, checksum }
                }
                Some(_) => Carrier::LaterData,
            };
            if let Some(option) = host.client.and_then(|client| client.third_ack(carrier)) {
                out.add(MptcpOption::MpCapable(option));
                return;
            }
            // Short numbers are as good as long ones.
            let short = out.seq % 3 == 0;
            let field = if short {
                DsnField::short
            } else {
                DsnField::long
            };
            out.add(MptcpOption::Dss(Dss {
                data_fin: false,
                data_ack: Some(field(rcv_nxt(host))),
                mapping: declared.map(|(mapping, data_len, checksum)| DssMapping {
                    dsn: field(mapping.dsn()),
                    ssn: mapping.ssn(),
                    data_len,
                    checksum,
                }),
            }));
        }
    }
}

/// Takes in a segment of a subflow that is set up, or sets it up.
fn on_segment(host: &mut Host, path: usize, now: u64, segment: &Segment) {
    if !on_third_ack(host, path, segment) {
        return;
    }
    let Some(subflow) = host.subflows.get_mut(path) else {
        return;
    };
    if let Some(join) = &mut subflow.join_client {
        join.on_ack();
    }
    let window = u32::from(segment.window) << WSCALE;
    subflow.tcp.window_end = subflow.tcp.window_end.max(segment.ack + window);
    let mut data_ack = false;
    for option in mptcp_options(&segment.options) {
        let (Ok(MptcpOption::Dss(dss)), Some(data)) = (option, host.data) else {
            continue;
        };
        if host.mode != Mode::Multipath {
            continue;
        }
        if let Some(ack) = dss.data_ack {
            data_ack = true;
            host.on_data_ack(now, path, ack.expand(data.snd_una()), window);
        }
        match Signal::from_dss(&dss, data.rcv_nxt()) {
            Some(Signal::Data {
                mapping,
                data_fin,
                checksum,
            }) => {
                host.on_mapping(path, mapping, data_fin.is_some(), checksum);
                if let Some(dsn) = data_fin {
                    host.on_data_fin(path, dsn);
                }
            }
            Some(Signal::DataFin { dsn, .. }) => host.on_data_fin(path, dsn),
            Some(Signal::Infinite { .. }) => {
                // What came before it with a mapping is dealt with first.
                if let Some(subflow) = host.subflows.get_mut(path) {
                    subflow
                        .tcp
                        .on_payload(segment.seq, &segment.payload, segment.fin);
                }
                host.pump(path);
                host.on_event(path, Event::InfiniteMapping);
            }
            None => {}
        }
    }
    let Some(subflow) = host.subflows.get_mut(path) else {
        return;
    };
    if subflow.is_reset() {
        return;
    }
    let old = segment.seq < subflow.tcp.rcv_nxt;
    subflow
        .tcp
        .on_payload(segment.seq, &segment.payload, segment.fin);
    subflow.ack_due |= !segment.payload.is_empty() || segment.fin || old;
    let data_acked = subflow
        .tcp
        .on_ack(now, segment.ack, segment.payload.is_empty());
    let una = subflow.tcp.una;
    if host.infinite.flatten().is_some_and(|end| una >= end) {
        host.infinite = None;
    }
    if data_acked && !data_ack && host.mode == Mode::Multipath {
        host.on_event(path, Event::AckWithoutDss);
    }
    host.pump(path);
}

/// Tells whether the client of a simulation knows that the server has its key.
pub(crate) fn is_confirmed(host: &Host) -> bool {
    host.client
        .is_some_and(|client| matches!(client.state(), ClientState::Established { .. }))
}
