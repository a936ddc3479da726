/* The benchmark's client: N WebSockets in one epoll loop, so that it costs far less than the server it measures.
 *
 *     load [-c OPENING] [-z SLOW] HOST PORT PATH COUNT READY FIRST [HEADER...]
 *
 * Opens COUNT connections, OPENING at a time, sends FIRST on each (unless empty; %d in it and in a header becomes the
 * connection's number), and prints "ready <n>" once a message with the text READY came on every one; an empty READY is
 * there with the handshake. From then on each line with "t":<nanoseconds of the monotonic clock> is one delivery, whose
 * latency is noted, each "offset":<number> has to be the one after the connection's last, and each "number":<number>
 * after "t" that is not is a gap. The last SLOW connections read nothing once they are ready. Lines on standard input,
 * each answered with one line:
 *
 *     count     {"deliveries": <so far>}
 *     lap       the numbers so far, as at the end; those of deliveries begin anew
 *     close     cuts every connection: {"closed": <n>}
 *     reopen    opens all of them at once and recovers: FIRST again, the subscribe command in it with the position the
 *               connection had. Answered when everybody is back.
 *
 * When standard input is closed it prints one JSON object and ends.
 */
#define _GNU_SOURCE
#include "peer.h"
#include "series.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HANDSHAKES 50        /* how many connections are opened at a time, unless said otherwise or all are reopened */

static struct peer *peers;
static int count, slow, opened, waiting, ready, lost, handshakes = HANDSHAKES;
static const char *ready_text, *first_text;
static struct series latencies, reopenings;
static int64_t opened_at, joined_at, first_sent, first_at, last_at, reopened_at;   /* reopened_at is 0 until then */
static size_t disorder, gaps, ended;
static int announced;

static int64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* What follows `key` in the text, or NULL. */
static const char *find(const char *text, const char *end, const char *key)
{
    const char *at = memmem(text, (size_t)(end - text), key, strlen(key));
    return at ? at + strlen(key) : NULL;
}

void on_loss(struct peer *peer, enum phase phase)
{
    (void)peer;
    if (phase < READY)
        waiting--;
    else
        ready--;
    lost++;
}

static void become_ready(struct peer *peer)
{
    peer->phase = READY;
    waiting--;
    ready++;
    joined_at = clock_ns();
    if (peer->slow)
        peer_stop_reading(peer);
}

void on_open(struct peer *peer)
{
    char text[8192], position[256];
    size_t used = numbered(text, sizeof text - sizeof position, first_text, peer->number);
    const char *from = reopened_at ? find(text, text + used, "\"subscribe\":{") : NULL;
    if (from) {
        size_t at = (size_t)(from - text), size;
        size = (size_t)snprintf(position, sizeof position, "\"recover\":true,\"offset\":%lld,\"epoch\":\"%s\",",
                                (long long)peer->offset, peer->epoch);
        memmove(text + at + size, text + at, used - at);
        memcpy(text + at, position, size);
        used += size;
    }
    if (used)
        peer_send(peer, text, used);
    if (peer->phase == JOINING && !*ready_text)
        become_ready(peer);
}

/* Each offset in the text is one more than the one before; returns how many there were. */
static long follow(struct peer *peer, const char *text, const char *end)
{
    long found = 0;
    while ((text = find(text, end, "\"offset\":")) != NULL) {
        int64_t offset = strtoll(text, NULL, 10);
        disorder += offset != peer->offset + 1;
        peer->offset = offset;
        found++;
    }
    return found;
}

/* The reply to subscribe. */
static void on_ready(struct peer *peer, const char *text, const char *end)
{
    const char *publications = find(text, end, "\"publications\":["), *offset, *epoch;
    if (!publications)
        publications = end;
    offset = find(text, publications, "\"offset\":");
    epoch = find(text, publications, "\"epoch\":\"");
    if (!reopened_at) {
        peer->offset = offset ? strtoll(offset, NULL, 10) : 0;
        if (epoch)
            snprintf(peer->epoch, sizeof peer->epoch, "%.*s", (int)strcspn(epoch, "\""), epoch);
    } else if (find(text, publications, "\"recovered\":true")) {
        disorder += (offset ? strtoll(offset, NULL, 10) : 0) != peer->offset;
        peer->recovered = follow(peer, publications, end);
        note(&reopenings, clock_ns() - reopened_at);
    }
    become_ready(peer);
}

static void on_delivery(struct peer *peer, const char *at, const char *end)
{
    int64_t now = clock_ns(), sent = strtoll(at, NULL, 10);
    const char *near = end - at < 64 ? end : at + 64, *number = find(at, near, "\"number\":");
    if (latencies.length == 0) {
        first_at = now;
        first_sent = sent;
    }
    first_sent = sent < first_sent ? sent : first_sent;
    last_at = now;
    note(&latencies, now - sent);
    if (number) {
        int64_t newest = strtoll(number, NULL, 10);
        gaps += newest != peer->newest + 1;
        peer->newest = newest;
    }
}

static void on_line(struct peer *peer, const char *text, const char *end)
{
    const char *at;
    if (end - text == 2 && memcmp(text, "{}", 2) == 0) {   /* the protocol's ping */
        peer_send(peer, "{}", 2);
        return;
    }
    if (peer->phase == JOINING) {
        if (find(text, end, "\"error\":{")) {
            if (!lost)
                fprintf(stderr, "load: refused: %.*s\n", (int)(end - text < 200 ? end - text : 200), text);
            peer_fail(peer);
        } else if (find(text, end, ready_text)) {
            on_ready(peer, text, end);
        }
        return;
    }
    if (*peer->epoch)   /* the channel keeps a history */
        follow(peer, text, end);
    if ((at = find(text, end, "\"t\":")) != NULL)
        on_delivery(peer, at, end);
    else
        ended += find(text, end, "\"unsubscribe\":{") != NULL;
}

/* A message is one or more lines. */
void on_message(struct peer *peer, const char *text, size_t length)
{
    const char *end = text + length;
    while (text < end && peer->phase != CLOSED) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        on_line(peer, text, stop ? stop : end);
        text = stop ? stop + 1 : end;
    }
}

static void open_more(void)
{
    if (!opened_at)
        opened_at = clock_ns();
    while (opened < count && waiting < handshakes) {
        peer_open(&peers[opened++]);
        waiting++;
    }
}

static void close_all(void)
{
    int closed = 0;
    for (int i = 0; i < count; i++) {
        closed += peers[i].phase != CLOSED;
        peer_close(&peers[i]);
    }
    ready = waiting = 0;
    printf("{\"closed\": %d}\n", closed);
}

static void reopen(void)
{
    opened = ready = waiting = lost = announced = 0;
    handshakes = count;
    reopenings.length = 0;
    reopened_at = clock_ns();
}

static void announce(void)
{
    long least = peers[0].recovered, most = least;
    announced = 1;
    if (!reopened_at) {
        printf("ready %d\n", ready);
        return;
    }
    for (int i = 0; i < count; i++) {
        least = peers[i].recovered < least ? peers[i].recovered : least;
        most = peers[i].recovered > most ? peers[i].recovered : most;
    }
    sort(&reopenings);
    printf("{\"connections\": %d, \"recovered\": %zu, \"least\": %ld, \"most\": %ld, \"out_of_order\": %zu, "
           "\"p50_ms\": %.3f, \"max_ms\": %.3f}\n",
           ready, reopenings.length, least, most, disorder, quantile_ms(&reopenings, 0.5), quantile_ms(&reopenings, 1));
}

/* How many of those that do not read the server has closed. */
static int slow_closed(void)
{
    int closed = 0;
    for (int i = count - slow; i < count; i++) {
        struct tcp_info info = {0};
        socklen_t size = sizeof info;
        closed += peers[i].phase == CLOSED || getsockopt(peers[i].fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0
                  || info.tcpi_state != TCP_ESTABLISHED;
    }
    return closed;
}

static void report(void)
{
    sort(&latencies);
    printf("{\"connections\": %d, \"lost_connections\": %d, \"deliveries\": %zu, \"seconds\": %.6f, \"p50_ms\": %.3f, "
           "\"p99_ms\": %.3f, \"max_ms\": %.3f, \"out_of_order\": %zu, \"ended\": %zu, \"gaps\": %zu, "
           "\"join_seconds\": %.6f, \"seconds_from_publishing\": %.6f, \"slow_closed\": %d}\n",
           ready, lost, latencies.length, (double)(last_at - first_at) / 1e9,
           quantile_ms(&latencies, 0.5), quantile_ms(&latencies, 0.99), quantile_ms(&latencies, 1), disorder, ended,
           gaps, (double)(joined_at - opened_at) / 1e9, (double)(last_at - first_sent) / 1e9, slow_closed());
}

static void lap(void)
{
    report();
    latencies.length = gaps = disorder = ended = 0;
    first_at = last_at = first_sent = 0;
    for (int i = 0; i < count; i++)
        peers[i].newest = -1;
}

static void on_command(void)
{
    char line[64] = "";
    if (read(STDIN_FILENO, line, sizeof line - 1) <= 0) {
        report();
        exit(0);
    }
    if (strcmp(line, "count\n") == 0)
        printf("{\"deliveries\": %zu}\n", latencies.length);
    else if (strcmp(line, "lap\n") == 0)
        lap();
    else if (strcmp(line, "close\n") == 0)
        close_all();
    else if (strcmp(line, "reopen\n") == 0)
        reopen();
    else
        printf("{\"error\": \"unknown command\"}\n");
    fflush(stdout);
}

static int start(int argc, char **argv)
{
    struct rlimit files;
    struct epoll_event on_input = {.events = EPOLLIN, .data.ptr = NULL};
    static char handshake[6000];   /* with the numbers in, peer.c has room for 8192 */
    size_t used;
    int option;
    while ((option = getopt(argc, argv, "+c:z:")) != -1) {
        if (option == 'c')
            handshakes = atoi(optarg);
        else if (option == 'z')
            slow = atoi(optarg);
        else
            return 2;
    }
    argc -= optind - 1;
    argv += optind - 1;
    if (argc < 7) {
        fprintf(stderr, "usage: load [-c OPENING] [-z SLOW] HOST PORT PATH COUNT READY FIRST [HEADER...]\n");
        return 2;
    }
    count = atoi(argv[4]);
    ready_text = argv[5];
    first_text = argv[6];
    server.sin_family = AF_INET;
    server.sin_port = htons((uint16_t)atoi(argv[2]));
    if (count < 1 || slow > count || handshakes < 1 || inet_pton(AF_INET, argv[1], &server.sin_addr) != 1
        || strlen(first_text) > 4000) {
        fprintf(stderr, "load: HOST is an IPv4 address, COUNT at least 1 and SLOW, FIRST at most 4000 bytes\n");
        return 2;
    }
    used = (size_t)snprintf(handshake, sizeof handshake,
                            "GET %s HTTP/1.1\r\nHost: %s:%s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: YmVuY2gtYmVuY2gtYmVuYw==\r\n",
                            argv[3], argv[1], argv[2]);
    for (int i = 7; i < argc && used < sizeof handshake; i++)
        used += (size_t)snprintf(handshake + used, sizeof handshake - used, "%s\r\n", argv[i]);
    if (used + 3 > sizeof handshake) {
        fprintf(stderr, "load: the headers are too long\n");
        return 2;
    }
    strcpy(handshake + used, "\r\n");
    request = handshake;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    peers = calloc((size_t)count, sizeof *peers);
    loop = epoll_create1(0);
    if (!peers || loop < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, STDIN_FILENO, &on_input) < 0)
        die("start");
    for (int i = 0; i < count; i++) {
        peers[i].number = i;
        peers[i].newest = -1;
        peers[i].slow = i >= count - slow;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct epoll_event events[256];
    int failure = start(argc, argv);
    if (failure)
        return failure;
    for (;;) {
        int many;
        open_more();
        many = epoll_wait(loop, events, 256, -1);
        for (int i = 0; i < many; i++) {
            if (events[i].data.ptr)
                peer_event(events[i].data.ptr, events[i].events);
            else
                on_command();
        }
        if (!announced && ready + lost == count) {
            announce();
            fflush(stdout);
        }
    }
}
