/* SPDX-License-Identifier: Apache-2.0 */
/* The pod of the conformance suite: `hello serve PORT` tells every caller its host name, `hello ask ADDRESS PORT` asks. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define ANSWER_SIZE 256
#define PATIENCE_S 3

static int fail(const char *what)
{
	perror(what);
	return 1;
}

static struct sockaddr_in endpoint(const char *address, const char *port)
{
	struct sockaddr_in found = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };

	inet_pton(AF_INET, address, &found.sin_addr);
	return found;
}

static int serve(int listener, struct sockaddr_in here)
{
	char name[ANSWER_SIZE];
	int yes = 1;

	gethostname(name, sizeof(name) - 1);
	strcat(name, "\n");
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(listener, (struct sockaddr *)&here, sizeof(here)) || listen(listener, 16))
		return fail("listen");
	printf("serving on port %d\n", ntohs(here.sin_port));
	fflush(stdout);
	for (;;) {
		int caller = accept(listener, NULL, NULL);

		if (caller < 0)
			continue;
		if (write(caller, name, strlen(name)) < 0)
			perror("write");
		close(caller);
	}
}

static int ask(int caller, struct sockaddr_in there)
{
	struct timeval patience = { .tv_sec = PATIENCE_S };
	char answer[ANSWER_SIZE];
	ssize_t length;

	setsockopt(caller, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(caller, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(caller, (struct sockaddr *)&there, sizeof(there)))
		return fail("connect");
	length = read(caller, answer, sizeof(answer));
	if (length <= 0)
		return fail("read");
	return write(STDOUT_FILENO, answer, length) < 0;
}

int main(int argc, char **argv)
{
	int end = socket(AF_INET, SOCK_STREAM, 0);

	if (end < 0)
		return fail("socket");
	if (argc == 3 && !strcmp(argv[1], "serve"))
		return serve(end, endpoint("0.0.0.0", argv[2]));
	if (argc == 4 && !strcmp(argv[1], "ask"))
		return ask(end, endpoint(argv[2], argv[3]));
	fprintf(stderr, "usage: hello serve PORT | hello ask ADDRESS PORT\n");
	return 2;
}
