/* A program that misbehaves: `misbehave ATTEMPT [ARGUMENT]...` makes one attempt.
 * It prints "done" when the attempt had its effect, else "no" and the error number. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

extern char **environ;

static const char *word(char **a, int n) { return a[n] ? a[n] : ""; }
static long number(char **a, int n) { return a[n] ? atol(a[n]) : 0; }

/* The result of a call that returns a negative number when it fails. */
#define CALL(expression) return (expression) < 0 ? errno : 0

static int opened(const char *path, int flags) {
    int fd = open(path, flags | O_CLOEXEC | O_NOCTTY, 0600);
    return fd < 0 ? errno : (close(fd), 0);
}

/* -- files: FILE is there and has content; its directory may be written to outside */

static char other[4096];
static const char *beside(char **a, const char *suffix) {
    snprintf(other, sizeof other, "%s%s", a[0], suffix);
    return other;
}

static int f_write(char **a) { return opened(a[0], O_WRONLY); }
static int f_append(char **a) { return opened(a[0], O_WRONLY | O_APPEND); }
static int f_read_write(char **a) { return opened(a[0], O_RDWR); }
static int f_creat(char **a) { return opened(beside(a, ".new"), O_WRONLY | O_CREAT | O_EXCL); }
static int f_creat_old(char **a) { CALL(creat(beside(a, ".old"), 0600)); }
static int f_truncate_open(char **a) { return opened(a[0], O_RDONLY | O_TRUNC); }
static int f_truncate(char **a) { CALL(truncate(a[0], 0)); }
static int f_tmpfile(char **a) { return opened(word(a, 1), O_RDWR | O_TMPFILE); }
static int f_openat2(char **a) {
    uint64_t how[3] = {O_WRONLY, 0, 0};
    CALL(syscall(SYS_openat2, AT_FDCWD, a[0], how, sizeof how));
}
static int f_mkdir(char **a) { CALL(mkdir(beside(a, ".d"), 0700)); }
static int f_rmdir(char **a) { CALL(rmdir(word(a, 2))); }
static int f_fifo(char **a) { CALL(mkfifo(beside(a, ".fifo"), 0600)); }
static int f_mknod_regular(char **a) { CALL(mknod(beside(a, ".node"), S_IFREG | 0600, 0)); }
static int f_mknod_disk(char **a) { CALL(mknod(beside(a, ".disk"), S_IFBLK | 0600, makedev(7, 0))); }
static int f_mknod_memory(char **a) { CALL(mknod(beside(a, ".mem"), S_IFCHR | 0600, makedev(1, 1))); }
static int f_symlink(char **a) { CALL(symlink("/etc/passwd", beside(a, ".sym"))); }
static int f_link(char **a) { CALL(link(a[0], beside(a, ".link"))); }
static int f_link_descriptor(char **a) {
    int fd = open(a[0], O_PATH | O_CLOEXEC);
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    CALL(linkat(AT_FDCWD, name, AT_FDCWD, beside(a, ".lfd"), AT_SYMLINK_FOLLOW));
}
static int f_rename(char **a) { CALL(rename(a[0], beside(a, ".moved"))); }
static int f_exchange(char **a) { CALL(syscall(SYS_renameat2, AT_FDCWD, a[0], AT_FDCWD, word(a, 3), 2)); }
static int f_unlink(char **a) { CALL(unlink(a[0])); }
static int f_chmod(char **a) { CALL(chmod(a[0], 04755)); }
static int f_fchmod(char **a) { CALL(fchmod(open(a[0], O_RDONLY), 04755)); }
static int f_fchmodat2(char **a) { CALL(syscall(452, AT_FDCWD, a[0], 04755, 0)); }
static int f_chown(char **a) { CALL(chown(a[0], 1, 1)); }
static int f_lchown(char **a) { CALL(lchown(a[0], 1, 1)); }
static int f_times(char **a) { CALL(utimensat(AT_FDCWD, a[0], NULL, 0)); }
static int f_futimens(char **a) { CALL(futimens(open(a[0], O_RDONLY), NULL)); }
static int f_setxattr(char **a) { CALL(setxattr(a[0], "user.x", "1", 1, 0)); }
static int f_setxattr_trusted(char **a) { CALL(setxattr(a[0], "trusted.x", "1", 1, 0)); }
static int f_setflags(char **a) {
    int flags = FS_NODUMP_FL;
    CALL(ioctl(open(a[0], O_RDONLY), FS_IOC_SETFLAGS, &flags));
}
static int f_setproject(char **a) {
    struct fsxattr attributes;
    int fd = open(a[0], O_RDONLY);
    if (ioctl(fd, FS_IOC_FSGETXATTR, &attributes) < 0) return errno;
    CALL(ioctl(fd, FS_IOC_FSSETXATTR, &attributes));
}
static int f_setversion(char **a) { /* the inode's generation: what NFS takes for its identity */
    long version = 77;
    CALL(ioctl(open(a[0], O_RDONLY), FS_IOC_SETVERSION, &version));
}
static int f_lease(char **a) { CALL(fcntl(open(a[0], O_RDONLY), F_SETLEASE, F_RDLCK)); }
static int f_reopen(char **a) {
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", open(a[0], O_RDONLY));
    return opened(name, O_WRONLY);
}
static int f_reopen_path(char **a) {
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", open(a[0], O_PATH));
    return opened(name, O_WRONLY);
}
static int f_through_root(char **a) {
    char name[4096];
    snprintf(name, sizeof name, "/proc/self/root%s", a[0]);
    return opened(name, O_WRONLY);
}
static int f_through_child(char **a) { /* what a process may do to its own child */
    char name[4096];
    pid_t child = fork();
    if (!child) { pause(); _exit(0); }
    snprintf(name, sizeof name, "/proc/%d/root%s", child, a[0]);
    int result = opened(name, O_WRONLY);
    kill(child, SIGKILL);
    return result;
}
static int f_thread_of_fork(char **a) {
    pid_t child = fork();
    if (!child) _exit(opened(a[0], O_WRONLY));
    int status;
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
}
static int f_bind_name(char **a) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    snprintf(name.sun_path, sizeof name.sun_path, "%s.s", a[0]);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0) return errno;
    CALL(bind(fd, (void *)&name, sizeof name));
}
static int f_bind_name_pair(char **a) { /* one end of a pair needs no socket(2) */
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int ends[2];
    snprintf(name.sun_path, sizeof name.sun_path, "%s.p", a[0]);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0) return errno;
    CALL(bind(ends[0], (void *)&name, sizeof name));
}
static int f_shm_open(char **a) { (void)a; int fd = shm_open("/pact-escape", O_RDWR | O_CREAT, 0600); if (fd < 0) return errno; shm_unlink("/pact-escape"); return 0; }
static int f_quota(char **a) { (void)a; CALL(syscall(SYS_quotactl, 0x800001 << 8, 0, 0, 0)); }

/* -- secrets: the name is opened in several ways, and what is read is printed */

static int shown(int fd) {
    char text[4096];
    if (fd < 0) return errno;
    ssize_t count = read(fd, text, sizeof text);
    if (count < 0) return errno;
    fwrite(text, 1, (size_t)count, stdout);
    return 0;
}
static int s_read(char **a) { return shown(open(a[0], O_RDONLY)); }
static int s_openat2(char **a) {
    uint64_t how[3] = {O_RDONLY, 0, 0};
    return shown((int)syscall(SYS_openat2, AT_FDCWD, a[0], how, sizeof how));
}
static int s_path_reopen(char **a) {
    char name[64];
    int fd = open(a[0], O_PATH);
    if (fd < 0) return errno;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    return shown(open(name, O_RDONLY));
}
static int s_directory(char **a) { /* NAME in the directory DIR, which is opened first */
    int fd = open(word(a, 1), O_PATH | O_DIRECTORY);
    if (fd < 0) return errno;
    return shown(openat(fd, word(a, 2), O_RDONLY));
}
static int s_handle(char **a) {
    union { struct file_handle handle; char room[256]; } space = {.handle = {.handle_bytes = 128}};
    int mount;
    if (name_to_handle_at(AT_FDCWD, a[0], &space.handle, &mount, 0) < 0) return errno;
    return shown(open_by_handle_at(open("/", O_RDONLY | O_DIRECTORY), &space.handle, O_RDONLY));
}
static int s_handle_given(char **a) { /* TYPE and BYTES of a handle that somebody else has found out */
    union { struct file_handle handle; char room[256]; } space = {.handle = {.handle_type = (int)number(a, 1)}};
    const char *hex = word(a, 2);
    for (; hex[0] && hex[1]; hex += 2) {
        unsigned byte;
        sscanf(hex, "%2x", &byte);
        space.handle.f_handle[space.handle.handle_bytes++] = (unsigned char)byte;
    }
    return shown(open_by_handle_at(open(word(a, 3), O_RDONLY | O_DIRECTORY), &space.handle, O_RDONLY));
}
static int s_unmount_first(char **a) { umount2(a[0], MNT_DETACH); return shown(open(a[0], O_RDONLY)); }
static int s_tree_first(char **a) { /* a private copy of the mounts, without those below */
    int tree = (int)syscall(SYS_open_tree, AT_FDCWD, word(a, 1), 1);
    if (tree < 0) return errno;
    return shown(openat(tree, word(a, 2), O_RDONLY));
}
static int s_namespace_first(char **a) { /* into the mount namespace of process PID */
    char name[64];
    snprintf(name, sizeof name, "/proc/%ld/ns/mnt", number(a, 1));
    int fd = open(name, O_RDONLY);
    if (fd < 0 || setns(fd, CLONE_NEWNS) < 0) return errno;
    return shown(open(a[0], O_RDONLY));
}
static int s_again_and_again(char **a) { /* until somebody changes something */
    char text[4096];
    long rounds = number(a, 1);
    printf("ready\n");
    fflush(stdout);
    for (long n = 0; n < rounds; n++) {
        int fd = open(a[0], O_RDONLY);
        if (fd < 0) continue;
        ssize_t count = read(fd, text, sizeof text);
        if (count > 0) return fwrite(text, 1, (size_t)count, stdout), 0;
        close(fd);
    }
    return EACCES;
}

/* -- a second program */

static char *const printing[] = {"printf", "escaped", NULL};
static const char *program = "/usr/bin/printf";
static int started(pid_t child) {
    int status;
    if (child < 0) return errno;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : EFAULT;
}
static int x_execve(char **a) { (void)a; execve(program, printing, environ); return errno; }
static int x_execve_bare(char **a) { (void)a; syscall(SYS_execve, program, printing, NULL); return errno; }
static int x_execveat(char **a) { (void)a; syscall(SYS_execveat, AT_FDCWD, program, printing, environ, 0); return errno; }
static int x_descriptor(char **a) {
    (void)a;
    syscall(SYS_execveat, open(program, O_RDONLY), "", printing, environ, AT_EMPTY_PATH);
    return errno;
}
static int x_proc_descriptor(char **a) {
    char name[64];
    (void)a;
    snprintf(name, sizeof name, "/proc/self/fd/%d", open(program, O_RDONLY));
    execve(name, printing, environ);
    return errno;
}
static int x_memory(char **a) {
    char block[65536];
    ssize_t count;
    int from = open(program, O_RDONLY), to = memfd_create("x", 0);
    (void)a;
    while ((count = read(from, block, sizeof block)) > 0)
        if (write(to, block, (size_t)count) != count) return errno;
    fexecve(to, printing, environ);
    return errno;
}
static int x_loader(char **a) { /* ld.so is readable, and so is what it shall run */
    char *const words[] = {"ld.so", "/usr/bin/printf", "escaped", NULL};
    execve(word(a, 0), words, environ);
    return errno;
}
static int x_loader_fork(char **a) {
    pid_t child = fork();
    if (!child) _exit(x_loader(a));
    return started(child);
}
static int x_shell_loader(char **a) {
    char *const words[] = {"ld.so", "/bin/sh", "-c", "echo escaped", NULL};
    execve(word(a, 0), words, environ);
    return errno;
}
static int x_fork(char **a) {
    pid_t child = fork();
    if (!child) _exit(x_execve(a));
    return started(child);
}
static int x_vfork(char **a) {
    pid_t child = vfork();
    if (!child) { execve(program, printing, environ); _exit(errno); }
    (void)a;
    return started(child);
}
static int x_spawn(char **a) {
    pid_t child;
    int error = posix_spawn(&child, program, NULL, NULL, printing, environ);
    (void)a;
    return error ? error : started(child);
}
static int x_system(char **a) { (void)a; int status = system("echo escaped"); return status == 0 ? 0 : EACCES; }
static int x_popen(char **a) {
    char line[64] = "";
    FILE *pipe = popen("echo escaped", "r");
    (void)a;
    if (pipe && fgets(line, sizeof line, pipe)) { fputs(line, stdout); return 0; }
    return EACCES;
}
static int x_script(char **a) { char *const words[] = {"script", NULL}; execve(a[0], words, environ); return errno; }
static int x_itself(char **a) { char *const words[] = {"misbehave", "x_print", NULL}; (void)a; execve("/proc/self/exe", words, environ); return errno; }
static int x_print(char **a) { (void)a; printf("escaped"); return 0; }
static int x_personality(char **a) { personality(ADDR_NO_RANDOMIZE | READ_IMPLIES_EXEC); return x_execve(a); }
static int x_own_filter(char **a) { /* a filter that lets all pass takes nothing back */
    struct sock_filter all[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog own = {1, all};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &own);
    return x_execve(a);
}

/* -- other processes: PID is somebody else's */

static int p_kill(char **a) { CALL(kill((pid_t)number(a, 0), SIGKILL)); }
static int p_kill_group(char **a) { CALL(kill(-(pid_t)number(a, 0), SIGKILL)); }
static int p_tkill(char **a) { CALL(syscall(SYS_tkill, (int)number(a, 0), SIGKILL)); }
static int p_tgkill(char **a) { CALL(syscall(SYS_tgkill, (int)number(a, 0), (int)number(a, 0), SIGKILL)); }
static int p_queue(char **a) { union sigval value = {.sival_int = 0}; CALL(sigqueue((pid_t)number(a, 0), SIGKILL, value)); }
static int p_pidfd_signal(char **a) {
    int fd = (int)syscall(SYS_pidfd_open, number(a, 0), 0);
    CALL(syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0));
}
/* Whoever owns a descriptor gets a signal of the caller's choice when there is something to read: no kill(2). */
static int owned(int from, int to, pid_t victim) {
    int status = 0;
    if (fcntl(from, F_SETSIG, SIGKILL) < 0 || fcntl(from, F_SETFL, O_ASYNC | O_NONBLOCK) < 0) return errno;
    if (write(to, "x", 1) < 0) return errno;
    /* The victim is nobody's child here, so that its end shows in its state alone. */
    for (int n = 0; n < 200; n++) {
        char name[64], text[512] = "";
        snprintf(name, sizeof name, "/proc/%d/stat", victim);
        int fd = open(name, O_RDONLY);
        if (fd < 0) return 0;
        status = (int)read(fd, text, sizeof text - 1);
        close(fd);
        char *end = status > 0 ? strrchr(text, ')') : NULL;
        if (!end || end[2] == 'Z' || end[2] == 'X') return 0;
        usleep(1000);
    }
    return EPERM;
}
static int p_owner(char **a) {
    int ends[2];
    if (pipe(ends) < 0 || fcntl(ends[0], F_SETOWN, (int)number(a, 0)) < 0) return errno;
    return owned(ends[0], ends[1], (pid_t)number(a, 0));
}
static int p_owner_ex(char **a) {
    struct f_owner_ex owner = {F_OWNER_PID, (pid_t)number(a, 0)};
    int ends[2];
    if (pipe(ends) < 0 || fcntl(ends[0], F_SETOWN_EX, &owner) < 0) return errno;
    return owned(ends[0], ends[1], (pid_t)number(a, 0));
}
static int p_owner_ioctl(char **a) {
    int ends[2], victim = (int)number(a, 0);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0 || ioctl(ends[0], 0x8901 /* FIOSETOWN */, &victim) < 0) return errno;
    return owned(ends[0], ends[1], victim);
}
static int p_attach(char **a) { CALL(ptrace(PTRACE_ATTACH, (pid_t)number(a, 0), 0, 0)); }
static int p_seize(char **a) { CALL(ptrace(PTRACE_SEIZE, (pid_t)number(a, 0), 0, 0)); }
static int p_readv(char **a) {
    char room[8];
    struct iovec mine = {room, 8}, theirs = {(void *)strtoul(word(a, 1), NULL, 16), 8};
    CALL(process_vm_readv((pid_t)number(a, 0), &mine, 1, &theirs, 1, 0));
}
static int p_writev(char **a) {
    char room[8] = {0};
    struct iovec mine = {room, 8}, theirs = {(void *)strtoul(word(a, 2), NULL, 16), 8};
    CALL(process_vm_writev((pid_t)number(a, 0), &mine, 1, &theirs, 1, 0));
}
static int p_memory(char **a) {
    char name[64], room[8];
    snprintf(name, sizeof name, "/proc/%ld/mem", number(a, 0));
    int fd = open(name, O_RDONLY);
    if (fd < 0) return errno;
    CALL(pread(fd, room, 8, (off_t)strtoul(word(a, 1), NULL, 16)));
}
static int p_proc(char **a) { /* FILE below /proc/PID */
    char name[128];
    snprintf(name, sizeof name, "/proc/%ld/%s", number(a, 0), word(a, 2));
    return shown(open(name, O_RDONLY));
}
static int p_getfd(char **a) { CALL(syscall(SYS_pidfd_getfd, (int)syscall(SYS_pidfd_open, number(a, 0), 0), 0, 0)); }
static int p_kcmp(char **a) { CALL(syscall(SYS_kcmp, getpid(), (pid_t)number(a, 0), 0, 0, 0)); }
static int p_limit(char **a) { struct rlimit limit = {64, 64}; CALL(prlimit((pid_t)number(a, 0), RLIMIT_NOFILE, &limit, NULL)); }
static int p_affinity(char **a) { cpu_set_t set; CPU_ZERO(&set); CPU_SET(0, &set); CALL(sched_setaffinity((pid_t)number(a, 0), sizeof set, &set)); }
static int p_scheduler(char **a) { struct sched_param none = {0}; CALL(sched_setscheduler((pid_t)number(a, 0), SCHED_IDLE, &none)); }
static int p_priority(char **a) { CALL(setpriority(PRIO_PROCESS, (id_t)number(a, 0), 10)); }
static int p_io_priority(char **a) { CALL(syscall(SYS_ioprio_set, 1, number(a, 0), 3 << 13)); }
static int p_advise(char **a) {
    struct iovec part = {(void *)strtoul(word(a, 1), NULL, 16), 4096};
    CALL(syscall(SYS_process_madvise, (int)syscall(SYS_pidfd_open, number(a, 0), 0), &part, 1, MADV_COLD, 0));
}
static int p_score(char **a) { char name[64]; snprintf(name, sizeof name, "/proc/%ld/oom_score_adj", number(a, 0)); return opened(name, O_WRONLY); }
static int p_namespace(char **a) {
    char name[64];
    snprintf(name, sizeof name, "/proc/%ld/ns/%s", number(a, 0), word(a, 2));
    int fd = open(name, O_RDONLY);
    if (fd < 0) return errno;
    CALL(setns(fd, 0));
}

/* -- sockets */

static int n_unix(char **a) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    strncpy(name.sun_path, a[0], sizeof name.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0) return errno;
    CALL(connect(fd, (void *)&name, sizeof name));
}
static int n_abstract(char **a) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int length = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "%s", a[0]);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0) return errno;
    CALL(connect(fd, (void *)&name, (socklen_t)(sizeof(sa_family_t) + 1 + (size_t)length)));
}
static int n_pair(char **a) { /* an end of a pair, led elsewhere */
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int ends[2];
    strncpy(name.sun_path, a[0], sizeof name.sun_path - 1);
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) < 0) return errno;
    CALL(sendto(ends[0], "x", 1, 0, (void *)&name, sizeof name));
}
static int n_inherited(char **a) { /* any descriptor above the standard ones that is a socket */
    (void)a;
    for (int fd = 3; fd < 1024; fd++) {
        struct stat info;
        if (fstat(fd, &info) == 0 && S_ISSOCK(info.st_mode)) return 0;
    }
    return EACCES;
}
static struct sockaddr_in here(char **a) {
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number(a, 0))};
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return name;
}
static int n_connect_kind(char **a, int kind, int protocol) {
    struct sockaddr_in name = here(a);
    int fd = socket(AF_INET, kind, protocol);
    if (fd < 0) return errno;
    CALL(connect(fd, (void *)&name, sizeof name));
}
static int n_tcp(char **a) { return n_connect_kind(a, SOCK_STREAM, 0); }
static int n_udp(char **a) { return n_connect_kind(a, SOCK_DGRAM, 0); }
static int n_udp_send(char **a) {
    struct sockaddr_in name = here(a);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0) return errno;
    CALL(sendto(fd, "x", 1, 0, (void *)&name, sizeof name));
}
static int n_fast_open(char **a) { /* a connection without connect(2) */
    struct sockaddr_in name = here(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) return errno;
    CALL(sendto(fd, "x", 1, MSG_FASTOPEN, (void *)&name, sizeof name));
}
static int n_listen(char **a) { /* without bind(2) the kernel chooses a port */
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    (void)a;
    if (fd < 0) return errno;
    CALL(listen(fd, 1));
}
static int n_bind(char **a) {
    struct sockaddr_in name = here((char *[]){"0", NULL});
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    (void)a;
    if (fd < 0) return errno;
    CALL(bind(fd, (void *)&name, sizeof name));
}
static int n_multipath(char **a) {
    int fd = socket(AF_INET, SOCK_STREAM, 262 /* IPPROTO_MPTCP */);
    (void)a;
    if (fd < 0) return errno;
    CALL(listen(fd, 1));
}
static int n_six(char **a) { int fd = socket(AF_INET6, SOCK_STREAM, 0); (void)a; CALL(fd); }
static int n_raw(char **a) { (void)a; CALL(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)); }
static int n_packet(char **a) { (void)a; CALL(socket(AF_PACKET, SOCK_RAW, htons(3))); }
static int n_crypto(char **a) { (void)a; CALL(socket(38 /* AF_ALG */, SOCK_SEQPACKET, 0)); }
static int n_key(char **a) { (void)a; CALL(socket(15 /* AF_KEY */, SOCK_RAW, 2)); }
static int n_audit(char **a) { /* a record of one's own in the audit log */
    struct { uint32_t length; uint16_t type, flags; uint32_t sequence, port; char text[16]; } message = {32, 1112, 5, 1, 0, "x"};
    struct sockaddr_storage kernel = {.ss_family = AF_NETLINK};
    struct pollfd ready;
    char answer[256];
    int fd = socket(AF_NETLINK, SOCK_RAW, 9 /* NETLINK_AUDIT */);
    (void)a;
    if (fd < 0) return errno;
    if (sendto(fd, &message, sizeof message, 0, (void *)&kernel, 12) < 0) return errno;
    ready = (struct pollfd){fd, POLLIN, 0};
    if (poll(&ready, 1, 2000) != 1 || recv(fd, answer, sizeof answer, 0) < 20) return ETIMEDOUT;
    int error;
    memcpy(&error, answer + 16, 4);
    return -error;
}
static int n_link_down(char **a) { /* RTM_NEWLINK for lo: up, as it is */
    struct { uint32_t length; uint16_t type, flags; uint32_t sequence, port; unsigned char family, pad; uint16_t kind; int index; unsigned set, change; }
        message = {32, 16, 5, 1, 0, 0, 0, 0, 1, 1, 1};
    struct sockaddr_storage kernel = {.ss_family = AF_NETLINK};
    char answer[256];
    int fd = socket(AF_NETLINK, SOCK_RAW, 0);
    (void)a;
    if (fd < 0) return errno;
    if (sendto(fd, &message, sizeof message, 0, (void *)&kernel, 12) < 0) return errno;
    if (recv(fd, answer, sizeof answer, 0) < 20) return ETIMEDOUT;
    int error;
    memcpy(&error, answer + 16, 4);
    return -error;
}

/* -- the kernel */

static int k_unshare(char **a) { CALL(unshare((int)strtol(a[0], NULL, 16))); }
static int k_clone(char **a) {
    long child = syscall(SYS_clone, strtol(a[0], NULL, 16) | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) _exit(0);
    CALL(child);
}
static int k_clone3(char **a) {
    uint64_t parts[11] = {(uint64_t)strtol(a[0], NULL, 16), 0, 0, 0, SIGCHLD};
    long child = syscall(SYS_clone3, parts, sizeof parts);
    if (child == 0) _exit(0);
    CALL(child);
}
static int k_chroot(char **a) { CALL(chroot(a[0])); }
static int k_mount(char **a) { CALL(mount("none", a[0], "tmpfs", 0, "size=4k")); }
static int k_bind(char **a) { CALL(mount("/etc", a[0], NULL, MS_BIND, NULL)); }
static int k_remount(char **a) { (void)a; CALL(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL)); }
static int k_umount(char **a) { CALL(umount2(a[0], MNT_DETACH)); }
static int k_fsopen(char **a) { (void)a; CALL(syscall(SYS_fsopen, "tmpfs", 0)); }
static int k_fspick(char **a) { (void)a; CALL(syscall(SYS_fspick, AT_FDCWD, "/", 0)); }
static int k_open_tree(char **a) { (void)a; CALL(syscall(SYS_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */)); }
static int k_open_tree_attr(char **a) { (void)a; CALL(syscall(467, AT_FDCWD, "/", 1, NULL, 0)); }
static int k_mount_setattr(char **a) { uint64_t set[4] = {0}; (void)a; CALL(syscall(442, AT_FDCWD, "/", 0, set, sizeof set)); }
static int k_io_uring(char **a) { char room[256] = {0}; (void)a; CALL(syscall(SYS_io_uring_setup, 1, room)); }
static int k_bpf(char **a) { uint32_t map[32] = {2, 4, 8, 1}; (void)a; CALL(syscall(SYS_bpf, 0, map, sizeof map)); }
static int k_key(char **a) { (void)a; CALL(syscall(SYS_add_key, "user", "pact", "x", 1, -2)); }
static int k_keyring(char **a) { (void)a; CALL(syscall(SYS_keyctl, 0, -3, 1)); }
static int k_perf(char **a) {
    struct { uint32_t type, size; uint64_t config; char rest[112]; } what = {1, 128, 0, {0}};
    (void)a;
    CALL(syscall(SYS_perf_event_open, &what, 0, -1, -1, 0));
}
static int k_userfaultfd(char **a) { (void)a; CALL(syscall(SYS_userfaultfd, O_CLOEXEC)); }
static int k_hostname(char **a) { char name[65] = ""; (void)a; gethostname(name, 64); CALL(sethostname(name, strlen(name))); }
static int k_core(char **a) { (void)a; return opened("/proc/sys/kernel/core_pattern", O_WRONLY); }
static int k_modprobe(char **a) { (void)a; return opened("/proc/sys/kernel/modprobe", O_WRONLY); }
static int k_sysrq(char **a) { (void)a; return opened("/proc/sysrq-trigger", O_WRONLY); }
static int k_device(char **a) { return opened(a[0], (int)number(a, 1)); }
static int k_cgroup(char **a) { return opened(a[0], O_WRONLY); }
static int k_score(char **a) { /* whom the kernel kills when memory is short */
    int fd = open("/proc/self/oom_score_adj", O_WRONLY);
    (void)a;
    if (fd < 0) return errno;
    CALL(write(fd, "0", 1));
}
static int k_fanotify(char **a) { (void)a; CALL(syscall(SYS_fanotify_init, 4 /* FAN_CLASS_CONTENT */, O_RDONLY)); }
static int k_shm(char **a) { (void)a; int id = (int)syscall(SYS_shmget, 0, 4096, 0600); if (id < 0) return errno; syscall(SYS_shmctl, id, 0, 0); return 0; }
static int k_queue(char **a) { (void)a; int fd = (int)syscall(SYS_mq_open, "pact-escape", O_RDWR | O_CREAT, 0600, NULL); if (fd < 0) return errno; syscall(SYS_mq_unlink, "pact-escape"); return 0; }
static int k_syslog(char **a) { (void)a; CALL(syscall(SYS_syslog, 10 /* size of the buffer */, NULL, 0)); }
static int k_module(char **a) { (void)a; long r = syscall(SYS_init_module, "x", 1UL, ""); return r < 0 && errno != ENOEXEC ? errno : 0; }
static int k_real_time(char **a) { struct sched_param p = {.sched_priority = 1}; (void)a; CALL(sched_setscheduler(0, SCHED_FIFO, &p)); }
static int k_nice(char **a) { (void)a; errno = 0; CALL(setpriority(PRIO_PROCESS, 0, -5)); }
static int k_limit(char **a) { /* RESOURCE: its hard limit raised */
    struct rlimit limit;
    getrlimit((int)number(a, 0), &limit);
    limit.rlim_max = limit.rlim_max == RLIM_INFINITY ? RLIM_INFINITY : limit.rlim_max + 1;
    limit.rlim_cur = limit.rlim_max;
    CALL(setrlimit((int)number(a, 0), &limit));
}
static int k_capabilities(char **a) { /* all there are, out of nowhere */
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{0xffffffff, 0xffffffff, 0}, {0x1ff, 0x1ff, 0}};
    (void)a;
    CALL(syscall(SYS_capset, &header, data));
}
static int k_capability(char **a) { /* NUMBER: held by this process, in any set */
    unsigned long long one = 1ULL << number(a, 0), sets[3] = {0};
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status)) {
        sscanf(line, "CapEff: %llx", &sets[0]);
        sscanf(line, "CapPrm: %llx", &sets[1]);
        sscanf(line, "CapBnd: %llx", &sets[2]);
    }
    return (sets[0] | sets[1] | sets[2]) & one ? 0 : EPERM;
}
static int k_setuid(char **a) { (void)a; CALL(setresuid(1, 1, 1)); }
static int k_groups(char **a) { gid_t group = 6; (void)a; CALL(setgroups(1, &group)); }
static int k_tty_type(char **a) { char key = 'x'; (void)a; CALL(ioctl(0, TIOCSTI, &key)); }
static int k_tty_discipline(char **a) { int kind = 2 /* N_MOUSE */; (void)a; if (ioctl(0, TIOCSETD, &kind) < 0) return errno; kind = 0; ioctl(0, TIOCSETD, &kind); return 0; }
static int k_tty_console(char **a) { (void)a; CALL(ioctl(0, TIOCCONS, 0)); }
static int k_memory(char **a) { CALL(mmap(NULL, (size_t)number(a, 0) << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED ? -1 : 0); }
static int k_files(char **a) { for (long n = 0; n < number(a, 0); n++) if (open("/dev/null", O_RDONLY) < 0) return errno; return 0; }
static int x_linger(char **a) { /* a child with a session of its own, and nobody's death to follow */
    pid_t child = fork();
    (void)a;
    if (!child) {
        setsid();
        close(1);
        for (;;) pause();
    }
    printf("%d\n", child);
    fflush(stdout);
    for (;;) pause();
    return 0;
}

#if defined(__x86_64__)
static int k_ports(char **a) { (void)a; CALL(syscall(SYS_iopl, 3)); }
static int k_i386(char **a) { long result = 20 /* getpid */; (void)a; __asm__ volatile("int $0x80" : "+a"(result) : : "memory"); return result == getpid() ? 0 : EPERM; }
#else
static int k_ports(char **a) { (void)a; return ENOSYS; }
static int k_i386(char **a) { (void)a; return ENOSYS; }
#endif

#define ATTEMPT(name) {#name, name}
static const struct { const char *name; int (*make)(char **); } attempts[] = {
    ATTEMPT(f_write), ATTEMPT(f_append), ATTEMPT(f_read_write), ATTEMPT(f_creat), ATTEMPT(f_creat_old),
    ATTEMPT(f_truncate_open), ATTEMPT(f_truncate), ATTEMPT(f_tmpfile), ATTEMPT(f_openat2), ATTEMPT(f_mkdir),
    ATTEMPT(f_rmdir), ATTEMPT(f_fifo), ATTEMPT(f_mknod_regular), ATTEMPT(f_mknod_disk), ATTEMPT(f_mknod_memory),
    ATTEMPT(f_symlink), ATTEMPT(f_link), ATTEMPT(f_link_descriptor), ATTEMPT(f_rename), ATTEMPT(f_exchange),
    ATTEMPT(f_unlink), ATTEMPT(f_chmod), ATTEMPT(f_fchmod), ATTEMPT(f_fchmodat2), ATTEMPT(f_chown), ATTEMPT(f_lchown),
    ATTEMPT(f_times), ATTEMPT(f_futimens), ATTEMPT(f_setxattr), ATTEMPT(f_setxattr_trusted), ATTEMPT(f_setflags),
    ATTEMPT(f_setproject), ATTEMPT(f_setversion), ATTEMPT(f_lease), ATTEMPT(f_reopen), ATTEMPT(f_reopen_path),
    ATTEMPT(f_through_root), ATTEMPT(f_through_child), ATTEMPT(f_thread_of_fork), ATTEMPT(f_bind_name),
    ATTEMPT(f_bind_name_pair), ATTEMPT(f_shm_open), ATTEMPT(f_quota), ATTEMPT(s_read), ATTEMPT(s_openat2),
    ATTEMPT(s_path_reopen), ATTEMPT(s_directory), ATTEMPT(s_handle), ATTEMPT(s_handle_given),
    ATTEMPT(s_unmount_first), ATTEMPT(s_tree_first), ATTEMPT(s_namespace_first), ATTEMPT(s_again_and_again),
    ATTEMPT(x_execve), ATTEMPT(x_execve_bare), ATTEMPT(x_execveat), ATTEMPT(x_descriptor), ATTEMPT(x_proc_descriptor),
    ATTEMPT(x_memory), ATTEMPT(x_loader), ATTEMPT(x_loader_fork), ATTEMPT(x_shell_loader), ATTEMPT(x_fork),
    ATTEMPT(x_vfork), ATTEMPT(x_spawn), ATTEMPT(x_system), ATTEMPT(x_popen), ATTEMPT(x_script), ATTEMPT(x_itself),
    ATTEMPT(x_print), ATTEMPT(x_linger), ATTEMPT(x_personality), ATTEMPT(x_own_filter), ATTEMPT(p_kill), ATTEMPT(p_kill_group),
    ATTEMPT(p_tkill), ATTEMPT(p_tgkill), ATTEMPT(p_queue), ATTEMPT(p_pidfd_signal), ATTEMPT(p_owner),
    ATTEMPT(p_owner_ex), ATTEMPT(p_owner_ioctl), ATTEMPT(p_attach), ATTEMPT(p_seize), ATTEMPT(p_readv), ATTEMPT(p_writev),
    ATTEMPT(p_memory), ATTEMPT(p_proc), ATTEMPT(p_getfd), ATTEMPT(p_kcmp), ATTEMPT(p_limit), ATTEMPT(p_affinity),
    ATTEMPT(p_scheduler), ATTEMPT(p_priority), ATTEMPT(p_io_priority), ATTEMPT(p_advise),
    ATTEMPT(p_score), ATTEMPT(p_namespace), ATTEMPT(n_unix), ATTEMPT(n_abstract), ATTEMPT(n_pair),
    ATTEMPT(n_inherited), ATTEMPT(n_tcp), ATTEMPT(n_udp), ATTEMPT(n_udp_send), ATTEMPT(n_fast_open), ATTEMPT(n_listen),
    ATTEMPT(n_bind), ATTEMPT(n_multipath), ATTEMPT(n_six), ATTEMPT(n_raw), ATTEMPT(n_packet), ATTEMPT(n_crypto),
    ATTEMPT(n_key), ATTEMPT(n_audit), ATTEMPT(n_link_down), ATTEMPT(k_unshare), ATTEMPT(k_clone), ATTEMPT(k_clone3),
    ATTEMPT(k_chroot), ATTEMPT(k_mount), ATTEMPT(k_bind), ATTEMPT(k_remount), ATTEMPT(k_umount), ATTEMPT(k_fsopen),
    ATTEMPT(k_fspick), ATTEMPT(k_open_tree), ATTEMPT(k_open_tree_attr), ATTEMPT(k_mount_setattr), ATTEMPT(k_io_uring),
    ATTEMPT(k_bpf), ATTEMPT(k_key), ATTEMPT(k_keyring), ATTEMPT(k_perf), ATTEMPT(k_userfaultfd), ATTEMPT(k_ports),
    ATTEMPT(k_hostname), ATTEMPT(k_core), ATTEMPT(k_modprobe), ATTEMPT(k_sysrq), ATTEMPT(k_device), ATTEMPT(k_cgroup),
    ATTEMPT(k_score), ATTEMPT(k_fanotify), ATTEMPT(k_shm), ATTEMPT(k_queue), ATTEMPT(k_syslog), ATTEMPT(k_module),
    ATTEMPT(k_real_time), ATTEMPT(k_nice), ATTEMPT(k_limit), ATTEMPT(k_capabilities),
    ATTEMPT(k_capability), ATTEMPT(k_setuid), ATTEMPT(k_groups), ATTEMPT(k_tty_type), ATTEMPT(k_tty_discipline),
    ATTEMPT(k_tty_console), ATTEMPT(k_memory), ATTEMPT(k_files), ATTEMPT(k_i386),
};

int main(int count, char **words) {
    static char *none[8];
    char **arguments = none;
    if (count > 2) arguments = words + 2;
    for (size_t n = 0; count > 1 && n < sizeof attempts / sizeof *attempts; n++) {
        if (strcmp(attempts[n].name, words[1])) continue;
        int error = attempts[n].make(arguments);
        if (error) printf("\nno %d\n", error);
        else printf("\ndone\n");
        return error ? 1 : 0;
    }
    fprintf(stderr, "misbehave: no such attempt\n");
    return 2;
}
