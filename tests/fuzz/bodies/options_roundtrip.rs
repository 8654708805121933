// SPDX-License-Identifier: GPL-2.0

//! Shows that every option that can be expressed is read as it was written.
//!
//! The input chooses an option and the values of its fields.

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

use super::source::Source;

/// Runs the body on one input.
pub(crate) fn run(data: &[u8]) {
    let Some(option) = option(&mut Source::new(data)) else {
        return;
    };
    let mut out = [0xff; MAX_BLOCK_LEN];
    let Some(len) = option.emit_padded(&mut out) else {
        unreachable!("every option fits into a header");
    };
    assert_eq!(len, option.padded_len());
    assert!(len >= option.len() && len < option.len() + 4);
    let (block, rest) = out.split_at(len);
    assert!(rest.iter().all(|byte| *byte == 0xff));
    assert!(mptcp_options(block).eq([Ok(option)]));
}

/// Chooses an option, or none if the input asks for one that cannot exist.
fn option<'a>(source: &mut Source<'a>) -> Option<MptcpOption<'a>> {
    Some(match source.u8() % 9 {
        0 => MptcpOption::MpCapable(mp_capable(source)?),
        1 => MptcpOption::MpJoin(mp_join(source)),
        2 => MptcpOption::Dss(dss(source)),
        3 => MptcpOption::AddAddr(add_addr(source)),
        4 => MptcpOption::RemoveAddr(RemoveAddr::new(source.slice(RemoveAddr::MAX_IDS))?),
        5 => MptcpOption::MpPrio(MpPrio {
            backup: source.bool(),
            id: source.bool().then(|| AddressId::new(source.u8())),
        }),
        6 => MptcpOption::MpFail(MpFail {
            dsn: DataSeq::new(source.u64()),
        }),
        7 => MptcpOption::MpFastclose(MpFastclose {
            receiver_key: Key::new(source.u64())?,
        }),
        _ => MptcpOption::MpTcprst(MpTcprst {
            transient: source.bool(),
            reason: Reason::from_code(source.u8()),
        }),
    })
}

/// Chooses an MP_CAPABLE option, or none if a key is zero.
fn mp_capable(source: &mut Source<'_>) -> Option<MpCapable> {
    let form = source.u8() % 4;
    let version = Version::new(source.u8() & 0x0f)?;
    let flags = Flags::from_bits(source.u8());
    Some(match form {
        0 => MpCapable::Syn { version, flags },
        1 => MpCapable::SynAck {
            version,
            flags,
            key: Key::new(source.u64())?,
        },
        2 => MpCapable::Ack {
            version,
            flags,
            sender_key: Key::new(source.u64())?,
            receiver_key: Key::new(source.u64())?,
        },
        _ => MpCapable::AckData {
            version,
            flags,
            sender_key: Key::new(source.u64())?,
            receiver_key: Key::new(source.u64())?,
            data_len: source.u16(),
            checksum: source.bool().then(|| source.u16()),
        },
    })
}

/// Chooses an MP_JOIN option.
fn mp_join(source: &mut Source<'_>) -> MpJoin {
    match source.u8() % 3 {
        0 => MpJoin::Syn {
            backup: source.bool(),
            id: AddressId::new(source.u8()),
            token: Token::new(source.u32()),
            nonce: Nonce::new(source.u32()),
        },
        1 => MpJoin::SynAck {
            backup: source.bool(),
            id: AddressId::new(source.u8()),
            hmac: TruncatedHmac::new(source.u64()),
            nonce: Nonce::new(source.u32()),
        },
        _ => MpJoin::Ack {
            hmac: Hmac::new(source.bytes()),
        },
    }
}

/// Chooses a data sequence number in short or long form.
fn dsn_field(source: &mut Source<'_>) -> DsnField {
    if source.bool() {
        DsnField::Eight(source.u64())
    } else {
        DsnField::Four(source.u32())
    }
}

/// Chooses a DSS option.
fn dss(source: &mut Source<'_>) -> Dss {
    let data_ack = source.bool().then(|| dsn_field(source));
    let mapping = source.bool().then(|| DssMapping {
        dsn: dsn_field(source),
        ssn: SubflowSeq::new(source.u32()),
        data_len: source.u16(),
        checksum: source.bool().then(|| source.u16()),
    });
    Dss {
        data_fin: mapping.is_some() && source.bool(),
        data_ack,
        mapping,
    }
}

/// Chooses an ADD_ADDR option.
fn add_addr(source: &mut Source<'_>) -> AddAddr {
    AddAddr {
        id: AddressId::new(source.u8()),
        addr: if source.bool() {
            Address::V6(source.bytes())
        } else {
            Address::V4(source.bytes())
        },
        port: source.bool().then(|| source.u16()),
        hmac: source.bool().then(|| TruncatedHmac::new(source.u64())),
    }
}
