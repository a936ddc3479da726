/* One WebSocket of the benchmark's client: peer.c opens it and takes its messages apart, load.c knows what they mean. */
#ifndef PEER_H
#define PEER_H
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

enum phase { CLOSED, CONNECTING, UPGRADING, JOINING, READY };

struct peer {
    int fd, number;
    enum phase phase;
    size_t length;           /* bytes in rest */
    char *rest;              /* the start of a message whose end is still to come */
    int64_t offset;          /* of the newest publication it knows; 0 where the channel keeps no history */
    char epoch[64];
    long recovered;          /* publications that came with the reply to subscribe */
    int64_t newest;          /* "number" of the last publication it was sent */
    int slow;                /* it reads nothing once it is ready */
};

extern int loop;                                 /* the epoll instance */
extern struct sockaddr_in server;
extern const char *request;                      /* the handshake; %d in it becomes the connection's number */

void die(const char *what);
void peer_open(struct peer *peer);
void peer_close(struct peer *peer);              /* we want it so */
void peer_fail(struct peer *peer);               /* it cannot go on */
void peer_send(struct peer *peer, const char *text, size_t length);
void peer_event(struct peer *peer, uint32_t what);
void peer_stop_reading(struct peer *peer);       /* what it is sent stays in the kernel's buffers, and then the server's */
size_t numbered(char *text, size_t room, const char *pattern, int number);   /* its length; `pattern` with %d replaced */

/* Given by load.c. */
void on_open(struct peer *peer);                 /* the handshake succeeded */
void on_message(struct peer *peer, const char *text, size_t length);
void on_loss(struct peer *peer, enum phase phase);   /* it was closed while in `phase`, and not by us */

#endif
