// SPDX-License-Identifier: GPL-2.0

//! What the hosts of a connection have agreed on with its first subflow: it never changes afterwards.
//!
//! RFC 8684, Section 3.1.

use crate::crypto::KernelSha256;
use crate::handshake::Agreement;
use mptcp_proto::ids::{
    Address,
    AddressId,
    Key,
    Token,
    TruncatedHmac, //
};
use mptcp_proto::keys::{
    add_addr_hmac,
    token_and_idsn,
    SenderKeys, //
};
use mptcp_proto::options::AddAddr;
use mptcp_proto::seq::DataSeq;

/// Keys, and what follows from them and from the flags beside them.
pub(crate) struct Identity {
    /// Our key, which MP_FASTCLOSE must name.
    pub(crate) local_key: Key,
    /// The peer's key, for MP_FASTCLOSE.
    pub(crate) peer_key: Key,
    /// Our token.
    pub(crate) token: Token,
    /// The peer's token, which our joins must name.
    pub(crate) peer_token: Token,
    /// Our initial data sequence number.
    pub(crate) local_idsn: DataSeq,
    /// The peer's.
    pub(crate) peer_idsn: DataSeq,
    /// Whether we have opened the connection.
    pub(crate) client: bool,
    /// Whether the peer accepts more subflows at the address and port of the first.
    pub(crate) initial_joinable: bool,
    /// Whether every mapping carries a checksum.
    pub(crate) checksum: bool,
}

impl Identity {
    /// What a handshake has come to.
    pub(crate) fn new(agreement: &Agreement) -> Self {
        let (token, local_idsn) = token_and_idsn(agreement.local_key, &KernelSha256);
        let (peer_token, peer_idsn) = token_and_idsn(agreement.peer_key, &KernelSha256);
        Self {
            local_key: agreement.local_key,
            peer_key: agreement.peer_key,
            token,
            peer_token,
            local_idsn,
            peer_idsn,
            client: agreement.client.is_some(),
            initial_joinable: !agreement.no_joins,
            checksum: agreement.checksum,
        }
    }

    /// The number of the first byte that we send.
    pub(crate) fn local_start(&self) -> DataSeq {
        self.local_idsn.advance(1)
    }

    /// The number of the first byte that the peer sends.
    pub(crate) fn peer_start(&self) -> DataSeq {
        self.peer_idsn.advance(1)
    }

    /// The code that proves an announcement to come from the peer.
    ///
    /// RFC 8684, Section 3.4.1.
    pub(crate) fn peer_hmac(&self, option: &AddAddr) -> TruncatedHmac {
        let keys = SenderKeys {
            sender: self.peer_key,
            receiver: self.local_key,
        };
        add_addr_hmac(keys, option.id, option.addr, option.port, &KernelSha256)
    }

    /// The code that proves an announcement to come from us.
    ///
    /// RFC 8684, Section 3.4.1.
    pub(crate) fn local_hmac(
        &self,
        id: AddressId,
        addr: Address,
        port: Option<u16>,
    ) -> TruncatedHmac {
        let keys = SenderKeys {
            sender: self.local_key,
            receiver: self.peer_key,
        };
        add_addr_hmac(keys, id, addr, port, &KernelSha256)
    }
}
