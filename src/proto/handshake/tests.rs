// SPDX-License-Identifier: GPL-2.0

//! The MP_CAPABLE handshake from both sides, with everything that can be missing or wrong.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::ids::Key;
use crate::options::MpCapable;

/// Makes a key.
fn key(value: u64) -> Key {
    Key::new(value).unwrap_or_else(|| unreachable!())
}

/// The key of the client.
fn client_key() -> Key {
    key(0x1111)
}

/// The key of the server.
fn server_key() -> Key {
    key(0x2222)
}

/// A policy with an opinion on checksums.
fn policy(checksums: Checksums) -> Policy {
    Policy {
        checksums,
        ..Policy::DEFAULT
    }
}

/// Runs the first two segments and returns both sides, or `None` if they fell back.
fn handshake(client: Policy, server: Policy) -> Option<(Client, Server)> {
    let mut initiator = Client::new(client, client_key());
    let syn = initiator.syn_option(0)?;
    let SynOutcome::Answer(terms) = on_syn(server, Some(&syn)) else {
        return None;
    };
    let syn_ack = terms.syn_ack(server, server_key());
    match initiator.on_syn_ack(Some(&syn_ack)) {
        SynAckOutcome::Established {
            peer_key, checksum, ..
        } => {
            assert_eq!((peer_key, checksum), (server_key(), terms.checksum));
            Some((initiator, Server::new(terms, server_key())))
        }
        _ => None,
    }
}

#[test]
fn syn_third_attempt_goes_without_option() {
    let client = Client::new(Policy::DEFAULT, client_key());
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.9.3
    //= type=test
    //# a host SHOULD fall back to
    //# trying regular TCP SYNs after one or more failures of MPTCP SYNs for
    //# a connection.
    let carried: Vec<_> = (0..4).map(|n| client.syn_option(n).is_some()).collect();
    assert_eq!(carried, [true, true, false, false]);
}

#[test]
fn checksum_policies_of_both_sides_meet() {
    use Checksums::{
        Accepted,
        Refused,
        Required, //
    };
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
    //= type=test
    //# if either host
    //# requires the use of checksums, checksums MUST be used.
    let cases = [
        (Required, Required, Some(true)),
        (Required, Accepted, Some(true)),
        (Required, Refused, None),
        (Accepted, Required, Some(true)),
        (Accepted, Accepted, Some(false)),
        (Accepted, Refused, Some(false)),
        (Refused, Required, None),
        (Refused, Accepted, Some(false)),
        (Refused, Refused, Some(false)),
    ];
    for (client, server, expected) in cases {
        let agreed = handshake(policy(client), policy(server));
        let checksum = agreed.map(|(_, server)| server.terms().checksum);
        assert_eq!(checksum, expected, "{client:?} meets {server:?}");
    }
}

#[test]
fn third_ack_repeats_until_a_data_ack() {
    let (mut client, mut server) = handshake(Policy::DEFAULT, Policy::DEFAULT).unwrap();
    let ack = client.third_ack(Carrier::Ack).unwrap();
    let peer_key = client_key();
    assert_eq!(
        server.on_third_ack(Some(&ack)),
        ThirdAckOutcome::Established { peer_key }
    );
    assert_eq!(server.peer_key(), Some(client_key()));
    let first = Carrier::FirstData {
        data_len: 100,
        checksum: None,
    };
    let data = client.third_ack(first).unwrap();
    let mapped = ThirdAckOutcome::Data {
        data_len: 100,
        checksum: None,
    };
    assert_eq!(server.on_third_ack(Some(&data)), mapped);
    assert_eq!(server.on_third_ack(Some(&ack)), ThirdAckOutcome::Repeated);
    assert_eq!(server.on_third_ack(None), ThirdAckOutcome::Repeated);
    assert_eq!(client.third_ack(Carrier::LaterData), None);
    client.on_data_ack();
    assert_eq!(client.third_ack(Carrier::Ack), None);
    assert_eq!(client.third_ack(first), None);
    assert_eq!(client.on_syn_ack(None), SynAckOutcome::Repeated);
}

#[test]
fn first_data_stands_in_for_a_lost_third_ack() {
    let required = policy(Checksums::Required);
    let (client, mut server) = handshake(required, Policy::DEFAULT).unwrap();
    let data = client
        .third_ack(Carrier::FirstData {
            data_len: 7,
            checksum: Some(9),
        })
        .unwrap();
    assert_eq!(
        server.on_third_ack(Some(&data)),
        ThirdAckOutcome::EstablishedWithData {
            peer_key: client_key(),
            data_len: 7,
            checksum: Some(9),
        }
    );
}

#[test]
fn syn_ack_unacceptable_falls_back() {
    let good = Flags::DEFAULT;
    let version = Version::V1;
    let key = server_key();
    let cases = [
        (None, FallbackReason::NoOption),
        (
            Some(MpCapable::Syn {
                version,
                flags: good,
            }),
            FallbackReason::WrongForm,
        ),
        (
            Some(MpCapable::SynAck {
                version: Version::V0,
                flags: good,
                key,
            }),
            FallbackReason::Version,
        ),
        (
            Some(MpCapable::SynAck {
                version: Version::new(2).unwrap(),
                flags: good,
                key,
            }),
            FallbackReason::Version,
        ),
        (
            Some(MpCapable::SynAck {
                version,
                flags: Flags::from_bits(0x41),
                key,
            }),
            FallbackReason::Extension,
        ),
        (
            Some(MpCapable::SynAck {
                version,
                flags: Flags::from_bits(0x02),
                key,
            }),
            FallbackReason::Algorithm,
        ),
        (
            Some(MpCapable::SynAck {
                version,
                flags: Flags::from_bits(0x03),
                key,
            }),
            FallbackReason::Algorithm,
        ),
    ];
    for (option, reason) in cases {
        let mut client = Client::new(Policy::DEFAULT, client_key());
        assert_eq!(
            client.on_syn_ack(option.as_ref()),
            SynAckOutcome::FallBack(reason)
        );
        assert_eq!(client.state(), ClientState::FellBack(reason));
        assert_eq!(client.third_ack(Carrier::Ack), None);
    }
}

#[test]
fn syn_versions_and_flags() {
    let syn = |version, bits| {
        let option = MpCapable::Syn {
            version: Version::new(version).unwrap(),
            flags: Flags::from_bits(bits),
        };
        on_syn(Policy::DEFAULT, Some(&option))
    };
    let plain = SynOutcome::PlainTcp;
    assert_eq!(
        on_syn(Policy::DEFAULT, None),
        plain(FallbackReason::NoOption)
    );
    assert_eq!(syn(0, 0x01), plain(FallbackReason::Version));
    assert_eq!(syn(1, 0x41), plain(FallbackReason::Extension));
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
    //= type=test
    //# it MUST respond without an
    //# MP_CAPABLE option, thus forcing a fallback to regular TCP.
    assert_eq!(syn(1, 0x00), plain(FallbackReason::Algorithm));
    assert_eq!(syn(1, 0x02), plain(FallbackReason::Algorithm));
    let terms = Terms {
        checksum: false,
        no_joins: true,
    };
    // A proposal may name more algorithms than one, and a later version is answered with ours.
    assert_eq!(syn(1, 0x3f), SynOutcome::Answer(terms));
    assert_eq!(syn(7, 0x21), SynOutcome::Answer(terms));
    let answer = terms.syn_ack(Policy::DEFAULT, server_key());
    assert_eq!(
        (answer.version(), answer.flags()),
        (Version::V1, Flags::DEFAULT)
    );
    // The SYN of version 0 carries a key.
    let v0 = MpCapable::SynAck {
        version: Version::V0,
        flags: Flags::DEFAULT,
        key: client_key(),
    };
    assert_eq!(
        on_syn(Policy::DEFAULT, Some(&v0)),
        plain(FallbackReason::Version)
    );
}

#[test]
fn third_ack_unacceptable_falls_back() {
    let ack = |version, bits, receiver_key| MpCapable::Ack {
        version,
        flags: Flags::from_bits(bits),
        sender_key: client_key(),
        receiver_key,
    };
    let data = |data_len, checksum| MpCapable::AckData {
        version: Version::V1,
        flags: Flags::DEFAULT,
        sender_key: client_key(),
        receiver_key: server_key(),
        data_len,
        checksum,
    };
    let cases = [
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
        //= type=test
        //# If the third packet (the ACK) does
        //# not contain the MP_CAPABLE option, then the session MUST fall back to
        //# operating as a regular, single-path TCP session.
        (None, FallbackReason::NoOption),
        (
            Some(ack(Version::V0, 0x01, server_key())),
            FallbackReason::Version,
        ),
        (
            Some(ack(Version::V1, 0x01, client_key())),
            FallbackReason::KeyMismatch,
        ),
        (
            Some(ack(Version::V1, 0x81, server_key())),
            FallbackReason::ChecksumMismatch,
        ),
        (Some(data(1, Some(1))), FallbackReason::ChecksumMismatch),
        (Some(data(0, None)), FallbackReason::InfiniteMapping),
    ];
    for (option, reason) in cases {
        let (_, mut server) = handshake(Policy::DEFAULT, Policy::DEFAULT).unwrap();
        assert_eq!(
            server.on_third_ack(option.as_ref()),
            ThirdAckOutcome::FallBack(reason)
        );
        assert_eq!(server.peer_key(), None);
        let good = ack(Version::V1, 0x01, server_key());
        assert_eq!(server.on_third_ack(Some(&good)), ThirdAckOutcome::Repeated);
    }
}
