// SPDX-License-Identifier: GPL-2.0

//! How the hosts set subflows up: MP_CAPABLE, MP_JOIN or neither.

use mptcp_proto::connection::Connection;
use mptcp_proto::fallback::Event;
use mptcp_proto::handshake::{
    on_syn,
    JoinOutcome,
    JoinServer,
    JoinSyn,
    JoinSynAckOutcome,
    Server,
    SynAckOutcome,
    SynOutcome,
    ThirdAckOutcome, //
};
use mptcp_proto::ids::{
    AddressId,
    Key,
    Nonce, //
};
use mptcp_proto::keys::token_and_idsn;
use mptcp_proto::mapping::Mapping;
use mptcp_proto::options::{
    mptcp_options,
    MpCapable,
    MpJoin,
    MptcpOption, //
};
use mptcp_proto::seq::SubflowSeq;
use mptcp_proto::window::Advertised;

use crate::host::{
    Host,
    Mode,
    Setup,
    Subflow, //
};
use crate::net::WSCALE;
use crate::tcp::RTO;
use crate::world::{
    Mixer,
    Segment, //
};

/// How often a segment of a handshake is repeated.
const SETUP_RETRIES: u32 = 10;

/// Makes the segment that a handshake needs now, if any.
pub(crate) fn setup_segment(host: &mut Host, path: usize, now: u64) -> Option<Segment> {
    let (peer_key, client) = (host.peer_key, host.client);
    let window = host.buffer.min(65_535) as u16;
    let subflow = host.subflows.get_mut(path)?;
    if subflow.is_reset() || now < subflow.setup_deadline {
        return None;
    }
    let mut out = Segment {
        syn: true,
        window,
        ..Segment::default()
    };
    let count = match &mut subflow.setup {
        Setup::SynSent(count) => {
            if let Some(join) = subflow.join_client {
                let (token, _) = token_and_idsn(peer_key?, &Mixer);
                let id = AddressId::new(1);
                out.add(MptcpOption::MpJoin(join.syn_option(token, id, false)));
            } else if let Some(option) = client?.syn_option(*count) {
                out.add(MptcpOption::MpCapable(option));
            }
            *count += 1;
            *count
        }
        Setup::SynReceived(options, count) => {
            out.ack_flag = true;
            out.ack = 1;
            out.options.clone_from(options);
            *count += 1;
            *count
        }
        Setup::Done => {
            // The initiator of a join repeats its last option.
            out.syn = false;
            out.ack_flag = true;
            (out.seq, out.ack) = (1, subflow.tcp.rcv_nxt);
            out.add(MptcpOption::MpJoin(subflow.join_client?.third_ack(&Mixer)?));
            2
        }
        Setup::Reset => return None,
    };
    subflow.setup_deadline = now + (RTO << count.min(5));
    if count > SETUP_RETRIES {
        host.aborted |= path == 0;
        host.lose(path);
        return None;
    }
    Some(out)
}

/// Goes on as a multipath connection.
fn establish(host: &mut Host, peer_key: Key, checksum: bool, promised: u32, window: u32) {
    let (_, local) = token_and_idsn(host.key, &Mixer);
    let (_, peer) = token_and_idsn(peer_key, &Mixer);
    let mut data = Connection::new(local, peer);
    data.on_data_ack(data.snd_una(), window);
    host.origins = (data.snd_una(), data.rcv_nxt());
    host.advertised = Advertised::new(data.rcv_nxt(), promised);
    host.data = Some(data);
    host.peer_key = Some(peer_key);
    host.checksum = checksum;
    host.mode = Mode::Multipath;
}

/// Returns the MP_CAPABLE of a segment.
fn mp_capable(segment: &Segment) -> Option<MpCapable> {
    mptcp_options(&segment.options).find_map(|option| match option {
        Ok(MptcpOption::MpCapable(option)) => Some(option),
        _ => None,
    })
}

/// Returns the MP_JOIN of a segment.
fn mp_join(segment: &Segment) -> Option<MpJoin> {
    mptcp_options(&segment.options).find_map(|option| match option {
        Ok(MptcpOption::MpJoin(option)) => Some(option),
        _ => None,
    })
}

/// The server takes in a SYN.
pub(crate) fn on_syn_segment(
    host: &mut Host,
    path: usize,
    now: u64,
    segment: &Segment,
    nonce: Nonce,
) {
    if let Some(subflow) = host.subflows.get_mut(path) {
        // A repetition gets the answer that the first one got.
        if matches!(subflow.setup, Setup::SynReceived(..)) {
            subflow.setup_deadline = now;
        }
        return;
    }
    let mut answer = Segment::default();
    let mut subflow = Subflow::new(Setup::Reset, now);
    if path == 0 {
        if let SynOutcome::Answer(terms) = on_syn(host.policy, mp_capable(segment).as_ref()) {
            host.server = Some(Server::new(terms, host.key));
            answer.add(MptcpOption::MpCapable(terms.syn_ack(host.policy, host.key)));
        } else {
            host.fall_back();
        }
    } else {
        let syn = mp_join(segment).and_then(|option| JoinSyn::new(&option));
        let (token, _) = token_and_idsn(host.key, &Mixer);
        let known = host.mode == Mode::Multipath && host.subflows.len() == path;
        let (Some(syn), Some(peer_key), true) = (syn, host.peer_key, known) else {
            // No listener: the SYN is refused, which is not part of this simulation.
            return;
        };
        assert_eq!(syn.token, token);
        let server = JoinServer::new(host.key, peer_key, syn, nonce);
        answer.add(MptcpOption::MpJoin(server.syn_ack(syn.id, false, &Mixer)));
        subflow.join_server = Some(server);
    }
    subflow.setup = Setup::SynReceived(answer.options, 0);
    host.subflows.push(subflow);
}

/// The client takes in a SYN/ACK.
pub(crate) fn on_syn_ack_segment(host: &mut Host, path: usize, now: u64, segment: &Segment) {
    let Some(subflow) = host.subflows.get_mut(path) else {
        return;
    };
    if !matches!(subflow.setup, Setup::SynSent(_)) {
        subflow.ack_due = true;
        subflow.setup_deadline = now;
        return;
    }
    if let Some(join) = &mut subflow.join_client {
        match join.on_syn_ack(mp_join(segment).as_ref(), &Mixer) {
            JoinSynAckOutcome::PreEstablished { .. } => {
                subflow.setup = Setup::Done;
                subflow.setup_deadline = now;
            }
            JoinSynAckOutcome::Reset(reason) => host.reset(path, reason, false),
            JoinSynAckOutcome::Repeated => {}
        }
        return;
    }
    subflow.setup = Setup::Done;
    subflow.ack_due = true;
    subflow.tcp.window_end = 1 + u32::from(segment.window);
    let Some(client) = &mut host.client else {
        return;
    };
    match client.on_syn_ack(mp_capable(segment).as_ref()) {
        SynAckOutcome::Established {
            peer_key, checksum, ..
        } => establish(host, peer_key, checksum, 0, u32::from(segment.window)),
        SynAckOutcome::FallBack(_) => {
            host.on_event(path, Event::SynWithoutOption);
        }
        SynAckOutcome::Repeated => unreachable!("the state of the subflow says otherwise"),
    }
}

/// The server takes in what may be the third ACK; returns whether the subflow goes on.
pub(crate) fn on_third_ack(host: &mut Host, path: usize, segment: &Segment) -> bool {
    let promised = host.buffer.min(65_535) as u32;
    let Some(subflow) = host.subflows.get_mut(path) else {
        return false;
    };
    let first = matches!(subflow.setup, Setup::SynReceived(..));
    if let Some(join) = &mut subflow.join_server {
        let option = mp_join(segment);
        if first || option.is_some() {
            match join.on_third_ack(option.as_ref(), &Mixer) {
                JoinOutcome::Established | JoinOutcome::Repeated => subflow.ack_due = true,
                JoinOutcome::Reset(reason) => {
                    host.reset(path, reason, false);
                    return false;
                }
            }
            subflow.setup = Setup::Done;
        }
        return true;
    }
    subflow.setup = Setup::Done;
    if path > 0 {
        return true;
    }
    let Some(server) = &mut host.server else {
        return true;
    };
    let option = mp_capable(segment);
    if !first && option.is_none() {
        return true;
    }
    let checksum = server.terms().checksum;
    let window = u32::from(segment.window) << WSCALE;
    let mut data = None;
    match server.on_third_ack(option.as_ref()) {
        ThirdAckOutcome::Established { peer_key } => {
            establish(host, peer_key, checksum, promised, window);
        }
        ThirdAckOutcome::EstablishedWithData {
            peer_key,
            data_len,
            checksum: sum,
        } => {
            establish(host, peer_key, checksum, promised, window);
            data = Some((data_len, sum));
        }
        ThirdAckOutcome::Data { data_len, checksum } => data = Some((data_len, checksum)),
        ThirdAckOutcome::Repeated => {}
        ThirdAckOutcome::FallBack(_) => {
            host.on_event(path, Event::ThirdAckWithoutOption);
        }
    }
    if let Some((data_len, sum)) = data.filter(|_| host.mode == Mode::Multipath) {
        let mapping = Mapping::new(SubflowSeq::new(1), host.origins.1, u32::from(data_len));
        host.on_mapping(path, mapping, false, sum);
    }
    true
}
