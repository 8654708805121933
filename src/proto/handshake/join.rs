// SPDX-License-Identifier: GPL-2.0

//! Both sides of the MP_JOIN handshake, which adds a subflow to a connection.
//!
//! Each host proves with a code over both random numbers that it knows the keys of the connection:
//!
//! ```text
//!   initiator                                                  responder
//!   SYN_SENT  ---- SYN, MP_JOIN(token, R-A) --------------->   JoinSyn: token looked up
//!   on_syn_ack  <-- SYN/ACK, MP_JOIN(HMAC-B, R-B) ----------   SYN_RECEIVED
//!   PRE_ESTABLISHED --- ACK, MP_JOIN(HMAC-A) -------------->   on_third_ack: ESTABLISHED
//!   ESTABLISHED <------ ACK --------------------------------
//! ```
//!
//! The initiator repeats its last option until an ACK shows that it has arrived, and sends no data
//! before. There is no fallback: a subflow that cannot join is reset.
//!
//! Which host is initiator has nothing to do with which of them is the client of the connection.
//!
//! RFC 8684, Section 3.2.

use crate::ids::{
    AddressId,
    Hmac,
    Key,
    Nonce,
    Token, //
};
use crate::keys::{
    join_ack_hmac,
    join_syn_ack_hmac,
    SenderKeys,
    SenderNonces,
    Sha256, //
};
use crate::options::mp_tcprst::Reason;
use crate::options::MpJoin;

/// How far the initiator has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ClientState {
    /// The SYN is on its way.
    SynSent,
    /// The responder is known to be the peer, with this nonce; it does not know the same of us.
    PreEstablished(Nonce),
    /// Both know.
    Established,
    /// The subflow was reset.
    Reset,
}

/// What a SYN/ACK led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JoinSynAckOutcome {
    /// The responder is the peer. The next ACK carries [`JoinClient::third_ack`].
    PreEstablished {
        /// The address ID of the responder's address.
        id: AddressId,
        /// Whether the responder wants data on this subflow only if no other is usable.
        backup: bool,
    },
    /// The SYN/ACK is a repetition: the matter was decided before.
    Repeated,
    /// The subflow is to be reset with this reason.
    Reset(Reason),
}

/// The initiator's side of one MP_JOIN handshake.
///
/// RFC 8684, Section 3.2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JoinClient {
    /// The keys of the connection, the local one as the sender's.
    keys: SenderKeys,
    /// The random number of the local host for this subflow.
    nonce: Nonce,
    /// How far it has come.
    state: ClientState,
}

impl JoinClient {
    /// Begins a handshake: the SYN is about to be sent.
    #[inline]
    #[must_use]
    pub const fn new(local_key: Key, peer_key: Key, nonce: Nonce) -> Self {
        Self {
            keys: SenderKeys {
                sender: local_key,
                receiver: peer_key,
            },
            nonce,
            state: ClientState::SynSent,
        }
    }

    /// Returns the option for the SYN; `peer_token` names the connection to the peer.
    #[inline]
    #[must_use]
    pub const fn syn_option(&self, peer_token: Token, id: AddressId, backup: bool) -> MpJoin {
        MpJoin::Syn {
            backup,
            id,
            token: peer_token,
            nonce: self.nonce,
        }
    }

    /// Takes in the MP_JOIN of a SYN/ACK, or `None` if there is none.
    ///
    /// RFC 8684, Section 3.2.
    pub fn on_syn_ack(&mut self, option: Option<&MpJoin>, hash: &impl Sha256) -> JoinSynAckOutcome {
        if self.state != ClientState::SynSent {
            return JoinSynAckOutcome::Repeated;
        }
        if let Some(MpJoin::SynAck {
            backup,
            id,
            hmac,
            nonce,
        }) = option
        {
            let expected = join_syn_ack_hmac(
                SenderKeys {
                    sender: self.keys.receiver,
                    receiver: self.keys.sender,
                },
                SenderNonces {
                    sender: *nonce,
                    receiver: self.nonce,
                },
                hash,
            );
            if expected.equals(*hmac) {
                self.state = ClientState::PreEstablished(*nonce);
                return JoinSynAckOutcome::PreEstablished {
                    id: *id,
                    backup: *backup,
                };
            }
        }
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.2
        //# If the token is accepted at Host B but the HMAC returned to Host A
        //# does not match the one expected, Host A MUST close the subflow with a
        //# TCP RST.
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.2
        //# If the SYN/ACK as received at Host A does not have an MP_JOIN option,
        //# Host A MUST close the subflow with a TCP RST.
        self.state = ClientState::Reset;
        JoinSynAckOutcome::Reset(Reason::MptcpSpecific)
    }

    /// Returns the option that every ACK must carry until the responder has answered one.
    ///
    /// RFC 8684, Section 3.2.
    #[must_use]
    pub fn third_ack(&self, hash: &impl Sha256) -> Option<MpJoin> {
        let ClientState::PreEstablished(peer_nonce) = self.state else {
            return None;
        };
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.2
        //# receipt of this packet MUST trigger a regular TCP
        //# ACK in response, and the packet MUST be retransmitted if this ACK is
        //# not received.
        Some(MpJoin::Ack {
            hmac: join_ack_hmac(
                self.keys,
                SenderNonces {
                    sender: self.nonce,
                    receiver: peer_nonce,
                },
                hash,
            ),
        })
    }

    /// Takes in that a segment other than a SYN/ACK came from the responder.
    #[inline]
    pub fn on_ack(&mut self) {
        if matches!(self.state, ClientState::PreEstablished(_)) {
            self.state = ClientState::Established;
        }
    }

    /// Tells whether data may be sent on the subflow.
    ///
    /// RFC 8684, Section 3.2.
    #[inline]
    #[must_use]
    pub const fn may_send(&self) -> bool {
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.2
        //# It is
        //# not permissible to send data while in the PRE_ESTABLISHED state.
        matches!(self.state, ClientState::Established)
    }
}

/// What a SYN with MP_JOIN asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JoinSyn {
    /// Names the connection to the local host.
    pub token: Token,
    /// The random number of the initiator.
    pub nonce: Nonce,
    /// The address ID of the initiator's address.
    pub id: AddressId,
    /// Whether the initiator wants data on this subflow only if no other is usable.
    pub backup: bool,
}

impl JoinSyn {
    /// Reads the MP_JOIN of a SYN, or `None` if it has the form of another segment.
    #[inline]
    #[must_use]
    pub const fn new(option: &MpJoin) -> Option<Self> {
        match *option {
            MpJoin::Syn {
                backup,
                id,
                token,
                nonce,
            } => Some(Self {
                token,
                nonce,
                id,
                backup,
            }),
            MpJoin::SynAck { .. } | MpJoin::Ack { .. } => None,
        }
    }
}

/// What the third ACK led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JoinOutcome {
    /// The initiator is the peer: the subflow belongs to the connection. To be acknowledged.
    Established,
    /// It was established before. To be acknowledged if the segment carries MP_JOIN.
    Repeated,
    /// The subflow is to be reset with this reason.
    Reset(Reason),
}

/// How far the responder has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ServerState {
    /// The SYN/ACK has been sent.
    SynReceived,
    /// The initiator is known to be the peer.
    Established,
    /// The subflow was reset.
    Reset,
}

/// The responder's side of one MP_JOIN handshake, from the SYN with a known token on.
///
/// RFC 8684, Section 3.2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JoinServer {
    /// The keys of the connection, the local one as the sender's.
    keys: SenderKeys,
    /// The random numbers, the local one as the sender's.
    nonces: SenderNonces,
    /// How far it has come.
    state: ServerState,
}

impl JoinServer {
    /// Answers `syn` with the random number `nonce`.
    #[inline]
    #[must_use]
    pub const fn new(local_key: Key, peer_key: Key, syn: JoinSyn, nonce: Nonce) -> Self {
        Self {
            keys: SenderKeys {
                sender: local_key,
                receiver: peer_key,
            },
            nonces: SenderNonces {
                sender: nonce,
                receiver: syn.nonce,
            },
            state: ServerState::SynReceived,
        }
    }

    /// Returns the option for the SYN/ACK.
    #[must_use]
    pub fn syn_ack(&self, id: AddressId, backup: bool, hash: &impl Sha256) -> MpJoin {
        MpJoin::SynAck {
            backup,
            id,
            hmac: join_syn_ack_hmac(self.keys, self.nonces, hash),
            nonce: self.nonces.sender,
        }
    }

    /// Returns the code that the third ACK must carry.
    #[must_use]
    fn expected(&self, hash: &impl Sha256) -> Hmac {
        join_ack_hmac(
            SenderKeys {
                sender: self.keys.receiver,
                receiver: self.keys.sender,
            },
            SenderNonces {
                sender: self.nonces.receiver,
                receiver: self.nonces.sender,
            },
            hash,
        )
    }

    /// Takes in the MP_JOIN of the third ACK, or `None` if there is none.
    ///
    /// RFC 8684, Section 3.2.
    pub fn on_third_ack(&mut self, option: Option<&MpJoin>, hash: &impl Sha256) -> JoinOutcome {
        match (self.state, option) {
            (ServerState::Established, _) => JoinOutcome::Repeated,
            (ServerState::SynReceived, Some(MpJoin::Ack { hmac }))
                if self.expected(hash).equals(*hmac) =>
            {
                self.state = ServerState::Established;
                JoinOutcome::Established
            }
            //= https://www.rfc-editor.org/rfc/rfc8684#section-3.2
            //# If Host B does not receive the expected HMAC or the MP_JOIN option is
            //# missing from the ACK, it MUST close the subflow with a TCP RST.
            (ServerState::SynReceived | ServerState::Reset, _) => {
                self.state = ServerState::Reset;
                JoinOutcome::Reset(Reason::MptcpSpecific)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    /// A function that is no hash but depends on all of its input.
    struct Mixer;

    impl Sha256 for Mixer {
        fn sha256(&self, data: &[u8]) -> [u8; 32] {
            self.hmac_sha256(&[], data)
        }

        fn hmac_sha256(&self, key: &[u8], data: &[u8]) -> [u8; 32] {
            let mut state = 7u64;
            core::array::from_fn(|_| {
                for byte in key.iter().chain(data) {
                    state = (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
                }
                state.to_be_bytes()[1]
            })
        }
    }

    /// Makes both sides after the SYN.
    fn sides() -> (JoinClient, JoinServer) {
        let (a, b) = (Key::new(1).unwrap(), Key::new(2).unwrap());
        let client = JoinClient::new(a, b, Nonce::new(3));
        let syn = client.syn_option(Token::new(4), AddressId::new(5), true);
        let syn = JoinSyn::new(&syn).unwrap();
        assert_eq!(
            (syn.token, syn.id, syn.backup),
            (Token::new(4), AddressId::new(5), true)
        );
        (client, JoinServer::new(b, a, syn, Nonce::new(6)))
    }

    #[test]
    fn join_with_the_right_keys_succeeds() {
        let (mut client, mut server) = sides();
        let syn_ack = server.syn_ack(AddressId::new(7), false, &Mixer);
        let expected = JoinSynAckOutcome::PreEstablished {
            id: AddressId::new(7),
            backup: false,
        };
        assert_eq!(client.on_syn_ack(Some(&syn_ack), &Mixer), expected);
        assert_eq!(client.on_syn_ack(None, &Mixer), JoinSynAckOutcome::Repeated);
        assert!(!client.may_send());
        let ack = client.third_ack(&Mixer).unwrap();
        assert_eq!(
            server.on_third_ack(Some(&ack), &Mixer),
            JoinOutcome::Established
        );
        assert_eq!(server.on_third_ack(None, &Mixer), JoinOutcome::Repeated);
        client.on_ack();
        assert!(client.may_send());
        assert!(client.third_ack(&Mixer).is_none());
    }

    #[test]
    fn join_without_option_or_with_wrong_code_is_reset() {
        let reset = JoinSynAckOutcome::Reset(Reason::MptcpSpecific);
        let (mut client, mut server) = sides();
        assert_eq!(client.on_syn_ack(None, &Mixer), reset);
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.2
        //= type=test
        //# If Host B does not receive the expected HMAC or the MP_JOIN option is
        //# missing from the ACK, it MUST close the subflow with a TCP RST.
        let third = JoinOutcome::Reset(Reason::MptcpSpecific);
        assert_eq!(server.on_third_ack(None, &Mixer), third);

        let (mut client, mut server) = sides();
        let wrong_key = JoinServer::new(
            Key::new(9).unwrap(),
            Key::new(1).unwrap(),
            JoinSyn::new(&client.syn_option(Token::new(4), AddressId::new(5), true)).unwrap(),
            Nonce::new(6),
        );
        let syn_ack = wrong_key.syn_ack(AddressId::new(7), false, &Mixer);
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.2
        //= type=test
        //# the HMAC returned to Host A
        //# does not match the one expected, Host A MUST close the subflow with a
        //# TCP RST.
        assert_eq!(client.on_syn_ack(Some(&syn_ack), &Mixer), reset);
        client.on_ack();
        assert!(!client.may_send());
        let ack = MpJoin::Ack {
            hmac: Hmac::new([0; 20]),
        };
        assert_eq!(server.on_third_ack(Some(&ack), &Mixer), third);
        assert_eq!(server.on_third_ack(Some(&ack), &Mixer), third);
    }
}
