#include "kernel/base/rand.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/random.h>

#include "kernel/base/check.h"
#include "kernel/base/clock.h"

#define ID_PREFIX_MAX 8
#define ID_CHARS 26

/* The seeded source: xoshiro256**, its state filled by splitmix64 as its authors advise. */
static pthread_mutex_t seeded_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t seeded_state[4];
static atomic_bool seeded;

static uint64_t rotate_left(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static uint64_t splitmix_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t xoshiro_next(uint64_t s[4])
{
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

void rand_set_seed(uint64_t seed)
{
    pthread_mutex_lock(&seeded_lock);
    for (size_t i = 0; i < 4; i++) {
        seeded_state[i] = splitmix_next(&seed);
    }
    pthread_mutex_unlock(&seeded_lock);
    atomic_store(&seeded, true);
}

static void seeded_bytes(uint8_t *out, size_t len)
{
    pthread_mutex_lock(&seeded_lock);
    while (len > 0) {
        uint64_t word = xoshiro_next(seeded_state);
        size_t part = len < sizeof word ? len : sizeof word;
        memcpy(out, &word, part);
        out += part;
        len -= part;
    }
    pthread_mutex_unlock(&seeded_lock);
}

static void system_bytes(uint8_t *out, size_t len)
{
    while (len > 0) {
        ssize_t got = getrandom(out, len, 0);
        if (got < 0) {
            ASSERT(errno == EINTR);
            continue;
        }
        out += got;
        len -= (size_t)got;
    }
}

void rand_bytes(void *out, size_t len)
{
    if (atomic_load(&seeded)) {
        seeded_bytes(out, len);
    } else {
        system_bytes(out, len);
    }
}

uint64_t rand_u64(void)
{
    uint64_t value;
    rand_bytes(&value, sizeof value);
    return value;
}

uint64_t rand_below(uint64_t bound)
{
    ASSERT(bound != 0);
    /* Of the 2^64 values the first 2^64 mod bound are refused: what is left divides evenly. */
    uint64_t refused = (0 - bound) % bound;
    uint64_t value = rand_u64();
    while (value < refused) {
        value = rand_u64();
    }
    return value % bound;
}

void rand_id(const char *prefix, char out[RAND_ID_MAX])
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    size_t prefix_len = strlen(prefix);
    ASSERT(prefix_len <= ID_PREFIX_MAX);
    uint64_t msec = (uint64_t)(clock_wall_usec() / 1000) & UINT64_C(0xffffffffffff);
    uint64_t low = rand_u64();
    uint16_t middle;
    rand_bytes(&middle, sizeof middle);
    uint64_t high = msec << 16 | middle;

    memcpy(out, prefix, prefix_len);
    out[prefix_len] = '_';
    char *text = out + prefix_len + 1;
    text[ID_CHARS] = '\0';
    for (size_t i = ID_CHARS; i-- > 0;) {
        text[i] = digits[low & 31];
        low = low >> 5 | high << 59;
        high >>= 5;
    }
}
