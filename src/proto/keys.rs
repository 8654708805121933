// SPDX-License-Identifier: GPL-2.0

//! What is derived from the keys of a connection: token, IDSN and the codes of a join.
//!
//! A host sends its key once, when the connection is set up. From then on it shows only digests of
//! it. This module says which bytes go into them and which bits come out; SHA-256 itself is
//! supplied by the caller, who has an implementation made for his machine.
//!
//! RFC 8684, Sections 3.1, 3.2 and 3.4.1.
//!
//! C counterpart: `net/mptcp/crypto.c`, `add_addr_generate_hmac` in `net/mptcp/options.c`.

use crate::ids::{
    Address,
    AddressId,
    Hmac,
    Key,
    Nonce,
    Token,
    TruncatedHmac, //
};
use crate::seq::DataSeq;

/// The hash function, supplied by the caller.
///
/// RFC 6234; RFC 2104.
pub trait Sha256 {
    /// Returns the SHA-256 digest of `data`.
    fn sha256(&self, data: &[u8]) -> [u8; 32];

    /// Returns the HMAC-SHA256 of `data` under `key`.
    fn hmac_sha256(&self, key: &[u8], data: &[u8]) -> [u8; 32];
}

/// Derives the token that names a connection to the owner of `key`, and the owner's IDSN.
///
/// ```text
/// token = most significant 32 bits of SHA-256(key)
/// IDSN  = least significant 64 bits of SHA-256(key)
/// ```
///
/// The first byte of data has the data sequence number IDSN + 1: MP_CAPABLE occupies the IDSN.
///
/// RFC 8684, Section 3.1.
#[must_use]
pub fn token_and_idsn(key: Key, hash: &impl Sha256) -> (Token, DataSeq) {
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
    //# Note that the key MUST be hashed in
    //# network byte order.
    let digest = hash.sha256(&key.to_be_bytes());
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
    //# the token MUST be a truncated (most significant
    //# 32 bits) SHA-256 hash [RFC6234] of the key.
    let [t0, t1, t2, t3, ..] = digest;
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
    //# A different, 64-bit
    //# truncation (the least significant 64 bits) of the SHA-256 hash of the
    //# key MUST be used as the IDSN.
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
    //# the "least significant" bits MUST
    //# be the rightmost bits of the SHA-256 digest, as per [RFC6234].
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
    //# the IDSN of a host MUST be
    //# the least significant 64 bits of the SHA-256 hash of its key
    let [.., i0, i1, i2, i3, i4, i5, i6, i7] = digest;
    (
        Token::new(u32::from_be_bytes([t0, t1, t2, t3])),
        DataSeq::new(u64::from_be_bytes([i0, i1, i2, i3, i4, i5, i6, i7])),
    )
}

/// Returns `a` followed by `b`, in network byte order.
#[inline]
fn concatenate(a: Key, b: Key) -> [u8; 16] {
    let [a0, a1, a2, a3, a4, a5, a6, a7] = a.to_be_bytes();
    let [b0, b1, b2, b3, b4, b5, b6, b7] = b.to_be_bytes();
    [
        a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3, b4, b5, b6, b7,
    ]
}

/// The keys of a connection, from the point of view of the host that sends a code.
///
/// RFC 8684, Section 3.2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SenderKeys {
    /// The key of the host that sends the code.
    pub sender: Key,
    /// The key of the host that checks it.
    pub receiver: Key,
}

/// The random numbers of a join, from the point of view of the host that sends a code.
///
/// RFC 8684, Section 3.2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SenderNonces {
    /// The random number of the host that sends the code.
    pub sender: Nonce,
    /// The random number of the host that checks it.
    pub receiver: Nonce,
}

/// Computes the whole code of a join, of which either form of MP_JOIN carries the left part.
///
/// ```text
/// HMAC-SHA256(key = sender's key + receiver's key, message = sender's nonce + receiver's nonce)
/// ```
///
/// RFC 8684, Section 3.2.
fn join_code(keys: SenderKeys, nonces: SenderNonces, hash: &impl Sha256) -> [u8; 32] {
    let [s0, s1, s2, s3] = nonces.sender.get().to_be_bytes();
    let [r0, r1, r2, r3] = nonces.receiver.get().to_be_bytes();
    hash.hmac_sha256(
        &concatenate(keys.sender, keys.receiver),
        &[s0, s1, s2, s3, r0, r1, r2, r3],
    )
}

/// Computes the code of the MP_JOIN on the SYN/ACK: the leftmost 64 bits.
///
/// RFC 8684, Section 3.2.
#[must_use]
pub fn join_syn_ack_hmac(
    keys: SenderKeys,
    nonces: SenderNonces,
    hash: &impl Sha256,
) -> TruncatedHmac {
    let [c0, c1, c2, c3, c4, c5, c6, c7, ..] = join_code(keys, nonces, hash);
    TruncatedHmac::new(u64::from_be_bytes([c0, c1, c2, c3, c4, c5, c6, c7]))
}

/// Computes the code of the MP_JOIN on the ACK: the leftmost 160 bits.
///
/// RFC 8684, Section 3.2.
#[must_use]
pub fn join_ack_hmac(keys: SenderKeys, nonces: SenderNonces, hash: &impl Sha256) -> Hmac {
    let code = join_code(keys, nonces, hash);
    let mut left = [0; 20];
    for (to, from) in left.iter_mut().zip(code) {
        *to = from;
    }
    Hmac::new(left)
}

/// Computes the code of an ADD_ADDR: the rightmost 64 bits.
///
/// ```text
/// HMAC-SHA256(key = sender's key + receiver's key, message = Address ID + address + port)
/// ```
///
/// Without a port, two bytes of zero take its place.
///
/// RFC 8684, Section 3.4.1.
#[must_use]
pub fn add_addr_hmac(
    keys: SenderKeys,
    id: AddressId,
    addr: Address,
    port: Option<u16>,
    hash: &impl Sha256,
) -> TruncatedHmac {
    let key = concatenate(keys.sender, keys.receiver);
    let [p0, p1] = port.unwrap_or(0).to_be_bytes();
    let code = match addr {
        Address::V4([a0, a1, a2, a3]) => {
            hash.hmac_sha256(&key, &[id.get(), a0, a1, a2, a3, p0, p1])
        }
        Address::V6([a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, aa, ab, ac, ad, ae, af]) => hash
            .hmac_sha256(
                &key,
                &[
                    id.get(),
                    a0,
                    a1,
                    a2,
                    a3,
                    a4,
                    a5,
                    a6,
                    a7,
                    a8,
                    a9,
                    aa,
                    ab,
                    ac,
                    ad,
                    ae,
                    af,
                    p0,
                    p1,
                ],
            ),
    };
    let [.., c0, c1, c2, c3, c4, c5, c6, c7] = code;
    TruncatedHmac::new(u64::from_be_bytes([c0, c1, c2, c3, c4, c5, c6, c7]))
}

#[cfg(test)]
mod tests;
