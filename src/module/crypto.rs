// SPDX-License-Identifier: GPL-2.0

//! The kernel's hashes and randomness, as the protocol crate asks for them.
//!
//! C counterpart: net/mptcp/crypto.c.

use crate::bindings;
use mptcp_proto::ids::Key;
use mptcp_proto::keys::Sha256;

/// The kernel's SHA-256 library functions.
pub(crate) struct KernelSha256;

impl Sha256 for KernelSha256 {
    fn sha256(&self, data: &[u8]) -> [u8; 32] {
        let mut digest = [0; 32];
        // SAFETY: `data` is readable for its length and `digest` has SHA256_DIGEST_SIZE bytes.
        unsafe { bindings::sha256(data.as_ptr(), data.len(), digest.as_mut_ptr()) };
        digest
    }

    fn hmac_sha256(&self, key: &[u8], data: &[u8]) -> [u8; 32] {
        let mut digest = [0; 32];
        // SAFETY: `key` and `data` are readable for their lengths; `digest` has
        // SHA256_DIGEST_SIZE bytes.
        unsafe {
            bindings::hmac_sha256_usingrawkey(
                key.as_ptr(),
                key.len(),
                data.as_ptr(),
                data.len(),
                digest.as_mut_ptr(),
            );
        }
        digest
    }
}

/// Fills `bytes` from the kernel's random generator.
pub(crate) fn fill_random(bytes: &mut [u8]) {
    // SAFETY: `bytes` is writable for its length.
    unsafe { bindings::get_random_bytes(bytes.as_mut_ptr().cast(), bytes.len()) };
}

/// A fresh key: 64 random bits, never zero.
///
/// RFC 8684, Section 3.1.
pub(crate) fn random_key() -> Key {
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
    //# The key MUST be hard to
    //# guess, and it MUST be unique for the sending host across all its
    //# current MPTCP connections.
    loop {
        let mut bytes = [0; 8];
        fill_random(&mut bytes);
        if let Some(key) = Key::from_be_bytes(bytes) {
            return key;
        }
    }
}

/// The secret from which a server's keys are derived until the connection exists.
pub(crate) struct ServerSecret([u64; 2]);

impl ServerSecret {
    /// A fresh secret.
    pub(crate) fn new() -> Self {
        let (mut low, mut high) = ([0; 8], [0; 8]);
        fill_random(&mut low);
        fill_random(&mut high);
        Self([u64::from_ne_bytes(low), u64::from_ne_bytes(high)])
    }

    /// No secret: for the time before module init has made one, when nobody asks.
    pub(crate) const fn zero() -> Self {
        Self([0; 2])
    }

    /// The key for one SYN-ACK: a keyed hash of what identifies it.
    ///
    /// Nothing has to be stored between the SYN-ACK and the third ACK, not even under a SYN flood.
    /// `local_isn` is fresh for each connection, so keys do not repeat.
    pub(crate) fn key(&self, addresses: [u64; 2], ports: u32, local_isn: u32) -> Key {
        let [a, b] = addresses;
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
        //# The key MUST be hard to
        //# guess
        let mut last = (u64::from(ports) << 32) | u64::from(local_isn);
        loop {
            // SAFETY: The secret has the two words of a siphash key.
            let hash =
                unsafe { bindings::mptcp_shim_siphash4(self.0.as_ptr(), a, b, last, 0x4d50) };
            if let Some(key) = Key::new(hash) {
                return key;
            }
            last = last.wrapping_add(1 << 63);
        }
    }
}
