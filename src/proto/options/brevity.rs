// SPDX-License-Identifier: GPL-2.0

//! What the DSS of data segments leaves out, so that they have room for more data.
//!
//! All data segments of a stream are of one size, which leaves room for the longest option that any of
//! them may need. A host that only sends has no news for its peer: the Data ACK that it repeats in every
//! segment can go. And where the low half of the data sequence numbers takes long to come round, the
//! high half says nothing.
//!
//! ```text
//! Whole    Data ACK 8, DSN 8, SSN 4, length 2, checksum 0 or 2     28 bytes
//! NoAck                DSN 8, SSN 4, length 2, checksum 0 or 2     20 bytes
//! Short                DSN 4, SSN 4, length 2, checksum 0 or 2     16 bytes
//! ```
//!
//! Segments without data acknowledge as ever. As soon as there is news again, segments are whole again.
//! What TCP repeats because nothing answers may arrive long after it was sent first, when the connection
//! has gone on by other paths: it says the whole number, and so does all that waits behind it.
//!
//! RFC 8684, Sections 3.3.1 and 3.3.2.

use crate::seq::{
    DataSeq,
    SubflowSeq, //
};
use crate::time::{
    Duration,
    Timestamp, //
};

/// After how many segments without news something is left out.
const QUIET: u8 = 32;
/// The span over which the rate is measured.
const SPAN: Duration = Duration::from_secs(20);
/// Most bytes in such a span with the short form. 2^32 bytes take more than the two minutes of TCP's
/// maximum segment lifetime then, however they fall into the spans.
const SPAN_BYTES: u64 = 1 << 29;

/// How much the DSS of a data segment says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Form {
    /// The mapping, with a data sequence number of 4 bytes.
    Short,
    /// The mapping.
    NoAck,
    /// Mapping and Data ACK.
    Whole,
}

impl Form {
    /// Returns how many bytes the option takes at most, padding included.
    #[inline]
    #[must_use]
    pub const fn space(self) -> u8 {
        match self {
            Self::Whole => 28,
            Self::NoAck => 20,
            Self::Short => 16,
        }
    }

    /// Returns the form that a segment with `room` bytes for the option can have, this one if possible.
    #[inline]
    #[must_use]
    pub const fn within(self, room: u32) -> Self {
        match self {
            Self::Whole if room >= Self::Whole.space() as u32 => Self::Whole,
            Self::Whole | Self::NoAck if room >= Self::NoAck.space() as u32 => Self::NoAck,
            _ => Self::Short,
        }
    }
}

/// Which form the data segments of one subflow leave room for.
#[derive(Clone, Copy, Debug)]
pub struct Brevity {
    /// The form.
    form: Form,
    /// Segments since the last news.
    quiet: u8,
    /// Whether the data sequence numbers come round too soon for the short form.
    fast: bool,
    /// Where a span of measuring has begun; none before the first review.
    mark: Option<(DataSeq, Timestamp)>,
    /// Bytes of the subflow before this one need the whole number.
    old: Option<SubflowSeq>,
}

impl Default for Brevity {
    fn default() -> Self {
        Self::new()
    }
}

impl Brevity {
    /// Begins with the whole form.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self {
            form: Form::Whole,
            quiet: 0,
            fast: false,
            mark: None,
            old: None,
        }
    }

    /// Returns the form.
    #[inline]
    #[must_use]
    pub const fn form(&self) -> Form {
        self.form
    }

    /// Tells whether a segment may have less room than the form needs: before the first review all have
    /// room for the whole form.
    #[inline]
    #[must_use]
    pub const fn may_lack_room(&self) -> bool {
        self.mark.is_some()
    }

    /// Notes a data segment that leaves while the peer lacks a Data ACK; returns the form so far if it has
    /// changed.
    #[inline]
    pub fn on_news(&mut self) -> Option<Form> {
        self.quiet = 0;
        self.change(Form::Whole)
    }

    /// Notes a data segment that leaves while the peer lacks no Data ACK; tells whether it is time to
    /// [`review`](Self::review) the form.
    #[inline]
    pub fn on_quiet(&mut self) -> bool {
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.2
        //# optimizations
        //# SHOULD be considered in more advanced implementations, where the Data
        //# ACK is present in segments only when the Data ACK value advances
        self.quiet = self.quiet.wrapping_add(1);
        self.quiet % QUIET == 0
    }

    /// Notes that TCP repeats something because nothing answers, while the subflow has got all bytes before
    /// `end`; returns the form so far if it has changed.
    pub fn on_timeout(&mut self, end: SubflowSeq) -> Option<Form> {
        self.old = Some(end);
        self.change(self.form.max(Form::NoAck))
    }

    /// Chooses the form anew when the byte `ssn`, which carries `dsn`, is sent; returns the form so far if
    /// it has changed.
    pub fn review(&mut self, ssn: SubflowSeq, dsn: DataSeq, now: Timestamp) -> Option<Form> {
        match self.mark {
            Some((start, since)) if now.since(since) < SPAN => {
                self.fast |= dsn.after(start) && dsn.distance_from(start) > SPAN_BYTES;
            }
            _ => self.mark = Some((dsn, now)),
        }
        if self.old.is_some_and(|old| ssn.at_or_after(old)) {
            self.old = None;
        }
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.1
        //# An implementation MUST send the full 64-bit data sequence number if
        //# it is transmitting at a sufficiently high rate that the 32-bit value
        //# could wrap within the Maximum Segment Lifetime (MSL) [RFC7323].
        self.change(if self.fast || self.old.is_some() {
            Form::NoAck
        } else {
            Form::Short
        })
    }

    /// Takes on a form; returns the one so far if it is another.
    fn change(&mut self, form: Form) -> Option<Form> {
        (self.form != form).then(|| core::mem::replace(&mut self.form, form))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{
        DsnField,
        Dss,
        DssMapping,
        MptcpOption, //
    };

    /// Sends `segments` quiet segments of `len` bytes each, `gap` apart, and returns where it ends.
    fn send(
        brevity: &mut Brevity,
        mut dsn: DataSeq,
        mut now: Timestamp,
        (segments, len, gap): (u32, u64, Duration),
    ) -> (DataSeq, Timestamp) {
        for _ in 0..segments {
            if brevity.on_quiet() {
                brevity.review(SubflowSeq::new(0), dsn, now);
            }
            dsn = dsn.advance(len);
            now = now.advance(gap);
        }
        (dsn, now)
    }

    /// Where every test begins: close to the end of the 32-bit numbers.
    const START: (DataSeq, Timestamp) = (DataSeq::new(u32::MAX as u64), Timestamp::ORIGIN);

    #[test]
    fn form_is_short_after_a_while_without_news() {
        let mut brevity = Brevity::new();
        let gap = Duration::from_millis(1);
        let (dsn, now) = send(&mut brevity, START.0, START.1, (31, 1_448, gap));
        assert_eq!(brevity.form(), Form::Whole);
        assert!(!brevity.may_lack_room());
        send(&mut brevity, dsn, now, (1, 1_448, gap));
        assert_eq!(brevity.form(), Form::Short);
        assert_eq!(brevity.on_news(), Some(Form::Short));
        assert_eq!(brevity.on_news(), None);
        assert_eq!(brevity.form(), Form::Whole);
        assert!(brevity.may_lack_room());
        let (dsn, now) = send(&mut brevity, dsn, now, (31, 1_448, gap));
        assert_eq!(brevity.form(), Form::Whole);
        send(&mut brevity, dsn, now, (1, 1_448, gap));
        assert_eq!(brevity.form(), Form::Short);
    }

    #[test]
    fn fast_connections_send_the_whole_number() {
        // 200 Mbit/s of payload are slow enough, 240 are not.
        for (mbit, form) in [(200, Form::Short), (240, Form::NoAck)] {
            let mut brevity = Brevity::new();
            let gap = Duration::from_micros(1_000);
            let len = mbit * 125;
            send(&mut brevity, START.0, START.1, (100_000, len, gap));
            assert_eq!(brevity.form(), form, "{mbit} Mbit/s");
        }
    }

    #[test]
    fn short_numbers_never_come_round_within_two_minutes() {
        // Bursts at the end of one span and at the start of the next, as fast as may be.
        let mut brevity = Brevity::new();
        let (mut dsn, mut now) = START;
        let lifetime = now.advance(Duration::from_secs(120));
        let mut sent = 0_u64;
        while now < lifetime {
            if brevity.on_quiet() {
                brevity.review(SubflowSeq::new(0), dsn, now);
            }
            if brevity.form() == Form::NoAck {
                break;
            }
            dsn = dsn.advance(65_535);
            sent += 65_535;
            now = now.advance(Duration::from_micros(2_500));
        }
        assert!(sent < 1 << 32);
    }

    #[test]
    fn what_is_repeated_late_says_the_whole_number() {
        let mut brevity = Brevity::new();
        let review = |brevity: &mut Brevity, ssn| {
            brevity.review(SubflowSeq::new(ssn), START.0, START.1);
            brevity.form()
        };
        assert_eq!(review(&mut brevity, 1_000), Form::Short);
        let end = SubflowSeq::new(5_000);
        assert_eq!(brevity.on_timeout(end), Some(Form::Short));
        assert_eq!(brevity.on_timeout(end), None);
        assert_eq!(review(&mut brevity, 4_999), Form::NoAck);
        assert_eq!(review(&mut brevity, 5_000), Form::Short);
        brevity.on_news();
        assert_eq!(brevity.on_timeout(end), None);
        assert_eq!(brevity.form(), Form::Whole);
    }

    #[test]
    fn space_is_what_the_longest_option_takes() {
        for form in [Form::Whole, Form::NoAck, Form::Short] {
            let dsn = match form {
                Form::Short => DsnField::short(START.0),
                Form::NoAck | Form::Whole => DsnField::long(START.0),
            };
            let option = MptcpOption::Dss(Dss {
                data_fin: false,
                data_ack: (form == Form::Whole).then_some(dsn),
                mapping: Some(DssMapping {
                    dsn,
                    ssn: SubflowSeq::new(1),
                    data_len: 1,
                    checksum: Some(0),
                }),
            });
            assert_eq!(option.padded_len(), usize::from(form.space()));
        }
    }

    #[test]
    fn segment_without_room_says_less() {
        assert_eq!(Form::Whole.within(28), Form::Whole);
        assert_eq!(Form::Whole.within(27), Form::NoAck);
        assert_eq!(Form::Whole.within(19), Form::Short);
        assert_eq!(Form::NoAck.within(40), Form::NoAck);
        assert_eq!(Form::NoAck.within(16), Form::Short);
        assert_eq!(Form::Short.within(40), Form::Short);
    }
}
