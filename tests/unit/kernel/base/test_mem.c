#include "kernel/base/mem.h"

#include <sys/mman.h>

#include "kernel/base/rand.h"
#include "unit/test.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

static void allocations_are_zeroed_aligned_and_apart(void **state)
{
    enum { COUNT = 3000 };
    static struct {
        uint8_t *ptr;
        size_t size;
    } seen[COUNT];
    rand_set_seed(1);
    struct arena a;
    arena_init(&a, 4096);
    /* Twice, so that the second round runs over memory that the first one wrote. */
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < COUNT; i++) {
            size_t size = (size_t)rand_below(rand_below(50) == 0 ? 20000 : 200);
            uint8_t *ptr = arena_alloc(&a, size);
            assert_int_equal((uintptr_t)ptr % _Alignof(max_align_t), 0);
            for (size_t k = 0; k < size; k++) {
                assert_int_equal(ptr[k], 0);
            }
            memset(ptr, (int)(i % 251 + 1), size);
            seen[i].ptr = ptr;
            seen[i].size = size;
        }
        for (size_t i = 0; i < COUNT; i++) {
            for (size_t k = 0; k < seen[i].size; k++) {
                assert_int_equal(seen[i].ptr[k], i % 251 + 1);
            }
        }
        arena_clear(&a);
        assert_int_equal(a.used, 0);
    }
    arena_free(&a);
}

static void empty_allocations_have_addresses_of_their_own(void **state)
{
    struct arena a;
    arena_init(&a, 0);
    void *x = arena_alloc(&a, 0);
    void *y = arena_alloc(&a, 0);
    assert_non_null(x);
    assert_ptr_not_equal(x, y);
    assert_non_null(arena_alloc_array(&a, 0, 8));
    arena_free(&a);
    void *z = mem_alloc(0);
    assert_non_null(z);
    mem_free(z);
}

static void a_big_allocation_leaves_the_block_in_use(void **state)
{
    struct arena a;
    arena_init(&a, 4096);
    uint8_t *before = arena_alloc(&a, 16);
    uint8_t *big = arena_alloc(&a, 1 << 20);
    uint8_t *after = arena_alloc(&a, 16);
    big[0] = big[(1 << 20) - 1] = 1;
    assert_true(after > before && after < before + 4096);
    assert_true(a.used >= (1 << 20) + 32);
    arena_free(&a);
}

static void clearing_reuses_one_block(void **state)
{
    struct arena a;
    arena_init(&a, 4096);
    uint8_t *first = arena_alloc(&a, 64);
    (void)arena_alloc(&a, 1 << 20);
    arena_clear(&a);
    for (int i = 0; i < 1000; i++) {
        assert_ptr_equal(arena_alloc(&a, 64), first);
        arena_clear(&a);
    }
    arena_free(&a);
    assert_null(a.head);

    /* A block that was made for one odd request is not kept. */
    arena_init(&a, 4096);
    (void)arena_alloc(&a, 1 << 20);
    arena_clear(&a);
    assert_null(a.head);
    arena_clear(&a);
    arena_free(&a);
    arena_free(&a);
}

static void what_was_handed_out_is_wiped(void **state)
{
    struct arena a;
    arena_init(&a, 4096);
    uint8_t *first = arena_alloc(&a, 64);
    memset(first, 0x5a, 64);
    memset(arena_alloc(&a, 1 << 16), 0x5a, 1 << 16);
    memset(arena_alloc(&a, 100), 0x5a, 100);
    arena_wipe(&a);
    assert_int_equal(a.used, 0);
    /* The block is kept, so its bytes can be looked at; allocating would zero them anyway. */
#if !defined(__SANITIZE_ADDRESS__)
    for (size_t i = 0; i < 64 + 100; i++) {
        assert_int_equal(first[i], 0);
    }
#endif
    assert_ptr_equal(arena_alloc(&a, 64), first);
    arena_free(&a);
    arena_init(&a, 0);
    arena_wipe(&a);
    arena_free(&a);
}

static void an_arena_works_again_after_init(void **state)
{
    struct arena a;
    for (int i = 0; i < 3; i++) {
        arena_init(&a, 0);
        uint32_t *numbers = arena_alloc_array(&a, 100, sizeof *numbers);
        assert_int_equal(numbers[99], 0);
        arena_free(&a);
    }
}

static void array_overflow(void)
{
    struct arena a;
    arena_init(&a, 0);
    (void)arena_alloc_array(&a, SIZE_MAX / 2, 3);
}

static void beyond_memory(void)
{
    struct arena a;
    arena_init(&a, 0);
    (void)arena_alloc(&a, SIZE_MAX - 8);
}

static void never_initialised(void)
{
    struct arena a = {0};
    (void)arena_alloc(&a, 1);
}

static void resize_beyond_memory(void)
{
    (void)mem_resize(mem_alloc(1), SIZE_MAX - 8);
}

static void impossible_sizes_abort(void **state)
{
    assert_true(test_aborts(array_overflow));
    assert_true(test_aborts(beyond_memory));
    assert_true(test_aborts(never_initialised));
    assert_true(test_aborts(resize_beyond_memory));
}

static void poisoned_memory_is_known_to_asan(void **state)
{
#if defined(__SANITIZE_ADDRESS__)
    struct arena a;
    arena_init(&a, 4096);
    char *x = arena_alloc(&a, 16);
    char *y = arena_alloc(&a, 5);
    assert_false(__asan_address_is_poisoned(x + 15));
    assert_true(__asan_address_is_poisoned(x + 16));
    assert_false(__asan_address_is_poisoned(y + 4));
    assert_true(__asan_address_is_poisoned(y + 5));
    arena_clear(&a);
    assert_true(__asan_address_is_poisoned(x));
    assert_true(__asan_address_is_poisoned(y));
    arena_free(&a);
#else
    skip();
#endif
}

static void long_lived_memory_grows(void **state)
{
    uint8_t *ptr = mem_alloc(100);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(ptr[i], 0);
        ptr[i] = (uint8_t)i;
    }
    ptr = mem_resize(ptr, 100000);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(ptr[i], i);
    }
    ptr = mem_resize(ptr, 0);
    mem_free(ptr);
    mem_free(NULL);
}

static void secrets_compare_in_full(void **state)
{
    uint8_t a[64];
    uint8_t b[64];
    rand_bytes(a, sizeof a);
    memcpy(b, a, sizeof a);
    assert_int_equal(mem_equal_secret(a, b, sizeof a), 1);
    assert_int_equal(mem_equal_secret(a, b, 0), 1);
    for (size_t i = 0; i < sizeof a; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            b[i] ^= (uint8_t)(1U << bit);
            assert_int_equal(mem_equal_secret(a, b, sizeof a), 0);
            b[i] ^= (uint8_t)(1U << bit);
        }
    }
    memset(a, 0, sizeof a);
    memset(b, 0xff, sizeof b);
    assert_int_equal(mem_equal_secret(a, b, sizeof a), 0);
}

static void wiping_leaves_zeros(void **state)
{
    char text[] = "correct horse";
    static const char zeros[sizeof text];
    mem_wipe(text, sizeof text);
    assert_memory_equal(text, zeros, sizeof text);
    mem_wipe(NULL, 0);
}

static void secrets_live_until_cleared(void **state)
{
    char source[] = "battery staple";
    struct secret s;
    secret_init(&s, source, sizeof source);
    mem_wipe(source, sizeof source);
    assert_int_equal(secret_len(&s), 15);
    assert_string_equal((const char *)secret_bytes(&s), "battery staple");
    secret_clear(&s);
    assert_int_equal(secret_len(&s), 0);
    assert_null(s.ptr_);
    secret_clear(&s);
    struct secret never = {0};
    secret_clear(&never);

    secret_init(&s, NULL, 0);
    assert_int_equal(secret_len(&s), 0);
    assert_non_null(secret_bytes(&s));
    secret_clear(&s);
}

/* The lines of /proc/self/smaps about the mapping at `ptr`: flag dd is "do not dump", lo "locked".
 */
static bool mapping_has_flag(const void *ptr, const char *flag)
{
    FILE *maps = fopen("/proc/self/smaps", "r");
    assert_non_null(maps);
    char line[512];
    bool inside = false;
    bool found = false;
    while (fgets(line, sizeof line, maps)) {
        uintptr_t from;
        uintptr_t to;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2) {
            inside = (uintptr_t)ptr >= from && (uintptr_t)ptr < to;
        }
        if (inside && strncmp(line, "VmFlags:", 8) == 0) {
            found = strstr(line, flag) != NULL;
        }
    }
    (void)fclose(maps);
    return found;
}

static void secrets_stay_out_of_dumps_and_swap(void **state)
{
    struct secret s;
    secret_init(&s, "key", 3);
    bool no_dump = mapping_has_flag(secret_bytes(&s), " dd");
    bool locked = mapping_has_flag(secret_bytes(&s), " lo");
    void *probe = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    /* Sanitizers turn mlock into nothing, and some kernels show no flags at all. */
    bool may_lock = mlock(probe, 1) == 0 && mapping_has_flag(probe, " lo");
    bool told = mapping_has_flag(probe, " rd");
    munmap(probe, 1);
    secret_clear(&s);
    if (!told) {
        skip();
    }
    assert_true(no_dump);
    assert_true(locked || !may_lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_zeroed_aligned_and_apart),
        cmocka_unit_test(empty_allocations_have_addresses_of_their_own),
        cmocka_unit_test(a_big_allocation_leaves_the_block_in_use),
        cmocka_unit_test(clearing_reuses_one_block),
        cmocka_unit_test(what_was_handed_out_is_wiped),
        cmocka_unit_test(an_arena_works_again_after_init),
        cmocka_unit_test(impossible_sizes_abort),
        cmocka_unit_test(poisoned_memory_is_known_to_asan),
        cmocka_unit_test(long_lived_memory_grows),
        cmocka_unit_test(secrets_compare_in_full),
        cmocka_unit_test(wiping_leaves_zeros),
        cmocka_unit_test(secrets_live_until_cleared),
        cmocka_unit_test(secrets_stay_out_of_dumps_and_swap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
