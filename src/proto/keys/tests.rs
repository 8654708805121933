// SPDX-License-Identifier: GPL-2.0

//! Tests of the key derivations, with a plain SHA-256 of their own.
#![expect(
    clippy::indexing_slicing,
    reason = "the reference SHA-256 follows the formulae of FIPS 180-4"
)]

use super::*;
use crate::vectors;

/// First 32 bits of the fractional parts of the cube roots of the first 64 primes.
const K: [u32; 64] = [
    0x428a_2f98,
    0x7137_4491,
    0xb5c0_fbcf,
    0xe9b5_dba5,
    0x3956_c25b,
    0x59f1_11f1,
    0x923f_82a4,
    0xab1c_5ed5,
    0xd807_aa98,
    0x1283_5b01,
    0x2431_85be,
    0x550c_7dc3,
    0x72be_5d74,
    0x80de_b1fe,
    0x9bdc_06a7,
    0xc19b_f174,
    0xe49b_69c1,
    0xefbe_4786,
    0x0fc1_9dc6,
    0x240c_a1cc,
    0x2de9_2c6f,
    0x4a74_84aa,
    0x5cb0_a9dc,
    0x76f9_88da,
    0x983e_5152,
    0xa831_c66d,
    0xb003_27c8,
    0xbf59_7fc7,
    0xc6e0_0bf3,
    0xd5a7_9147,
    0x06ca_6351,
    0x1429_2967,
    0x27b7_0a85,
    0x2e1b_2138,
    0x4d2c_6dfc,
    0x5338_0d13,
    0x650a_7354,
    0x766a_0abb,
    0x81c2_c92e,
    0x9272_2c85,
    0xa2bf_e8a1,
    0xa81a_664b,
    0xc24b_8b70,
    0xc76c_51a3,
    0xd192_e819,
    0xd699_0624,
    0xf40e_3585,
    0x106a_a070,
    0x19a4_c116,
    0x1e37_6c08,
    0x2748_774c,
    0x34b0_bcb5,
    0x391c_0cb3,
    0x4ed8_aa4a,
    0x5b9c_ca4f,
    0x682e_6ff3,
    0x748f_82ee,
    0x78a5_636f,
    0x84c8_7814,
    0x8cc7_0208,
    0x90be_fffa,
    0xa450_6ceb,
    0xbef9_a3f7,
    0xc671_78f2,
];

/// First 32 bits of the fractional parts of the square roots of the first 8 primes.
const H: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// SHA-256 as FIPS 180-4 describes it, and HMAC as RFC 2104 does: for tests only.
struct Reference;

impl Sha256 for Reference {
    fn sha256(&self, data: &[u8]) -> [u8; 32] {
        let mut message = data.to_vec();
        message.push(0x80);
        while message.len() % 64 != 56 {
            message.push(0);
        }
        let bits = u64::try_from(data.len()).unwrap_or(0) * 8;
        message.extend(bits.to_be_bytes());

        let mut state = H;
        for block in message.chunks_exact(64) {
            let mut w = [0u32; 64];
            for (t, word) in block.chunks_exact(4).enumerate() {
                w[t] = u32::from_be_bytes([word[0], word[1], word[2], word[3]]);
            }
            for t in 16..64 {
                let x = w[t - 15];
                let y = w[t - 2];
                let s0 = x.rotate_right(7) ^ x.rotate_right(18) ^ (x >> 3);
                let s1 = y.rotate_right(17) ^ y.rotate_right(19) ^ (y >> 10);
                w[t] = w[t - 16]
                    .wrapping_add(s0)
                    .wrapping_add(w[t - 7])
                    .wrapping_add(s1);
            }
            let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
            for t in 0..64 {
                let s1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
                let t1 = h
                    .wrapping_add(s1)
                    .wrapping_add((e & f) ^ (!e & g))
                    .wrapping_add(K[t])
                    .wrapping_add(w[t]);
                let s0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
                let t2 = s0.wrapping_add((a & b) ^ (a & c) ^ (b & c));
                (h, g, f, e) = (g, f, e, d.wrapping_add(t1));
                (d, c, b, a) = (c, b, a, t1.wrapping_add(t2));
            }
            for (sum, value) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
                *sum = sum.wrapping_add(value);
            }
        }
        let mut digest = [0; 32];
        for (to, word) in digest.chunks_exact_mut(4).zip(state) {
            to.copy_from_slice(&word.to_be_bytes());
        }
        digest
    }

    fn hmac_sha256(&self, key: &[u8], data: &[u8]) -> [u8; 32] {
        let mut block = [0u8; 64];
        block[..key.len()].copy_from_slice(key);
        let mut inner: Vec<u8> = block.iter().map(|byte| byte ^ 0x36).collect();
        inner.extend(data);
        let mut outer: Vec<u8> = block.iter().map(|byte| byte ^ 0x5c).collect();
        outer.extend(self.sha256(&inner));
        self.sha256(&outer)
    }
}

/// Writes bytes as hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[test]
fn reference_sha256_fips_180_examples() {
    assert_eq!(
        hex(&Reference.sha256(b"")),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    assert_eq!(
        hex(&Reference.sha256(b"abc")),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    assert_eq!(
        hex(&Reference.sha256(b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    );
}

#[test]
fn reference_hmac_rfc_4231_examples() {
    assert_eq!(
        hex(&Reference.hmac_sha256(&[0x0b; 20], b"Hi There")),
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    );
    assert_eq!(
        hex(&Reference.hmac_sha256(b"Jefe", b"what do ya want for nothing?")),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
}

#[test]
fn derivations_known_answers() {
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
    //= type=test
    //# In this
    //# specification, with only the SHA-256 algorithm (bit "H") specified
    //# and selected, the token MUST be a truncated (most significant
    //# 32 bits) SHA-256 hash [RFC6234] of the key.
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
    //= type=test
    //# the IDSN of a host MUST be
    //# the least significant 64 bits of the SHA-256 hash of its key
    assert_eq!(vectors::check_keys(&Reference), Ok(()));
}

#[test]
fn codes_depend_on_direction() {
    let (a, b) = (vectors::KEY_A, vectors::KEY_B);
    let (x, y) = (Nonce::new(1), Nonce::new(2));
    let from_a = SenderKeys {
        sender: a,
        receiver: b,
    };
    let from_b = SenderKeys {
        sender: b,
        receiver: a,
    };
    let forth = SenderNonces {
        sender: x,
        receiver: y,
    };
    let back = SenderNonces {
        sender: y,
        receiver: x,
    };
    assert_ne!(
        join_syn_ack_hmac(from_a, forth, &Reference),
        join_syn_ack_hmac(from_b, back, &Reference)
    );
    assert_ne!(
        join_ack_hmac(from_a, forth, &Reference),
        join_ack_hmac(from_a, back, &Reference)
    );
    // An absent port and port zero have the same code by definition.
    let (id, addr) = (AddressId::new(1), Address::V4([10, 0, 0, 1]));
    assert_eq!(
        add_addr_hmac(from_a, id, addr, None, &Reference),
        add_addr_hmac(from_a, id, addr, Some(0), &Reference)
    );
    assert_ne!(
        add_addr_hmac(from_a, id, addr, None, &Reference),
        add_addr_hmac(from_b, id, addr, None, &Reference)
    );
}
