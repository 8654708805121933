// SPDX-License-Identifier: GPL-2.0

//! Byte vectors with known answers, shared by the tests on the host and in the kernel.
//!
//! The same bytes have to give the same answer under cargo's flags and under the kernel's. The
//! vectors are data; [`check`] and [`check_keys`] run them without panicking and name the first
//! one that fails. They were put together by hand from the drawings in RFC 8684, the codes and
//! checksums with an independent implementation of SHA-256, HMAC and the Internet checksum.

use core::num::NonZeroU64;

use crate::ids::{
    Address,
    AddressId,
    Key,
    Nonce, //
};
use crate::keys::{
    self,
    SenderKeys,
    SenderNonces,
    Sha256, //
};
use crate::options::dss::{
    dss_checksum,
    verify_dss_checksum, //
};
use crate::options::room::make_room;
use crate::options::{
    mptcp_options,
    MptcpOption,
    ParseError,
    RemoveAddr,
    MAX_BLOCK_LEN, //
};
use crate::seq::{
    DataSeq,
    SubflowSeq, //
};

mod malformed;
mod wellformed;

/// What the codec finds in a block of options.
#[derive(Clone, Copy, Debug)]
pub enum Expected {
    /// These options and errors, in this order.
    Options(&'static [Result<MptcpOption<'static>, ParseError>]),
    /// One REMOVE_ADDR with these address IDs.
    Removal(&'static [u8]),
}

/// A block of TCP options with a known meaning.
#[derive(Clone, Copy, Debug)]
pub struct Vector {
    /// Says what is special about it.
    pub name: &'static str,
    /// The block, as it follows the first 20 bytes of a TCP header.
    pub bytes: &'static [u8],
    /// What it means.
    pub expected: Expected,
    /// Writing what it means gives the same bytes again.
    pub canonical: bool,
}

/// A key: the number that `value` is, which is not zero.
const fn key(value: u64) -> Key {
    Key::from_non_zero(NonZeroU64::MIN.saturating_add(value.wrapping_sub(1)))
}

/// Key of host A in the vectors.
pub const KEY_A: Key = key(0x8b1f_7ac2_4d90_e635);

/// Key of host B in the vectors.
pub const KEY_B: Key = key(0x1357_9bdf_0246_8ace);

/// Code of the MP_JOIN on the ACK: A sends it, A's nonce is 0x01020304 and B's 0xa0b0c0d0.
const JOIN_ACK_HMAC: [u8; 20] = [
    0x8f, 0xad, 0x70, 0x72, 0xd5, 0xdb, 0x5c, 0x08, 0xb0, 0x8a, 0xb6, 0xc9, 0xd6, 0xdc, 0x8e, 0x4a,
    0x03, 0x7a, 0x17, 0x35,
];

/// Returns all vectors.
pub fn vectors() -> impl Iterator<Item = &'static Vector> {
    wellformed::VECTORS.iter().chain(malformed::VECTORS)
}

/// Returns whether the codec reads `vector` as it should.
fn reads_as_expected(vector: &Vector) -> bool {
    let found = mptcp_options(vector.bytes);
    match vector.expected {
        Expected::Options(expected) => found.eq(expected.iter().copied()),
        Expected::Removal(ids) => {
            let expected = RemoveAddr::new(ids).map(|option| Ok(MptcpOption::RemoveAddr(option)));
            expected.is_some() && found.eq(expected)
        }
    }
}

/// Returns whether the codec writes what `vector` means as the same bytes.
fn writes_same_bytes(vector: &Vector) -> bool {
    let mut out = [0; MAX_BLOCK_LEN];
    let mut rest = out.as_mut_slice();
    let mut used = 0usize;
    for option in mptcp_options(vector.bytes).flatten() {
        let Some(len) = option.emit_padded(rest) else {
            return false;
        };
        rest = rest.get_mut(len..).unwrap_or(&mut []);
        used = used.wrapping_add(len);
    }
    out.get(..used) == Some(vector.bytes)
}

/// Runs every vector through the codec.
///
/// # Errors
///
/// The name of the first vector that does not give the known answer.
pub fn check() -> Result<(), &'static str> {
    for vector in vectors() {
        if !reads_as_expected(vector) || (vector.canonical && !writes_same_bytes(vector)) {
            return Err(vector.name);
        }
    }
    check_checksums()?;
    check_room()
}

/// Returns `Ok` if `holds`, or else the error `name`.
fn ensure(holds: bool, name: &'static str) -> Result<(), &'static str> {
    if holds {
        Ok(())
    } else {
        Err(name)
    }
}

/// Checks known DSS checksums.
///
/// # Errors
///
/// What the first wrong one is about.
fn check_checksums() -> Result<(), &'static str> {
    let dsn = DataSeq::new(0x0123_4567_89ab_cdef);
    // "hello", as 16-bit words.
    let hello = 0x6865u32.wrapping_add(0x6c6c).wrapping_add(0x6f00);
    let checksum = dss_checksum(dsn, SubflowSeq::new(1), 5, hello);
    ensure(checksum == 0x1e02, "dss_checksum_of_hello")?;
    ensure(
        verify_dss_checksum(dsn, SubflowSeq::new(1), 5, hello, 0x1e02),
        "verify_dss_checksum_of_hello",
    )?;
    ensure(
        !verify_dss_checksum(dsn, SubflowSeq::new(1), 5, hello, 0x1e03),
        "verify_dss_checksum_of_wrong_hello",
    )?;
    let checksum = dss_checksum(dsn, SubflowSeq::new(0), 1, 0);
    ensure(checksum == 0x61d9, "dss_checksum_of_data_fin")
}

/// Checks that SACK gives way to a DSS option, and timestamps do not.
///
/// # Errors
///
/// What the first wrong answer is about.
fn check_room() -> Result<(), &'static str> {
    let mut block = [3; MAX_BLOCK_LEN];
    let header = [1, 1, 8, 10, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 5, 26];
    for (to, from) in block.iter_mut().zip(header) {
        *to = from;
    }
    ensure(
        make_room(&mut block, 40, 20) == Some(12),
        "room_no_sack_block_left",
    )?;

    for (to, from) in block.iter_mut().zip(header) {
        *to = from;
    }
    ensure(
        make_room(&mut block, 40, 16) == Some(24),
        "room_one_sack_block_left",
    )?;
    ensure(block.get(15) == Some(&10), "room_sack_length")?;
    ensure(
        make_room(&mut block, 24, 32).is_none(),
        "room_timestamps_stay",
    )
}

/// Checks what is derived from keys, and with it the caller's hash function.
///
/// # Errors
///
/// What the first wrong value is about.
pub fn check_keys(hash: &impl Sha256) -> Result<(), &'static str> {
    let (token, idsn) = keys::token_and_idsn(KEY_A, hash);
    ensure(token.get() == 0xd8f1_6d1e, "token_of_key_a")?;
    ensure(idsn.get() == 0xc022_24b7_a61b_c8a1, "idsn_of_key_a")?;
    let (token, idsn) = keys::token_and_idsn(KEY_B, hash);
    ensure(token.get() == 0x6a04_0f07, "token_of_key_b")?;
    ensure(idsn.get() == 0x92a2_a65a_c059_9dbf, "idsn_of_key_b")?;

    let from_a = SenderKeys {
        sender: KEY_A,
        receiver: KEY_B,
    };
    let from_b = SenderKeys {
        sender: KEY_B,
        receiver: KEY_A,
    };
    let (nonce_a, nonce_b) = (Nonce::new(0x0102_0304), Nonce::new(0xa0b0_c0d0));
    let nonces = SenderNonces {
        sender: nonce_b,
        receiver: nonce_a,
    };
    let hmac = keys::join_syn_ack_hmac(from_b, nonces, hash);
    ensure(hmac.get() == 0x6061_d38d_c887_be1a, "join_syn_ack_hmac")?;
    let nonces = SenderNonces {
        sender: nonce_a,
        receiver: nonce_b,
    };
    let hmac = keys::join_ack_hmac(from_a, nonces, hash);
    ensure(hmac.to_bytes() == JOIN_ACK_HMAC, "join_ack_hmac")?;

    let v4 = Address::V4([192, 0, 2, 33]);
    let hmac = keys::add_addr_hmac(from_a, AddressId::new(5), v4, None, hash);
    ensure(hmac.get() == 0xdeb2_d16b_6e25_fcf8, "add_addr_hmac_v4")?;
    let v6 = Address::V6([
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x2a,
    ]);
    let hmac = keys::add_addr_hmac(from_a, AddressId::new(6), v6, Some(8443), hash);
    ensure(hmac.get() == 0x6ffd_0da0_c1a0_258e, "add_addr_hmac_v6_port")
}

#[cfg(test)]
mod tests {
    #[test]
    fn all_vectors_give_the_known_answer() {
        assert_eq!(super::check(), Ok(()));
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = super::vectors().map(|vector| vector.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
