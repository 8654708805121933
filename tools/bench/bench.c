// SPDX-License-Identifier: GPL-2.0
/*
 * Measures one thing about TCP or MPTCP sockets and prints it as one number.
 *
 *   bench serve PROTOCOL ADDRESS PORT         servers on four ports, until killed; prints "ready":
 *                                             PORT   reads to the end, answers one byte
 *                                             PORT+1 answers every byte with a byte
 *                                             PORT+2 answers every 4 KiB with 4 KiB
 *                                             PORT+3 answers one byte, keeps the connection
 *   bench bulk PROTOCOL ADDRESS PORT SIZE MS      Mbit/s of writes of SIZE bytes for MS milliseconds
 *   bench connect PROTOCOL ADDRESS PORT COUNT     median us of connect()
 *   bench cycle PROTOCOL ADDRESS PORT MS          connect, a byte each way, close: times per second
 *   bench exchange PROTOCOL ADDRESS PORT SIZE COUNT  mean us of a request and an answer of SIZE (1 or 4096)
 *   bench hold PROTOCOL ADDRESS PORT COUNT        opens COUNT connections, prints "ready", keeps them
 *                                                 until its input ends
 * PROTOCOL is 0 (TCP) or 262 (the kernel's own MPTCP); ADDRESS is IPv4 or IPv6.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM "bench"
#include "common.h"

enum { PORT_SINK, PORT_BYTE, PORT_BLOCK, PORT_HOLD, PORTS };
enum { BLOCK = 4096, BUFFER = 1 << 18 };

static char buffer[BUFFER];

struct peer {
	int protocol;
	socklen_t len;
	struct sockaddr_storage address;
};

static struct peer parse_peer(char **argv)
{
	struct peer peer = { .protocol = number(argv[0], "PROTOCOL", 0, 262) };
	struct sockaddr_in *v4 = (void *)&peer.address;
	struct sockaddr_in6 *v6 = (void *)&peer.address;
	in_port_t port = htons(number(argv[2], "PORT", 1, 65535 - PORTS));

	if (inet_pton(AF_INET, argv[1], &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = port;
		peer.len = sizeof(*v4);
	} else if (inet_pton(AF_INET6, argv[1], &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = port;
		peer.len = sizeof(*v6);
	} else {
		die("ADDRESS is '%s': it must be an IPv4 or IPv6 address", argv[1]);
	}
	return peer;
}

/* The port stands at the same place in both families. */
static void move_port(struct peer *peer, int offset)
{
	struct sockaddr_in *v4 = (void *)&peer->address;

	v4->sin_port = htons(ntohs(v4->sin_port) + offset);
}

static int make_socket(const struct peer *peer)
{
	int fd = socket(peer->address.ss_family, SOCK_STREAM, peer->protocol);

	if (fd < 0)
		die("no socket of protocol %d: %s", peer->protocol, strerror(errno));
	return fd;
}

static void set_nodelay(int fd)
{
	int one = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
		die("TCP_NODELAY: %s", strerror(errno));
}

static int connected(const struct peer *peer)
{
	int fd = make_socket(peer);

	if (connect(fd, (const void *)&peer->address, peer->len))
		die("connect: %s", strerror(errno));
	return fd;
}

static int serving;

/* Returns 0 at the end of the stream, else size. A server outlives what a connection of it does. */
static size_t read_all(int fd, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = read(fd, buffer + done, size - done);

		if (n < 0 && !serving)
			die("read: %s", strerror(errno));
		if (n <= 0)
			return 0;
		done += n;
	}
	return size;
}

static void write_all(int fd, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = write(fd, buffer + done, size - done);

		if (n < 0 && !serving)
			die("write: %s", strerror(errno));
		if (n < 0)
			return;
		done += n;
	}
}

static void serve_port(int listener, int kind)
{
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		ssize_t n;

		if (fd < 0)
			die("accept: %s", strerror(errno));
		switch (kind) {
		case PORT_SINK:
			while ((n = read(fd, buffer, BUFFER)) > 0)
				;
			if (!n)
				write_all(fd, 1);
			break;
		case PORT_BYTE:
			while (read_all(fd, 1))
				write_all(fd, 1);
			break;
		case PORT_BLOCK:
			set_nodelay(fd);
			while (read_all(fd, BLOCK))
				write_all(fd, BLOCK);
			break;
		case PORT_HOLD:
			read_all(fd, 1);
			write_all(fd, 1);
			continue;
		}
		close(fd);
	}
}

static void serve(struct peer peer)
{
	serving = 1;
	for (int kind = 0; kind < PORTS; kind++) {
		int fd = make_socket(&peer);
		int one = 1;
		pid_t parent = getpid();

		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (bind(fd, (void *)&peer.address, peer.len))
			die("bind: %s", strerror(errno));
		if (listen(fd, 4096))
			die("listen: %s", strerror(errno));
		move_port(&peer, 1);
		switch (fork()) {
		case -1:
			die("fork: %s", strerror(errno));
		case 0:
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (getppid() != parent)
				exit(1);
			serve_port(fd, kind);
		}
		close(fd);
	}
	puts("ready");
	fflush(stdout);
	wait(NULL);
	die("a server ended");
}

static double bulk(struct peer peer, size_t size, double seconds)
{
	int fd = connected(&peer);
	double start = now(), end;
	double bytes = 0;

	do {
		/* The clock is read once per 64 KiB, however small the writes are. */
		for (size_t n = 0; n < 65536; n += size) {
			write_all(fd, size);
			bytes += size;
		}
	} while (now() - start < seconds);
	shutdown(fd, SHUT_WR);
	if (!read_all(fd, 1))
		die("the server closed before it had everything");
	end = now();
	return bytes * 8e-6 / (end - start);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double connect_time(struct peer peer, int count)
{
	double *times = calloc(count, sizeof(*times));

	if (!times)
		die("out of memory");
	move_port(&peer, PORT_BYTE);
	for (int i = 0; i < count; i++) {
		int fd = make_socket(&peer);
		double start = now();

		if (connect(fd, (void *)&peer.address, peer.len))
			die("connect: %s", strerror(errno));
		times[i] = now() - start;
		/* The server has done its part when its end of the stream arrives. */
		shutdown(fd, SHUT_WR);
		if (read_all(fd, 1))
			die("the server sent something");
		close(fd);
		/* What closing leaves to timers and work queues must not meet the next one. */
		usleep(1000);
	}
	qsort(times, count, sizeof(*times), compare);
	return times[count / 2] * 1e6;
}

static double cycle(struct peer peer, double seconds)
{
	double start = now(), end;
	int count = 0;

	move_port(&peer, PORT_BYTE);
	do {
		int fd = connected(&peer);

		write_all(fd, 1);
		if (!read_all(fd, 1))
			die("the server closed before it answered");
		close(fd);
		count++;
		end = now();
	} while (end - start < seconds);
	return count / (end - start);
}

static double exchange(struct peer peer, size_t size, int count)
{
	double start = 0;
	int fd;

	move_port(&peer, size == 1 ? PORT_BYTE : PORT_BLOCK);
	fd = connected(&peer);
	set_nodelay(fd);
	/* The first tenth warms the connection up. */
	for (int i = -count / 10; i < count; i++) {
		if (!i)
			start = now();
		write_all(fd, size);
		if (!read_all(fd, size))
			die("the server closed before it answered");
	}
	return (now() - start) * 1e6 / count;
}

static void hold(struct peer peer, int count)
{
	move_port(&peer, PORT_HOLD);
	for (int i = 0; i < count; i++) {
		int fd = connected(&peer);

		/* Only a connection that has carried data is fully established. */
		write_all(fd, 1);
		if (!read_all(fd, 1))
			die("the server closed before it answered");
	}
	puts("ready");
	fflush(stdout);
	while (read(0, buffer, BUFFER) > 0)
		;
}

int main(int argc, char **argv)
{
	struct rlimit files = { 1 << 20, 1 << 20 };
	const char *what = argc > 1 ? argv[1] : "";
	struct peer peer;

	signal(SIGPIPE, SIG_IGN);
	setrlimit(RLIMIT_NOFILE, &files);
	if (argc < 5)
		die("too few arguments: see the head of bench.c");
	peer = parse_peer(argv + 2);
	if (!strcmp(what, "serve") && argc == 5) {
		serve(peer);
	} else if (!strcmp(what, "bulk") && argc == 7) {
		long size = number(argv[5], "SIZE", 1, BUFFER);

		printf("%.2f\n", bulk(peer, size, number(argv[6], "MS", 1, 1000000) * 1e-3));
	} else if (!strcmp(what, "connect") && argc == 6) {
		printf("%.3f\n", connect_time(peer, number(argv[5], "COUNT", 1, 1000000)));
	} else if (!strcmp(what, "cycle") && argc == 6) {
		printf("%.1f\n", cycle(peer, number(argv[5], "MS", 1, 1000000) * 1e-3));
	} else if (!strcmp(what, "exchange") && argc == 7) {
		long size = number(argv[5], "SIZE", 1, BLOCK);

		if (size != 1 && size != BLOCK)
			die("SIZE is %ld: it must be 1 or %d", size, BLOCK);
		printf("%.3f\n", exchange(peer, size, number(argv[6], "COUNT", 1, 10000000)));
	} else if (!strcmp(what, "hold") && argc == 6) {
		hold(peer, number(argv[5], "COUNT", 1, 100000));
	} else {
		die("'%s' with %d arguments: see the head of bench.c", what, argc - 2);
	}
	return 0;
}
