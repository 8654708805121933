// SPDX-License-Identifier: GPL-2.0
/* Counters of a namespace, one set for each CPU, and their file. */
#include <linux/percpu.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/seq_file_net.h>
#include <net/net_namespace.h>

#include "mptcp_shims.h"

#define COUNTERS_FILE "mptcp_rs"

/* Rust knows the counters by a number: the per-CPU address space is C's. */
static unsigned long __percpu *of_number(uintptr_t number)
{
	return (__force unsigned long __percpu *)number;
}

/* 0 without memory. */
uintptr_t mptcp_shim_make_counters(size_t count)
{
	return (__force uintptr_t)__alloc_percpu(count * sizeof(unsigned long), sizeof(unsigned long));
}

void mptcp_shim_free_counters(uintptr_t counters)
{
	free_percpu(of_number(counters));
}

void mptcp_shim_count(uintptr_t counters, size_t place, int n)
{
	this_cpu_add(of_number(counters)[place], n);
}

u64 mptcp_shim_counted(uintptr_t counters, size_t place)
{
	unsigned long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(of_number(counters), cpu)[place]);
	return sum;
}

/* @show is called with the file and its namespace. */
static int show_counters(struct seq_file *file, void *unused)
{
	const mptcp_show show = (mptcp_show)pde_data(file_inode(file->file));

	show(file, seq_file_single_net(file));
	return 0;
}

int mptcp_shim_make_counters_file(struct net *net, mptcp_show show)
{
	return proc_create_net_single(COUNTERS_FILE, 0444, net->proc_net, show_counters, show) ? 0 : -ENOMEM;
}

void mptcp_shim_remove_counters_file(struct net *net)
{
	remove_proc_entry(COUNTERS_FILE, net->proc_net);
}
