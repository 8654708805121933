// SPDX-License-Identifier: GPL-2.0
/*
 * Measures one transfer between network namespaces and prints one number:
 *
 *   paths serve PROTOCOL PORT BUFFER                sends, receives or answers, as a client asks; prints "ready"
 *   paths bulk PROTOCOL ADDRESS PORT BUFFER BYTES MS   downloads BYTES, or for MS milliseconds where BYTES is 0:
 *                                                   Mbit/s from connect() to the end
 *   paths gap PROTOCOL ADDRESS PORT BUFFER MS       downloads for MS milliseconds: longest time in ms without data,
 *                                                   of those that began in the second after "begun"; what TCP
 *                                                   itself loses later on the path that is left does not count
 *   paths reply PROTOCOL ADDRESS PORT BUFFER MS     a request every 250 ms for MS milliseconds: longest wait in ms
 *                                                   for an answer
 * PROTOCOL is 0 (TCP) or 262 (the kernel's own MPTCP). BUFFER is what SO_RCVBUF and SO_SNDBUF get, 0 for the
 * kernel's own tuning. `gap` and `reply` print "begun" on standard error when half a second has passed: then is the
 * time to take a path away. BIND in the environment names an interface that the client's socket is bound to.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM "paths"
#include "common.h"

enum { CHUNK = 1 << 16, REQUEST = 100, PERIOD_MS = 250, BEGUN_MS = 500, LOSS_MS = 1000, LIMIT_S = 60 };

/* What a client asks for, in its first bytes. */
struct order {
	char what; /* 'b' bytes or time, 'r' replies */
	uint64_t bytes;
	uint32_t ms;
} __attribute__((packed));

static char buffer[CHUNK];

static int make_socket(int protocol, int size)
{
	struct timeval limit = { .tv_sec = LIMIT_S };
	int fd = socket(AF_INET, SOCK_STREAM, protocol);
	int one = 1;

	if (fd < 0)
		die("no socket of protocol %d: %s", protocol, strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (size && (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) ||
		     setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size))))
		die("a buffer of %d bytes: %s", size, strerror(errno));
	return fd;
}

static int read_all(int fd, void *to, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = read(fd, (char *)to + done, size - done);

		if (n <= 0)
			return 0;
		done += n;
	}
	return 1;
}

static int write_all(int fd, const void *from, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = write(fd, (const char *)from + done, size - done);

		if (n < 0)
			return 0;
		done += n;
	}
	return 1;
}

static void answer(int fd)
{
	struct order order;
	double start = now();
	int one = 1;

	if (!read_all(fd, &order, sizeof(order)))
		return;
	if (order.what == 'r') {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		while (read_all(fd, buffer, REQUEST) && write_all(fd, buffer, REQUEST))
			;
		return;
	}
	for (uint64_t done = 0; order.bytes ? done < order.bytes : now() - start < order.ms * 1e-3;) {
		size_t size = order.bytes && order.bytes - done < CHUNK ? order.bytes - done : CHUNK;

		if (!write_all(fd, buffer, size))
			return;
		done += size;
	}
	shutdown(fd, SHUT_WR);
	while (read(fd, buffer, CHUNK) > 0)
		;
}

static void serve(int protocol, int port, int size)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct timeval never = { 0 };
	int listener = make_socket(protocol, size);

	setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &never, sizeof(never));
	signal(SIGCHLD, SIG_IGN);
	if (bind(listener, (void *)&any, sizeof(any)) || listen(listener, 16))
		die("port %d: %s", port, strerror(errno));
	puts("ready");
	fflush(stdout);
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			die("accept: %s", strerror(errno));
		if (!fork()) {
			answer(fd);
			_exit(0);
		}
		close(fd);
	}
}

/* Says once that half a second has passed. */
static void begun(double start)
{
	static int told;

	if (told || now() - start < BEGUN_MS * 1e-3)
		return;
	told = 1;
	fputs("begun\n", stderr);
}

/* Reads to the end; returns the bytes, and the longest time without any around the loss of a path. */
static uint64_t drain(int fd, double start, double *gap)
{
	double last = 0;
	uint64_t bytes = 0;
	ssize_t n;

	while ((n = read(fd, buffer, CHUNK)) > 0) {
		double at = now();

		if (last && last - start < (BEGUN_MS + LOSS_MS) * 1e-3 && at - last > *gap)
			*gap = at - last;
		last = at;
		bytes += n;
		begun(start);
	}
	if (n < 0)
		die("read after %llu bytes: %s", (unsigned long long)bytes, strerror(errno));
	return bytes;
}

static double worst_reply(int fd, double ms)
{
	double start = now(), worst = 0;
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	for (int i = 0; i * PERIOD_MS < ms; i++) {
		double due = start + i * PERIOD_MS * 1e-3, asked;

		if (due > now())
			usleep((due - now()) * 1e6);
		begun(start);
		asked = now();
		if (!write_all(fd, buffer, REQUEST) || !read_all(fd, buffer, REQUEST))
			die("no answer to request %d: %s", i, strerror(errno));
		if (now() - asked > worst)
			worst = now() - asked;
	}
	return worst * 1e3;
}

int main(int argc, char **argv)
{
	struct sockaddr_in server = { .sin_family = AF_INET };
	const char *what = argc > 1 ? argv[1] : "", *bound = getenv("BIND");
	struct order order = { .what = 'b' };
	double start, gap = 0;
	uint64_t bytes;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	if (!strcmp(what, "serve") && argc == 5)
		serve(number(argv[2], "PROTOCOL", 0, 262), number(argv[3], "PORT", 0, 65535),
		      number(argv[4], "BUFFER", 0, 1 << 30));
	if (argc != (strcmp(what, "bulk") ? 7 : 8))
		die("'%s' with %d arguments: see the head of paths.c", what, argc - 2);
	fd = make_socket(number(argv[2], "PROTOCOL", 0, 262), number(argv[5], "BUFFER", 0, 1 << 30));
	if (inet_pton(AF_INET, argv[3], &server.sin_addr) != 1)
		die("ADDRESS is '%s': it must be an IPv4 address", argv[3]);
	server.sin_port = htons(number(argv[4], "PORT", 0, 65535));
	if (bound && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, bound, strlen(bound)))
		die("%s: %s", bound, strerror(errno));
	order.bytes = strcmp(what, "bulk") ? 0 : number(argv[6], "BYTES", 0, 1L << 40);
	order.ms = number(argv[argc - 1], "MS", 0, 10000000);
	if (!strcmp(what, "reply"))
		order.what = 'r';
	else if (strcmp(what, "bulk") && strcmp(what, "gap"))
		die("'%s': see the head of paths.c", what);
	start = now();
	if (connect(fd, (void *)&server, sizeof(server)) || !write_all(fd, &order, sizeof(order)))
		die("connect: %s", strerror(errno));
	if (order.what == 'r') {
		printf("%.1f\n", worst_reply(fd, order.ms));
		return 0;
	}
	bytes = drain(fd, start, &gap);
	if (!strcmp(what, "gap"))
		printf("%.1f\n", gap * 1e3);
	else
		printf("%.3f\n", bytes * 8e-6 / (now() - start));
	return 0;
}
