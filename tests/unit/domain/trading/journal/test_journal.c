/*
 * The journal under every fault that was thought of. What is acknowledged is a number that the
 * test remembers itself; what must be found again is an engine that was fed without a journal.
 *
 * JOURNAL_POINTS says how many random points of each kind are tried (soak: 1,000).
 */
#include "domain/trading/journal/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/mem.h"
#include "unit/domain/trading/journal/commands.h"

#define FILE_BYTES (JOURNAL_HEAD_BYTES + JOURNAL_BLOCK_MAX)

static char folder[64];

static void each_file(const char *dir, void (*fn)(const char *from, const char *to),
                      const char *other)
{
    DIR *d = opendir(dir);
    assert_non_null(d);
    const struct dirent *entry;
    while ((entry = readdir(d)) != NULL) {
        if (entry->d_name[0] != '.') {
            char from[512];
            char to[512];
            snprintf(from, sizeof from, "%s/%s", dir, entry->d_name);
            snprintf(to, sizeof to, "%s/%s", other, entry->d_name);
            fn(from, to);
        }
    }
    closedir(d);
}

static void remove_one(const char *from, const char *to)
{
    (void)to;
    assert_int_equal(unlink(from), 0);
}

static void copy_one(const char *from, const char *to)
{
    static uint8_t bytes[1 << 20];
    const int in = open(from, O_RDONLY);
    const int out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const ssize_t n = read(in, bytes, sizeof bytes);
    assert_true(in >= 0 && out >= 0 && n >= 0 && n < (ssize_t)sizeof bytes);
    assert_int_equal(write(out, bytes, (size_t)n), n);
    close(in);
    close(out);
}

static int set_up(void **state)
{
    snprintf(folder, sizeof folder, "/tmp/freehold-journal-XXXXXX");
    assert_non_null(mkdtemp(folder));
    return 0;
}

static int tear_down(void **state)
{
    each_file(folder, remove_one, folder);
    assert_int_equal(rmdir(folder), 0);
    return 0;
}

static enum err open_dir(const char *dir, const struct journal_io *io, struct journal **j,
                         struct engine **e, struct journal_recovery *recovery, struct why *why)
{
    const struct journal_config config = {
        .dir = dir, .limits = limits, .file_bytes = FILE_BYTES, .io = io};
    return journal_open(j, &config, e, recovery, why);
}

/* Opens, and expects the state after so many commands. Returns how many. */
static uint64_t reopened(const char *dir, struct journal_recovery *recovery)
{
    struct journal *j;
    struct engine *e;
    struct why why = {0};
    const enum err err = open_dir(dir, NULL, &j, &e, recovery, &why);
    if (err != OK) {
        fail_msg("%s", why.text);
    }
    const uint64_t seq = engine_seq(e);
    engine_check(e);
    assert_int_equal(engine_hash(e), hash_after(seq));
    assert_int_equal(journal_durable(j), seq);
    journal_close(j);
    engine_free(e);
    return seq;
}

/* Appends commands first … last, `group` at a time, waiting for each group. */
static void append(struct journal *j, struct engine *e, uint64_t first, uint64_t last,
                   uint64_t group)
{
    for (uint64_t n = first; n <= last; n++) {
        const struct engine_command c = command(n);
        assert_int_equal(journal_append(j, &c), n);
        (void)engine_apply(e, &c);
        if (n % group == 0 || n == last) {
            assert_int_equal(journal_wait(j, n, NULL), OK);
        }
    }
}

static void write_journal(uint64_t count, uint64_t group)
{
    struct journal *j;
    struct engine *e;
    struct journal_recovery recovery;
    assert_int_equal(open_dir(folder, NULL, &j, &e, &recovery, NULL), OK);
    append(j, e, engine_seq(e) + 1, engine_seq(e) + count, group);
    journal_close(j);
    engine_free(e);
}

/* RFC 3720, B.4: 32 bytes of zeros, of ones, rising, falling. */
static void test_crc32c_of_the_standard(void **state)
{
    uint8_t bytes[32] = {0};
    assert_int_equal(journal_crc32c(0, bytes, 32), 0x8a9136aau);
    memset(bytes, 0xff, 32);
    assert_int_equal(journal_crc32c(0, bytes, 32), 0x62a8ab43u);
    for (unsigned i = 0; i < 32; i++) {
        bytes[i] = (uint8_t)i;
    }
    assert_int_equal(journal_crc32c(0, bytes, 32), 0x46dd794eu);
    assert_int_equal(journal_crc32c(journal_crc32c(0, bytes, 13), bytes + 13, 19), 0x46dd794eu);
}

static void test_what_was_appended_is_found_again(void **state)
{
    struct journal_recovery recovery;
    write_journal(30, 7);
    assert_int_equal(reopened(folder, &recovery), 30);
    write_journal(9000, 1000); /* into a second and third file */
    assert_int_equal(reopened(folder, &recovery), 9030);
    assert_int_equal(recovery.replayed, 9030);
    assert_int_equal(recovery.torn_bytes, 0);
}

static void test_a_folder_has_one_owner(void **state)
{
    struct journal *j;
    struct journal *second;
    struct engine *e;
    struct engine *none;
    struct journal_recovery recovery;
    assert_int_equal(open_dir(folder, NULL, &j, &e, &recovery, NULL), OK);
    assert_int_equal(open_dir(folder, NULL, &second, &none, &recovery, NULL), ERR_LOCKED);
    journal_close(j);
    engine_free(e);
}

static void test_a_snapshot_and_the_rest_are_the_whole(void **state)
{
    struct journal *j;
    struct engine *e;
    struct journal_recovery recovery;
    assert_int_equal(open_dir(folder, NULL, &j, &e, &recovery, NULL), OK);
    for (uint64_t n = 0; n < 5; n++) {
        append(j, e, n * 1000 + 1, n * 1000 + 1000, 100);
        assert_int_equal(journal_snapshot(j, e, NULL), OK);
    }
    append(j, e, 5001, 5010, 3);
    journal_close(j);
    engine_free(e);
    assert_int_equal(reopened(folder, &recovery), 5010);
    assert_int_equal(recovery.snapshot_seq, 5000);
    assert_int_equal(recovery.replayed, 10);
    /* The newest is damaged: the one before serves. */
    char path[512];
    snprintf(path, sizeof path, "%s/snapshot-%020u", folder, 5000);
    const int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "x", 1, 333), 1);
    close(fd);
    assert_int_equal(reopened(folder, &recovery), 5010);
    assert_int_equal(recovery.snapshot_seq, 4000);
    snprintf(path, sizeof path, "%s/snapshot-%020u", folder, 3000);
    assert_int_equal(access(path, F_OK), -1); /* two are kept */
}

/* More than one window of a file: what is found, what is torn and what is damaged far behind. */
static void test_a_long_file_is_read_whole(void **state)
{
    enum { RECORDS = 60000, GROUP = 700, SIZE = 6 << 20 };
    static uint8_t long_file[SIZE];
    const struct journal_config config = {.dir = folder, .limits = limits, .file_bytes = SIZE};
    struct journal *j;
    struct engine *e;
    struct journal_recovery recovery;
    struct engine_limits found;
    struct why why = {0};
    char path[512];
    assert_int_equal(journal_open(&j, &config, &e, &recovery, NULL), OK);
    append(j, e, 1, RECORDS, GROUP);
    journal_close(j);
    engine_free(e);
    assert_int_equal(journal_open(&j, &config, &e, &recovery, NULL), OK);
    assert_int_equal(recovery.replayed, RECORDS);
    assert_int_equal(engine_hash(e), hash_after(RECORDS));
    journal_close(j);
    engine_free(e);

    snprintf(path, sizeof path, "%s/journal-%020u", folder, 1);
    const int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, long_file, SIZE, 0), SIZE);
    size_t end = SIZE;
    while (long_file[end - 1] == 0) {
        end--;
    }
    assert_true(end > RECORDS * (size_t)JOURNAL_UNIT);
    for (size_t at = 3000064; at < end; at += 600000) {
        const size_t byte = at / JOURNAL_UNIT * JOURNAL_UNIT + 17;
        char said[64];
        const uint8_t flipped = long_file[byte] ^ 4;
        assert_int_equal(pwrite(fd, &flipped, 1, (off_t)byte), 1);
        assert_int_equal(journal_read(folder, &(struct journal_visitor){.repair = true}, &found,
                                      &recovery, &why),
                         ERR_CORRUPT);
        snprintf(said, sizeof said, "offset %zu, record ", byte / JOURNAL_UNIT * JOURNAL_UNIT);
        if (strstr(why.text, said) == NULL && strstr(why.text, "of the block") == NULL) {
            fail_msg("%s, not %s", why.text, said);
        }
        assert_int_equal(pwrite(fd, &long_file[byte], 1, (off_t)byte), 1);
    }
    const uint8_t zeros[100] = {0};
    assert_int_equal(pwrite(fd, zeros, sizeof zeros, (off_t)(end - sizeof zeros)), sizeof zeros);
    close(fd);
    assert_int_equal(journal_open(&j, &config, &e, &recovery, NULL), OK);
    assert_true(recovery.torn_bytes > 0 && recovery.torn_offset > 3000000);
    assert_true(engine_seq(e) < RECORDS && engine_hash(e) == hash_after(engine_seq(e)));
    journal_close(j);
    engine_free(e);
}

/* ---- cuts and flips in a copy ---- */

static char scratch[80];

static void fresh_copy(void)
{
    snprintf(scratch, sizeof scratch, "%s-copy", folder);
    (void)mkdir(scratch, 0700);
    each_file(folder, copy_one, scratch);
}

static void drop_copy(void)
{
    each_file(scratch, remove_one, scratch);
    assert_int_equal(rmdir(scratch), 0);
}

/* The journal's only file in the copy, and where its bytes end. */
static size_t load_copy(uint8_t *bytes)
{
    char path[512];
    snprintf(path, sizeof path, "%s/journal-%020u", scratch, 1);
    const int fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, bytes, FILE_BYTES), FILE_BYTES);
    close(fd);
    size_t end = FILE_BYTES;
    while (bytes[end - 1] == 0) {
        end--;
    }
    return end;
}

static void store_copy(const uint8_t *bytes)
{
    char path[512];
    snprintf(path, sizeof path, "%s/journal-%020u", scratch, 1);
    const int fd = open(path, O_WRONLY);
    assert_int_equal(write(fd, bytes, FILE_BYTES), FILE_BYTES);
    close(fd);
}

static uint8_t whole[FILE_BYTES];
static uint8_t bytes[FILE_BYTES];

/* Adds one block to the copy, as one write would. Returns where it begins; `whole` has the file. */
static size_t add_block(uint32_t count)
{
    struct journal_head head;
    struct journal_block block;
    size_t at = JOURNAL_HEAD_BYTES;
    uint64_t seq = 1;
    (void)load_copy(whole);
    assert_int_equal(journal_head_decode(whole, &head, NULL), OK);
    struct hash chain = head.chain;
    while (journal_block_read(slice_of(whole, sizeof whole), at, seq, &chain, &block, NULL) ==
           JOURNAL_BLOCK) {
        at += block.size;
        seq += block.count;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct engine_command c = command(seq + i);
        engine_command_encode(&c, whole + at + (size_t)(i + 1) * JOURNAL_UNIT);
    }
    assert_int_equal(journal_block_seal(whole + at, count, seq, &chain),
                     (count + 2) * JOURNAL_UNIT);
    store_copy(whole);
    return at;
}

/* 3 records in the last block: (3 + 2) * 64 bytes, cut at each of them. */
static void test_a_write_cut_at_every_byte_is_torn(void **state)
{
    struct journal_recovery recovery;
    write_journal(40, 8);
    fresh_copy();
    const size_t begin = add_block(3);
    const size_t size = 5 * JOURNAL_UNIT;
    assert_int_equal(reopened(scratch, &recovery), 43);
    for (size_t kept = 0; kept < size; kept++) {
        memcpy(bytes, whole, sizeof bytes);
        memset(bytes + begin + kept, 0, size - kept);
        store_copy(bytes);
        assert_int_equal(reopened(scratch, &recovery), 40);
        assert_int_equal(recovery.torn_bytes != 0, kept != 0);
        assert_int_equal(reopened(scratch, &recovery), 40); /* and it is mended */
        assert_int_equal(recovery.torn_bytes, 0);
    }
    drop_copy();
}

/* A disk writes sectors in any order: each may be missing, whatever is behind it. */
static void test_missing_sectors_are_torn(void **state)
{
    struct journal_recovery recovery;
    write_journal(40, 8);
    fresh_copy();
    const size_t begin = add_block(60);
    const size_t end = begin + 62 * JOURNAL_UNIT;
    for (unsigned missing = 1; missing < 256; missing++) {
        memcpy(bytes, whole, sizeof bytes);
        bool any = false;
        for (unsigned s = 0; s < 9; s++) {
            const size_t from = (begin / 512 + s) * 512;
            const size_t a = from < begin ? begin : from;
            const size_t b = from + 512 < end ? from + 512 : end;
            if ((missing >> (s % 8) & 1) != 0 && a < b) {
                memset(bytes + a, 0, b - a);
                any = true;
            }
        }
        store_copy(bytes);
        assert_int_equal(reopened(scratch, &recovery), any ? 40 : 100);
    }
    drop_copy();
}

struct seen {
    uint64_t last;
};

static void see(void *ctx, uint64_t seq, const struct engine_command *c)
{
    struct seen *seen = ctx;
    const struct engine_command expected = command(seq);
    assert_int_equal(seq, seen->last + 1);
    assert_memory_equal(c, &expected, sizeof expected);
    seen->last = seq;
}

/* Every bit of what was acknowledged is watched: a flip is refused with its place, never lost. */
static void test_a_flipped_bit_is_refused_by_name(void **state)
{
    write_journal(40, 8);
    fresh_copy();
    const size_t end = add_block(3) + 5 * JOURNAL_UNIT;
    const size_t bits = (end - JOURNAL_HEAD_BYTES) * 8;
    for (size_t i = 0; i < points(60) * 8; i++) {
        /* All of the last block, then anywhere. */
        const size_t bit = i < 5 * 64 * 8 && points(60) > 320 ? bits - 1 - i : mix(i) % bits;
        struct journal_recovery recovery;
        struct engine_limits found;
        struct seen seen = {0};
        struct why why = {0};
        const struct journal_visitor visitor = {.record = see, .ctx = &seen, .repair = true};
        memcpy(bytes, whole, sizeof bytes);
        bytes[JOURNAL_HEAD_BYTES + bit / 8] ^= (uint8_t)(1u << (bit % 8));
        store_copy(bytes);
        if (journal_read(scratch, &visitor, &found, &recovery, &why) != ERR_CORRUPT) {
            fail_msg("bit %zu of byte %zu went unseen", bit % 8, JOURNAL_HEAD_BYTES + bit / 8);
        }
        unsigned long long offset;
        unsigned long long record;
        const char *text = strstr(why.text, "offset ");
        assert_non_null(text);
        assert_int_equal(sscanf(text, "offset %llu, record %llu", &offset, &record), 2);
        assert_true(record > seen.last && record <= 43);
        const size_t byte = JOURNAL_HEAD_BYTES + bit / 8;
        if (strstr(why.text, "the record is damaged") != NULL) {
            assert_int_equal(offset, byte / JOURNAL_UNIT * JOURNAL_UNIT);
        }
    }
    drop_copy();
}

/* ---- faults of the system under a running journal ---- */

struct fault {
    unsigned writes; /* how many go well */
    unsigned syncs;
    unsigned heads;   /* of files; the one behind them does not go well. 0: all do */
    int error;        /* errno of the one that does not */
    bool spares_head; /* it is the write behind the head */
    bool shortens;    /* it writes a part first */
    bool tells_lies;  /* the failed sync had lost what was written */
    unsigned seen_writes;
    unsigned seen_syncs;
    unsigned seen_heads;
};

static ssize_t faulty_write(void *ctx, int fd, const void *from, size_t size, off_t at)
{
    struct fault *f = ctx;
    f->seen_heads += at == 0;
    const bool next_file =
        f->heads != 0 && f->seen_heads > f->heads && (at != 0 || !f->spares_head);
    if (f->seen_writes++ == f->writes || next_file) {
        if (f->shortens) {
            return pwrite(fd, from, size / 2, at); /* and the rest in the next call */
        }
        errno = f->error;
        return -1;
    }
    return pwrite(fd, from, size, at);
}

static int faulty_sync(void *ctx, int fd)
{
    struct fault *f = ctx;
    if (f->seen_syncs++ == f->syncs) {
        errno = f->error;
        return -1;
    }
    return fdatasync(fd);
}

/* Runs until the fault; returns what was acknowledged. */
static uint64_t run_into(struct fault *f, uint64_t commands, uint64_t group, enum err expected)
{
    struct journal *j;
    struct engine *e;
    struct journal_recovery recovery;
    struct journal_io io = *journal_io_system();
    uint64_t acknowledged = 0;
    enum err err;
    io.ctx = f;
    io.write_at = faulty_write;
    io.sync = faulty_sync;
    err = open_dir(folder, &io, &j, &e, &recovery, NULL);
    assert_int_equal(err, OK);
    const uint64_t first = engine_seq(e) + 1;
    for (uint64_t n = first; n < first + commands && err == OK; n++) {
        const struct engine_command c = command(n);
        (void)journal_append(j, &c);
        if (n % group == 0) {
            err = journal_wait(j, n, NULL);
            acknowledged = err == OK ? n : acknowledged;
        }
    }
    assert_int_equal(err, expected);
    assert_int_equal(journal_state_of(j), expected == OK ? JOURNAL_RUNNING : JOURNAL_FAILED);
    if (expected != OK) { /* nothing is tried again */
        const unsigned writes = f->seen_writes;
        const struct engine_command c = command(first);
        assert_int_equal(journal_wait(j, journal_append(j, &c), NULL), expected);
        assert_int_equal(f->seen_writes, writes);
    }
    journal_close(j);
    engine_free(e);
    return acknowledged;
}

static void clear_folder(void)
{
    each_file(folder, remove_one, folder);
}

static void test_a_failing_disk_stops_the_venue(void **state)
{
    struct journal_recovery recovery;
    for (unsigned i = 0; i < 4 * points(15); i++) { /* of four kinds */
        struct fault f = {.writes = UINT32_MAX, .syncs = UINT32_MAX};
        const unsigned kind = i % 4;
        const unsigned when = 3 + (unsigned)(mix(i) % 40);
        f.error = kind == 0 ? ENOSPC : EIO;
        *(kind < 2 ? &f.writes : &f.syncs) = when;
        if (kind == 3) { /* a short write that goes on is no fault */
            f = (struct fault){.writes = when, .syncs = UINT32_MAX, .shortens = true};
        }
        const enum err expected = kind == 3 ? OK : (kind == 0 ? ERR_DISK_FULL : ERR_IO);
        const uint64_t group = 1 + mix(i * 7) % 9;
        const uint64_t acknowledged = run_into(&f, 900, group, expected);
        assert_true(reopened(folder, &recovery) >= acknowledged);
        clear_folder();
    }
}

/* The disk is full when the next file is made: its head, or its zeros. */
static void test_no_room_for_the_next_file_stops_the_venue(void **state)
{
    struct journal_recovery recovery;
    for (unsigned i = 0; i < 2; i++) {
        struct fault f = {.writes = UINT32_MAX, .syncs = UINT32_MAX, .heads = 1, .error = ENOSPC};
        f.spares_head = i == 1;
        const uint64_t acknowledged = run_into(&f, 6000, 9, ERR_DISK_FULL);
        assert_true(acknowledged > 3000);
        assert_int_equal(f.seen_heads, 2);
        const uint64_t found = reopened(folder, &recovery);
        assert_true(found >= acknowledged && recovery.torn_bytes == 0);
        f = (struct fault){.writes = UINT32_MAX, .syncs = UINT32_MAX};
        assert_true(run_into(&f, 1000, 9, OK) > found); /* with room it goes on */
        assert_true(reopened(folder, &recovery) >= found + 1000);
        clear_folder();
    }
}

/* ---- kill -9 ---- */

static void child(int acks)
{
    struct journal *j;
    struct engine *e;
    struct journal_recovery recovery;
    if (open_dir(folder, NULL, &j, &e, &recovery, NULL) != OK) {
        _exit(1);
    }
    for (uint64_t n = engine_seq(e) + 1;; n++) {
        const struct engine_command c = command(n);
        (void)journal_append(j, &c);
        (void)engine_apply(e, &c);
        if (mix(n) % 7 == 0) {
            if (journal_wait(j, n, NULL) != OK || write(acks, &n, sizeof n) != sizeof n) {
                _exit(1);
            }
        }
        if (mix(n) % 1500 == 0 && journal_snapshot(j, e, NULL) != OK) {
            _exit(1);
        }
    }
}

static void test_kill_9_loses_nothing_acknowledged(void **state)
{
    uint64_t found = 0;
    for (unsigned i = 0; i < points(30); i++) {
        int acks[2];
        struct journal_recovery recovery;
        uint64_t acknowledged = 0;
        uint64_t n;
        assert_int_equal(pipe(acks), 0);
        fflush(NULL);
        const pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            close(acks[0]);
            child(acks[1]);
        }
        close(acks[1]);
        /* Killed after so many answers, while it goes on. */
        for (uint64_t answers = 1 + mix(i) % 200; answers > 0; answers--) {
            assert_int_equal(read(acks[0], &n, sizeof n), sizeof n);
            acknowledged = n;
        }
        clock_sleep_usec((int64_t)(mix(i + 99) % 500));
        kill(pid, SIGKILL);
        while (read(acks[0], &n, sizeof n) == sizeof n) {
            acknowledged = n;
        }
        close(acks[0]);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        const uint64_t last = reopened(folder, &recovery);
        assert_true(last >= acknowledged && last >= found);
        found = last;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc32c_of_the_standard),
        cmocka_unit_test_setup_teardown(test_what_was_appended_is_found_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_folder_has_one_owner, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_snapshot_and_the_rest_are_the_whole, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_long_file_is_read_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_write_cut_at_every_byte_is_torn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_missing_sectors_are_torn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_flipped_bit_is_refused_by_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_failing_disk_stops_the_venue, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_room_for_the_next_file_stops_the_venue, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_kill_9_loses_nothing_acknowledged, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
