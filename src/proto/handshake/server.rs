// SPDX-License-Identifier: GPL-2.0

//! The server's side of the MP_CAPABLE handshake.

use super::{
    check_flags,
    same_version,
    FallbackReason,
    Policy, //
};
use crate::ids::Key;
use crate::options::mp_capable::Version;
use crate::options::MpCapable;

/// What both hosts have agreed on with the SYN and the SYN/ACK.
///
/// RFC 8684, Section 3.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terms {
    /// Whether checksums are used.
    pub checksum: bool,
    /// Whether the client refuses further subflows to its address and port.
    pub no_joins: bool,
}

impl Terms {
    /// Returns the option for the SYN/ACK.
    ///
    /// `key` is the key of the server for this connection; `policy` the one given to [`on_syn`].
    ///
    /// RFC 8684, Section 3.1.
    #[inline]
    #[must_use]
    pub fn syn_ack(self, policy: Policy, key: Key) -> MpCapable {
        MpCapable::SynAck {
            version: Version::V1,
            flags: policy.flags(self.checksum),
            key,
        }
    }
}

/// What a SYN led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SynOutcome {
    /// The SYN/ACK carries MP_CAPABLE: see [`Terms::syn_ack`].
    Answer(Terms),
    /// The SYN/ACK carries no MP_CAPABLE and the connection is regular TCP.
    PlainTcp(FallbackReason),
}

/// Takes in the MP_CAPABLE of a SYN, or `None` if there is none.
///
/// Nothing is remembered: a stateless server calls it again when the handshake ends.
///
/// RFC 8684, Section 3.1.
#[must_use]
pub fn on_syn(policy: Policy, option: Option<&MpCapable>) -> SynOutcome {
    match judge_syn(policy, option) {
        Ok(terms) => SynOutcome::Answer(terms),
        Err(reason) => SynOutcome::PlainTcp(reason),
    }
}

/// Returns what can be agreed on, or why the SYN is one of regular TCP.
fn judge_syn(policy: Policy, option: Option<&MpCapable>) -> Result<Terms, FallbackReason> {
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
    //# If a SYN does not contain an MP_CAPABLE option, the SYN/ACK
    //# MUST NOT contain one in response.
    let option = option.ok_or(FallbackReason::NoOption)?;
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
    //# In return, in its MP_CAPABLE option, the
    //# receiver will signal the version number it wishes to use, which MUST
    //# be equal to or lower than the version number indicated in the initial
    //# MP_CAPABLE.
    if option.version().get() < Version::V1.get() {
        return Err(FallbackReason::Version);
    }
    let MpCapable::Syn { flags, .. } = *option else {
        return Err(FallbackReason::WrongForm);
    };
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
    //# If a responder does not support (or does not want to support)
    //# any of the initiator's proposals, it MUST respond without an
    //# MP_CAPABLE option, thus forcing a fallback to regular TCP.
    check_flags(flags, policy)?;
    Ok(Terms {
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
        //# if either host
        //# requires the use of checksums, checksums MUST be used.
        checksum: flags.checksum_required() || policy.requires_checksum(),
        no_joins: flags.no_joins(),
    })
}

/// What the third ACK, or data that follows it, led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ThirdAckOutcome {
    /// The connection is multipath.
    Established {
        /// The key of the client.
        peer_key: Key,
    },
    /// The connection is multipath and the option maps the first data.
    EstablishedWithData {
        /// The key of the client.
        peer_key: Key,
        /// How many bytes from the first byte of the subflow on are mapped from IDSN + 1 on.
        data_len: u16,
        /// The checksum of that mapping, if checksums are used.
        checksum: Option<u16>,
    },
    /// The connection was multipath before; the option maps the first data.
    Data {
        /// How many bytes from the first byte of the subflow on are mapped from IDSN + 1 on.
        data_len: u16,
        /// The checksum of that mapping, if checksums are used.
        checksum: Option<u16>,
    },
    /// Nothing new: the matter was decided before, or the option does not belong here.
    Repeated,
    /// The connection is regular TCP.
    FallBack(FallbackReason),
}

/// The length, in bytes, and the checksum of the mapping that an option declares for first data.
type FirstMapping = (u16, Option<u16>);

/// How far the handshake has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// The SYN/ACK has been sent.
    SynReceived,
    /// The client has returned both keys; this one is its own.
    Established(Key),
    /// The connection is regular TCP.
    FellBack(FallbackReason),
}

/// The server's side of one MP_CAPABLE handshake, from the SYN/ACK on.
///
/// RFC 8684, Section 3.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Server {
    /// What was agreed on.
    terms: Terms,
    /// The key of the local host.
    local_key: Key,
    /// How far it has come.
    state: State,
}

impl Server {
    /// Goes on after the SYN/ACK with `local_key` and `terms`.
    #[inline]
    #[must_use]
    pub const fn new(terms: Terms, local_key: Key) -> Self {
        Self {
            terms,
            local_key,
            state: State::SynReceived,
        }
    }

    /// Returns what was agreed on.
    #[inline]
    #[must_use]
    pub const fn terms(&self) -> Terms {
        self.terms
    }

    /// Returns the key of the client once it is known.
    #[inline]
    #[must_use]
    pub const fn peer_key(&self) -> Option<Key> {
        match self.state {
            State::Established(key) => Some(key),
            State::SynReceived | State::FellBack(_) => None,
        }
    }

    /// Takes in the MP_CAPABLE of a segment from the client, or `None` if there is none.
    ///
    /// The first call decides: it is for the third ACK, or for the data that arrived in its place.
    /// Later calls are for segments that carry the option once more.
    ///
    /// RFC 8684, Section 3.1.
    pub fn on_third_ack(&mut self, option: Option<&MpCapable>) -> ThirdAckOutcome {
        let judged = self.judge(option);
        match (self.state, judged) {
            (State::SynReceived, Ok((peer_key, data))) => {
                self.state = State::Established(peer_key);
                match data {
                    None => ThirdAckOutcome::Established { peer_key },
                    Some((data_len, checksum)) => ThirdAckOutcome::EstablishedWithData {
                        peer_key,
                        data_len,
                        checksum,
                    },
                }
            }
            (State::SynReceived, Err(reason)) => {
                self.state = State::FellBack(reason);
                ThirdAckOutcome::FallBack(reason)
            }
            (State::Established(known), Ok((peer_key, Some((data_len, checksum)))))
                if known == peer_key =>
            {
                ThirdAckOutcome::Data { data_len, checksum }
            }
            (State::Established(_) | State::FellBack(_), _) => ThirdAckOutcome::Repeated,
        }
    }

    /// Returns the key of the client and the mapping of the first data if there is one, or why the
    /// segment is one of regular TCP.
    fn judge(
        &self,
        option: Option<&MpCapable>,
    ) -> Result<(Key, Option<FirstMapping>), FallbackReason> {
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
        //# If the third packet (the ACK) does
        //# not contain the MP_CAPABLE option, then the session MUST fall back to
        //# operating as a regular, single-path TCP session.
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
        //# If this
        //# option is not present, the connection SHOULD fall back to regular
        //# TCP, as documented in Section 3.7.
        let option = option.ok_or(FallbackReason::NoOption)?;
        let (sender_key, receiver_key, data) = match *option {
            MpCapable::Ack {
                sender_key,
                receiver_key,
                ..
            } => (sender_key, receiver_key, None),
            MpCapable::AckData {
                sender_key,
                receiver_key,
                data_len,
                checksum,
                ..
            } => (sender_key, receiver_key, Some((data_len, checksum))),
            MpCapable::Syn { .. } | MpCapable::SynAck { .. } => {
                return Err(FallbackReason::WrongForm);
            }
        };
        if !same_version(option.version(), Version::V1) {
            return Err(FallbackReason::Version);
        }
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
        //# If at any point in
        //# the handshake either party thinks the MPTCP negotiation is
        //# compromised -- for example, by a middlebox corrupting the TCP options
        //# or by unexpected ACK numbers being present -- the host MUST stop
        //# using MPTCP and no longer include MPTCP options in future TCP
        //# packets.
        if receiver_key != self.local_key {
            return Err(FallbackReason::KeyMismatch);
        }
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
        //# This decision is confirmed by the setting of the
        //# "A" bit in the third packet (the ACK) of the handshake.
        if option.flags().checksum_required() != self.terms.checksum {
            return Err(FallbackReason::ChecksumMismatch);
        }
        if let Some((data_len, checksum)) = data {
            if checksum.is_some() != self.terms.checksum {
                return Err(FallbackReason::ChecksumMismatch);
            }
            if data_len == 0 {
                return Err(FallbackReason::InfiniteMapping);
            }
        }
        Ok((sender_key, data))
    }
}
