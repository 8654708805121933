// SPDX-License-Identifier: GPL-2.0

//! DSS: maps the bytes of a subflow to the connection's data stream, and acknowledges data.
//!
//! The Data Sequence Signal is the option of every day. Its mapping says at which data sequence
//! number a run of subflow bytes belongs; its Data ACK says up to where the connection's stream
//! has arrived without a hole. Either may come without the other, and both numbers may be cut to
//! 32 bits:
//!
//! ```text
//!                      1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------+---------------+-------+-------------+-+-+-+-+-+
//! |   Kind = 30   |    Length     |  0x2  | (reserved)  |F|m|M|a|A|
//! +---------------+---------------+-------+-------------+-+-+-+-+-+
//! |              Data ACK (if A: 4 bytes, 8 if also a)            |
//! +---------------------------------------------------------------+
//! |        Data Sequence Number (if M: 4 bytes, 8 if also m)      |
//! +---------------------------------------------------------------+
//! |               Subflow Sequence Number (if M: 4 bytes)         |
//! +-------------------------------+-------------------------------+
//! |   Data-Level Length (if M)    |   Checksum (if negotiated)    |
//! +-------------------------------+-------------------------------+
//! ```
//!
//! Nothing but the length tells whether a checksum is there; whether it should be is known to the
//! connection only. Verifying the data is the caller's business too: it supplies the sum over the
//! payload, and this module adds the pseudo-header.
//!
//! RFC 8684, Sections 3.3 to 3.3.3.

use super::wire::{
    subtype,
    Reader,
    Writer, //
};
use super::ParseError;
use crate::seq::{
    DataSeq,
    SubflowSeq, //
};

/// Flag A: a Data ACK is present.
const DATA_ACK: u8 = 0x01;
/// Flag a: the Data ACK has 8 bytes.
const DATA_ACK_8: u8 = 0x02;
/// Flag M: a mapping is present.
const MAPPING: u8 = 0x04;
/// Flag m: the data sequence number has 8 bytes.
const DSN_8: u8 = 0x08;
/// Flag F: the mapping ends with the DATA_FIN.
const DATA_FIN: u8 = 0x10;

/// Flags of Data ACK and mapping, both with 8 bytes.
const WHOLE: u8 = DATA_ACK | DATA_ACK_8 | MAPPING | DSN_8;
/// Length of that option without a checksum, in bytes.
const WHOLE_LEN: usize = 26;
/// Flags of a Data ACK of 8 bytes alone.
const ACK_ONLY: u8 = DATA_ACK | DATA_ACK_8;
/// Length of that option, in bytes.
const ACK_ONLY_LEN: usize = 12;
/// Flags of a mapping with 8 bytes alone.
const NO_ACK: u8 = MAPPING | DSN_8;
/// Length of that option without a checksum, in bytes.
const NO_ACK_LEN: usize = 18;
/// Flags of a mapping with 4 bytes alone.
const SHORT: u8 = MAPPING;
/// Length of that option without a checksum, in bytes.
const SHORT_LEN: usize = 14;

/// A data sequence number as a DSS option carries it: whole, or its 32 least significant bits.
///
/// RFC 8684, Section 3.3.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum DsnField {
    /// The 32 least significant bits: 4 bytes.
    Four(u32),
    /// The whole number: 8 bytes.
    Eight(u64),
}

/// A Data ACK: the next data sequence number its sender expects.
///
/// RFC 8684, Section 3.3.2.
pub type DataAck = DsnField;

impl DsnField {
    /// Makes the long form of `dsn`.
    #[inline]
    #[must_use]
    pub const fn long(dsn: DataSeq) -> Self {
        Self::Eight(dsn.get())
    }

    /// Makes the short form of `dsn`.
    #[inline]
    #[must_use]
    pub const fn short(dsn: DataSeq) -> Self {
        Self::Four(dsn.low32())
    }

    /// Returns the whole number; the short form stands for the one nearest to `near`.
    ///
    /// RFC 8684, Section 3.3.1.
    #[inline]
    #[must_use]
    pub fn expand(self, near: DataSeq) -> DataSeq {
        match self {
            Self::Four(low) => DataSeq::expand(near, low),
            Self::Eight(dsn) => DataSeq::new(dsn),
        }
    }

    /// Tells whether all 64 bits are there.
    #[inline]
    #[must_use]
    pub const fn is_long(self) -> bool {
        matches!(self, Self::Eight(_))
    }

    /// Returns the length of the field, in bytes.
    #[inline]
    const fn len(self) -> usize {
        match self {
            Self::Four(_) => 4,
            Self::Eight(_) => 8,
        }
    }

    /// Takes a field of the length that the option's flags declare.
    ///
    /// # Errors
    ///
    /// [`ParseError::BadLength`] if it is not there.
    #[inline(always)]
    fn read(reader: &mut Reader<'_>, long: bool) -> Result<Self, ParseError> {
        if long {
            reader.u64().map(Self::Eight)
        } else {
            reader.u32().map(Self::Four)
        }
    }

    /// Puts the field.
    #[inline(always)]
    fn write(self, writer: &mut Writer<'_>) -> Option<()> {
        match self {
            Self::Four(low) => writer.u32(low),
            Self::Eight(dsn) => writer.u64(dsn),
        }
    }
}

/// The mapping of a DSS option.
///
/// RFC 8684, Section 3.3.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct DssMapping {
    /// Data sequence number of the first byte.
    pub dsn: DsnField,
    /// Relative subflow sequence number of the first byte; 0 for a DATA_FIN without data.
    pub ssn: SubflowSeq,
    /// Bytes mapped, a DATA_FIN included; 0 for the infinite mapping.
    pub data_len: u16,
    /// Checksum over pseudo-header and data, as [`dss_checksum`] returns it.
    pub checksum: Option<u16>,
}

impl DssMapping {
    /// Tells whether this is the infinite mapping, with which a connection falls back.
    ///
    /// RFC 8684, Section 3.3.1.
    #[inline]
    #[must_use]
    pub const fn is_infinite(&self) -> bool {
        self.data_len == 0
    }

    /// Returns the length of the mapping's fields, in bytes.
    #[inline]
    const fn len(&self) -> usize {
        let checksum_len = if self.checksum.is_some() { 2 } else { 0 };
        // At most 16: no sum here overflows.
        self.dsn.len().wrapping_add(6).wrapping_add(checksum_len)
    }
}

/// A DSS option: 4..=28 bytes.
///
/// RFC 8684, Section 3.3.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Dss {
    /// The mapping ends with the DATA_FIN; never set, and not sent, without a mapping.
    pub data_fin: bool,
    /// The Data ACK.
    pub data_ack: Option<DataAck>,
    /// The mapping.
    pub mapping: Option<DssMapping>,
}

impl Dss {
    /// Length of the longest form, in bytes.
    ///
    /// RFC 8684, Section 3.3.
    pub const MAX_LEN: usize = 28;

    /// Reads the option from all of its bytes, kind and length included.
    ///
    /// A DATA_FIN flag without a mapping says nothing, for only a mapping could tell its data
    /// sequence number: it is ignored.
    ///
    /// # Errors
    ///
    /// [`ParseError::BadLength`]: neither the length that the flags ask for nor, with a mapping,
    /// two bytes of checksum more.
    #[inline]
    pub fn parse(option: &[u8]) -> Result<Self, ParseError> {
        // These are the options of every day. With length and flags known, the compiler has nothing left
        // to decide.
        if let Ok(option @ [_, _, _, WHOLE, ..]) = <&[u8; WHOLE_LEN]>::try_from(option) {
            return Self::read(option);
        }
        if let Ok(option @ [_, _, _, ACK_ONLY, ..]) = <&[u8; ACK_ONLY_LEN]>::try_from(option) {
            return Self::read(option);
        }
        if let Ok(option @ [_, _, _, NO_ACK, ..]) = <&[u8; NO_ACK_LEN]>::try_from(option) {
            return Self::read(option);
        }
        if let Ok(option @ [_, _, _, SHORT, ..]) = <&[u8; SHORT_LEN]>::try_from(option) {
            return Self::read(option);
        }
        Self::read(option)
    }

    /// See [`parse`](Self::parse).
    #[inline(always)]
    fn read(option: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(option)?;
        let [_, flags] = reader.bytes()?;
        let has = |flag: u8| flags & flag != 0;

        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.1
        //# An implementation
        //# MUST be able to receive and process both 64-bit and 32-bit sequence
        //# number values, but it is not required that an implementation be able
        //# to send both.
        let data_ack = if has(DATA_ACK) {
            Some(DsnField::read(&mut reader, has(DATA_ACK_8))?)
        } else {
            None
        };
        let mapping = if has(MAPPING) {
            Some(DssMapping {
                dsn: DsnField::read(&mut reader, has(DSN_8))?,
                ssn: SubflowSeq::new(reader.u32()?),
                data_len: reader.u16()?,
                checksum: reader.optional_u16()?,
            })
        } else {
            None
        };
        reader.end()?;
        Ok(Self {
            data_fin: has(DATA_FIN) && mapping.is_some(),
            data_ack,
            mapping,
        })
    }

    /// Returns the length of the option without padding, in bytes.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        let data_ack_len = match self.data_ack {
            Some(data_ack) => data_ack.len(),
            None => 0,
        };
        let mapping_len = match &self.mapping {
            Some(mapping) => mapping.len(),
            None => 0,
        };
        // At most 28: no sum here overflows.
        4usize.wrapping_add(data_ack_len).wrapping_add(mapping_len)
    }

    /// Returns the byte of flags.
    #[inline]
    const fn flags(&self) -> u8 {
        let data_ack = match self.data_ack {
            Some(DsnField::Four(_)) => DATA_ACK,
            Some(DsnField::Eight(_)) => DATA_ACK | DATA_ACK_8,
            None => 0,
        };
        let mapping = match self.mapping {
            Some(mapping) => {
                let dsn = if mapping.dsn.is_long() { DSN_8 } else { 0 };
                let data_fin = if self.data_fin { DATA_FIN } else { 0 };
                MAPPING | dsn | data_fin
            }
            None => 0,
        };
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3
        //# The remaining
        //# reserved bits MUST be set to 0 by an implementation of this
        //# specification.
        data_ack | mapping
    }

    /// Writes the option to the start of `out` and returns its length, in bytes.
    ///
    /// Returns `None` if `out` is too small.
    #[inline]
    pub fn emit(&self, out: &mut [u8]) -> Option<usize> {
        // As in `parse`.
        match *self {
            Self {
                data_fin: false,
                data_ack,
                mapping:
                    Some(DssMapping {
                        dsn,
                        ssn,
                        data_len,
                        checksum: None,
                    }),
            } => {
                let known = |data_ack, dsn| Self {
                    data_fin: false,
                    data_ack,
                    mapping: Some(DssMapping {
                        dsn,
                        ssn,
                        data_len,
                        checksum: None,
                    }),
                };
                match (data_ack, dsn) {
                    (Some(DsnField::Eight(ack)), DsnField::Eight(dsn)) => {
                        known(Some(DsnField::Eight(ack)), DsnField::Eight(dsn))
                            .write(out.first_chunk_mut::<WHOLE_LEN>()?)
                    }
                    (None, DsnField::Eight(dsn)) => known(None, DsnField::Eight(dsn))
                        .write(out.first_chunk_mut::<NO_ACK_LEN>()?),
                    (None, DsnField::Four(dsn)) => {
                        known(None, DsnField::Four(dsn)).write(out.first_chunk_mut::<SHORT_LEN>()?)
                    }
                    _ => self.write(out),
                }
            }
            Self {
                data_fin: false,
                data_ack: Some(DsnField::Eight(ack)),
                mapping: None,
            } => Self {
                data_fin: false,
                data_ack: Some(DsnField::Eight(ack)),
                mapping: None,
            }
            .write(out.first_chunk_mut::<ACK_ONLY_LEN>()?),
            _ => self.write(out),
        }
    }

    /// See [`emit`](Self::emit).
    #[inline(always)]
    fn write(&self, out: &mut [u8]) -> Option<usize> {
        let len = self.len();
        let mut writer = Writer::option(out, len, subtype::DSS, 0)?;
        writer.u8(self.flags())?;
        if let Some(data_ack) = self.data_ack {
            data_ack.write(&mut writer)?;
        }
        if let Some(mapping) = self.mapping {
            mapping.dsn.write(&mut writer)?;
            writer.u32(mapping.ssn.get())?;
            writer.u16(mapping.data_len)?;
            if let Some(checksum) = mapping.checksum {
                writer.u16(checksum)?;
            }
        }
        Some(len)
    }
}

/// Returns the upper and the lower half of a 32-bit number, each as a number.
#[inline]
fn halves(value: u32) -> [u64; 2] {
    [u64::from(value >> 16), u64::from(value & 0xffff)]
}

/// Adds up pseudo-header and payload and folds the sum to 16 bits.
#[inline]
fn folded_sum(dsn: DataSeq, ssn: SubflowSeq, data_len: u16, data_sum: u32) -> u16 {
    let dsn_high = halves(DataSeq::new(dsn.get() >> 32).low32());
    let words = [
        dsn_high,
        halves(dsn.low32()),
        halves(ssn.get()),
        halves(data_sum),
        [u64::from(data_len), 0],
    ];
    // Ten addends below 2^16 stay below 2^20, and two folds bring that under 2^16.
    let mut sum = words
        .iter()
        .flatten()
        .fold(0u64, |sum, word| sum.wrapping_add(*word));
    sum = (sum & 0xffff).wrapping_add(sum >> 16);
    sum = (sum & 0xffff).wrapping_add(sum >> 16);
    // CAST: folded above, the sum fits; the mask states it.
    (sum & 0xffff) as u16
}

/// Computes the DSS checksum of a mapping.
///
/// ```text
/// ~ones_complement_sum(DSN (8 bytes), SSN (4), Data-Level Length (2), zeros (2), data)
/// ```
///
/// `data_sum` is the ones' complement sum of the payload as 16-bit words in network order, an odd
/// last byte being the upper half of a word; it may be folded or not. It is 0 for a DATA_FIN
/// without data. A kernel that sums in the machine's order swaps the bytes of the folded sum first.
///
/// The checksum of the infinite mapping is not computed: it is 0.
///
/// RFC 8684, Section 3.3.1.
#[inline]
#[must_use]
pub fn dss_checksum(dsn: DataSeq, ssn: SubflowSeq, data_len: u16, data_sum: u32) -> u16 {
    !folded_sum(dsn, ssn, data_len, data_sum)
}

/// Tells whether `checksum`, as received, fits a mapping and its payload.
///
/// The arguments are those of [`dss_checksum`]. In ones' complement zero has two forms, 0 and
/// 0xffff, and either is accepted for the other.
///
/// RFC 8684, Section 3.3.1.
#[inline]
#[must_use]
pub fn verify_dss_checksum(
    dsn: DataSeq,
    ssn: SubflowSeq,
    data_len: u16,
    data_sum: u32,
    checksum: u16,
) -> bool {
    let computed = dss_checksum(dsn, ssn, data_len, data_sum);
    computed % 0xffff == checksum % 0xffff
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The checksum as the RFC describes it: over pseudo-header and data, byte by byte.
    fn checksum_of_bytes(dsn: u64, ssn: u32, data_len: u16, data: &[u8]) -> u16 {
        let mut bytes = Vec::new();
        bytes.extend(dsn.to_be_bytes());
        bytes.extend(ssn.to_be_bytes());
        bytes.extend(data_len.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(data);
        !fold(sum_of(&bytes))
    }

    /// The sum of 16-bit words in network order.
    fn sum_of(bytes: &[u8]) -> u32 {
        bytes
            .chunks(2)
            .map(|word| match word {
                [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
                [high] => u32::from(*high) << 8,
                _ => 0,
            })
            .sum()
    }

    /// Folds a sum to 16 bits.
    fn fold(mut sum: u32) -> u16 {
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        u16::try_from(sum).unwrap_or(0)
    }

    #[test]
    fn checksum_matches_bytewise_sum() {
        let data: Vec<u8> = (0..=255).cycle().take(1441).collect();
        let numbers = [0, 1, 0xffff, 0xffff_ffff, 0x0123_4567_89ab_cdef, u64::MAX];
        for dsn in numbers {
            for ssn in [0, 1, 0x8000_0000, u32::MAX] {
                for len in [0u16, 1, 2, 3, 1440, 1441] {
                    let (data, _) = data.split_at(usize::from(len));
                    let expected = checksum_of_bytes(dsn, ssn, len, data);
                    let sum = sum_of(data);
                    for sum in [sum, u32::from(fold(sum))] {
                        let (dsn, ssn) = (DataSeq::new(dsn), SubflowSeq::new(ssn));
                        assert_eq!(dss_checksum(dsn, ssn, len, sum), expected);
                        assert!(verify_dss_checksum(dsn, ssn, len, sum, expected));
                        assert!(!verify_dss_checksum(dsn, ssn, len, sum, expected ^ 0x0100));
                    }
                }
            }
        }
    }

    #[test]
    fn checksum_zero_both_forms_accepted() {
        let (dsn, ssn) = (DataSeq::new(0xfffe), SubflowSeq::new(0));
        assert_eq!(dss_checksum(dsn, ssn, 1, 0), 0);
        assert!(verify_dss_checksum(dsn, ssn, 1, 0, 0));
        assert!(verify_dss_checksum(dsn, ssn, 1, 0, 0xffff));
        assert_eq!(
            dss_checksum(DataSeq::new(0), SubflowSeq::new(0), 0, u32::MAX),
            0
        );
    }

    #[test]
    fn field_expand_short_and_long() {
        let near = DataSeq::new(0x0000_0001_ffff_ff00);
        let dsn = DataSeq::new(0x0000_0002_0000_0100);
        assert_eq!(DsnField::short(dsn).expand(near), dsn);
        assert_eq!(DsnField::long(dsn).expand(near), dsn);
        assert!(DsnField::long(dsn).is_long() && !DsnField::short(dsn).is_long());
    }

    #[test]
    fn data_fin_without_mapping_not_sent() {
        let dss = Dss {
            data_fin: true,
            data_ack: None,
            mapping: None,
        };
        let mut out = [0; 4];
        assert_eq!(dss.emit(&mut out), Some(4));
        assert_eq!(out, [30, 4, 0x20, 0]);
    }
}
