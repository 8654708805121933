// SPDX-License-Identifier: GPL-2.0

//! Options as RFC 8684 defines them, and forms of them that a receiver has to put up with.

use super::{
    Expected,
    Vector,
    JOIN_ACK_HMAC,
    KEY_A,
    KEY_B, //
};
use crate::ids::{
    Address,
    AddressId,
    Hmac,
    Nonce,
    Token,
    TruncatedHmac, //
};
use crate::options::mp_capable::{
    Flags,
    Version, //
};
use crate::options::mp_tcprst::Reason;
use crate::options::{
    AddAddr,
    DsnField,
    Dss,
    DssMapping,
    MpCapable,
    MpFail,
    MpFastclose,
    MpJoin,
    MpPrio,
    MpTcprst,
    MptcpOption, //
};
use crate::seq::{
    DataSeq,
    SubflowSeq, //
};

/// Every form of every option.
pub(super) static VECTORS: &[Vector] = &[
    Vector {
        name: "mp_capable_syn",
        bytes: &[0x1e, 0x04, 0x01, 0x01],
        expected: Expected::Options(&[Ok(MptcpOption::MpCapable(MpCapable::Syn {
            version: Version::V1,
            flags: Flags::DEFAULT,
        }))]),
        canonical: true,
    },
    Vector {
        name: "mp_capable_syn_checksum_no_joins",
        bytes: &[0x1e, 0x04, 0x01, 0xa1],
        expected: Expected::Options(&[Ok(MptcpOption::MpCapable(MpCapable::Syn {
            version: Version::V1,
            flags: Flags::DEFAULT
                .with_checksum_required(true)
                .with_no_joins(true),
        }))]),
        canonical: true,
    },
    Vector {
        name: "mp_capable_syn_extensibility",
        bytes: &[0x1e, 0x04, 0x01, 0x41],
        expected: Expected::Options(&[Ok(MptcpOption::MpCapable(MpCapable::Syn {
            version: Version::V1,
            flags: Flags::from_bits(0x41),
        }))]),
        canonical: true,
    },
    Vector {
        name: "mp_capable_syn_ack",
        bytes: &[
            0x1e, 0x0c, 0x01, 0x01, 0x13, 0x57, 0x9b, 0xdf, 0x02, 0x46, 0x8a, 0xce,
        ],
        expected: Expected::Options(&[Ok(MptcpOption::MpCapable(MpCapable::SynAck {
            version: Version::V1,
            flags: Flags::DEFAULT,
            key: KEY_B,
        }))]),
        canonical: true,
    },
    Vector {
        name: "mp_capable_syn_version_0",
        bytes: &[
            0x1e, 0x0c, 0x00, 0x01, 0x8b, 0x1f, 0x7a, 0xc2, 0x4d, 0x90, 0xe6, 0x35,
        ],
        expected: Expected::Options(&[Ok(MptcpOption::MpCapable(MpCapable::SynAck {
            version: Version::V0,
            flags: Flags::DEFAULT,
            key: KEY_A,
        }))]),
        canonical: true,
    },
    Vector {
        name: "mp_capable_ack",
        bytes: &[
            0x1e, 0x14, 0x01, 0x01, 0x8b, 0x1f, 0x7a, 0xc2, 0x4d, 0x90, 0xe6, 0x35, 0x13, 0x57,
            0x9b, 0xdf, 0x02, 0x46, 0x8a, 0xce,
        ],
        expected: Expected::Options(&[Ok(MptcpOption::MpCapable(MpCapable::Ack {
            version: Version::V1,
            flags: Flags::DEFAULT,
            sender_key: KEY_A,
            receiver_key: KEY_B,
        }))]),
        canonical: true,
    },
    Vector {
        name: "mp_capable_data",
        bytes: &[
            0x1e, 0x16, 0x01, 0x01, 0x8b, 0x1f, 0x7a, 0xc2, 0x4d, 0x90, 0xe6, 0x35, 0x13, 0x57,
            0x9b, 0xdf, 0x02, 0x46, 0x8a, 0xce, 0x05, 0xa0, 0x01, 0x01,
        ],
        expected: Expected::Options(&[Ok(MptcpOption::MpCapable(MpCapable::AckData {
            version: Version::V1,
            flags: Flags::DEFAULT,
            sender_key: KEY_A,
            receiver_key: KEY_B,
            data_len: 1440,
            checksum: None,
        }))]),
        canonical: true,
    },
    Vector {
        name: "mp_capable_data_checksum",
        bytes: &[
            0x1e, 0x18, 0x01, 0x81, 0x8b, 0x1f, 0x7a, 0xc2, 0x4d, 0x90, 0xe6, 0x35, 0x13, 0x57,
            0x9b, 0xdf, 0x02, 0x46, 0x8a, 0xce, 0x00, 0x05, 0x1e, 0x02,
        ],
        expected: Expected::Options(&[Ok(MptcpOption::MpCapable(MpCapable::AckData {
            version: Version::V1,
            flags: Flags::DEFAULT.with_checksum_required(true),
            sender_key: KEY_A,
            receiver_key: KEY_B,
            data_len: 5,
            checksum: Some(0x1e02),
        }))]),
        canonical: true,
    },
    Vector {
        name: "mp_join_syn",
        bytes: &[
            0x1e, 0x0c, 0x10, 0x02, 0x6a, 0x04, 0x0f, 0x07, 0x01, 0x02, 0x03, 0x04,
        ],
        expected: Expected::Options(&[Ok(MptcpOption::MpJoin(MpJoin::Syn {
            backup: false,
            id: AddressId::new(2),
            token: Token::new(0x6a04_0f07),
            nonce: Nonce::new(0x0102_0304),
        }))]),
        canonical: true,
    },
    Vector {
        name: "mp_join_syn_backup_reserved_bits",
        bytes: &[
            0x1e, 0x0c, 0x1f, 0x02, 0x6a, 0x04, 0x0f, 0x07, 0x01, 0x02, 0x03, 0x04,
        ],
        expected: Expected::Options(&[Ok(MptcpOption::MpJoin(MpJoin::Syn {
            backup: true,
            id: AddressId::new(2),
            token: Token::new(0x6a04_0f07),
            nonce: Nonce::new(0x0102_0304),
        }))]),
        canonical: false,
    },
    Vector {
        name: "mp_join_syn_ack",
        bytes: &[
            0x1e, 0x10, 0x11, 0x00, 0x60, 0x61, 0xd3, 0x8d, 0xc8, 0x87, 0xbe, 0x1a, 0xa0, 0xb0,
            0xc0, 0xd0,
        ],
        expected: Expected::Options(&[Ok(MptcpOption::MpJoin(MpJoin::SynAck {
            backup: true,
            id: AddressId::INITIAL,
            hmac: TruncatedHmac::new(0x6061_d38d_c887_be1a),
            nonce: Nonce::new(0xa0b0_c0d0),
        }))]),
        canonical: true,
    },
    Vector {
        name: "mp_join_ack",
        bytes: &[
            0x1e, 0x18, 0x10, 0x00, 0x8f, 0xad, 0x70, 0x72, 0xd5, 0xdb, 0x5c, 0x08, 0xb0, 0x8a,
            0xb6, 0xc9, 0xd6, 0xdc, 0x8e, 0x4a, 0x03, 0x7a, 0x17, 0x35,
        ],
        expected: Expected::Options(&[Ok(MptcpOption::MpJoin(MpJoin::Ack {
            hmac: Hmac::new(JOIN_ACK_HMAC),
        }))]),
        canonical: true,
    },
    Vector {
        name: "dss_empty",
        bytes: &[0x1e, 0x04, 0x20, 0x00],
        expected: Expected::Options(&[Ok(MptcpOption::Dss(Dss {
            data_fin: false,
            data_ack: None,
            mapping: None,
        }))]),
        canonical: true,
    },
    Vector {
        name: "dss_ack_4",
        bytes: &[0x1e, 0x08, 0x20, 0x01, 0x76, 0x54, 0x32, 0x10],
        expected: Expected::Options(&[Ok(MptcpOption::Dss(Dss {
            data_fin: false,
            data_ack: Some(DsnField::Four(0x7654_3210)),
            mapping: None,
        }))]),
        canonical: true,
    },
    Vector {
        name: "dss_ack_8",
        bytes: &[
            0x1e, 0x0c, 0x20, 0x03, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10,
        ],
        expected: Expected::Options(&[Ok(MptcpOption::Dss(Dss {
            data_fin: false,
            data_ack: Some(DsnField::Eight(0xfedc_ba98_7654_3210)),
            mapping: None,
        }))]),
        canonical: true,
    },
    Vector {
        name: "dss_map_4",
        bytes: &[
            0x1e, 0x0e, 0x20, 0x04, 0x89, 0xab, 0xcd, 0xef, 0x00, 0x00, 0x00, 0x01, 0x05, 0xa0,
            0x01, 0x01,
        ],
        expected: Expected::Options(&[Ok(MptcpOption::Dss(Dss {
            data_fin: false,
            data_ack: None,
            mapping: Some(DssMapping {
                dsn: DsnField::Four(0x89ab_cdef),
                ssn: SubflowSeq::new(1),
                data_len: 1440,
                checksum: None,
            }),
        }))]),
        canonical: true,
    },
    Vector {
        name: "dss_map_8",
        bytes: &[
            0x1e, 0x12, 0x20, 0x0c, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x00, 0x00,
            0x00, 0x01, 0x05, 0xa0, 0x01, 0x01,
        ],
        expected: Expected::Options(&[Ok(MptcpOption::Dss(Dss {
            data_fin: false,
            data_ack: None,
            mapping: Some(DssMapping {
                dsn: DsnField::Eight(0x0123_4567_89ab_cdef),
                ssn: SubflowSeq::new(1),
                data_len: 1440,
                checksum: None,
            }),
        }))]),
        canonical: true,
    },
    Vector {
        name: "dss_map_4_checksum",
        bytes: &[
            0x1e, 0x10, 0x20, 0x04, 0x89, 0xab, 0xcd, 0xef, 0x00, 0x00, 0x00, 0x01, 0x00, 0x05,
            0x1e, 0x02,
        ],
        expected: Expected::Options(&[Ok(MptcpOption::Dss(Dss {
            data_fin: false,
            data_ack: None,
            mapping: Some(DssMapping {
                dsn: DsnField::Four(0x89ab_cdef),
                ssn: SubflowSeq::new(1),
                data_len: 5,
                checksum: Some(0x1e02),
            }),
        }))]),
        canonical: true,
    },
    Vector {
        name: "dss_map_8_ack_4",
        bytes: &[
            0x1e, 0x16, 0x20, 0x0d, 0x76, 0x54, 0x32, 0x10, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab,
            0xcd, 0xef, 0x00, 0x00, 0x00, 0x01, 0x05, 0xa0, 0x01, 0x01,
        ],
        expected: Expected::Options(&[Ok(MptcpOption::Dss(Dss {
            data_fin: false,
            data_ack: Some(DsnField::Four(0x7654_3210)),
            mapping: Some(DssMapping {
                dsn: DsnField::Eight(0x0123_4567_89ab_cdef),
                ssn: SubflowSeq::new(1),
                data_len: 1440,
                checksum: None,
            }),
        }))]),
        canonical: true,
    },
    Vector {
        name: "dss_map_4_ack_8",
        bytes: &[
            0x1e, 0x16, 0x20, 0x07, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10, 0x89, 0xab,
            0xcd, 0xef, 0x00, 0x00, 0x00, 0x01, 0x05, 0xa0, 0x01, 0x01,
        ],
        expected: Expected::Options(&[Ok(MptcpOption::Dss(Dss {
            data_fin: false,
            data_ack: Some(DsnField::Eight(0xfedc_ba98_7654_3210)),
            mapping: Some(DssMapping {
                dsn: DsnField::Four(0x89ab_cdef),
                ssn: SubflowSeq::new(1),
                data_len: 1440,
                checksum: None,
            }),
        }))]),
        canonical: true,
    },
    Vector {
        name: "dss_map_8_ack_8",
        bytes: &[
            0x1e, 0x1a, 0x20, 0x0f, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10, 0x01, 0x23,
            0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x00, 0x00, 0x00, 0x01, 0xff, 0xff, 0x01, 0x01,
        ],
        expected: Expected::Options(&[Ok(MptcpOption::Dss(Dss {
            data_fin: false,
            data_ack: Some(DsnField::Eight(0xfedc_ba98_7654_3210)),
            mapping: Some(DssMapping {
                dsn: DsnField::Eight(0x0123_4567_89ab_cdef),
                ssn: SubflowSeq::new(1),
                data_len: 65535,
                checksum: None,
            }),
        }))]),
        canonical: true,
    },
    Vector {
        name: "dss_map_8_ack_8_checksum_longest",
        bytes: &[
            0x1e, 0x1c, 0x20, 0x0f, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10, 0x01, 0x23,
            0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x00, 0x00, 0x00, 0x01, 0x00, 0x05, 0x1e, 0x02,
        ],
        expected: Expected::Options(&[Ok(MptcpOption::Dss(Dss {
            data_fin: false,
            data_ack: Some(DsnField::Eight(0xfedc_ba98_7654_3210)),
            mapping: Some(DssMapping {
                dsn: DsnField::Eight(0x0123_4567_89ab_cdef),
                ssn: SubflowSeq::new(1),
                data_len: 5,
                checksum: Some(0x1e02),
            }),
        }))]),
        canonical: true,
    },
    Vector {
        name: "dss_data_fin_alone",
        bytes: &[
            0x1e, 0x1a, 0x20, 0x1f, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10, 0x01, 0x23,
            0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x01, 0x01,
        ],
        expected: Expected::Options(&[Ok(MptcpOption::Dss(Dss {
            data_fin: true,
            data_ack: Some(DsnField::Eight(0xfedc_ba98_7654_3210)),
            mapping: Some(DssMapping {
                dsn: DsnField::Eight(0x0123_4567_89ab_cdef),
                ssn: SubflowSeq::new(0),
                data_len: 1,
                checksum: None,
            }),
        }))]),
        canonical: true,
    },
    Vector {
        name: "dss_data_fin_alone_checksum",
        bytes: &[
            0x1e, 0x1c, 0x20, 0x1f, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10, 0x01, 0x23,
            0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x61, 0xd9,
        ],
        expected: Expected::Options(&[Ok(MptcpOption::Dss(Dss {
            data_fin: true,
            data_ack: Some(DsnField::Eight(0xfedc_ba98_7654_3210)),
            mapping: Some(DssMapping {
                dsn: DsnField::Eight(0x0123_4567_89ab_cdef),
                ssn: SubflowSeq::new(0),
                data_len: 1,
                checksum: Some(0x61d9),
            }),
        }))]),
        canonical: true,
    },
    Vector {
        name: "dss_infinite_mapping",
        bytes: &[
            0x1e, 0x12, 0x20, 0x0c, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x00, 0x00,
            0x00, 0x01, 0x00, 0x00, 0x01, 0x01,
        ],
        expected: Expected::Options(&[Ok(MptcpOption::Dss(Dss {
            data_fin: false,
            data_ack: None,
            mapping: Some(DssMapping {
                dsn: DsnField::Eight(0x0123_4567_89ab_cdef),
                ssn: SubflowSeq::new(1),
                data_len: 0,
                checksum: None,
            }),
        }))]),
        canonical: true,
    },
    Vector {
        name: "dss_data_fin_without_mapping",
        bytes: &[0x1e, 0x08, 0x20, 0x11, 0x76, 0x54, 0x32, 0x10],
        expected: Expected::Options(&[Ok(MptcpOption::Dss(Dss {
            data_fin: false,
            data_ack: Some(DsnField::Four(0x7654_3210)),
            mapping: None,
        }))]),
        canonical: false,
    },
    Vector {
        name: "dss_long_flags_without_fields_and_reserved_bits",
        bytes: &[0x1e, 0x04, 0x2f, 0xea],
        expected: Expected::Options(&[Ok(MptcpOption::Dss(Dss {
            data_fin: false,
            data_ack: None,
            mapping: None,
        }))]),
        canonical: false,
    },
    Vector {
        name: "add_addr_v4",
        bytes: &[
            0x1e, 0x10, 0x30, 0x05, 0xc0, 0x00, 0x02, 0x21, 0xde, 0xb2, 0xd1, 0x6b, 0x6e, 0x25,
            0xfc, 0xf8,
        ],
        expected: Expected::Options(&[Ok(MptcpOption::AddAddr(AddAddr {
            id: AddressId::new(5),
            addr: Address::V4([192, 0, 2, 33]),
            port: None,
            hmac: Some(TruncatedHmac::new(0xdeb2_d16b_6e25_fcf8)),
        }))]),
        canonical: true,
    },
    Vector {
        name: "add_addr_v4_port",
        bytes: &[
            0x1e, 0x12, 0x30, 0x05, 0xc0, 0x00, 0x02, 0x21, 0x20, 0xfb, 0xde, 0xb2, 0xd1, 0x6b,
            0x6e, 0x25, 0xfc, 0xf8, 0x01, 0x01,
        ],
        expected: Expected::Options(&[Ok(MptcpOption::AddAddr(AddAddr {
            id: AddressId::new(5),
            addr: Address::V4([192, 0, 2, 33]),
            port: Some(8443),
            hmac: Some(TruncatedHmac::new(0xdeb2_d16b_6e25_fcf8)),
        }))]),
        canonical: true,
    },
    Vector {
        name: "add_addr_v6",
        bytes: &[
            0x1e, 0x1c, 0x30, 0x06, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
            0x00, 0x00, 0x00, 0x00, 0x00, 0x2a, 0x6f, 0xfd, 0x0d, 0xa0, 0xc1, 0xa0, 0x25, 0x8e,
        ],
        expected: Expected::Options(&[Ok(MptcpOption::AddAddr(AddAddr {
            id: AddressId::new(6),
            addr: Address::V6([
                0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x2a,
            ]),
            port: None,
            hmac: Some(TruncatedHmac::new(0x6ffd_0da0_c1a0_258e)),
        }))]),
        canonical: true,
    },
    Vector {
        name: "add_addr_v6_port",
        bytes: &[
            0x1e, 0x1e, 0x30, 0x06, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
            0x00, 0x00, 0x00, 0x00, 0x00, 0x2a, 0x20, 0xfb, 0x6f, 0xfd, 0x0d, 0xa0, 0xc1, 0xa0,
            0x25, 0x8e, 0x01, 0x01,
        ],
        expected: Expected::Options(&[Ok(MptcpOption::AddAddr(AddAddr {
            id: AddressId::new(6),
            addr: Address::V6([
                0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x2a,
            ]),
            port: Some(8443),
            hmac: Some(TruncatedHmac::new(0x6ffd_0da0_c1a0_258e)),
        }))]),
        canonical: true,
    },
    Vector {
        name: "add_addr_echo_v4",
        bytes: &[0x1e, 0x08, 0x31, 0x05, 0xc0, 0x00, 0x02, 0x21],
        expected: Expected::Options(&[Ok(MptcpOption::AddAddr(AddAddr {
            id: AddressId::new(5),
            addr: Address::V4([192, 0, 2, 33]),
            port: None,
            hmac: None,
        }))]),
        canonical: true,
    },
    Vector {
        name: "add_addr_echo_v4_port",
        bytes: &[
            0x1e, 0x0a, 0x31, 0x05, 0xc0, 0x00, 0x02, 0x21, 0x20, 0xfb, 0x01, 0x01,
        ],
        expected: Expected::Options(&[Ok(MptcpOption::AddAddr(AddAddr {
            id: AddressId::new(5),
            addr: Address::V4([192, 0, 2, 33]),
            port: Some(8443),
            hmac: None,
        }))]),
        canonical: true,
    },
    Vector {
        name: "add_addr_echo_v6",
        bytes: &[
            0x1e, 0x14, 0x31, 0x06, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
            0x00, 0x00, 0x00, 0x00, 0x00, 0x2a,
        ],
        expected: Expected::Options(&[Ok(MptcpOption::AddAddr(AddAddr {
            id: AddressId::new(6),
            addr: Address::V6([
                0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x2a,
            ]),
            port: None,
            hmac: None,
        }))]),
        canonical: true,
    },
    Vector {
        name: "add_addr_echo_v6_port",
        bytes: &[
            0x1e, 0x16, 0x31, 0x06, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
            0x00, 0x00, 0x00, 0x00, 0x00, 0x2a, 0x20, 0xfb, 0x01, 0x01,
        ],
        expected: Expected::Options(&[Ok(MptcpOption::AddAddr(AddAddr {
            id: AddressId::new(6),
            addr: Address::V6([
                0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x2a,
            ]),
            port: Some(8443),
            hmac: None,
        }))]),
        canonical: true,
    },
    Vector {
        name: "add_addr_reserved_bits",
        bytes: &[
            0x1e, 0x10, 0x3e, 0x05, 0xc0, 0x00, 0x02, 0x21, 0xde, 0xb2, 0xd1, 0x6b, 0x6e, 0x25,
            0xfc, 0xf8,
        ],
        expected: Expected::Options(&[Ok(MptcpOption::AddAddr(AddAddr {
            id: AddressId::new(5),
            addr: Address::V4([192, 0, 2, 33]),
            port: None,
            hmac: Some(TruncatedHmac::new(0xdeb2_d16b_6e25_fcf8)),
        }))]),
        canonical: false,
    },
    Vector {
        name: "mp_prio",
        bytes: &[0x1e, 0x03, 0x50, 0x01],
        expected: Expected::Options(&[Ok(MptcpOption::MpPrio(MpPrio {
            backup: false,
            id: None,
        }))]),
        canonical: true,
    },
    Vector {
        name: "mp_prio_backup",
        bytes: &[0x1e, 0x03, 0x51, 0x01],
        expected: Expected::Options(&[Ok(MptcpOption::MpPrio(MpPrio {
            backup: true,
            id: None,
        }))]),
        canonical: true,
    },
    Vector {
        name: "mp_prio_rfc_6824",
        bytes: &[0x1e, 0x04, 0x51, 0x07],
        expected: Expected::Options(&[Ok(MptcpOption::MpPrio(MpPrio {
            backup: true,
            id: Some(AddressId::new(7)),
        }))]),
        canonical: true,
    },
    Vector {
        name: "mp_fail",
        bytes: &[
            0x1e, 0x0c, 0x60, 0x00, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
        ],
        expected: Expected::Options(&[Ok(MptcpOption::MpFail(MpFail {
            dsn: DataSeq::new(0x0123_4567_89ab_cdef),
        }))]),
        canonical: true,
    },
    Vector {
        name: "mp_fastclose",
        bytes: &[
            0x1e, 0x0c, 0x70, 0x00, 0x13, 0x57, 0x9b, 0xdf, 0x02, 0x46, 0x8a, 0xce,
        ],
        expected: Expected::Options(&[Ok(MptcpOption::MpFastclose(MpFastclose {
            receiver_key: KEY_B,
        }))]),
        canonical: true,
    },
    Vector {
        name: "mp_tcprst",
        bytes: &[0x1e, 0x04, 0x80, 0x00],
        expected: Expected::Options(&[Ok(MptcpOption::MpTcprst(MpTcprst {
            transient: false,
            reason: Reason::Unspecified,
        }))]),
        canonical: true,
    },
    Vector {
        name: "mp_tcprst_transient",
        bytes: &[0x1e, 0x04, 0x81, 0x06],
        expected: Expected::Options(&[Ok(MptcpOption::MpTcprst(MpTcprst {
            transient: true,
            reason: Reason::MiddleboxInterference,
        }))]),
        canonical: true,
    },
    Vector {
        name: "mp_tcprst_unknown_reason_reserved_flags",
        bytes: &[0x1e, 0x04, 0x8e, 0xc8],
        expected: Expected::Options(&[Ok(MptcpOption::MpTcprst(MpTcprst {
            transient: false,
            reason: Reason::from_code(0xc8),
        }))]),
        canonical: false,
    },
    Vector {
        name: "mp_experimental",
        bytes: &[0x1e, 0x08, 0xf0, 0xab, 0xcd, 0x01, 0x02, 0x03],
        expected: Expected::Options(&[Ok(MptcpOption::Experimental(&[
            0x1e, 0x08, 0xf0, 0xab, 0xcd, 0x01, 0x02, 0x03,
        ]))]),
        canonical: true,
    },
    Vector {
        name: "unknown_subtype",
        bytes: &[0x1e, 0x04, 0x93, 0x55],
        expected: Expected::Options(&[Ok(MptcpOption::Unknown {
            subtype: 0x9,
            option: &[0x1e, 0x04, 0x93, 0x55],
        })]),
        canonical: true,
    },
    Vector {
        name: "remove_addr_one",
        bytes: &[0x1e, 0x04, 0x40, 0x05],
        expected: Expected::Removal(&[0x05]),
        canonical: true,
    },
    Vector {
        name: "remove_addr_three",
        bytes: &[0x1e, 0x06, 0x40, 0x05, 0x06, 0xff, 0x01, 0x01],
        expected: Expected::Removal(&[0x05, 0x06, 0xff]),
        canonical: true,
    },
    Vector {
        name: "remove_addr_longest",
        bytes: &[
            0x1e, 0x28, 0x40, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b,
            0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19,
            0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25,
        ],
        expected: Expected::Removal(&[
            0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e,
            0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c,
            0x1d, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25,
        ]),
        canonical: true,
    },
];
