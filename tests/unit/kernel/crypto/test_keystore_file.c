#include "kernel/base/clock.h"
#include "kernel/crypto/keystore.h"

#include <dirent.h>
#include <sys/stat.h>

#include "unit/vectors.h"

static struct arena arena;
static char folder[] = "/tmp/freehold-keystore-XXXXXX";

static int64_t fixed_now(void *ctx)
{
    return 1795325640123456; /* 2026-11-22T05:34:00.123456Z */
}

static int setup(void **state)
{
    arena_init(&arena, 0);
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static size_t entries_in(const char *path)
{
    size_t n = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir) != NULL) {
        n++;
    }
    closedir(dir);
    return n - 2; /* without . and .. */
}

static int teardown(void **state)
{
    arena_free(&arena);
    return rmdir(folder);
}

static void a_file_is_named_like_geths_private_and_readable_again(void **state)
{
    static const struct clock_source source = {.wall_usec = fixed_now, .mono_usec = fixed_now};
    struct secret key, back, pass;
    struct address address, again;
    struct slice json, path = SLICE_EMPTY;
    struct stat st;
    clock_set_source(&source);
    secret_init(&pass, "secret", 6);
    key = vector_key("0x0000000000000000000000000000000000000000000000000000000000000001");
    assert_int_equal(secp256k1_address(&key, &address), OK);
    assert_int_equal(keystore_encode(&arena, &key, &pass, (struct keystore_cost){8}, &json, NULL),
                     OK);
    assert_int_equal(keystore_write_file(&arena, folder, &address, json, &path, NULL), OK);
    clock_set_source(NULL);
    const char *name = slice_cstr(&arena, path);
    const char *expected = "/UTC--2026-11-22T05-34-00.123456000Z--"
                           "7e5f4552091a69125d5dfcb7b8c2659029395bdf";
    assert_string_equal(name + strlen(folder), expected);
    assert_int_equal(stat(name, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(entries_in(folder), 1); /* no temporary file is left */

    assert_int_equal(keystore_read_file(name, &pass, &back, &again, NULL), OK);
    assert_memory_equal(secret_bytes(&back), secret_bytes(&key), PRIVATE_KEY_BYTES);
    assert_memory_equal(again.bytes, address.bytes, ADDRESS_BYTES);
    assert_int_equal(unlink(name), 0);
    secret_clear(&key);
    secret_clear(&back);
    secret_clear(&pass);
}

static void a_folder_that_is_not_there_is_an_io_error(void **state)
{
    struct address address = {{0}};
    struct slice path = SLICE_LIT("old");
    struct why why = {0};
    assert_int_equal(
        keystore_write_file(&arena, "/nonexistent/keys", &address, SLICE_LIT("{}"), &path, &why),
        ERR_IO);
    assert_text(path, "old");
    assert_non_null(strstr(why.text, "/nonexistent/keys"));
}

static enum err read_path(const char *path, struct why *why)
{
    struct secret key, pass;
    struct address address;
    secret_init(&pass, "x", 1);
    enum err e = keystore_read_file(path, &pass, &key, &address, why);
    secret_clear(&pass);
    return e;
}

static void only_regular_files_of_bounded_size_are_read(void **state)
{
    struct why why = {0};
    const char *large = slice_cstr(&arena, slice_format(&arena, "%s/large", folder));
    assert_int_equal(read_path("/nonexistent", &why), ERR_IO);
    assert_int_equal(read_path(folder, NULL), ERR_IO);
    assert_int_equal(read_path("/dev/zero", NULL), ERR_IO);
    assert_int_equal(read_path("/dev/null", NULL), ERR_IO);
    FILE *file = fopen(large, "wb");
    assert_non_null(file);
    for (unsigned i = 0; i < (64 << 10) + 1; i++) {
        fputc(' ', file);
    }
    fclose(file);
    assert_int_equal(read_path(large, NULL), ERR_CORRUPT);
    assert_int_equal(truncate(large, 10), 0);
    assert_int_equal(read_path(large, NULL), ERR_INVALID_JSON);
    assert_int_equal(unlink(large), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_named_like_geths_private_and_readable_again),
        cmocka_unit_test(a_folder_that_is_not_there_is_an_io_error),
        cmocka_unit_test(only_regular_files_of_bounded_size_are_read),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
