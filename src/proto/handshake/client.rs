// SPDX-License-Identifier: GPL-2.0

//! The client's side of the MP_CAPABLE handshake.

use super::{
    check_flags,
    same_version,
    FallbackReason,
    Policy, //
};
use crate::ids::Key;
use crate::options::mp_capable::Version;
use crate::options::MpCapable;

/// How far the handshake has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientState {
    /// The SYN is on its way.
    SynSent,
    /// The server has answered; it is not known whether it has the client's key.
    Unconfirmed {
        /// The key of the server.
        peer_key: Key,
        /// Whether checksums are used.
        checksum: bool,
    },
    /// The server has shown that it has the client's key.
    Established {
        /// The key of the server.
        peer_key: Key,
        /// Whether checksums are used.
        checksum: bool,
    },
    /// The connection is regular TCP.
    FellBack(FallbackReason),
}

/// What a SYN/ACK led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SynAckOutcome {
    /// The connection is multipath, as far as the client can know.
    Established {
        /// The key of the server.
        peer_key: Key,
        /// Whether checksums are used.
        checksum: bool,
        /// Whether the server refuses further subflows to this address and port.
        no_joins: bool,
    },
    /// The connection is regular TCP.
    FallBack(FallbackReason),
    /// The SYN/ACK is a repetition: the matter was decided before.
    Repeated,
}

/// The segment that needs an option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carrier {
    /// An ACK without data.
    Ack,
    /// The first data of the subflow, new or sent again.
    FirstData {
        /// The length of the mapping that begins with the first byte, 1..=65535 bytes.
        data_len: u16,
        /// Its checksum, if checksums are used.
        checksum: Option<u16>,
    },
    /// Data that follows the first mapping.
    LaterData,
}

/// The client's side of one MP_CAPABLE handshake.
///
/// RFC 8684, Section 3.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Client {
    /// What the local host wants.
    policy: Policy,
    /// The key of the local host.
    local_key: Key,
    /// How far it has come.
    state: ClientState,
}

impl Client {
    /// Begins a handshake: the SYN is about to be sent.
    #[inline]
    #[must_use]
    pub const fn new(policy: Policy, local_key: Key) -> Self {
        Self {
            policy,
            local_key,
            state: ClientState::SynSent,
        }
    }

    /// Returns how far the handshake has come.
    #[inline]
    #[must_use]
    pub const fn state(&self) -> ClientState {
        self.state
    }

    /// Returns the key of the local host.
    #[inline]
    #[must_use]
    pub const fn local_key(&self) -> Key {
        self.local_key
    }

    /// Returns the option for a SYN that was sent `timeouts` times before, or `None` if it goes
    /// without.
    ///
    /// RFC 8684, Section 3.1.
    #[inline]
    #[must_use]
    pub fn syn_option(&self, timeouts: u32) -> Option<MpCapable> {
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
        //# It is expected that a sender will eventually
        //# fall back to single-path TCP (i.e., without the MP_CAPABLE option) in
        //# order to work around middleboxes that may drop packets with unknown
        //# options
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
        //# Note that an implementation MAY choose to attempt
        //# sending MPTCP options more than one time before making this decision
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.9.3
        //# a host SHOULD fall back to
        //# trying regular TCP SYNs after one or more failures of MPTCP SYNs for
        //# a connection.
        //= https://www.rfc-editor.org/rfc/rfc8684#section-6
        //# If this is dropped, MPTCP SHOULD
        //# fall back to regular TCP.
        (timeouts < self.policy.syn_attempts).then(|| MpCapable::Syn {
            //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
            //# the sender of the MP_CAPABLE option SHOULD signal the highest version
            //# number it supports.
            version: Version::V1,
            flags: self.policy.flags(self.policy.requires_checksum()),
        })
    }

    /// Takes in the MP_CAPABLE of a SYN/ACK, or `None` if there is none.
    ///
    /// A server may answer an earlier SYN although the last one went without the option: what the
    /// SYN/ACK carries decides.
    ///
    /// RFC 8684, Section 3.1.
    pub fn on_syn_ack(&mut self, option: Option<&MpCapable>) -> SynAckOutcome {
        if self.state != ClientState::SynSent {
            return SynAckOutcome::Repeated;
        }
        match self.judge_syn_ack(option) {
            Ok((peer_key, checksum, no_joins)) => {
                self.state = ClientState::Unconfirmed { peer_key, checksum };
                SynAckOutcome::Established {
                    peer_key,
                    checksum,
                    no_joins,
                }
            }
            Err(reason) => {
                self.state = ClientState::FellBack(reason);
                SynAckOutcome::FallBack(reason)
            }
        }
    }

    /// Returns the MP_CAPABLE that a segment of the client must carry, or `None` if it carries a DSS
    /// or nothing.
    ///
    /// First data takes the option in place of a DSS, without a Data ACK.
    ///
    /// RFC 8684, Section 3.1.
    #[inline]
    #[must_use]
    pub fn third_ack(&self, carrier: Carrier) -> Option<MpCapable> {
        let ClientState::Unconfirmed { peer_key, checksum } = self.state else {
            return None;
        };
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
        //# checksums MUST be used in both directions, and the
        //# initiator will set A=1 in the ACK.
        let flags = self.policy.flags(checksum);
        match carrier {
            //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
            //# If A does not immediately have data to send, it MUST include the
            //# MP_CAPABLE on the first ACK, but without the additional data
            //# parameters.
            Carrier::Ack => Some(MpCapable::Ack {
                version: Version::V1,
                flags,
                sender_key: self.local_key,
                receiver_key: peer_key,
            }),
            //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
            //# When A does have data to send, it must repeat the
            //# sending of the MP_CAPABLE option from the first ACK, with additional
            //# data parameters.
            Carrier::FirstData { data_len, checksum } => Some(MpCapable::AckData {
                version: Version::V1,
                flags,
                sender_key: self.local_key,
                receiver_key: peer_key,
                data_len,
                checksum,
            }),
            Carrier::LaterData => None,
        }
    }

    /// Takes in that a DSS with a Data ACK came from the server: it has the client's key.
    ///
    /// RFC 8684, Section 3.1.
    #[inline]
    pub fn on_data_ack(&mut self) {
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
        //# If B has data to send first, then the reliable delivery of the
        //# ACK + MP_CAPABLE is ensured by the receipt of this data with an MPTCP
        //# Data Sequence Signal (DSS) option (Section 3.3) containing a DATA_ACK
        //# for the MP_CAPABLE
        if let ClientState::Unconfirmed { peer_key, checksum } = self.state {
            self.state = ClientState::Established { peer_key, checksum };
        }
    }

    /// Returns the key of the server, whether checksums are used and whether further subflows are
    /// refused, or why the SYN/ACK is one of regular TCP.
    fn judge_syn_ack(
        &self,
        option: Option<&MpCapable>,
    ) -> Result<(Key, bool, bool), FallbackReason> {
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
        //# If a SYN contains an MP_CAPABLE option but the SYN/ACK does not, it
        //# is assumed that the sender of the SYN/ACK is not multipath capable;
        //# thus, the MPTCP session MUST operate as a regular, single-path TCP
        //# session.
        let option = option.ok_or(FallbackReason::NoOption)?;
        let MpCapable::SynAck {
            version,
            flags,
            key,
        } = *option
        else {
            return Err(FallbackReason::WrongForm);
        };
        if !same_version(version, Version::V1) {
            return Err(FallbackReason::Version);
        }
        check_flags(flags, self.policy)?;
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
        //# The responder responds with only
        //# 1 bit set -- this is the chosen algorithm.
        if flags.algorithms() != self.policy.flags(false).algorithms() {
            return Err(FallbackReason::Algorithm);
        }
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
        //# In other
        //# words, the only way for checksums not to be used is if both hosts in
        //# their SYNs set A=0.
        let checksum = flags.checksum_required() || self.policy.requires_checksum();
        Ok((key, checksum, flags.no_joins()))
    }
}
