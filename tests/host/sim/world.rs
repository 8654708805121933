// SPDX-License-Identifier: GPL-2.0

//! What lies between the hosts: time, chance, segments and the paths that carry them.

use mptcp_proto::keys::Sha256;
use mptcp_proto::options::{
    mptcp_options,
    MpCapable,
    MptcpOption, //
};

/// Chance that is the same in every run with the same seed (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// Starts from a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number below `end`, or zero.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// Returns true so many times out of a thousand.
    pub(crate) fn per_mille(&mut self, rate: u16) -> bool {
        self.below(1_000) < u64::from(rate)
    }
}

/// A function that is no hash but depends on all of its input.
pub(crate) struct Mixer;

impl Sha256 for Mixer {
    fn sha256(&self, data: &[u8]) -> [u8; 32] {
        self.hmac_sha256(b"", data)
    }

    fn hmac_sha256(&self, key: &[u8], data: &[u8]) -> [u8; 32] {
        let mut state = 0xcbf2_9ce4_8422_2325u64;
        core::array::from_fn(|_| {
            for byte in key.iter().chain(data) {
                state = (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
            Chance::new(state).next().to_be_bytes()[0]
        })
    }
}

/// A TCP segment of one subflow; sequence numbers are relative to the SYN and do not wrap here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Segment {
    /// SYN flag.
    pub(crate) syn: bool,
    /// ACK flag.
    pub(crate) ack_flag: bool,
    /// FIN flag.
    pub(crate) fin: bool,
    /// RST flag.
    pub(crate) rst: bool,
    /// Sequence number of the first byte.
    pub(crate) seq: u32,
    /// Acknowledgment number.
    pub(crate) ack: u32,
    /// Window field.
    pub(crate) window: u16,
    /// TCP options.
    pub(crate) options: Vec<u8>,
    /// Payload.
    pub(crate) payload: Vec<u8>,
}

impl Segment {
    /// Writes an option behind those that are there.
    pub(crate) fn add(&mut self, option: MptcpOption<'_>) {
        let mut out = [0; 40];
        let len = option.emit_padded(&mut out);
        assert!(
            self.options.len() + len.unwrap_or(99) <= 40,
            "no room for {option:?}"
        );
        self.options.extend(out.iter().take(len.unwrap_or(0)));
    }
}

/// What a middlebox takes the options from.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Strip {
    /// SYN and SYN/ACK.
    pub(crate) syn: bool,
    /// The MP_CAPABLE or MP_JOIN of an ACK without data.
    pub(crate) third_ack: bool,
    /// Segments with data.
    pub(crate) data: bool,
    /// Segments without data that are neither SYN nor RST.
    pub(crate) acks: bool,
}

impl Strip {
    /// Everything.
    pub(crate) const ALL: Self = Self {
        syn: true,
        third_ack: true,
        data: true,
        acks: true,
    };

    /// Tells whether this segment loses its options.
    fn applies(self, segment: &Segment) -> bool {
        if segment.syn {
            return self.syn;
        }
        if !segment.payload.is_empty() {
            return self.data;
        }
        let third = mptcp_options(&segment.options).any(|option| {
            matches!(
                option,
                Ok(MptcpOption::MpCapable(MpCapable::Ack { .. }) | MptcpOption::MpJoin(_))
            )
        });
        !segment.rst && (self.acks || (self.third_ack && third))
    }
}

/// One direction of a path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// Time that every segment takes, in microseconds.
    pub(crate) delay: u64,
    /// The most that it can take in addition, in microseconds: reorders.
    pub(crate) jitter: u64,
    /// Segments lost out of a thousand.
    pub(crate) loss: u16,
    /// Segments duplicated out of a thousand.
    pub(crate) duplicate: u16,
    /// Segments with payload that arrive changed, out of a thousand.
    pub(crate) corrupt: u16,
    /// What loses its options.
    pub(crate) strip: Strip,
    /// Whether SYNs with options are dropped.
    pub(crate) drop_syn_options: bool,
    /// From when on nothing passes, in microseconds.
    pub(crate) dead_from: u64,
}

impl Link {
    /// A link that does nothing but take 10 ms.
    pub(crate) const CLEAN: Self = Self {
        delay: 10_000,
        jitter: 0,
        loss: 0,
        duplicate: 0,
        corrupt: 0,
        strip: Strip {
            syn: false,
            third_ack: false,
            data: false,
            acks: false,
        },
        drop_syn_options: false,
        dead_from: u64::MAX,
    };

    /// A link that does what bad links do.
    pub(crate) const BAD: Self = Self {
        jitter: 8_000,
        loss: 60,
        duplicate: 40,
        ..Self::CLEAN
    };

    /// Returns when which copies of a segment arrive.
    pub(crate) fn carry(
        &self,
        now: u64,
        segment: &Segment,
        chance: &mut Chance,
    ) -> Vec<(u64, Segment)> {
        let mut arrivals = Vec::new();
        let copies = 1 + u8::from(chance.per_mille(self.duplicate));
        for _ in 0..copies {
            let dropped = self.drop_syn_options && segment.syn && !segment.options.is_empty();
            if chance.per_mille(self.loss) || now >= self.dead_from || dropped {
                continue;
            }
            let mut copy = segment.clone();
            if self.strip.applies(segment) {
                copy.options.clear();
            }
            if chance.per_mille(self.corrupt) {
                if let Some(byte) = copy.payload.first_mut() {
                    *byte ^= 0x55;
                }
            }
            let late = chance.below(self.jitter + 1);
            arrivals.push((now + self.delay + late, copy));
        }
        arrivals
    }
}
