// SPDX-License-Identifier: GPL-2.0

//! Shows that the codec reads what it writes, writes what it reads, and survives everything.

use mptcp_proto::ids::{
    Address,
    AddressId,
    Hmac,
    Key,
    Nonce,
    Token,
    TruncatedHmac, //
};
use mptcp_proto::options::mp_capable::{
    Flags,
    Version, //
};
use mptcp_proto::options::mp_tcprst::Reason;
use mptcp_proto::options::room::make_room;
use mptcp_proto::options::{
    mptcp_options,
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
    MptcpOption,
    RemoveAddr,
    MAX_BLOCK_LEN, //
};
use mptcp_proto::seq::{
    DataSeq,
    SubflowSeq, //
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Any key.
fn key() -> impl Strategy<Value = Key> {
    any::<u64>().prop_filter_map("zero is no key", Key::new)
}

/// Any MP_CAPABLE option.
fn mp_capable() -> impl Strategy<Value = MpCapable> {
    let version = (0u8..16).prop_filter_map("four bits", Version::new);
    let flags = any::<u8>().prop_map(Flags::from_bits);
    let data = (any::<u16>(), option::of(any::<u16>()));
    (0..4, version, flags, key(), key(), data).prop_map(
        |(form, version, flags, sender_key, receiver_key, (data_len, checksum))| match form {
            0 => MpCapable::Syn { version, flags },
            1 => MpCapable::SynAck {
                version,
                flags,
                key: sender_key,
            },
            2 => MpCapable::Ack {
                version,
                flags,
                sender_key,
                receiver_key,
            },
            _ => MpCapable::AckData {
                version,
                flags,
                sender_key,
                receiver_key,
                data_len,
                checksum,
            },
        },
    )
}

/// Any MP_JOIN option.
fn mp_join() -> impl Strategy<Value = MpJoin> {
    let head = (any::<bool>(), any::<u8>().prop_map(AddressId::new));
    let nonce = any::<u32>().prop_map(Nonce::new);
    prop_oneof![
        (head.clone(), any::<u32>(), nonce.clone()).prop_map(|((backup, id), token, nonce)| {
            MpJoin::Syn {
                backup,
                id,
                token: Token::new(token),
                nonce,
            }
        }),
        (head, any::<u64>(), nonce).prop_map(|((backup, id), hmac, nonce)| MpJoin::SynAck {
            backup,
            id,
            hmac: TruncatedHmac::new(hmac),
            nonce,
        }),
        any::<[u8; 20]>().prop_map(|hmac| MpJoin::Ack {
            hmac: Hmac::new(hmac)
        }),
    ]
}

/// Any data sequence number, short or long.
fn dsn_field() -> impl Strategy<Value = DsnField> {
    prop_oneof![
        any::<u32>().prop_map(DsnField::Four),
        any::<u64>().prop_map(DsnField::Eight),
    ]
}

/// Any DSS option.
fn dss() -> impl Strategy<Value = Dss> {
    let mapping = (
        dsn_field(),
        any::<u32>().prop_map(SubflowSeq::new),
        any::<u16>(),
        option::of(any::<u16>()),
    )
        .prop_map(|(dsn, ssn, data_len, checksum)| DssMapping {
            dsn,
            ssn,
            data_len,
            checksum,
        });
    (any::<bool>(), option::of(dsn_field()), option::of(mapping)).prop_map(
        |(data_fin, data_ack, mapping)| Dss {
            data_fin: data_fin && mapping.is_some(),
            data_ack,
            mapping,
        },
    )
}

/// Any ADD_ADDR option.
fn add_addr() -> impl Strategy<Value = AddAddr> {
    let addr = prop_oneof![
        any::<[u8; 4]>().prop_map(Address::V4),
        any::<[u8; 16]>().prop_map(Address::V6),
    ];
    let hmac = option::of(any::<u64>().prop_map(TruncatedHmac::new));
    (any::<u8>(), addr, option::of(any::<u16>()), hmac).prop_map(|(id, addr, port, hmac)| AddAddr {
        id: AddressId::new(id),
        addr,
        port,
        hmac,
    })
}

/// Any option that borrows nothing.
fn any_option() -> impl Strategy<Value = MptcpOption<'static>> {
    let id = any::<u8>().prop_map(AddressId::new);
    prop_oneof![
        mp_capable().prop_map(MptcpOption::MpCapable),
        mp_join().prop_map(MptcpOption::MpJoin),
        dss().prop_map(MptcpOption::Dss),
        add_addr().prop_map(MptcpOption::AddAddr),
        (any::<bool>(), option::of(id))
            .prop_map(|(backup, id)| MptcpOption::MpPrio(MpPrio { backup, id })),
        any::<u64>().prop_map(|dsn| MptcpOption::MpFail(MpFail {
            dsn: DataSeq::new(dsn)
        })),
        key().prop_map(|receiver_key| MptcpOption::MpFastclose(MpFastclose { receiver_key })),
        (any::<bool>(), any::<u8>()).prop_map(|(transient, code)| {
            MptcpOption::MpTcprst(MpTcprst {
                transient,
                reason: Reason::from_code(code),
            })
        }),
    ]
}

/// Bytes of an option with kind and a length that is right, and a subtype that may exist.
fn option_bytes() -> impl Strategy<Value = Vec<u8>> {
    (0u8..16, any::<u8>(), vec(any::<u8>(), 0..=37)).prop_map(|(subtype, bits, body)| {
        let length = u8::try_from(body.len()).unwrap_or(0) + 3;
        let mut bytes = vec![30, length, (subtype << 4) | (bits & 0x0f)];
        bytes.extend(body);
        bytes
    })
}

/// Clears the bits of an option that are reserved, so that it is canonical.
fn clear_reserved_bits(option: &MptcpOption<'_>, bytes: &mut [u8]) {
    let [_, _, first, rest @ ..] = bytes else {
        return;
    };
    match option {
        MptcpOption::MpCapable(_) | MptcpOption::Experimental(_) | MptcpOption::Unknown { .. } => {}
        MptcpOption::MpJoin(MpJoin::Ack { .. })
        | MptcpOption::MpFail(_)
        | MptcpOption::MpFastclose(_) => {
            *first &= 0xf0;
            if let [reserved, ..] = rest {
                *reserved = 0;
            }
        }
        MptcpOption::Dss(dss) => {
            *first &= 0xf0;
            if let [flags, ..] = rest {
                *flags &= 0x1f;
                if dss.data_ack.is_none() {
                    *flags &= !0x02;
                }
                if dss.mapping.is_none() {
                    *flags &= !0x18;
                }
            }
        }
        MptcpOption::RemoveAddr(_) => *first &= 0xf0,
        MptcpOption::MpJoin(_)
        | MptcpOption::AddAddr(_)
        | MptcpOption::MpPrio(_)
        | MptcpOption::MpTcprst(_) => *first &= 0xf1,
    }
}

/// A TCP option other than SACK and MPTCP.
fn other_option() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(vec![1]),
        Just(vec![2, 4, 5, 180]),
        Just(vec![1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8]),
        Just(vec![1, 3, 3, 7]),
        Just(vec![1, 1, 4, 2]),
    ]
}

proptest! {
    #[test]
    fn written_option_is_read_back(option in any_option()) {
        let mut out = [0xee; MAX_BLOCK_LEN];
        let len = option.emit_padded(&mut out);
        prop_assert_eq!(len, Some(option.padded_len()));
        let (block, rest) = out.split_at(option.padded_len());
        prop_assert!(mptcp_options(block).eq([Ok(option)]));
        prop_assert!(rest.iter().all(|byte| *byte == 0xee));
    }

    #[test]
    fn written_removal_is_read_back(ids in vec(any::<u8>(), 1..=RemoveAddr::MAX_IDS)) {
        let Some(removal) = RemoveAddr::new(&ids) else {
            return Err(TestCaseError::fail("legal number of address IDs"));
        };
        let mut out = [0xee; MAX_BLOCK_LEN];
        let len = removal.emit(&mut out);
        prop_assert_eq!(len, Some(ids.len() + 3));
        let (bytes, _) = out.split_at(removal.len());
        prop_assert_eq!(RemoveAddr::parse(bytes), Ok(removal));
        prop_assert!(removal.ids().map(AddressId::get).eq(ids.iter().copied()));
    }

    #[test]
    fn read_option_is_written_back(bytes in option_bytes()) {
        let Ok(option) = MptcpOption::parse(&bytes) else { return Ok(()) };
        let mut canonical = bytes.clone();
        clear_reserved_bits(&option, &mut canonical);
        let mut out = [0; MAX_BLOCK_LEN];
        prop_assert_eq!(option.emit(&mut out), Some(bytes.len()));
        let (written, _) = out.split_at(bytes.len());
        prop_assert_eq!(written, canonical.as_slice());
    }

    #[test]
    fn any_bytes_are_survived(block in vec(any::<u8>(), 0..300)) {
        let mut found = 0;
        for option in mptcp_options(&block).flatten() {
            prop_assert!(option.len() <= block.len());
            found += 1;
        }
        prop_assert!(found <= block.len() / 2);
        let _ = MptcpOption::parse(&block);
    }

    #[test]
    fn options_are_found_among_others(
        before in vec(other_option(), 0..4),
        option in any_option(),
        after in vec(other_option(), 0..4),
    ) {
        let mut out = [0; MAX_BLOCK_LEN];
        let len = option.emit(&mut out);
        let (bytes, _) = out.split_at(len.unwrap_or(0));
        let mut block = before.concat();
        block.extend(bytes);
        block.extend(after.concat());
        prop_assert!(mptcp_options(&block).eq([Ok(option)]));
    }

    #[test]
    fn room_is_made_of_sack_only(
        timestamps in any::<bool>(),
        blocks in 0u8..=4,
        need in (0usize..=10).prop_map(|words| words * 4),
    ) {
        let mut block = Vec::new();
        if timestamps {
            block.extend([1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8]);
        }
        let fixed = block.clone();
        if blocks > 0 {
            block.extend([1, 1, 5, 2 + 8 * blocks]);
            for number in 0..blocks {
                block.extend([number; 8]);
            }
        }
        let used = block.len();
        prop_assume!(used <= MAX_BLOCK_LEN);
        let original = block.clone();
        block.resize(MAX_BLOCK_LEN, 0);
        match make_room(&mut block, used, need) {
            None => prop_assert!(fixed.len() + need > MAX_BLOCK_LEN),
            Some(left) => {
                prop_assert!(left % 4 == 0 && left + need <= MAX_BLOCK_LEN && left <= used);
                // No more than needed is dropped: one block more would not have fitted.
                let step = if left == fixed.len() { 12 } else { 8 };
                prop_assert!(left == used || left + step + need > MAX_BLOCK_LEN);
                block.truncate(left);
                prop_assert!(block.starts_with(&fixed));
                if left > fixed.len() {
                    let kept = (left - fixed.len() - 4) / 8;
                    let header = fixed.len() + 4;
                    prop_assert_eq!(block.get(header - 1).copied(), Some(u8::try_from(2 + 8 * kept)?));
                    prop_assert_eq!(block.get(header..), original.get(header..left));
                }
            }
        }
    }
}
