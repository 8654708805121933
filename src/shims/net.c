// SPDX-License-Identifier: GPL-2.0
/* Namespaces, probes, work, module references. */
#include <linux/bottom_half.h>
#include <linux/module.h>
#include <linux/nsproxy.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/siphash.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "mptcp_shims.h"

struct net *mptcp_shim_current_net(void)
{
	return current->nsproxy->net_ns;
}

void mptcp_shim_call_rcu(struct callback_head *head, void (*function)(struct callback_head *))
{
	call_rcu(head, function);
}

/* net_generic(), which is called for every connection, without the calls that take RCU's own lock. */
void *mptcp_shim_net_generic(const struct net *net, unsigned int id)
{
	void *state;

	rcu_read_lock_sched();
	state = rcu_dereference_sched(net->gen)->ptr[id];
	rcu_read_unlock_sched();
	return state;
}

/* The kernel reads a function's arguments from registers portably, but cannot set them so. */
void mptcp_shim_set_argument3(struct pt_regs *regs, unsigned long value)
{
#if defined(CONFIG_X86_64)
	regs->dx = value;
#elif defined(CONFIG_ARM64)
	regs->regs[2] = value;
#else
#error "mptcp_rs supports x86_64 and arm64: set the third argument's register here for others"
#endif
}

unsigned long mptcp_shim_argument(struct pt_regs *regs, unsigned int n)
{
	return regs_get_kernel_argument(regs, n);
}

void mptcp_shim_arguments(struct pt_regs *regs, u32 (*arguments)[3])
{
	(*arguments)[0] = regs_get_kernel_argument(regs, 0);
	(*arguments)[1] = regs_get_kernel_argument(regs, 1);
	(*arguments)[2] = regs_get_kernel_argument(regs, 2);
}

void mptcp_shim_local_bh_disable(void)
{
	local_bh_disable();
}

void mptcp_shim_local_bh_enable(void)
{
	local_bh_enable();
}

void mptcp_shim_init_work(struct work_struct *work, work_func_t function)
{
	INIT_WORK(work, function);
}

/* Where connections work. Our own, so that unloading waits for what has put the last reference. */
static struct workqueue_struct *workqueue;

int mptcp_shim_make_workqueue(void)
{
	workqueue = alloc_workqueue("mptcp_rs", WQ_UNBOUND, 0);
	return workqueue ? 0 : -ENOMEM;
}

void mptcp_shim_destroy_workqueue(void)
{
	destroy_workqueue(workqueue);
}

bool mptcp_shim_queue_work(struct work_struct *work)
{
	return queue_work(workqueue, work);
}

void mptcp_shim_module_get(void)
{
	__module_get(THIS_MODULE);
}

bool mptcp_shim_try_module_get(void)
{
	return try_module_get(THIS_MODULE);
}

void mptcp_shim_module_put(void)
{
	module_put(THIS_MODULE);
}

struct module *mptcp_shim_this_module(void)
{
	return THIS_MODULE;
}

u64 mptcp_shim_siphash4(const u64 secret[2], u64 a, u64 b, u64 c, u64 d)
{
	const siphash_key_t key = { { secret[0], secret[1] } };

	return siphash_4u64(a, b, c, d, &key);
}

void mptcp_shim_init_delayed_work(struct delayed_work *work, work_func_t function)
{
	INIT_DELAYED_WORK(work, function);
}

void mptcp_shim_mod_delayed_work(struct delayed_work *work, u32 delay_ms)
{
	mod_delayed_work(system_dfl_wq, work, msecs_to_jiffies(delay_ms));
}

/* Unlike the above, it leaves alone what is queued already. */
void mptcp_shim_queue_delayed_work(struct delayed_work *work, u32 delay_ms)
{
	queue_delayed_work(system_dfl_wq, work, msecs_to_jiffies(delay_ms));
}
