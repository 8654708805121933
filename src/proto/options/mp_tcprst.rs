// SPDX-License-Identifier: GPL-2.0

//! MP_TCPRST: tells why a subflow is reset or refused.
//!
//! It travels on the RST. Its receiver may conclude whether it is worth trying that path again.
//!
//! ```text
//!                      1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------+---------------+-------+-+-+-+-+---------------+
//! |   Kind = 30   |  Length = 4   |  0x8  |U|V|W|T|    Reason     |
//! +---------------+---------------+-------+-+-+-+-+---------------+
//! ```
//!
//! RFC 8684, Section 3.6.

use super::wire::{
    subtype,
    Reader,
    Writer, //
};
use super::ParseError;

/// Flag T: the condition is transient.
const TRANSIENT: u8 = 0x01;

/// Why a subflow is reset.
///
/// RFC 8684, Sections 3.6 and 7.4.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Reason {
    /// The subflow is no longer available (0x00).
    Unspecified,
    /// An error in the processing of MPTCP options (0x01).
    MptcpSpecific,
    /// The sender has not enough resources for the subflow (0x02).
    LackOfResources,
    /// The policy of the sender prohibits the subflow (0x03).
    AdministrativelyProhibited,
    /// Too much that was acknowledged on other subflows is outstanding here (0x04).
    TooMuchOutstandingData,
    /// The subflow is too slow compared with the others (0x05).
    UnacceptablePerformance,
    /// A middlebox makes the signalling on this subflow invalid (0x06).
    MiddleboxInterference,
    /// A code that was assigned after RFC 8684 was written, or never.
    Other(OtherReason),
}

/// A reason code without a name here: 0x07..=0xff.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct OtherReason(u8);

impl Reason {
    /// Returns the reason that a code stands for.
    #[inline]
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        match code {
            0x00 => Self::Unspecified,
            0x01 => Self::MptcpSpecific,
            0x02 => Self::LackOfResources,
            0x03 => Self::AdministrativelyProhibited,
            0x04 => Self::TooMuchOutstandingData,
            0x05 => Self::UnacceptablePerformance,
            0x06 => Self::MiddleboxInterference,
            other => Self::Other(OtherReason(other)),
        }
    }

    /// Returns the code on the wire.
    #[inline]
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Unspecified => 0x00,
            Self::MptcpSpecific => 0x01,
            Self::LackOfResources => 0x02,
            Self::AdministrativelyProhibited => 0x03,
            Self::TooMuchOutstandingData => 0x04,
            Self::UnacceptablePerformance => 0x05,
            Self::MiddleboxInterference => 0x06,
            Self::Other(OtherReason(code)) => code,
        }
    }
}

/// An MP_TCPRST option: 4 bytes. The C tree calls it RST.
///
/// RFC 8684, Section 3.6.
#[doc(alias = "RST")]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct MpTcprst {
    /// The condition will pass (T): the path may be tried again later.
    pub transient: bool,
    /// What happened.
    pub reason: Reason,
}

impl MpTcprst {
    /// Length of the option, in bytes.
    const LEN: usize = 4;

    /// Reads the option from all of its bytes, kind and length included.
    ///
    /// # Errors
    ///
    /// [`ParseError::BadLength`]: not 4 bytes.
    #[inline]
    pub fn parse(option: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(option)?;
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.6
        //# An implementation of this specification MUST set these
        //# flags to 0, and a receiver MUST ignore them.
        let transient = reader.u8()? & TRANSIENT != 0;
        let reason = Reason::from_code(reader.u8()?);
        reader.end()?;
        Ok(Self { transient, reason })
    }

    /// Returns the length of the option, in bytes: a multiple of four.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        Self::LEN
    }

    /// Writes the option to the start of `out` and returns its length, in bytes.
    ///
    /// Returns `None` if `out` is too small.
    #[inline]
    pub fn emit(&self, out: &mut [u8]) -> Option<usize> {
        let transient = u8::from(self.transient);
        let mut writer = Writer::option(out, Self::LEN, subtype::MP_TCPRST, transient)?;
        writer.u8(self.reason.code())?;
        Some(Self::LEN)
    }
}
