// SPDX-License-Identifier: GPL-2.0

//! Options and blocks of options that break a rule, and blocks with more than one option.

use super::{
    Expected,
    Vector,
    JOIN_ACK_HMAC, //
};
use crate::ids::Hmac;
use crate::options::{
    DsnField,
    Dss,
    MpJoin,
    MptcpOption,
    ParseError, //
};

/// Wrong lengths, wrong values, and blocks that end too early.
pub(super) static VECTORS: &[Vector] = &[
    Vector {
        name: "bad_length_mp_capable_3",
        bytes: &[0x1e, 0x03, 0x01],
        expected: Expected::Options(&[Err(ParseError::BadLength)]),
        canonical: false,
    },
    Vector {
        name: "bad_length_mp_capable_5",
        bytes: &[0x1e, 0x05, 0x01, 0x01, 0x00],
        expected: Expected::Options(&[Err(ParseError::BadLength)]),
        canonical: false,
    },
    Vector {
        name: "bad_length_mp_capable_11",
        bytes: &[
            0x1e, 0x0b, 0x01, 0x01, 0x13, 0x57, 0x9b, 0xdf, 0x02, 0x46, 0x8a,
        ],
        expected: Expected::Options(&[Err(ParseError::BadLength)]),
        canonical: false,
    },
    Vector {
        name: "bad_length_mp_capable_21",
        bytes: &[
            0x1e, 0x15, 0x01, 0x01, 0x8b, 0x1f, 0x7a, 0xc2, 0x4d, 0x90, 0xe6, 0x35, 0x13, 0x57,
            0x9b, 0xdf, 0x02, 0x46, 0x8a, 0xce, 0x00,
        ],
        expected: Expected::Options(&[Err(ParseError::BadLength)]),
        canonical: false,
    },
    Vector {
        name: "bad_length_mp_capable_26",
        bytes: &[
            0x1e, 0x1a, 0x01, 0x01, 0x8b, 0x1f, 0x7a, 0xc2, 0x4d, 0x90, 0xe6, 0x35, 0x13, 0x57,
            0x9b, 0xdf, 0x02, 0x46, 0x8a, 0xce, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        ],
        expected: Expected::Options(&[Err(ParseError::BadLength)]),
        canonical: false,
    },
    Vector {
        name: "bad_length_mp_join_4",
        bytes: &[0x1e, 0x04, 0x10, 0x02],
        expected: Expected::Options(&[Err(ParseError::BadLength)]),
        canonical: false,
    },
    Vector {
        name: "bad_length_mp_join_13",
        bytes: &[
            0x1e, 0x0d, 0x10, 0x02, 0x09, 0x09, 0x09, 0x09, 0x09, 0x09, 0x09, 0x09, 0x09,
        ],
        expected: Expected::Options(&[Err(ParseError::BadLength)]),
        canonical: false,
    },
    Vector {
        name: "bad_length_mp_join_20",
        bytes: &[
            0x1e, 0x14, 0x10, 0x02, 0x09, 0x09, 0x09, 0x09, 0x09, 0x09, 0x09, 0x09, 0x09, 0x09,
            0x09, 0x09, 0x09, 0x09, 0x09, 0x09,
        ],
        expected: Expected::Options(&[Err(ParseError::BadLength)]),
        canonical: false,
    },
    Vector {
        name: "bad_length_dss_3",
        bytes: &[0x1e, 0x03, 0x20],
        expected: Expected::Options(&[Err(ParseError::BadLength)]),
        canonical: false,
    },
    Vector {
        name: "bad_length_dss_6",
        bytes: &[0x1e, 0x06, 0x20, 0x00, 0x00, 0x00],
        expected: Expected::Options(&[Err(ParseError::BadLength)]),
        canonical: false,
    },
    Vector {
        name: "bad_length_dss_ack_short",
        bytes: &[0x1e, 0x07, 0x20, 0x01, 0x00, 0x00, 0x00],
        expected: Expected::Options(&[Err(ParseError::BadLength)]),
        canonical: false,
    },
    Vector {
        name: "bad_length_dss_ack_long",
        bytes: &[0x1e, 0x0a, 0x20, 0x01, 0x76, 0x54, 0x32, 0x10, 0x00, 0x00],
        expected: Expected::Options(&[Err(ParseError::BadLength)]),
        canonical: false,
    },
    Vector {
        name: "bad_length_dss_ack_4_where_8_declared",
        bytes: &[0x1e, 0x08, 0x20, 0x03, 0x76, 0x54, 0x32, 0x10],
        expected: Expected::Options(&[Err(ParseError::BadLength)]),
        canonical: false,
    },
    Vector {
        name: "bad_length_dss_map_half_a_checksum",
        bytes: &[
            0x1e, 0x0f, 0x20, 0x04, 0x89, 0xab, 0xcd, 0xef, 0x00, 0x00, 0x00, 0x01, 0x00, 0x05,
            0x00,
        ],
        expected: Expected::Options(&[Err(ParseError::BadLength)]),
        canonical: false,
    },
    Vector {
        name: "bad_length_dss_map_too_long",
        bytes: &[
            0x1e, 0x11, 0x20, 0x04, 0x89, 0xab, 0xcd, 0xef, 0x00, 0x00, 0x00, 0x01, 0x00, 0x05,
            0x00, 0x00, 0x00,
        ],
        expected: Expected::Options(&[Err(ParseError::BadLength)]),
        canonical: false,
    },
    Vector {
        name: "bad_length_dss_too_long_30",
        bytes: &[
            0x1e, 0x1e, 0x20, 0x1f, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10, 0x01, 0x23,
            0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x00, 0x00, 0x00, 0x01, 0x00, 0x05, 0x00, 0x00,
            0x00, 0x00,
        ],
        expected: Expected::Options(&[Err(ParseError::BadLength)]),
        canonical: false,
    },
    Vector {
        name: "bad_length_add_addr_v4_without_hmac",
        bytes: &[0x1e, 0x08, 0x30, 0x05, 0xc0, 0x00, 0x02, 0x21],
        expected: Expected::Options(&[Err(ParseError::BadLength)]),
        canonical: false,
    },
    Vector {
        name: "bad_length_add_addr_echo_with_hmac",
        bytes: &[
            0x1e, 0x10, 0x31, 0x05, 0xc0, 0x00, 0x02, 0x21, 0xde, 0xb2, 0xd1, 0x6b, 0x6e, 0x25,
            0xfc, 0xf8,
        ],
        expected: Expected::Options(&[Err(ParseError::BadLength)]),
        canonical: false,
    },
    Vector {
        name: "bad_length_add_addr_v4_rfc_6824",
        bytes: &[0x1e, 0x08, 0x34, 0x05, 0xc0, 0x00, 0x02, 0x21],
        expected: Expected::Options(&[Err(ParseError::BadLength)]),
        canonical: false,
    },
    Vector {
        name: "bad_length_add_addr_9",
        bytes: &[0x1e, 0x09, 0x31, 0x05, 0xc0, 0x00, 0x02, 0x21, 0x00],
        expected: Expected::Options(&[Err(ParseError::BadLength)]),
        canonical: false,
    },
    Vector {
        name: "bad_length_remove_addr_empty",
        bytes: &[0x1e, 0x03, 0x40],
        expected: Expected::Options(&[Err(ParseError::BadLength)]),
        canonical: false,
    },
    Vector {
        name: "bad_length_mp_prio_5",
        bytes: &[0x1e, 0x05, 0x50, 0x01, 0x02],
        expected: Expected::Options(&[Err(ParseError::BadLength)]),
        canonical: false,
    },
    Vector {
        name: "bad_length_mp_fail_8",
        bytes: &[0x1e, 0x08, 0x60, 0x00, 0x00, 0x00, 0x00, 0x00],
        expected: Expected::Options(&[Err(ParseError::BadLength)]),
        canonical: false,
    },
    Vector {
        name: "bad_length_mp_fail_13",
        bytes: &[
            0x1e, 0x0d, 0x60, 0x00, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x00,
        ],
        expected: Expected::Options(&[Err(ParseError::BadLength)]),
        canonical: false,
    },
    Vector {
        name: "bad_length_mp_fastclose_11",
        bytes: &[
            0x1e, 0x0b, 0x70, 0x00, 0x13, 0x57, 0x9b, 0xdf, 0x02, 0x46, 0x8a,
        ],
        expected: Expected::Options(&[Err(ParseError::BadLength)]),
        canonical: false,
    },
    Vector {
        name: "bad_length_mp_fastclose_14",
        bytes: &[
            0x1e, 0x0e, 0x70, 0x00, 0x13, 0x57, 0x9b, 0xdf, 0x02, 0x46, 0x8a, 0xce, 0x00, 0x00,
        ],
        expected: Expected::Options(&[Err(ParseError::BadLength)]),
        canonical: false,
    },
    Vector {
        name: "bad_length_mp_tcprst_3",
        bytes: &[0x1e, 0x03, 0x80],
        expected: Expected::Options(&[Err(ParseError::BadLength)]),
        canonical: false,
    },
    Vector {
        name: "bad_length_mp_tcprst_5",
        bytes: &[0x1e, 0x05, 0x80, 0x00, 0x00],
        expected: Expected::Options(&[Err(ParseError::BadLength)]),
        canonical: false,
    },
    Vector {
        name: "bad_length_no_subtype",
        bytes: &[
            0x1e, 0x02, 0x01, 0x01, 0x1e, 0x08, 0x20, 0x01, 0x76, 0x54, 0x32, 0x10,
        ],
        expected: Expected::Options(&[
            Err(ParseError::BadLength),
            Ok(MptcpOption::Dss(Dss {
                data_fin: false,
                data_ack: Some(DsnField::Four(0x7654_3210)),
                mapping: None,
            })),
        ]),
        canonical: false,
    },
    Vector {
        name: "zero_key_mp_capable_syn_ack",
        bytes: &[
            0x1e, 0x0c, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        ],
        expected: Expected::Options(&[Err(ParseError::ZeroKey)]),
        canonical: false,
    },
    Vector {
        name: "zero_key_mp_capable_ack",
        bytes: &[
            0x1e, 0x14, 0x01, 0x01, 0x8b, 0x1f, 0x7a, 0xc2, 0x4d, 0x90, 0xe6, 0x35, 0x00, 0x00,
            0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        ],
        expected: Expected::Options(&[Err(ParseError::ZeroKey)]),
        canonical: false,
    },
    Vector {
        name: "zero_key_mp_fastclose",
        bytes: &[
            0x1e, 0x0c, 0x70, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        ],
        expected: Expected::Options(&[Err(ParseError::ZeroKey)]),
        canonical: false,
    },
    Vector {
        name: "block_empty",
        bytes: &[],
        expected: Expected::Options(&[]),
        canonical: false,
    },
    Vector {
        name: "block_padding_only",
        bytes: &[0x01, 0x01, 0x01, 0x01],
        expected: Expected::Options(&[]),
        canonical: false,
    },
    Vector {
        name: "block_end_of_list_hides_the_rest",
        bytes: &[0x00, 0x1e, 0x08, 0x20, 0x01, 0x76, 0x54, 0x32, 0x10],
        expected: Expected::Options(&[]),
        canonical: false,
    },
    Vector {
        name: "block_other_kinds_are_skipped",
        bytes: &[
            0x02, 0x04, 0x05, 0xb4, 0x01, 0x01, 0x08, 0x0a, 0x07, 0x07, 0x07, 0x07, 0x07, 0x07,
            0x07, 0x07, 0x1e, 0x08, 0x20, 0x01, 0x76, 0x54, 0x32, 0x10,
        ],
        expected: Expected::Options(&[Ok(MptcpOption::Dss(Dss {
            data_fin: false,
            data_ack: Some(DsnField::Four(0x7654_3210)),
            mapping: None,
        }))]),
        canonical: false,
    },
    Vector {
        name: "block_option_after_bad_one",
        bytes: &[
            0x1e, 0x03, 0x80, 0x01, 0x1e, 0x08, 0x20, 0x01, 0x76, 0x54, 0x32, 0x10,
        ],
        expected: Expected::Options(&[
            Err(ParseError::BadLength),
            Ok(MptcpOption::Dss(Dss {
                data_fin: false,
                data_ack: Some(DsnField::Four(0x7654_3210)),
                mapping: None,
            })),
        ]),
        canonical: false,
    },
    Vector {
        name: "block_two_options",
        bytes: &[
            0x1e, 0x18, 0x10, 0x00, 0x8f, 0xad, 0x70, 0x72, 0xd5, 0xdb, 0x5c, 0x08, 0xb0, 0x8a,
            0xb6, 0xc9, 0xd6, 0xdc, 0x8e, 0x4a, 0x03, 0x7a, 0x17, 0x35, 0x1e, 0x08, 0x20, 0x01,
            0x76, 0x54, 0x32, 0x10,
        ],
        expected: Expected::Options(&[
            Ok(MptcpOption::MpJoin(MpJoin::Ack {
                hmac: Hmac::new(JOIN_ACK_HMAC),
            })),
            Ok(MptcpOption::Dss(Dss {
                data_fin: false,
                data_ack: Some(DsnField::Four(0x7654_3210)),
                mapping: None,
            })),
        ]),
        canonical: false,
    },
    Vector {
        name: "block_kind_without_length",
        bytes: &[0x1e, 0x08, 0x20, 0x01, 0x76, 0x54, 0x32, 0x10, 0x1e],
        expected: Expected::Options(&[Ok(MptcpOption::Dss(Dss {
            data_fin: false,
            data_ack: Some(DsnField::Four(0x7654_3210)),
            mapping: None,
        }))]),
        canonical: false,
    },
    Vector {
        name: "block_length_zero",
        bytes: &[
            0x01, 0x01, 0x1e, 0x00, 0x1e, 0x08, 0x20, 0x01, 0x76, 0x54, 0x32, 0x10,
        ],
        expected: Expected::Options(&[]),
        canonical: false,
    },
    Vector {
        name: "block_length_one",
        bytes: &[
            0x01, 0x01, 0x1e, 0x01, 0x1e, 0x08, 0x20, 0x01, 0x76, 0x54, 0x32, 0x10,
        ],
        expected: Expected::Options(&[]),
        canonical: false,
    },
    Vector {
        name: "block_other_kind_length_zero",
        bytes: &[0x08, 0x00, 0x1e, 0x08, 0x20, 0x01, 0x76, 0x54, 0x32, 0x10],
        expected: Expected::Options(&[]),
        canonical: false,
    },
    Vector {
        name: "block_longer_than_the_rest",
        bytes: &[0x01, 0x1e, 0x08, 0x20, 0x01, 0x76, 0x54, 0x32],
        expected: Expected::Options(&[]),
        canonical: false,
    },
    Vector {
        name: "block_other_kind_longer_than_the_rest",
        bytes: &[0x08, 0x0a, 0x01, 0x02, 0x03],
        expected: Expected::Options(&[]),
        canonical: false,
    },
    Vector {
        name: "block_length_255",
        bytes: &[0x1e, 0xff, 0x20, 0x01, 0x76, 0x54, 0x32, 0x10],
        expected: Expected::Options(&[]),
        canonical: false,
    },
];
