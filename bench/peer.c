/* A WebSocket without blocking: handshake, wire frames of the server, small messages of ours. */
#define _GNU_SOURCE
#include "peer.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM (1 << 18)       /* bytes a connection may have unparsed: far more than any message here */
#define SLOW_BUFFER 4096     /* receive buffer of one that reads nothing: what is sent to it soon waits at the server */
#define ADDRESS_PORTS 10000  /* connections from one address of ours: it has 28,232 ports unless told otherwise */

int loop;
struct sockaddr_in server;
const char *request;

void die(const char *what)
{
    perror(what);
    exit(1);
}

size_t numbered(char *text, size_t room, const char *pattern, int number)
{
    size_t used = 0;
    while (*pattern && used + 12 < room) {
        if (strncmp(pattern, "%d", 2) == 0) {
            used += (size_t)sprintf(text + used, "%d", number);
            pattern += 2;
        } else {
            text[used++] = *pattern++;
        }
    }
    return used;
}

/* Below 127.0.0.0/8 every address is ours, and each has ports of its own. */
static void choose_address(const struct peer *peer)
{
    int yes = 1;
    uint32_t host = ntohl(server.sin_addr.s_addr);
    struct sockaddr_in ours = {.sin_family = AF_INET};
    if (host >> 24 != 127 || peer->number < ADDRESS_PORTS)
        return;
    ours.sin_addr.s_addr = htonl(host + (uint32_t)(peer->number / ADDRESS_PORTS));
    /* The port is chosen when it connects; otherwise one that is still closing elsewhere counts as taken. */
    setsockopt(peer->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
    if (bind(peer->fd, (struct sockaddr *)&ours, sizeof ours) < 0)
        die("bind");
}

void peer_open(struct peer *peer)
{
    int yes = 1, few = SLOW_BUFFER;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = peer};
    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (peer->fd < 0)
        die("socket");
    setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    choose_address(peer);
    if (peer->slow)   /* before it connects: the window it offers follows from it */
        setsockopt(peer->fd, SOL_SOCKET, SO_RCVBUF, &few, sizeof few);
    if (connect(peer->fd, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS)
        die("connect");
    if (epoll_ctl(loop, EPOLL_CTL_ADD, peer->fd, &event) < 0)
        die("epoll_ctl");
    peer->length = 0;
    peer->phase = CONNECTING;
}

void peer_close(struct peer *peer)
{
    if (peer->phase != CLOSED)
        close(peer->fd);
    peer->phase = CLOSED;
}

void peer_fail(struct peer *peer)
{
    enum phase phase = peer->phase;
    peer_close(peer);
    on_loss(peer, phase);
}

/* Writes are small and rare, so one that does not fit at once is a failure. */
static void put(struct peer *peer, const char *bytes, size_t length)
{
    if (send(peer->fd, bytes, length, MSG_NOSIGNAL) != (ssize_t)length)
        peer_fail(peer);
}

void peer_send(struct peer *peer, const char *text, size_t length)
{
    char frame[8192];
    size_t at = 2;
    if (length > sizeof frame - 8) {
        fprintf(stderr, "load: a message to the server is too long\n");
        exit(2);
    }
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

/* With what the ping brought: a server may take any other pong for none. */
static void answer_ping(struct peer *peer, const char *payload, size_t size)
{
    char frame[6 + 125] = {(char)0x8a, (char)(0x80 | size)};   /* masked with zeros */
    if (size > 125) {
        peer_fail(peer);
        return;
    }
    memcpy(frame + 6, payload, size);
    put(peer, frame, 6 + size);
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
            peer_fail(peer);
            return length;
        }
        done = (size_t)(end - bytes) + 4;
        peer->phase = JOINING;
        on_open(peer);
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
            peer_fail(peer);
        else if ((frame[0] & 15) == 9)
            answer_ping(peer, (char *)frame + head, size);
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
        peer_fail(peer);
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
        if (!peer->rest)
            die("realloc");
        memcpy(peer->rest, buffer + done, peer->length);
    }
}

void peer_stop_reading(struct peer *peer)
{
    epoll_ctl(loop, EPOLL_CTL_DEL, peer->fd, NULL);
}

void peer_event(struct peer *peer, uint32_t what)
{
    if (peer->phase == CONNECTING && what & EPOLLOUT) {
        char text[8192];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
        epoll_ctl(loop, EPOLL_CTL_MOD, peer->fd, &event);
        peer->phase = UPGRADING;
        put(peer, text, numbered(text, sizeof text, request, peer->number));
    }
    if (peer->phase != CLOSED && what & (EPOLLIN | EPOLLHUP | EPOLLERR))
        on_readable(peer);
}
