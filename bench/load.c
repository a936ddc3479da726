/* The benchmark's client: N WebSockets in one epoll loop, so that it costs far less than the server it measures.
 *
 *     load HOST PORT PATH COUNT READY FIRST [HEADER...]
 *
 * Opens COUNT connections, sends FIRST on each (unless empty), and prints "ready <n>" once a message with the text READY
 * came on every one. From then on each occurrence of "t":<nanoseconds of the monotonic clock> in a message is one
 * delivery, whose latency is noted. When standard input is closed it prints one JSON object and ends.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define HANDSHAKES 50        /* how many connections are opened at a time */
#define ROOM (1 << 18)       /* bytes a connection may have unparsed: far more than any message here */

enum phase { CLOSED, CONNECTING, UPGRADING, JOINING, READY };

struct peer {
    int fd;
    enum phase phase;
    size_t length;           /* bytes in rest */
    char *rest;              /* the start of a message whose end is still to come */
};

static struct peer *peers;
static int count, opened, waiting, ready, lost, loop;
static struct sockaddr_in server;
static const char *ready_text, *first_text;
static char request[8192];
static int64_t *latencies, first_at, last_at;
static size_t deliveries, capacity;

static int64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void give_up(struct peer *peer)
{
    if (peer->phase < READY)
        waiting--;
    else
        ready--;
    close(peer->fd);
    peer->phase = CLOSED;
    lost++;
}

static void open_more(void)
{
    while (opened < count && waiting < HANDSHAKES) {
        struct peer *peer = &peers[opened++];
        int yes = 1;
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = peer};
        peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (peer->fd < 0)
            die("socket");
        setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        if (connect(peer->fd, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS)
            die("connect");
        if (epoll_ctl(loop, EPOLL_CTL_ADD, peer->fd, &event) < 0)
            die("epoll_ctl");
        peer->phase = CONNECTING;
        waiting++;
    }
}

/* Writes are small and rare, so one that does not fit at once is a failure. */
static void put(struct peer *peer, const char *bytes, size_t length)
{
    if (send(peer->fd, bytes, length, MSG_NOSIGNAL) != (ssize_t)length)
        give_up(peer);
}

static void put_text(struct peer *peer, const char *text)
{
    char frame[4096];
    size_t length = strlen(text), at = 2;
    frame[0] = (char)0x81;
    if (length < 126) {
        frame[1] = (char)(0x80 | length);
    } else {
        frame[1] = (char)(0x80 | 126);
        frame[at++] = (char)(length >> 8);
        frame[at++] = (char)length;
    }
    memset(frame + at, 0, 4);   /* masked with zeros, which changes nothing */
    memcpy(frame + at + 4, text, length);
    put(peer, frame, at + 4 + length);
}

static void on_message(struct peer *peer, const char *text, size_t length)
{
    const char *end = text + length, *at = text;
    if (length == 2 && memcmp(text, "{}", 2) == 0) {   /* the protocol's ping */
        put_text(peer, "{}");
        return;
    }
    if (peer->phase == JOINING && memmem(text, length, ready_text, strlen(ready_text))) {
        peer->phase = READY;
        waiting--;
        ready++;
        return;
    }
    while ((at = memmem(at, (size_t)(end - at), "\"t\":", 4)) != NULL) {
        int64_t now = clock_ns();
        at += 4;
        while (at < end && *at == ' ')
            at++;
        if (deliveries == capacity) {
            capacity = capacity ? 2 * capacity : 65536;
            latencies = realloc(latencies, capacity * sizeof *latencies);
            if (!latencies)
                die("realloc");
        }
        if (deliveries == 0)
            first_at = now;
        last_at = now;
        latencies[deliveries++] = now - strtoll(at, NULL, 10);
    }
}

/* Takes whole messages off the front; returns how many bytes they had. */
static size_t parse(struct peer *peer, char *bytes, size_t length)
{
    size_t done = 0;
    if (peer->phase == UPGRADING) {
        char *end = memmem(bytes, length, "\r\n\r\n", 4);
        if (!end)
            return 0;
        if (length < 12 || memcmp(bytes + 9, "101", 3) != 0) {
            fprintf(stderr, "load: refused: %.60s\n", bytes);
            give_up(peer);
            return length;
        }
        done = (size_t)(end - bytes) + 4;
        peer->phase = JOINING;
        if (*first_text)
            put_text(peer, first_text);
    }
    while (peer->phase != CLOSED && length - done >= 2) {
        unsigned char *frame = (unsigned char *)bytes + done;
        size_t head = 2, size = frame[1] & 127, extra = size == 126 ? 2 : size == 127 ? 8 : 0;
        if (length - done < head + extra)
            break;
        if (extra)
            for (size = 0; extra; extra--)
                size = size << 8 | frame[head++];
        if (length - done < head + size)
            break;
        if ((frame[0] & 15) == 8)
            give_up(peer);
        else if ((frame[0] & 15) == 9)
            put(peer, "\x8a\x80\0\0\0\0", 6);
        else
            on_message(peer, (char *)frame + head, size);
        done += head + size;
    }
    return done;
}

static void on_readable(struct peer *peer)
{
    static char buffer[2 * ROOM];
    size_t length = peer->length, done;
    ssize_t got;
    if (length)
        memcpy(buffer, peer->rest, length);
    got = recv(peer->fd, buffer + length, ROOM, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        give_up(peer);
        return;
    }
    length += (size_t)got;
    done = parse(peer, buffer, length);
    if (peer->phase == CLOSED)
        return;
    peer->length = length - done;
    if (peer->length > ROOM) {
        fprintf(stderr, "load: a message is larger than %d bytes\n", ROOM);
        exit(1);
    }
    if (peer->length) {
        peer->rest = realloc(peer->rest, peer->length);
        memcpy(peer->rest, buffer + done, peer->length);
    }
}

static void on_event(struct peer *peer, uint32_t what)
{
    if (peer->phase == CONNECTING && what & EPOLLOUT) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
        epoll_ctl(loop, EPOLL_CTL_MOD, peer->fd, &event);
        peer->phase = UPGRADING;
        put(peer, request, strlen(request));
    }
    if (peer->phase != CLOSED && what & (EPOLLIN | EPOLLHUP | EPOLLERR))
        on_readable(peer);
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double quantile_ms(double share)
{
    return deliveries ? (double)latencies[(size_t)(share * (double)(deliveries - 1))] / 1e6 : 0;
}

static void report(void)
{
    qsort(latencies, deliveries, sizeof *latencies, by_size);
    printf("{\"connections\": %d, \"lost_connections\": %d, \"deliveries\": %zu, \"seconds\": %.6f, "
           "\"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f}\n",
           ready, lost, deliveries, (double)(last_at - first_at) / 1e9,
           quantile_ms(0.5), quantile_ms(0.99), quantile_ms(1));
}

int main(int argc, char **argv)
{
    struct rlimit files;
    struct epoll_event events[256], on_input = {.events = EPOLLIN, .data.ptr = NULL};
    size_t used;
    int announced = 0;
    if (argc < 7) {
        fprintf(stderr, "usage: load HOST PORT PATH COUNT READY FIRST [HEADER...]\n");
        return 2;
    }
    count = atoi(argv[4]);
    ready_text = argv[5];
    first_text = argv[6];
    server.sin_family = AF_INET;
    server.sin_port = htons((uint16_t)atoi(argv[2]));
    if (count < 1 || inet_pton(AF_INET, argv[1], &server.sin_addr) != 1 || strlen(first_text) > 4000) {
        fprintf(stderr, "load: HOST is an IPv4 address, COUNT at least 1, FIRST at most 4000 bytes\n");
        return 2;
    }
    used = (size_t)snprintf(request, sizeof request,
                            "GET %s HTTP/1.1\r\nHost: %s:%s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: YmVuY2gtYmVuY2gtYmVuYw==\r\n",
                            argv[3], argv[1], argv[2]);
    for (int i = 7; i < argc && used < sizeof request; i++)
        used += (size_t)snprintf(request + used, sizeof request - used, "%s\r\n", argv[i]);
    if (used + 3 > sizeof request) {
        fprintf(stderr, "load: the headers are too long\n");
        return 2;
    }
    strcpy(request + used, "\r\n");
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    peers = calloc((size_t)count, sizeof *peers);
    loop = epoll_create1(0);
    if (!peers || loop < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, STDIN_FILENO, &on_input) < 0)
        die("start");
    for (;;) {
        int many;
        open_more();
        many = epoll_wait(loop, events, 256, -1);
        for (int i = 0; i < many; i++) {
            if (events[i].data.ptr) {
                on_event(events[i].data.ptr, events[i].events);
            } else if (read(STDIN_FILENO, request, 1) <= 0) {
                report();
                return 0;
            }
        }
        if (!announced && ready + lost == count) {
            announced = printf("ready %d\n", ready);
            fflush(stdout);
        }
    }
}
