// SPDX-License-Identifier: GPL-2.0
/*
 * One connection made with io_uring operations only (socket, connect or accept, send, recv, poll,
 * shutdown, close); run by 07-iouring.sh.
 *
 *     iouring server PROTOCOL ADDRESS PORT     sends back what it receives, until the end
 *     iouring client PROTOCOL ADDRESS PORT     sends 4 MiB and compares what comes back
 */
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TOTAL (4u << 20)
#define CHUNK 65536u

static struct io_uring ring;

/* Tells what failed and ends. */
static void fail(const char *what, int error)
{
	fprintf(stderr, "%s: %s\n", what, strerror(error));
	exit(1);
}

/* Submits the prepared operation and returns its result. */
static int complete(const char *what)
{
	struct io_uring_cqe *cqe;
	int result = io_uring_submit_and_wait(&ring, 1);

	if (result < 0)
		fail("io_uring_submit_and_wait", -result);
	result = io_uring_wait_cqe(&ring, &cqe);
	if (result < 0)
		fail("io_uring_wait_cqe", -result);
	result = cqe->res;
	io_uring_cqe_seen(&ring, cqe);
	if (result < 0)
		fail(what, -result);
	return result;
}

static int ring_socket(int family, int protocol)
{
	io_uring_prep_socket(io_uring_get_sqe(&ring), family, SOCK_STREAM, protocol, 0);
	return complete("socket");
}

static void ring_send(int fd, const unsigned char *data, unsigned int length)
{
	while (length) {
		int sent;

		io_uring_prep_send(io_uring_get_sqe(&ring), fd, data, length, MSG_WAITALL);
		sent = complete("send");
		data += sent;
		length -= sent;
	}
}

static unsigned int ring_recv(int fd, unsigned char *data, unsigned int length)
{
	io_uring_prep_poll_add(io_uring_get_sqe(&ring), fd, POLLIN);
	complete("poll");
	io_uring_prep_recv(io_uring_get_sqe(&ring), fd, data, length, 0);
	return complete("recv");
}

static void ring_shutdown(int fd)
{
	io_uring_prep_shutdown(io_uring_get_sqe(&ring), fd, SHUT_WR);
	complete("shutdown");
}

static void ring_close(int fd)
{
	io_uring_prep_close(io_uring_get_sqe(&ring), fd);
	complete("close");
}

static void serve(int listener)
{
	static unsigned char buffer[CHUNK];
	unsigned int length;
	int fd;

	io_uring_prep_accept(io_uring_get_sqe(&ring), listener, NULL, NULL, 0);
	fd = complete("accept");
	while ((length = ring_recv(fd, buffer, CHUNK)) > 0)
		ring_send(fd, buffer, length);
	ring_shutdown(fd);
	ring_close(fd);
	ring_close(listener);
}

static void ask(int fd)
{
	static unsigned char out[CHUNK], in[CHUNK];
	unsigned int i, done, length, chunk;

	for (done = 0, chunk = 0; done < TOTAL; done += CHUNK, chunk++) {
		unsigned int back = 0;

		for (i = 0; i < CHUNK; i++)
			out[i] = (i * 31 + (i >> 8) + chunk * 7) & 0xff;
		ring_send(fd, out, CHUNK);
		while (back < CHUNK) {
			length = ring_recv(fd, in + back, CHUNK - back);
			if (!length)
				fail("the stream ended early", EPIPE);
			back += length;
		}
		if (memcmp(in, out, CHUNK))
			fail("different bytes came back", EBADMSG);
	}
	ring_shutdown(fd);
	if (ring_recv(fd, in, CHUNK))
		fail("bytes after the end", EBADMSG);
	ring_close(fd);
}

int main(int argc, char **argv)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address = { 0 };
	socklen_t size = sizeof(address.v4);
	int fd, result, protocol, port;

	if (argc != 5) {
		fprintf(stderr, "usage: %s server|client PROTOCOL ADDRESS PORT\n", argv[0]);
		return 2;
	}
	protocol = atoi(argv[2]);
	port = atoi(argv[4]);
	address.v4.sin_family = AF_INET;
	address.v4.sin_port = htons(port);
	if (inet_pton(AF_INET, argv[3], &address.v4.sin_addr) != 1) {
		size = sizeof(address.v6);
		address.v6.sin6_family = AF_INET6;
		address.v6.sin6_port = htons(port);
		if (inet_pton(AF_INET6, argv[3], &address.v6.sin6_addr) != 1)
			fail(argv[3], EINVAL);
	}
	result = io_uring_queue_init(8, &ring, 0);
	if (result < 0)
		fail("io_uring_queue_init", -result);
	fd = ring_socket(address.any.sa_family, protocol);
	if (!strcmp(argv[1], "server")) {
		if (bind(fd, &address.any, size) || listen(fd, 1))
			fail("bind and listen", errno);
		serve(fd);
	} else {
		io_uring_prep_connect(io_uring_get_sqe(&ring), fd, &address.any, size);
		complete("connect");
		ask(fd);
	}
	io_uring_queue_exit(&ring);
	return 0;
}
