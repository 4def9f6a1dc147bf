/* The client of the hook tools: what charms run as relation-get, status-set and so on.
 *
 * It hands its name, folder and arguments to the unit's agent, reads for it what that asks for, prints what that
 * answers, and exits as told. It is a process for each call, so it does nothing else. wire.py has the protocol;
 * client.py is the same in Python, for where there was no compiler.
 */

#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MAGIC "UCT1"
#define LARGEST_CHUNK (64 * 1024)
#define LARGEST_ANSWER (256u * 1024 * 1024)

static const char *tool;
static int stdin_is_closed;

__attribute__((noreturn, format(printf, 1, 2)))
static void fail(const char *format, ...)
{
    va_list arguments;

    fputs("ERROR ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static void *allocate(size_t size)
{
    void *memory = malloc(size ? size : 1);

    if (!memory)
        fail("%s: out of memory", tool);
    return memory;
}

static void put_number(unsigned char *at, uint32_t number)
{
    at[0] = (unsigned char)(number >> 24);
    at[1] = (unsigned char)(number >> 16);
    at[2] = (unsigned char)(number >> 8);
    at[3] = (unsigned char)number;
}

static uint32_t get_number(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | (uint32_t)at[3];
}

/* A descriptor below 3 that is free would become the socket's, and be taken for stdin, stdout or stderr. */
static void fill_standard_descriptors(void)
{
    int fd;

    stdin_is_closed = fcntl(0, F_GETFD) < 0;
    do {
        fd = open("/dev/null", O_RDWR);
        if (fd < 0)
            return;
    } while (fd < 3);
    close(fd);
}

static int write_all(int fd, const unsigned char *data, size_t size)
{
    while (size) {
        ssize_t written = write(fd, data, size);

        if (written < 0) {
            if (errno == EINTR)
                continue;
            return -1;
        }
        data += written;
        size -= (size_t)written;
    }
    return 0;
}

static int send_all(int fd, const unsigned char *data, size_t size)
{
    while (size) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);

        if (sent < 0) {
            if (errno == EINTR)
                continue;
            return -1;
        }
        data += sent;
        size -= (size_t)sent;
    }
    return 0;
}

static void receive_all(int fd, unsigned char *data, size_t size)
{
    while (size) {
        ssize_t received = recv(fd, data, size, 0);

        if (received < 0 && errno == EINTR)
            continue;
        if (received < 0)
            fail("%s: the agent did not answer: %s", tool, strerror(errno));
        if (received == 0)
            fail("%s: the agent went away before it had answered", tool);
        data += received;
        size -= (size_t)received;
    }
}

static const char *wanted(const char *name)
{
    const char *value = getenv(name);

    if (!value || !*value)
        fail("%s not set", name);
    return value;
}

/* A path may be longer than a socket's address: then it is short again through its open folder. */
static void set_address(struct sockaddr_un *address, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder;
    int fd, length;

    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    if (strlen(path) < sizeof address->sun_path) {
        strcpy(address->sun_path, path);
        return;
    }
    if (!slash)
        fail("%s: the agent's socket %s: %s", tool, path, strerror(ENAMETOOLONG));
    folder = strndup(path, (size_t)(slash - path));
    if (!folder)
        fail("%s: out of memory", tool);
    fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        fail("%s: the agent's folder %s: %s", tool, folder, strerror(errno));
    length = snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s", fd, slash + 1);
    if (length < 0 || (size_t)length >= sizeof address->sun_path)
        fail("%s: the agent's socket %s: %s", tool, path, strerror(ENAMETOOLONG));
    free(folder);
}

static int connect_to(const char *path)
{
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        fail("%s: no socket: %s", tool, strerror(errno));
    set_address(&address, path);
    while (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        if (errno != EINTR)
            fail("%s: cannot reach the agent at %s: %s", tool, path, strerror(errno));
    return fd;
}

static unsigned char *put_string(unsigned char *at, const char *string)
{
    size_t size = strlen(string) + 1;

    memcpy(at, string, size);
    return at + size;
}

static void send_request(int fd, const char *context, int count, char **arguments)
{
    /* Where the hook has removed its folder, nothing is in it that a name could mean. */
    char *cwd = getcwd(NULL, 0);
    const char *folder = cwd && *cwd == '/' ? cwd : "/";
    size_t size = strlen(context) + 1 + strlen(tool) + 1 + strlen(folder) + 1;
    unsigned char *request, *at;
    int i;

    for (i = 0; i < count; i++)
        size += strlen(arguments[i]) + 1;
    if (size > UINT32_MAX)
        fail("%s: %s", tool, strerror(E2BIG));
    request = allocate(size + 8);
    memcpy(request, MAGIC, 4);
    put_number(request + 4, (uint32_t)size);
    at = put_string(request + 8, context);
    at = put_string(at, tool);
    at = put_string(at, folder);
    for (i = 0; i < count; i++)
        at = put_string(at, arguments[i]);
    /* If it does not take all of it, it says why. */
    (void)send_all(fd, request, size + 8);
    free(request);
    free(cwd);
}

static void send_message(int fd, char kind, const char *content, size_t size)
{
    unsigned char header[5];

    header[0] = (unsigned char)kind;
    put_number(header + 1, (uint32_t)size);
    if (send_all(fd, header, sizeof header) == 0)
        (void)send_all(fd, (const unsigned char *)content, size);
}

static void send_error(int fd, const char *text)
{
    send_message(fd, 'E', text, strlen(text));
}

/* Open what the agent asks for; -1, and the agent told why, if that cannot be. */
static int open_source(int fd, const char *name)
{
    int source;

    if (strcmp(name, "-") == 0) {
        if (!stdin_is_closed)
            return 0;
        send_error(fd, "stdin required, none supplied");
        return -1;
    }
    do
        source = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    while (source < 0 && errno == EINTR);
    if (source < 0)
        send_error(fd, strerror(errno));
    return source;
}

/* Send the next part of what is read; its descriptor, or -1 when it has come to its end. */
static int send_part(int fd, int source)
{
    static char chunk[LARGEST_CHUNK];
    ssize_t size;

    do
        size = read(source, chunk, sizeof chunk);
    while (size < 0 && errno == EINTR);
    if (size < 0)
        send_error(fd, strerror(errno));
    else
        send_message(fd, 'D', chunk, (size_t)size);
    if (size > 0)
        return source;
    if (source > 2)
        close(source);
    return -1;
}

static int answer_read(int fd, int source, const char *name)
{
    if (source > 2)
        close(source);
    source = open_source(fd, name);
    return source < 0 ? -1 : send_part(fd, source);
}

static int print(const char *name, const unsigned char *data, size_t size)
{
    int fd = 1;

    if (*name) {
        do
            fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
        while (fd < 0 && errno == EINTR);
        if (fd < 0)
            return -1;
    }
    if (write_all(fd, data, size) < 0)
        return -1;
    return *name ? close(fd) : 0;
}

__attribute__((noreturn))
static void finish(const unsigned char *result, size_t size)
{
    uint32_t out, named;
    char *name;

    if (size < 9)
        fail("%s: the agent's answer is damaged", tool);
    out = get_number(result + 1);
    named = get_number(result + 5);
    size -= 9;
    if (out > size || named > size - out)
        fail("%s: the agent's answer is damaged", tool);
    name = strndup((const char *)result + 9 + out, named);
    if (!name)
        fail("%s: out of memory", tool);
    /* What went wrong is told even where the output cannot be written. */
    (void)write_all(2, result + 9 + out + named, size - out - named);
    if (print(name, result + 9, out) < 0)
        fail("%s: cannot write %s: %s", tool, *name ? name : "the output", strerror(errno));
    exit(result[0]);
}

__attribute__((noreturn))
static void converse(int fd)
{
    int source = -1;

    for (;;) {
        unsigned char header[5], *content;
        uint32_t size;

        receive_all(fd, header, sizeof header);
        size = get_number(header + 1);
        if (size > LARGEST_ANSWER)
            fail("%s: the agent's answer is damaged", tool);
        content = allocate((size_t)size + 1);
        receive_all(fd, content, size);
        content[size] = 0;
        if (header[0] == 'X') {
            /* Who reads the output slowly shall not hold up the agent. */
            close(fd);
            finish(content, size);
        }
        else if (header[0] == 'R')
            source = answer_read(fd, source, (const char *)content);
        else if (header[0] == 'M' && source >= 0)
            source = send_part(fd, source);
        else
            fail("%s: the agent's answer is damaged", tool);
        free(content);
    }
}

int main(int count, char **arguments)
{
    const char *slash, *context, *network, *path;
    int fd;

    fill_standard_descriptors();
    tool = count > 0 ? arguments[0] : "";
    slash = strrchr(tool, '/');
    if (slash)
        tool = slash + 1;
    if (!*tool || strcmp(tool, "hook-tool") == 0) {
        fputs("usage: call a hook tool by its own name, such as relation-get, within a hook\n", stderr);
        return 2;
    }
    context = wanted("JUJU_CONTEXT_ID");
    path = wanted("JUJU_AGENT_SOCKET_ADDRESS");
    network = getenv("JUJU_AGENT_SOCKET_NETWORK");
    if (network && *network && strcmp(network, "unix") != 0)
        fail("%s: JUJU_AGENT_SOCKET_NETWORK is %s, not unix", tool, network);
    fd = connect_to(path);
    send_request(fd, context, count - 1, arguments + 1);
    converse(fd);
}
