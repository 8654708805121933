// SPDX-License-Identifier: GPL-2.0

//! KUnit suites: what the host's tests cannot show, because it depends on the kernel's compiler, its
//! flags, and its own functions.
//!
//! They run when the module is loaded on a kernel with CONFIG_KUNIT=y, and report to its log and to
//! /sys/kernel/debug/kunit/mptcp_rs/results.

use kernel::macros::kunit_tests;

#[kunit_tests(mptcp_rs)]
mod suite {
    use crate::crypto::KernelSha256;
    use crate::layout;
    use kernel::prelude::*;
    use mptcp_proto::vectors;

    /// Whether a check found nothing; names what it found.
    fn is_clean(found: core::result::Result<(), &str>) -> bool {
        if let Err(name) = found {
            pr_err!("vector {} has another answer here\n", name);
        }
        found.is_ok()
    }

    #[test]
    fn options_are_read_and_written_as_on_the_host() {
        assert!(is_clean(vectors::check()));
    }

    #[test]
    fn keys_give_the_known_tokens_and_codes() {
        assert!(is_clean(vectors::check_keys(&KernelSha256)));
    }

    #[test]
    fn structures_lie_as_rust_thinks() {
        assert!(layout::check().is_ok());
    }
}
