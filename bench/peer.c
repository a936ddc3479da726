/* A WebSocket without blocking: handshake, wire frames of the server, small messages of ours. */
#define _GNU_SOURCE
#include "peer.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM (1 << 18)       /* bytes a connection may have unparsed: far more than any message here */

int loop;
struct sockaddr_in server;
char request[8192];

void die(const char *what)
{
    perror(what);
    exit(1);
}

void peer_open(struct peer *peer)
{
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

void peer_event(struct peer *peer, uint32_t what)
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
