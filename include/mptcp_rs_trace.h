/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Trace events, in tracefs below events/mptcp_rs: which subflow gets which data, which mappings go out and come in,
 * when a connection falls back or a subflow is given up, and what the path manager decides.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM mptcp_rs

#if !defined(MPTCP_RS_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define MPTCP_RS_TRACE_H

#include <linux/tracepoint.h>

/* A run of data is handed to a subflow; @again: it was handed to one before. */
TRACE_EVENT(mptcp_rs_schedule,
	TP_PROTO(u32 token, u32 subflow, u64 dsn, u32 len, bool again),
	TP_ARGS(token, subflow, dsn, len, again),
	TP_STRUCT__entry(
		__field(u32, token)
		__field(u32, subflow)
		__field(u64, dsn)
		__field(u32, len)
		__field(bool, again)
	),
	TP_fast_assign(
		__entry->token = token;
		__entry->subflow = subflow;
		__entry->dsn = dsn;
		__entry->len = len;
		__entry->again = again;
	),
	TP_printk("token=%08x subflow=%u dsn=%llu len=%u again=%d", __entry->token, __entry->subflow,
		  __entry->dsn, __entry->len, __entry->again)
);

/* A mapping leaves or has arrived, on a segment of its own or one that is repeated. */
TRACE_EVENT(mptcp_rs_mapping,
	TP_PROTO(u32 token, u32 subflow, u64 dsn, u32 ssn, u32 len, bool sent),
	TP_ARGS(token, subflow, dsn, ssn, len, sent),
	TP_STRUCT__entry(
		__field(u32, token)
		__field(u32, subflow)
		__field(u64, dsn)
		__field(u32, ssn)
		__field(u32, len)
		__field(bool, sent)
	),
	TP_fast_assign(
		__entry->token = token;
		__entry->subflow = subflow;
		__entry->dsn = dsn;
		__entry->ssn = ssn;
		__entry->len = len;
		__entry->sent = sent;
	),
	TP_printk("token=%08x subflow=%u %s dsn=%llu ssn=%u len=%u", __entry->token, __entry->subflow,
		  __entry->sent ? "sent" : "received", __entry->dsn, __entry->ssn, __entry->len)
);

/* Something that a connection cannot digest has happened, and what follows from it. */
TRACE_EVENT(mptcp_rs_fallback,
	TP_PROTO(u32 token, u32 subflow, const char *event, const char *reaction),
	TP_ARGS(token, subflow, event, reaction),
	TP_STRUCT__entry(
		__field(u32, token)
		__field(u32, subflow)
		__string(event, event)
		__string(reaction, reaction)
	),
	TP_fast_assign(
		__entry->token = token;
		__entry->subflow = subflow;
		__assign_str(event);
		__assign_str(reaction);
	),
	TP_printk("token=%08x subflow=%u event=%s reaction=%s", __entry->token, __entry->subflow,
		  __get_str(event), __get_str(reaction))
);

/* The path manager has decided something; what does not matter to the decision is 0. */
TRACE_EVENT(mptcp_rs_path,
	TP_PROTO(u32 token, const char *decision, u32 subflow, u8 local_id, u8 peer_id),
	TP_ARGS(token, decision, subflow, local_id, peer_id),
	TP_STRUCT__entry(
		__field(u32, token)
		__string(decision, decision)
		__field(u32, subflow)
		__field(u8, local_id)
		__field(u8, peer_id)
	),
	TP_fast_assign(
		__entry->token = token;
		__assign_str(decision);
		__entry->subflow = subflow;
		__entry->local_id = local_id;
		__entry->peer_id = peer_id;
	),
	TP_printk("token=%08x decision=%s subflow=%u local_id=%u peer_id=%u", __entry->token,
		  __get_str(decision), __entry->subflow, __entry->local_id, __entry->peer_id)
);

#endif

#undef TRACE_INCLUDE_PATH
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_PATH .
#define TRACE_INCLUDE_FILE mptcp_rs_trace
#include <trace/define_trace.h>
