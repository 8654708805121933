/* SPDX-License-Identifier: GPL-2.0 */
/* What the programs that measure share; PROGRAM is the name of the one that includes it. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static _Noreturn void die(const char *format, ...)
{
	va_list args;

	fputs("error: " PROGRAM ": ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec * 1e-9;
}

static long number(const char *text, const char *what, long min, long max)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (!*text || *end || value < min || value > max)
		die("%s is '%s': it must be %ld to %ld", what, text, min, max);
	return value;
}
