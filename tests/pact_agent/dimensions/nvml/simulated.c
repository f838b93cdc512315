/* A libnvidia-ml.so.1 without GPUs: it answers from the text file that PACT_SIMULATED_GPUS names, read at each call.
 *
 * Lines are `N.WHAT VALUE` of the GPU N, `count VALUE`, and `event N XID`; the last of several counts, and what is set
 * is added at the end. What is not named is not supported. `N.lost 1`: that GPU is gone. `hang 1`: calls wait until
 * it says otherwise. The MIG instances of GPU N are devices of their own, 100 * (N + 1) and on; one without a uuid is
 * not there. Without the variable no driver is loaded. Names and numbers are those of NVIDIA's nvml.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7,
       DRIVER_NOT_LOADED = 9, TIMEOUT = 10, GPU_IS_LOST = 15, UNKNOWN = 999 };
enum { MOST_GPUS = 16, MOST_SLICES = 7, POLL_MS = 5 };

typedef struct { unsigned index; } *device_t;
typedef struct { unsigned registered, seen; } *events_t;
typedef struct { device_t device; unsigned long long type, data; unsigned instance, compute; } event_t;
typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; } pci_t;

static struct { unsigned index; } devices[MOST_GPUS], slices[MOST_GPUS][MOST_SLICES];
static int users;

static int read_text(const char *key, char *out, size_t size)
{
    const char *path = getenv("PACT_SIMULATED_GPUS");
    FILE *file = path ? fopen(path, "re") : NULL;
    char line[256];
    size_t length = strlen(key);
    int found = 0;

    if (!file)
        return 0;
    while (fgets(line, sizeof line, file))
        if (!strncmp(line, key, length) && line[length] == ' ') {
            line[strcspn(line, "\n")] = 0;
            snprintf(out, size, "%s", line + length + 1);
            found = 1;
        }
    fclose(file);
    return found;
}

static int read_number(const char *key, unsigned long long *out)
{
    char text[64];

    if (!read_text(key, text, sizeof text))
        return 0;
    *out = strtoull(text, NULL, 10);
    return 1;
}

static void pause_ms(void)
{
    struct timespec moment = {0, POLL_MS * 1000000L};
    nanosleep(&moment, NULL);
}

/* Whether a call may go on, and how it ends if not. */
static int begun(device_t device)
{
    unsigned long long number = 0;
    char key[64];

    while (read_number("hang", &number) && number)
        pause_ms();
    if (!__atomic_load_n(&users, __ATOMIC_SEQ_CST))
        return UNINITIALIZED;
    if (!device)
        return SUCCESS;
    snprintf(key, sizeof key, "%u.lost", device->index);
    return read_number(key, &number) && number ? GPU_IS_LOST : SUCCESS;
}

static int get(device_t device, const char *what, unsigned long long *out)
{
    char key[64];
    int done = begun(device);

    if (done)
        return done;
    snprintf(key, sizeof key, "%u.%s", device->index, what);
    return read_number(key, out) ? SUCCESS : NOT_SUPPORTED;
}

static int get_unsigned(device_t device, const char *what, unsigned *out)
{
    unsigned long long number = 0;
    int done = get(device, what, &number);

    *out = (unsigned)number;
    return done;
}

static int get_text(device_t device, const char *what, char *out, unsigned size)
{
    char key[64];
    int done = begun(device);

    if (done)
        return done;
    if (device)
        snprintf(key, sizeof key, "%u.%s", device->index, what);
    else
        snprintf(key, sizeof key, "%s", what);
    return read_text(key, out, size) ? SUCCESS : NOT_SUPPORTED;
}

static int set(device_t device, const char *what, unsigned value)
{
    unsigned before;
    int done = get_unsigned(device, what, &before);
    FILE *file = done ? NULL : fopen(getenv("PACT_SIMULATED_GPUS"), "ae");

    if (!file)
        return done ? done : UNKNOWN;
    fprintf(file, "%u.%s %u\n", device->index, what, value);
    fclose(file);
    return SUCCESS;
}

/* For the tests alone: how many have the library open. */
int simulated_users(void) { return __atomic_load_n(&users, __ATOMIC_SEQ_CST); }

int nvmlInitWithFlags(unsigned flags)
{
    unsigned long long count;

    (void)flags;
    if (!read_number("count", &count))
        return DRIVER_NOT_LOADED;
    __atomic_add_fetch(&users, 1, __ATOMIC_SEQ_CST);
    return SUCCESS;
}

int nvmlShutdown(void)
{
    int done = begun(NULL);

    if (!done)
        __atomic_sub_fetch(&users, 1, __ATOMIC_SEQ_CST);
    return done;
}

const char *nvmlErrorString(int error) { return error == UNKNOWN ? "Unknown Error" : "another error"; }

int nvmlDeviceGetCount_v2(unsigned *count)
{
    unsigned long long number = 0;
    int done = begun(NULL);

    if (!done && !read_number("count", &number))
        done = UNKNOWN;
    *count = (unsigned)number;
    return done;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, device_t *out)
{
    unsigned count;
    int done = nvmlDeviceGetCount_v2(&count);

    if (done)
        return done;
    if (index >= count || index >= MOST_GPUS)
        return INVALID_ARGUMENT;
    devices[index].index = index;
    *out = (device_t)&devices[index];
    return begun(*out);
}

int nvmlDeviceGetPciInfo_v3(device_t device, pci_t *out)
{
    char key[64];
    int done = begun(device);

    if (done)
        return done;
    memset(out, 0, sizeof *out);
    snprintf(key, sizeof key, "%u.bus", device->index);
    return read_text(key, out->bus_id, sizeof out->bus_id) ? SUCCESS : NOT_FOUND;
}

int nvmlDeviceGetTotalEccErrors(device_t device, int type, int counter, unsigned long long *out)
{
    if (type == 0)
        return counter ? NOT_SUPPORTED : get(device, "ecc_corrected", out);
    return get(device, counter ? "ecc_aggregate" : "ecc_volatile", out);
}

int nvmlSystemGetDriverVersion(char *out, unsigned size) { return get_text(NULL, "driver", out, size); }

int nvmlSystemGetCudaDriverVersion_v2(int *out)
{
    unsigned long long number = 0;
    int done = begun(NULL);

    if (!done && !read_number("cuda", &number))
        done = NOT_SUPPORTED;
    *out = (int)number;
    return done;
}

int nvmlDeviceGetName(device_t device, char *out, unsigned size) { return get_text(device, "name", out, size); }
int nvmlDeviceGetUUID(device_t device, char *out, unsigned size) { return get_text(device, "uuid", out, size); }

int nvmlDeviceGetMemoryInfo(device_t device, memory_t *out)
{
    memset(out, 0, sizeof *out);
    return get(device, "memory", &out->total);
}

int nvmlDeviceGetTemperature(device_t device, int sensor, unsigned *out)
{
    return sensor ? INVALID_ARGUMENT : get_unsigned(device, "temperature", out);
}

int nvmlDeviceGetEccMode(device_t device, unsigned *now, unsigned *pending)
{
    int done = get_unsigned(device, "ecc", now);
    return done ? done : get_unsigned(device, "ecc_pending", pending);
}

int nvmlDeviceGetMigMode(device_t device, unsigned *now, unsigned *pending)
{
    int done = get_unsigned(device, "mig", now);
    *pending = *now;
    return done;
}

int nvmlDeviceGetMaxMigDeviceCount(device_t device, unsigned *out)
{
    *out = MOST_SLICES;
    return begun(device);
}

int nvmlDeviceGetMigDeviceHandleByIndex(device_t device, unsigned index, device_t *out)
{
    char text[80];
    int done = begun(device);

    if (done || index >= MOST_SLICES)
        return done ? done : INVALID_ARGUMENT;
    slices[device->index][index].index = 100 * (device->index + 1) + index;
    *out = (device_t)&slices[device->index][index];
    return get_text(*out, "uuid", text, sizeof text) ? NOT_FOUND : SUCCESS;
}

int nvmlDeviceGetRetiredPages(device_t device, int cause, unsigned *count, unsigned long long *addresses)
{
    unsigned room = *count;
    int done = get_unsigned(device, cause ? "pages_double" : "pages_single", count);

    if (done)
        return done;
    if (!addresses || room < *count)
        return *count ? INSUFFICIENT_SIZE : SUCCESS;
    for (unsigned i = 0; i < *count; i++)
        addresses[i] = 4096ULL * i;
    return SUCCESS;
}

int nvmlDeviceGetRetiredPagesPendingStatus(device_t device, unsigned *out)
{
    return get_unsigned(device, "pages_pending", out);
}

int nvmlDeviceGetRemappedRows(device_t device, unsigned *corrected, unsigned *uncorrected, unsigned *pending,
                              unsigned *failed)
{
    int done = get_unsigned(device, "rows_pending", pending);

    *corrected = *uncorrected = 0;
    return done ? done : get_unsigned(device, "rows_failed", failed);
}

int nvmlDeviceGetPersistenceMode(device_t device, unsigned *out) { return get_unsigned(device, "persistence", out); }
int nvmlDeviceSetPersistenceMode(device_t device, unsigned mode) { return set(device, "persistence", mode); }
int nvmlDeviceGetComputeMode(device_t device, unsigned *out) { return get_unsigned(device, "compute", out); }
int nvmlDeviceSetComputeMode(device_t device, unsigned mode) { return set(device, "compute", mode); }
int nvmlDeviceGetPowerManagementLimit(device_t device, unsigned *out) { return get_unsigned(device, "power", out); }

int nvmlDeviceSetPowerManagementLimit(device_t device, unsigned limit)
{
    return limit < 100000 || limit > 400000 ? INVALID_ARGUMENT : set(device, "power", limit);
}

/* The first event after those that were `seen`: its GPU and XID. */
static int next_event(unsigned seen, unsigned *gpu, unsigned *xid)
{
    FILE *file = fopen(getenv("PACT_SIMULATED_GPUS"), "re");
    char line[256];
    unsigned count = 0;

    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "event %u %u", gpu, xid) == 2 && ++count > seen)
            break;
    if (file)
        fclose(file);
    return count > seen;
}

int nvmlEventSetCreate(events_t *out)
{
    int done = begun(NULL);
    unsigned gpu, xid;

    if (done)
        return done;
    *out = calloc(1, sizeof **out);
    while (next_event((*out)->seen, &gpu, &xid))
        (*out)->seen++;
    return SUCCESS;
}

int nvmlDeviceRegisterEvents(device_t device, unsigned long long types, events_t events)
{
    unsigned long long number;
    int done = get(device, "events", &number);

    if (!done && types == 8)
        events->registered |= 1U << device->index;
    return done;
}

int nvmlEventSetWait_v2(events_t events, event_t *out, unsigned timeout_ms)
{
    unsigned gpu, xid;
    unsigned long long number;

    for (unsigned waited = 0;; waited += POLL_MS) {
        int done = begun(NULL);
        if (done)
            return done;
        if (read_number("events_fail", &number) && number)
            return UNKNOWN;
        while (next_event(events->seen, &gpu, &xid)) {
            events->seen++;
            if (events->registered & 1U << gpu) {
                *out = (event_t){(device_t)&devices[gpu], 8, xid, ~0U, ~0U};
                return SUCCESS;
            }
        }
        if (waited >= timeout_ms)
            return TIMEOUT;
        pause_ms();
    }
}

int nvmlEventSetFree(events_t events)
{
    free(events);
    return begun(NULL);
}
