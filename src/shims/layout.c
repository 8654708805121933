// SPDX-License-Identifier: GPL-2.0
/* Where the kernel's compiler puts what bindgen has described to Rust. */
#include <linux/stddef.h>

#include "mptcp_shims.h"

#define MPTCP_LAYOUT_OFFSET(name, structure, member) offsetof(structure, member),
const size_t mptcp_shim_layout[MPTCP_LAYOUT_COUNT] = { MPTCP_LAYOUT(MPTCP_LAYOUT_OFFSET) };
