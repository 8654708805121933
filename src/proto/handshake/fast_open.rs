// SPDX-License-Identifier: GPL-2.0

//! The server's side of the handshake when it has taken data from the SYN (TCP Fast Open).
//!
//! The application may read what the SYN has carried before the client has returned both keys. Whether
//! the connection is multipath is known only then, and until then any segment may come:
//!
//! ```text
//!   client                                                     server
//!   SYN, MP_CAPABLE, cookie, data  -------------------------->  the application reads
//!                    <-----------  SYN/ACK, MP_CAPABLE(key), acknowledges the data
//!   ACK, MP_CAPABLE(both keys)  ----------------------------->  Keys: multipath
//!   or data, MP_CAPABLE(both keys, length)  ----------------->  Keys, and the data's mapping
//!   or DSS, the segment with the keys is late or lost  ------>  Premature: as if it had not come
//!   or an ACK without option  ------------------------------->  Plain: regular TCP
//! ```
//!
//! RFC 8684, Section 3.1 and Appendix B. C counterpart: net/mptcp/fastopen.c.

use super::{
    Server,
    ThirdAckOutcome, //
};
use crate::ids::Key;
use crate::options::{
    mp_capable,
    mptcp_options,
    MptcpOption, //
};

/// What a segment of the client says to a server that waits for the keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EarlySegment {
    /// It has both keys: the connection is multipath.
    Keys {
        /// The key of the client.
        peer_key: Key,
        /// The length and the checksum of the mapping of the first data behind that of the SYN, if the
        /// option declares one.
        first_data: Option<(u16, Option<u16>)>,
        /// Whether the client refuses further subflows to its address and port.
        no_joins: bool,
    },
    /// It has overtaken the keys, which the client repeats: it has to come again after them.
    Premature,
    /// It says nothing, or nothing that is right.
    Plain,
}

/// Looks at the TCP `options` of a segment that reaches a server which has taken data from the SYN; `server`
/// is the handshake as the SYN/ACK has left it. `is_next` says that the segment has the data that comes next:
/// the keys are on that, or will never come.
///
/// RFC 8684, Section 3.1.
#[must_use]
pub fn judge_early_segment(mut server: Server, options: &[u8], is_next: bool) -> EarlySegment {
    let capable = mp_capable(options);
    let no_joins = capable.is_some_and(|option| option.flags().no_joins());
    match server.on_third_ack(capable.as_ref()) {
        ThirdAckOutcome::Established { peer_key } => EarlySegment::Keys {
            peer_key,
            first_data: None,
            no_joins,
        },
        ThirdAckOutcome::EstablishedWithData {
            peer_key,
            data_len,
            checksum,
        } => EarlySegment::Keys {
            peer_key,
            first_data: Some((data_len, checksum)),
            no_joins,
        },
        _ if overtakes_keys(options, is_next) => EarlySegment::Premature,
        _ => EarlySegment::Plain,
    }
}

/// Tells whether a segment with these TCP `options` has overtaken the one with both keys: its client speaks
/// MPTCP, as the DSS says, and repeats MP_CAPABLE with its first data. `is_next` as in [`judge_early_segment`].
///
/// RFC 8684, Section 3.1.
#[must_use]
pub fn overtakes_keys(options: &[u8], is_next: bool) -> bool {
    let is_dss = |option| matches!(option, Ok(MptcpOption::Dss(_)));
    !is_next && mptcp_options(options).any(is_dss) && mp_capable(options).is_none()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::handshake::{
        Carrier,
        Client,
        Policy,
        Terms, //
    };
    use crate::options::{
        DsnField,
        Dss, //
    };
    use crate::seq::DataSeq;

    /// A key.
    fn key(value: u64) -> Key {
        Key::new(value).unwrap()
    }

    /// A client that has the SYN/ACK of a server, and that server.
    fn pair() -> (Client, Server) {
        let terms = Terms {
            checksum: false,
            no_joins: false,
        };
        let mut client = Client::new(Policy::DEFAULT, key(1));
        let _ = client.on_syn_ack(Some(&terms.syn_ack(Policy::DEFAULT, key(2))));
        (client, Server::new(terms, key(2)))
    }

    /// The bytes of an option.
    fn bytes(option: MptcpOption<'_>) -> Vec<u8> {
        let mut bytes = [0; 40];
        let len = option.emit_padded(&mut bytes).unwrap();
        bytes.get(..len).unwrap().to_vec()
    }

    /// A DSS that only acknowledges.
    fn dss() -> Vec<u8> {
        bytes(MptcpOption::Dss(Dss {
            data_fin: false,
            data_ack: Some(DsnField::long(DataSeq::new(7))),
            mapping: None,
        }))
    }

    #[test]
    fn keys_with_and_without_data_establish() {
        let (client, server) = pair();
        let data = Carrier::FirstData {
            data_len: 20,
            checksum: None,
        };
        for (carrier, first_data) in [(Carrier::Ack, None), (data, Some((20, None)))] {
            let option = client.third_ack(carrier).unwrap();
            let judged = judge_early_segment(server, &bytes(MptcpOption::MpCapable(option)), true);
            let wanted = EarlySegment::Keys {
                peer_key: key(1),
                first_data,
                no_joins: false,
            };
            assert_eq!(judged, wanted);
        }
    }

    #[test]
    fn dss_before_the_keys_is_premature() {
        assert_eq!(
            judge_early_segment(pair().1, &dss(), false),
            EarlySegment::Premature
        );
    }

    #[test]
    fn next_data_without_keys_is_plain() {
        let judged = judge_early_segment(pair().1, &dss(), true);
        assert_eq!(judged, EarlySegment::Plain);
    }

    #[test]
    fn no_option_or_a_wrong_key_is_plain() {
        let (client, server) = pair();
        assert_eq!(judge_early_segment(server, &[], false), EarlySegment::Plain);
        let other = Server::new(server.terms(), key(3));
        let option = MptcpOption::MpCapable(client.third_ack(Carrier::Ack).unwrap());
        let mut options = bytes(option);
        assert_eq!(
            judge_early_segment(other, &options, false),
            EarlySegment::Plain
        );
        options.extend(dss());
        assert_eq!(
            judge_early_segment(other, &options, false),
            EarlySegment::Plain
        );
    }
}
