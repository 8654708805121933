// SPDX-License-Identifier: GPL-2.0

//! Shows that no block of options upsets the codec.
//!
//! The input is a block of TCP options. Every option found in it must survive being written and
//! read again, and making room in the block must keep the MPTCP options that it holds.

use mptcp_proto::options::room::make_room;
use mptcp_proto::options::{
    mptcp_options,
    MptcpOption,
    MAX_BLOCK_LEN, //
};

/// Runs the body on one input.
pub(crate) fn run(data: &[u8]) {
    let mut found = 0;
    for option in mptcp_options(data) {
        found += 1;
        let Ok(option) = option else { continue };
        let mut out = [0; 256];
        let Some(len) = option.emit(&mut out) else {
            unreachable!("an option has at most 255 bytes");
        };
        assert_eq!(len, option.len());
        let (written, _) = out.split_at(len);
        assert_eq!(MptcpOption::parse(written), Ok(option));
    }
    assert!(found <= data.len() / 2);

    let mut block = [0; MAX_BLOCK_LEN];
    for (to, from) in block.iter_mut().zip(data) {
        *to = *from;
    }
    let used = data.len().min(MAX_BLOCK_LEN) / 4 * 4;
    for need in (0..=MAX_BLOCK_LEN).step_by(4) {
        let mut changed = block;
        let Some(left) = make_room(&mut changed, used, need) else {
            assert_eq!(changed, block);
            continue;
        };
        assert!(left % 4 == 0 && left + need <= MAX_BLOCK_LEN);
        let (before, _) = block.split_at(used);
        let (after, _) = changed.split_at(left);
        assert!(mptcp_options(before).eq(mptcp_options(after)));
    }
}
