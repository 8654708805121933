// SPDX-License-Identifier: GPL-2.0

//! What a DSS option says about data: a mapping, the end of the data, or the infinite mapping.

use super::Mapping;
use crate::options::Dss;
use crate::seq::{
    DataSeq,
    SubflowSeq, //
};

/// The meaning of the mapping of a DSS option.
///
/// RFC 8684, Sections 3.3.1 and 3.3.3.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// Bytes of the subflow are bytes of the connection.
    Data {
        /// The mapping, without the DATA_FIN; never empty.
        mapping: Mapping,
        /// The number of the DATA_FIN, if it follows the last byte.
        data_fin: Option<DataSeq>,
        /// The checksum field, if there is one, in host order.
        checksum: Option<u16>,
    },
    /// The DATA_FIN alone, with this number.
    DataFin {
        /// Its number.
        dsn: DataSeq,
        /// The checksum field, if there is one, in host order.
        checksum: Option<u16>,
    },
    /// From here on, subflow and connection are the same.
    Infinite {
        /// Where that begins in the subflow.
        ssn: SubflowSeq,
        /// Where that begins in the connection.
        dsn: DataSeq,
    },
}

impl Signal {
    /// Returns what the mapping of `dss` means, or `None` if it has none.
    ///
    /// A short data sequence number is the one nearest to `near`: the next one expected.
    ///
    /// RFC 8684, Section 3.3.3.
    #[inline]
    #[must_use]
    pub fn from_dss(dss: &Dss, near: DataSeq) -> Option<Self> {
        let declared = dss.mapping?;
        let (ssn, dsn) = (declared.ssn, declared.dsn.expand(near));
        let checksum = declared.checksum;
        if declared.is_infinite() {
            return Some(Self::Infinite { ssn, dsn });
        }
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.3
        //# Note that the DATA_FIN is
        //# included in the Data-Level Length but not at the subflow level
        let len = declared.data_len.wrapping_sub(u16::from(dss.data_fin));
        if len == 0 {
            return Some(Self::DataFin { dsn, checksum });
        }
        let mapping = Mapping::new(ssn, dsn, u32::from(len));
        Some(Self::Data {
            mapping,
            data_fin: dss.data_fin.then(|| mapping.end_dsn()),
            checksum,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{
        DsnField,
        DssMapping, //
    };

    /// Returns the meaning of a DSS with a mapping.
    fn signal(data_fin: bool, dsn: DsnField, ssn: u32, data_len: u16) -> Option<Signal> {
        let mapping = Some(DssMapping {
            dsn,
            ssn: SubflowSeq::new(ssn),
            data_len,
            checksum: None,
        });
        let dss = Dss {
            data_fin,
            data_ack: None,
            mapping,
        };
        Signal::from_dss(&dss, DataSeq::new(0x1_ffff_fff0))
    }

    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.3
    //= type=test
    //# a segment with a DSN value of 80 and a Data-Level Length of
    //# 11, with DATA_FIN set, would map 10 octets from the subflow into data
    //# sequence space 80-89, and the DATA_FIN would be DSN 90
    #[test]
    fn data_fin_takes_the_last_number_of_the_mapping() {
        let expected = Signal::Data {
            mapping: Mapping::new(SubflowSeq::new(5), DataSeq::new(80), 10),
            data_fin: Some(DataSeq::new(90)),
            checksum: None,
        };
        assert_eq!(signal(true, DsnField::Eight(80), 5, 11), Some(expected));
    }

    #[test]
    fn lone_data_fin_infinite_mapping_and_short_number() {
        let dsn = DataSeq::new(0x2_0000_0004);
        let fin = Signal::DataFin {
            dsn,
            checksum: None,
        };
        assert_eq!(signal(true, DsnField::Four(4), 0, 1), Some(fin));
        let ssn = SubflowSeq::new(9);
        let infinite = Signal::Infinite { ssn, dsn };
        assert_eq!(signal(false, DsnField::Four(4), 9, 0), Some(infinite));
        let no_mapping = Dss {
            data_fin: false,
            data_ack: None,
            mapping: None,
        };
        assert_eq!(Signal::from_dss(&no_mapping, dsn), None);
    }
}
