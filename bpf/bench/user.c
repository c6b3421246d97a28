// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a program without BPF would do in place of sn_ingress: read frames from a memory-mapped AF_PACKET ring (one
 * copy a packet, no system call while frames wait), parse them with the same parser, and count flow, class and shape
 * in tables of its own. And the sender for both sides of the comparison. Built as a shared library for the lab.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <sentinel/abi.h>
#include <sentinel/parse.h>

#define FRAME_BYTES 2048
#define BLOCK_BYTES (FRAME_BYTES * 64)
#define FRAMES 8192
#define FLOWS (1u << 17)
#define BURST 64
#define POLL_MS 50

struct entry {
	struct sn_flow_key key;
	struct sn_flow flow;
};

struct sn_user {
	volatile __u64 counted; /* first: the lab waits on it */
	volatile __u64 stop;
	int socket;
	__u32 position;
	char *ring;
	struct entry *flows;
	struct sn_cell cell;
	struct sn_shape shape;
};

struct sn_user_spent {
	__u64 cpu_ns;
	__u64 waits; /* voluntary context switches */
	__u64 preemptions;
};

static __u64 clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

void sn_user_close(struct sn_user *user)
{
	if (user->ring)
		munmap(user->ring, (size_t)FRAMES * FRAME_BYTES);
	close(user->socket);
	free(user->flows);
	free(user);
}

struct sn_user *sn_user_open(int ifindex)
{
	struct tpacket_req ring = {BLOCK_BYTES, FRAMES / 64, FRAME_BYTES, FRAMES};
	struct sockaddr_ll where = {
		.sll_family = AF_PACKET, .sll_protocol = bpf_htons(ETH_P_ALL), .sll_ifindex = ifindex};
	struct sn_user *user = calloc(1, sizeof(*user));
	int version = TPACKET_V2, ignore = 1;

	if (!user)
		return NULL;
	user->flows = calloc(FLOWS, sizeof(*user->flows));
	user->socket = socket(AF_PACKET, SOCK_RAW, 0);
	setsockopt(user->socket, SOL_PACKET, PACKET_IGNORE_OUTGOING, &ignore, sizeof(ignore));
	if (!user->flows || user->socket < 0 ||
	    setsockopt(user->socket, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) ||
	    setsockopt(user->socket, SOL_PACKET, PACKET_RX_RING, &ring, sizeof(ring)))
		goto failed;
	user->ring = mmap(NULL, (size_t)FRAMES * FRAME_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, user->socket, 0);
	if (user->ring == MAP_FAILED || bind(user->socket, (struct sockaddr *)&where, sizeof(where)))
		goto failed;
	return user;
failed:
	if (user->ring == MAP_FAILED)
		user->ring = NULL;
	sn_user_close(user);
	return NULL;
}

static struct entry *entry_of(struct sn_user *user, const struct sn_flow_key *key)
{
	const __u64 *words = (const __u64 *)key;
	__u64 mixed = words[1] * 0x9e3779b97f4a7c15ull ^ words[3] * 0xc2b2ae3d27d4eb4full ^ words[0] ^ words[2];
	__u32 slot;

	mixed = (mixed ^ words[4]) * 0xff51afd7ed558ccdull;
	for (slot = mixed >> 47;; slot = (slot + 1) % FLOWS) {
		struct entry *entry = &user->flows[slot];

		if (!entry->flow.packets) {
			entry->key = *key;
			return entry;
		}
		if (!memcmp(&entry->key, key, sizeof(*key)))
			return entry;
	}
}

static __u32 log2_of(__u64 value)
{
	return value ? 63 - __builtin_clzll(value) : 0;
}

static void count(struct sn_user *user, const struct sn_packet *packet)
{
	struct entry *entry = entry_of(user, &packet->key);
	__u32 gap = log2_of(packet->now_ns - user->cell.last_seen_ns);

	entry->flow.last_ns = packet->now_ns;
	entry->flow.packets++;
	entry->flow.bytes += packet->length;
	user->cell.new_flows += entry->flow.packets == 1;
	user->cell.packets++;
	user->cell.bytes += packet->length;
	user->cell.last_seen_ns = packet->now_ns;
	user->shape.size[log2_of(packet->length) % SN_SIZE_BUCKETS]++;
	user->shape.gap[gap < SN_GAP_BUCKETS ? gap : SN_GAP_BUCKETS - 1]++;
}

/* All frames that wait; how many those were. */
__u64 sn_user_drain(struct sn_user *user)
{
	__u64 before = user->counted;

	for (;;) {
		struct tpacket2_hdr *header = (void *)(user->ring + (size_t)user->position * FRAME_BYTES);
		struct sn_packet packet = {};
		struct sn_span span;

		if (!(__atomic_load_n(&header->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
			return user->counted - before;
		span.data = (char *)header + header->tp_mac;
		span.end = span.data + header->tp_snaplen;
		span.length = header->tp_len;
		packet.now_ns = clock_ns(CLOCK_MONOTONIC);
		if (sn_parse_span(&span, &packet) == SN_FOUND)
			count(user, &packet);
		__atomic_store_n(&header->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
		user->position = (user->position + 1) % FRAMES;
		user->counted++;
	}
}

static void spent_by_thread(struct sn_user_spent *spent)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	spent->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	spent->waits = usage.ru_nvcsw;
	spent->preemptions = usage.ru_nivcsw;
}

static void difference(struct sn_user_spent *spent, const struct sn_user_spent *before)
{
	spent->cpu_ns -= before->cpu_ns;
	spent->waits -= before->waits;
	spent->preemptions -= before->preemptions;
}

/* A reader's life: sleep until frames wait, take them; until told to stop. */
void sn_user_live(struct sn_user *user, struct sn_user_spent *spent)
{
	struct pollfd poller = {user->socket, POLLIN, 0};
	struct sn_user_spent before;

	spent_by_thread(&before);
	while (!user->stop) {
		if (poll(&poller, 1, POLL_MS) > 0)
			sn_user_drain(user);
	}
	spent_by_thread(spent);
	difference(spent, &before);
}

/* How many frames the kernel took. Flow numbers run on from `*flow`; the source is 10.0.0.1 and up, four ports each. */
static int send_burst(int through, char *frames, int size, int count, __u32 flows, __u32 *flow)
{
	struct mmsghdr messages[BURST] = {};
	struct iovec parts[BURST];

	for (int each = 0; each < count; each++, ++*flow) {
		char *frame = frames + each * size;
		__be32 address = bpf_htonl(0x0a000001 + *flow % flows / 4);
		__be16 port = bpf_htons(1024 + *flow % 4);

		memcpy(frame + 26, &address, sizeof(address));
		memcpy(frame + 34, &port, sizeof(port));
		parts[each] = (struct iovec){frame, size};
		messages[each].msg_hdr.msg_iov = &parts[each];
		messages[each].msg_hdr.msg_iovlen = 1;
	}
	return sendmmsg(through, messages, count, 0);
}

static void copy_frame(char *frames, const char *frame, int size, int count)
{
	for (int each = 0; each < count; each++)
		memcpy(frames + each * size, frame, size);
}

/* As fast as one thread can, the reader (if any) served by the same thread; nanoseconds of CPU, or 0 on a loss. */
__u64 sn_user_flood(int through, struct sn_user *user, const char *frame, int size, __u32 flows, __u32 bursts)
{
	char frames[BURST * size];
	__u64 began, seen = 0;
	__u32 flow = 0;

	copy_frame(frames, frame, size, BURST);
	began = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	for (__u32 burst = 0; burst < bursts; burst++) {
		if (send_burst(through, frames, size, BURST, flows, &flow) != BURST)
			return 0;
		if (user)
			seen += sn_user_drain(user);
	}
	if (user && seen != (__u64)bursts * BURST)
		return 0;
	return clock_ns(CLOCK_THREAD_CPUTIME_ID) - began;
}

/* `packets` at one each `gap_ns`; what that took this thread, and how many packets went out. */
__u64 sn_user_pace(int through, const char *frame, int size, __u32 flows, __u64 gap_ns, __u32 packets,
		   struct sn_user_spent *spent)
{
	struct sn_user_spent before;
	__u64 due = clock_ns(CLOCK_MONOTONIC), sent = 0;
	char frames[size];
	__u32 flow = 0;

	copy_frame(frames, frame, size, 1);
	spent_by_thread(&before);
	for (__u32 each = 0; each < packets; each++, due += gap_ns) {
		struct timespec until = {due / 1000000000ull, due % 1000000000ull};

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		sent += send_burst(through, frames, size, 1, flows, &flow) == 1;
	}
	spent_by_thread(spent);
	difference(spent, &before);
	return sent;
}

/* From the call that sends one frame until `*counter` shows it; ULLONG_MAX after a second without. */
void sn_user_trips(int through, const char *frame, int size, const volatile __u64 *counter, __u64 *trips_ns,
		   __u32 count)
{
	for (__u32 each = 0; each < count; each++) {
		__u64 before = *counter, began = clock_ns(CLOCK_MONOTONIC), now = began;

		send(through, frame, size, 0);
		while (*counter == before && now - began < 1000000000ull)
			now = clock_ns(CLOCK_MONOTONIC);
		trips_ns[each] = *counter == before ? ~0ull : clock_ns(CLOCK_MONOTONIC) - began;
		usleep(200);
	}
}
