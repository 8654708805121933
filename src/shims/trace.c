// SPDX-License-Identifier: GPL-2.0
/* Trace events, each a call of its inline function: nothing is traced while nobody has switched it on. */
#define CREATE_TRACE_POINTS
#include "mptcp_rs_trace.h"

#include "mptcp_shims.h"

void mptcp_shim_trace_schedule(u32 token, u32 subflow, u64 dsn, u32 len, bool again)
{
	trace_mptcp_rs_schedule(token, subflow, dsn, len, again);
}

void mptcp_shim_trace_mapping(u32 token, u32 subflow, u64 dsn, u32 ssn, u32 len, bool sent)
{
	trace_mptcp_rs_mapping(token, subflow, dsn, ssn, len, sent);
}

void mptcp_shim_trace_fallback(u32 token, u32 subflow, const char *event, const char *reaction)
{
	trace_mptcp_rs_fallback(token, subflow, event, reaction);
}

void mptcp_shim_trace_path(u32 token, const char *decision, u32 subflow, u8 local_id, u8 peer_id)
{
	trace_mptcp_rs_path(token, decision, subflow, local_id, peer_id);
}
