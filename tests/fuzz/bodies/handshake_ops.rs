// SPDX-License-Identifier: GPL-2.0

//! Shows that no sequence of options upsets either side of a handshake.
//!
//! The input is a list of segments with options of any content, given to client and server, who may
//! be connected properly in between. What was decided once must stay decided.

use mptcp_proto::handshake::{
    on_syn,
    Carrier,
    Checksums,
    Client,
    ClientState,
    Policy,
    Server,
    SynAckOutcome,
    SynOutcome,
    ThirdAckOutcome, //
};
use mptcp_proto::ids::Key;
use mptcp_proto::options::MpCapable;

use super::source::Source;

/// Chooses what a host wants.
fn policy(source: &mut Source<'_>) -> Policy {
    Policy {
        checksums: match source.u8() % 3 {
            0 => Checksums::Required,
            1 => Checksums::Accepted,
            _ => Checksums::Refused,
        },
        no_joins: source.bool(),
        syn_attempts: u32::from(source.u8() % 4),
    }
}

/// Chooses an option of any content, or none.
fn option(source: &mut Source<'_>) -> Option<MpCapable> {
    let lengths = [4, 12, 20, 22, 24];
    let len = *lengths.get(usize::from(source.u8()) % 6)?;
    let mut bytes: [u8; 24] = source.bytes();
    let [kind, length, subtype, ..] = &mut bytes;
    (*kind, *length) = (30, u8::try_from(len).unwrap_or(0));
    *subtype &= 0x0f;
    let (bytes, _) = bytes.split_at(len);
    MpCapable::parse(bytes).ok()
}

/// Runs the body on one input.
pub(crate) fn run(data: &[u8]) {
    let source = &mut Source::new(data);
    let (Some(client_key), Some(server_key)) = (Key::new(1), Key::new(2)) else {
        return;
    };
    let (client_policy, server_policy) = (policy(source), policy(source));
    let mut client = Client::new(client_policy, client_key);
    let syn = if source.bool() {
        option(source)
    } else {
        client.syn_option(u32::from(source.u8() % 4))
    };
    let SynOutcome::Answer(terms) = on_syn(server_policy, syn.as_ref()) else {
        return;
    };
    assert!(syn.is_some());
    assert!(!terms.checksum || server_policy.checksums != Checksums::Refused);
    let mut server = Server::new(terms, server_key);
    while !source.is_empty() {
        if source.bool() {
            let before = client.state();
            let syn_ack = if source.bool() {
                option(source)
            } else {
                Some(terms.syn_ack(server_policy, server_key))
            };
            let outcome = client.on_syn_ack(syn_ack.as_ref());
            let repeated = outcome == SynAckOutcome::Repeated;
            assert_eq!(repeated, before != ClientState::SynSent);
            assert!(!repeated || client.state() == before);
            if let SynAckOutcome::Established { checksum, .. } = outcome {
                assert!(!checksum || client_policy.checksums != Checksums::Refused);
                assert!(checksum || client_policy.checksums != Checksums::Required);
            }
        } else {
            let before = server.peer_key();
            let checksum = terms.checksum.then(|| source.u16());
            let carrier = match source.u16() {
                0 => Carrier::Ack,
                data_len => Carrier::FirstData { data_len, checksum },
            };
            let genuine = client.third_ack(carrier);
            let ack = if source.bool() {
                option(source)
            } else {
                genuine
            };
            match server.on_third_ack(ack.as_ref()) {
                ThirdAckOutcome::Established { peer_key }
                | ThirdAckOutcome::EstablishedWithData { peer_key, .. } => {
                    assert!(before.is_none() && server.peer_key() == Some(peer_key));
                }
                ThirdAckOutcome::Data { data_len, checksum } => {
                    assert!(before.is_some() && data_len > 0);
                    assert_eq!(checksum.is_some(), terms.checksum);
                }
                ThirdAckOutcome::Repeated => assert_eq!(server.peer_key(), before),
                ThirdAckOutcome::FallBack(_) => assert!(server.peer_key().is_none()),
            }
            assert!(before.is_none() || server.peer_key() == before);
        }
        if source.bool() {
            client.on_data_ack();
            assert!(client.third_ack(Carrier::Ack).is_none());
        }
    }
}
