/* A server of SGLang's /generate whose schedule is known exactly.
 *
 *     cc -O2 -o known_server known_server.c && ./known_server      prints its port
 *
 * Each answer's first event is due `ttft_us` after its request was read, the next ones `gap_us`
 * apart, each with `tokens` new tokens. GET /set?ttft_us=&gap_us=&tokens= sets the schedule and
 * forgets what was before; GET /truth says what was written when. One thread, epoll, no HTTP
 * beyond what benchmarks send. All answers have the same offsets, so what is due first was queued
 * first: two rings hold the whole schedule.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS = 8192, REQUEST = 1 << 17, LOG = 1 << 16, RING = 1 << 15 };

#define HEAD \
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n" \
    "transfer-encoding: chunked\r\n\r\n"

struct answer {
    int fd, prompt, wanted, given;
    double read_s, due_s, first_s, last_s, late_s;
};
struct ring {
    struct answer *at[RING];
    unsigned head, tail;
};
static struct {
    char *bytes;
    int length;
} inbox[CONNECTIONS];
static struct answer answers[LOG];
static int answered;
static struct ring firsts, nexts;
static double ttft_s = 0.2, gap_s = 0.02;
static int tokens = 1;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void put(int fd, const char *bytes, int length) {
    while (length > 0) {
        int sent = send(fd, bytes, length, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) return;
        if (sent > 0) bytes += sent, length -= sent;
    }
}

static void reply(int fd, const char *status, const char *body) {
    char head[256];
    int length = snprintf(head, sizeof head,
        "HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n", status,
        strlen(body));
    put(fd, head, length);
    put(fd, body, strlen(body));
}

static void push(struct ring *ring, struct answer *answer) {
    ring->at[ring->tail++ % RING] = answer;
}

/* Write the event that is due: the text so far, as SGLang's /generate has it. */
static void event(struct answer *a) {
    static char wire[1 << 15], body[1 << 14];
    static char words[1 << 13];
    if (!words[0]) for (int i = 0; i < (int)sizeof words - 1; i++) words[i] = i % 5 ? 'a' : ' ';
    int more = a->wanted - a->given, length;
    a->given += !a->given ? 1 : more < tokens ? more : tokens;
    int over = a->given == a->wanted, text = a->given * 5;
    if (text > (int)sizeof words - 1) text = sizeof words - 1;
    length = snprintf(body, sizeof body,
        "data: {\"text\":\"%.*s\",\"output_ids\":[%d],\"meta_info\":{\"id\":\"%032d\","
        "\"finish_reason\":%s,\"prompt_tokens\":%d,\"weight_version\":\"default\","
        "\"completion_tokens\":%d,\"cached_tokens\":0}}\n\n",
        text, words, a->given, (int)(a - answers), over ? "{\"type\":\"length\"}" : "null",
        a->prompt, a->given);
    int framed = snprintf(wire, sizeof wire, "%x\r\n%s\r\n%s", length, body,
        over ? "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n" : "");
    put(a->fd, wire, framed);
    double at = now();
    if (a->given == 1) a->first_s = at;
    a->last_s = at;
    if (at - a->due_s > a->late_s) a->late_s = at - a->due_s;
    if (over) return;
    a->due_s += gap_s;
    push(&nexts, a);
}

static int number(const char *in, const char *name, int otherwise) {
    const char *found = strstr(in, name);
    return found ? atoi(found + strlen(name)) : otherwise;
}

static void truth(int fd) {
    static char body[LOG * 96];
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    int at = sprintf(body, "{\"cpu_s\":%.6f,\"answers\":[",
        used.ru_utime.tv_sec + used.ru_stime.tv_sec
            + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6);
    for (int i = 0; i < answered; i++) {
        struct answer *a = &answers[i];
        at += sprintf(body + at, "%s[%.6f,%.6f,%.6f,%d]", i ? "," : "", a->first_s - a->read_s,
            a->last_s - a->first_s, a->late_s, a->given);
    }
    sprintf(body + at, "]}");
    reply(fd, "200 OK", body);
}

static void question(int fd, char *head, char *body) {
    if (!strncmp(head, "POST /generate", 14)) {
        struct answer *a = &answers[answered++ % LOG];
        int prompt = 1;
        char *ids = strstr(body, "\"input_ids\"");
        for (char *c = ids ? strchr(ids, '[') : NULL; c && *c != ']'; c++) prompt += *c == ',';
        memset(a, 0, sizeof *a);
        a->fd = fd, a->prompt = prompt, a->read_s = now();
        a->wanted = number(body, "\"max_new_tokens\":", 1);
        a->due_s = a->read_s + ttft_s;
        put(fd, HEAD, sizeof HEAD - 1);
        push(&firsts, a);
    } else if (!strncmp(head, "GET /set", 8)) {
        ttft_s = number(head, "ttft_us=", 200000) * 1e-6;
        gap_s = number(head, "gap_us=", 20000) * 1e-6;
        tokens = number(head, "tokens=", 1);
        answered = 0;
        reply(fd, "200 OK", "{}");
    } else if (!strncmp(head, "GET /truth", 10)) {
        truth(fd);
    } else if (!strncmp(head, "GET /v1/models", 14)) {
        reply(fd, "200 OK", "{\"data\":[{\"id\":\"known\"}]}");
    } else {
        reply(fd, "404 Not Found", "{}");
    }
}

static void hear(int fd) {
    if (!inbox[fd].bytes) inbox[fd].bytes = malloc(REQUEST);
    char *in = inbox[fd].bytes;
    int got = recv(fd, in + inbox[fd].length, REQUEST - 1 - inbox[fd].length, 0);
    if (got <= 0) {
        if (got < 0 && errno == EAGAIN) return;
        close(fd);
        inbox[fd].length = 0;
        return;
    }
    in[inbox[fd].length += got] = 0;
    char *end = strstr(in, "\r\n\r\n");
    if (!end) return;
    char *given = strcasestr(in, "content-length:");
    int length = given && given < end ? atoi(given + 15) : 0;
    if (inbox[fd].length < end + 4 - in + length) return;
    inbox[fd].length = 0; /* nobody pipelines */
    question(fd, in, end + 4);
}

int main(void) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof where;
    struct rlimit files = {CONNECTIONS, CONNECTIONS};
    setrlimit(RLIMIT_NOFILE, &files);
    if (bind(listener, (void *)&where, size) || listen(listener, 4096)) return perror("bind"), 1;
    getsockname(listener, (void *)&where, &size);
    printf("%d\n", ntohs(where.sin_port));
    fflush(stdout);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), poll = epoll_create1(0);
    struct epoll_event ready[512], watch = {.events = EPOLLIN};
    int stay[] = {listener, timer, 0}; /* stdin: its end is ours */
    for (int i = 0; i < 3; i++)
        watch.data.fd = stay[i], epoll_ctl(poll, EPOLL_CTL_ADD, stay[i], &watch);
    for (;;) {
        struct answer *first = firsts.head != firsts.tail ? firsts.at[firsts.head % RING] : NULL;
        struct answer *next = nexts.head != nexts.tail ? nexts.at[nexts.head % RING] : NULL;
        struct answer *due = !first || (next && next->due_s < first->due_s) ? next : first;
        if (due && due->due_s <= now()) {
            due == first ? firsts.head++ : nexts.head++;
            event(due);
            continue;
        }
        struct itimerspec alarm = {0};
        if (due) {
            alarm.it_value.tv_sec = due->due_s;
            alarm.it_value.tv_nsec = (due->due_s - alarm.it_value.tv_sec) * 1e9;
        }
        timerfd_settime(timer, TFD_TIMER_ABSTIME, &alarm, NULL);
        int count = epoll_wait(poll, ready, 512, -1);
        for (int i = 0; i < count; i++) {
            int fd = ready[i].data.fd;
            if (fd == 0) return 0;
            if (fd == timer) {
                uint64_t fired;
                if (read(timer, &fired, sizeof fired) < 0) continue;
            } else if (fd == listener) {
                int made = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
                if (made < 0) continue;
                if (made >= CONNECTIONS) { close(made); continue; }
                setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                watch.data.fd = made;
                epoll_ctl(poll, EPOLL_CTL_ADD, made, &watch);
            } else {
                hear(fd);
            }
        }
    }
}
