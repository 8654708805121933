# SPDX-License-Identifier: GPL-2.0
# User verbs. `make help` lists them.

# The kernel to build for: a prepared source tree with Rust metadata (see README.md).
KDIR ?= /lib/modules/$(shell uname -r)/build
export KDIR

.PHONY: all help clean install uninstall check lint test test-debug kselftest demo bench vm fuzz setup module

all: ## build mptcp_rs.ko for KDIR (default: the running kernel)
	@scripts/check-kdir.sh "$(KDIR)"
	$(MAKE) -C "$(KDIR)" M="$(CURDIR)" modules

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

clean: ## remove what was built here (the cache stays)
	@find src . -maxdepth 3 \( -name '*.o' -o -name '*.ko' -o -name '*.mod' -o -name '*.mod.c' \
		-o -name '.*.cmd' -o -name '.*.d' -o -name '*.rmeta' -o -name modules.order \
		-o -name Module.symvers -o -name bindings_generated.rs \) -not -path './.git/*' -delete
	@rm -rf out target

install: all ## install the module for the running kernel
	install -D -m 644 mptcp_rs.ko "/lib/modules/$$(uname -r)/updates/mptcp_rs.ko"
	depmod -a

uninstall: ## remove it again
	rm -f "/lib/modules/$$(uname -r)/updates/mptcp_rs.ko"
	depmod -a

setup: ## root tree, kernel and prepared source, in the cache
	@scripts/setup.sh stock

module: ## build mptcp_rs.ko for the test guest's kernel
	@scripts/build.sh stock

check: ## the fast inner loop: format, lints, layers, host tests
	@scripts/check.sh

lint: check ## the same

test: ## host tests and guest tests on the stock kernel
	@scripts/test.sh

test-debug: ## guest tests on the kernel with KASAN, lockdep and kmemleak
	@KERNEL=debug scripts/test.sh

kselftest: ## the kernel's own MPTCP selftests on mptcp_rs
	@scripts/kselftest.sh

demo: module ## unmodified curl downloads over MPTCP, ours and the kernel's own
	@scripts/demo.sh

bench: module ## plain TCP, in-tree MPTCP and mptcp_rs side by side, in virtual time
	@BASE="$(BASE)" scripts/bench.sh

vm: module ## a shell in the guest, the module loaded, two paths set up
	@scripts/guest.sh -s 86400 -i sh scripts/vm-guest.sh

fuzz: ## fuzz the protocol crate (needs cargo-fuzz and a nightly toolchain)
	cd tests/fuzz && for target in fuzz_targets/*.rs; do \
		cargo +nightly fuzz run --fuzz-dir . "$$(basename $$target .rs)" -- -max_total_time=60; done
