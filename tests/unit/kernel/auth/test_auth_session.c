/*
 * Sessions of wallets on a moved clock and from two processes at once: two struct auth on one
 * database are two processes to each other, each with its own signing key.
 */
#include "kernel/auth/auth_session.h"

#include <pthread.h>

#include "unit/support.h"

#define PROCESSES 2
#define THREADS 8
#define CHAIN 31337
#define NOON (INT64_C(1795867200) * USEC_PER_SEC) /* 2026-11-28T12:00:00Z */
#define MINUTE (60 * (int64_t)USEC_PER_SEC)

static struct support_store support;
static struct auth processes[PROCESSES];
static struct secret wallet;
static struct address address;
static struct arena arena;
static _Atomic int64_t now_usec;

static const struct auth_config config = {
    .domains = "app.example.com",
    .issuer = "freehold",
    .audience = "freehold-api",
    .access_usec = 15 * MINUTE,
    .session_usec = 24 * 60 * MINUTE,
    .nonce_usec = 5 * MINUTE,
    .key_usec = 60 * MINUTE,
};

static int64_t clock_now(void *ctx)
{
    return now_usec;
}

static const struct clock_source moved = {.wall_usec = clock_now, .mono_usec = clock_now};

static int setup(void **state)
{
    uint8_t key[PRIVATE_KEY_BYTES] = {[PRIVATE_KEY_BYTES - 1] = 7};
    support_store_open(&support, &sql_catalog);
    arena_init(&arena, 0);
    secret_init(&wallet, key, sizeof key);
    assert_int_equal(secp256k1_address(&wallet, &address), OK);
    for (size_t i = 0; i < PROCESSES; i++) {
        auth_init(&processes[i], support.store, &config, CHAIN);
    }
    now_usec = NOON;
    clock_set_source(&moved);
    return 0;
}

static int teardown(void **state)
{
    clock_set_source(NULL);
    for (size_t i = 0; i < PROCESSES; i++) {
        auth_clear(&processes[i]);
    }
    secret_clear(&wallet);
    arena_free(&arena);
    support_store_close(&support);
    return 0;
}

/* ---- what a client does ---- */

static struct slice message_of(struct arena *a, const char *nonce)
{
    char text[ADDRESS_TEXT_MAX];
    char issued[CLOCK_TEXT_MAX];
    address_format(&address, text);
    clock_format(clock_wall_usec(), issued);
    return slice_format(a,
                        "app.example.com wants you to sign in with your Ethereum account:\n%s\n\n\n"
                        "URI: https://app.example.com\nVersion: 1\nChain ID: %d\nNonce: %s\n"
                        "Issued At: %s",
                        text, CHAIN, nonce, issued);
}

static struct slice signature_of(struct arena *a, struct slice message)
{
    struct signature signature;
    uint8_t *bytes = arena_alloc(a, SIGNATURE_BYTES);
    struct slice signed_text = slice_format(a,
                                            "\x19"
                                            "Ethereum Signed Message:\n%zu%.*s",
                                            message.len, SLICE_ARG(message));
    struct hash digest = keccak256(signed_text);
    assert_int_equal(secp256k1_sign(&wallet, &digest, &signature), OK);
    signature_encode(&signature, bytes);
    return slice_of(bytes, SIGNATURE_BYTES);
}

static struct slice fresh_message(void)
{
    char nonce[AUTH_NONCE_TEXT_MAX];
    int64_t expires = 0;
    assert_int_equal(auth_nonce_issue(support.store, &config, nonce, &expires, NULL), OK);
    assert_int_equal(expires, clock_wall_usec() + config.nonce_usec);
    return message_of(&arena, nonce);
}

static struct auth_entry entry_new(void)
{
    return (struct auth_entry){.arena = &arena, .by = {.actor_kind = AUDIT_CALLER}};
}

static struct auth_entry logged_in(const struct auth *auth)
{
    struct why why = {.err = OK};
    struct auth_entry entry = entry_new();
    struct slice message = fresh_message();
    enum err e = auth_login(auth, &entry, message, signature_of(&arena, message), &why);
    if (e != OK) {
        fail_msg("%s", why_text(&why, e));
    }
    return entry;
}

static enum err identified(const struct auth *auth, const struct auth_entry *entry,
                           struct http_caller *out)
{
    return auth->authority.identify(auth->authority.ctx, &arena, buf_slice(&entry->access), out,
                                    NULL);
}

static enum err refreshed(const struct auth *auth, struct auth_entry *entry, const char *token)
{
    *entry = entry_new();
    return auth_refresh(auth, entry, slice_text(token), NULL);
}

/* ---- the tests ---- */

static void tokens_of_one_process_are_taken_by_all(void **state)
{
    for (size_t i = 0; i < PROCESSES; i++) {
        struct auth_entry entry = logged_in(&processes[i]);
        for (size_t j = 0; j < PROCESSES; j++) {
            struct http_caller caller = {.roles = 0};
            assert_int_equal(identified(&processes[j], &entry, &caller), OK);
            assert_int_equal(caller.roles, HTTP_ROLE_INVESTOR);
            assert_true(slice_equal(caller.session, entry.session.id));
            /* The address of private key 7, by ethers. */
            assert_true(slice_equal_text(caller.principal,
                                         "wallet:0xd41c057fd1c78805aac12b0a94a405c0461a6fbb"));
        }
    }
}

static void a_token_ends_by_the_clock(void **state)
{
    struct http_caller caller;
    struct auth_entry entry = logged_in(&processes[0]);
    assert_int_equal(entry.access_expires_usec, NOON + 15 * MINUTE);
    now_usec = NOON + 15 * MINUTE - 1;
    assert_int_equal(identified(&processes[1], &entry, &caller), OK);
    now_usec = NOON + 15 * MINUTE;
    assert_int_equal(identified(&processes[1], &entry, &caller), ERR_UNAUTHENTICATED);
    /* A clock that jumps back: a minute is forgiven, no more. */
    now_usec = NOON - MINUTE;
    assert_int_equal(identified(&processes[0], &entry, &caller), OK);
    now_usec = NOON - MINUTE - USEC_PER_SEC;
    assert_int_equal(identified(&processes[0], &entry, &caller), ERR_UNAUTHENTICATED);
}

static void a_nonce_ends_by_the_clock(void **state)
{
    struct auth_entry entry = entry_new();
    struct slice message = fresh_message();
    struct slice signature = signature_of(&arena, message);
    now_usec = NOON + config.nonce_usec;
    assert_int_equal(auth_login(&processes[0], &entry, message, signature, NULL),
                     ERR_UNAUTHENTICATED);
    now_usec = NOON + config.nonce_usec - 1;
    assert_int_equal(auth_login(&processes[0], &entry, message, signature, NULL), OK);
    /* Nor does a nonce come back with the clock. */
    now_usec = NOON;
    assert_int_equal(auth_login(&processes[0], &entry, message, signature, NULL),
                     ERR_UNAUTHENTICATED);
}

static void a_session_ends_however_often_it_is_refreshed(void **state)
{
    struct http_caller caller;
    struct auth_entry entry = logged_in(&processes[0]);
    int64_t end = NOON + config.session_usec;
    for (int64_t at = NOON; at < end; at += 6 * 60 * MINUTE) {
        char token[AUTH_REFRESH_TEXT_MAX];
        memcpy(token, entry.refresh, sizeof token);
        now_usec = at;
        assert_int_equal(refreshed(&processes[at / MINUTE % PROCESSES], &entry, token), OK);
    }
    now_usec = end - 5 * MINUTE;
    char token[AUTH_REFRESH_TEXT_MAX];
    memcpy(token, entry.refresh, sizeof token);
    assert_int_equal(refreshed(&processes[0], &entry, token), OK);
    assert_int_equal(entry.access_expires_usec, end);
    now_usec = end - 1;
    assert_int_equal(identified(&processes[0], &entry, &caller), OK);
    now_usec = end;
    assert_int_equal(identified(&processes[0], &entry, &caller), ERR_UNAUTHENTICATED);
    memcpy(token, entry.refresh, sizeof token);
    assert_int_equal(refreshed(&processes[0], &entry, token), ERR_SESSION_EXPIRED);
}

static void a_used_refresh_token_ends_the_session(void **state)
{
    struct http_caller caller;
    struct auth_entry first = logged_in(&processes[0]);
    struct auth_entry other = logged_in(&processes[0]);
    struct auth_entry second;
    struct auth_entry third;
    assert_int_equal(refreshed(&processes[1], &second, first.refresh), OK);
    assert_string_not_equal(first.refresh, second.refresh);
    assert_int_equal(identified(&processes[0], &second, &caller), OK);
    assert_int_equal(refreshed(&processes[0], &third, first.refresh), ERR_UNAUTHENTICATED);
    assert_int_equal(identified(&processes[0], &second, &caller), ERR_UNAUTHENTICATED);
    assert_int_equal(refreshed(&processes[1], &third, second.refresh), ERR_SESSION_EXPIRED);
    /* The other session of the wallet is none of its business. */
    assert_int_equal(identified(&processes[0], &other, &caller), OK);
}

/* The header of a token: it differs by the key alone. */
static struct slice header_of(const struct auth_entry *entry)
{
    struct slice header;
    struct slice rest;
    (void)slice_cut(buf_slice(&entry->access), '.', &header, &rest);
    return header;
}

static void keys_change_and_overlap(void **state)
{
    struct http_caller caller;
    struct auth_entry first = logged_in(&processes[0]);
    now_usec = NOON + config.key_usec - MINUTE;
    struct auth_entry last = logged_in(&processes[0]);
    now_usec = NOON + config.key_usec;
    struct auth_entry next = logged_in(&processes[0]);
    assert_true(slice_equal(header_of(&first), header_of(&last)));
    assert_false(slice_equal(header_of(&last), header_of(&next)));
    now_usec = NOON + config.key_usec + 13 * MINUTE;
    assert_int_equal(identified(&processes[1], &last, &caller), OK);
    assert_int_equal(identified(&processes[1], &next, &caller), OK);
}

struct rotation {
    int64_t count;
};

static enum err rotate(struct store_tx *tx, void *ctx, struct why *why)
{
    struct rotation *r = ctx;
    const struct audit_entry by = {.actor_kind = AUDIT_OPERATOR, .actor = SLICE_LIT("test")};
    return auth_keys_rotate(tx, by, &r->count, why);
}

static void ending_all_keys_ends_access_tokens_only(void **state)
{
    struct http_caller caller;
    struct rotation r = {.count = 0};
    struct auth_entry entry = logged_in(&processes[0]);
    (void)logged_in(&processes[1]);
    assert_int_equal(store_write(support.store, rotate, &r, NULL), OK);
    assert_int_equal(r.count, 2);
    assert_int_equal(identified(&processes[0], &entry, &caller), ERR_UNAUTHENTICATED);
    char token[AUTH_REFRESH_TEXT_MAX];
    memcpy(token, entry.refresh, sizeof token);
    assert_int_equal(refreshed(&processes[0], &entry, token), OK);
    assert_int_equal(identified(&processes[1], &entry, &caller), OK);
}

struct purging {
    int64_t before_usec;
    uint64_t rows;
};

static enum err purge(struct store_tx *tx, void *ctx, struct why *why)
{
    struct purging *p = ctx;
    return auth_sessions_purge(tx, p->before_usec, 1000, &p->rows, why);
}

static void what_ended_long_ago_is_forgotten(void **state)
{
    struct auth_entry entry = logged_in(&processes[0]);
    struct auth_entry next;
    (void)fresh_message();
    assert_int_equal(refreshed(&processes[0], &next, entry.refresh), OK);
    struct purging p = {.before_usec = entry.session.expires_usec};
    assert_int_equal(store_write(support.store, purge, &p, NULL), OK);
    assert_int_equal(p.rows, 1); /* the nonce; the session has not ended before that */
    char token[AUTH_REFRESH_TEXT_MAX];
    memcpy(token, next.refresh, sizeof token);
    assert_int_equal(refreshed(&processes[0], &next, token), OK);
    p.before_usec++;
    assert_int_equal(store_write(support.store, purge, &p, NULL), OK);
    assert_int_equal(p.rows, 1);
    struct auth_entry last;
    assert_int_equal(refreshed(&processes[0], &last, next.refresh), ERR_UNAUTHENTICATED);
}

static void nonces_do_not_pile_up(void **state)
{
    for (int i = 0; i < 6; i++) {
        (void)fresh_message();
    }
    now_usec = NOON + config.nonce_usec + 1;
    (void)fresh_message();
    struct purging p = {.before_usec = now_usec};
    assert_int_equal(store_write(support.store, purge, &p, NULL), OK);
    assert_int_equal(p.rows, 2); /* four of the six went when the seventh came */
    p.before_usec = now_usec + config.nonce_usec + 1;
    assert_int_equal(store_write(support.store, purge, &p, NULL), OK);
    assert_int_equal(p.rows, 1);
}

/* ---- at once ---- */

struct racer {
    pthread_t thread;
    const struct auth *auth;
    struct slice message;
    struct slice signature;
    const char *refresh;
    enum err err;
};

static void *race(void *arg)
{
    struct racer *r = arg;
    struct arena own;
    arena_init(&own, 0);
    struct auth_entry entry = {.arena = &own, .by = {.actor_kind = AUDIT_CALLER}};
    r->err = r->refresh != NULL ? auth_refresh(r->auth, &entry, slice_text(r->refresh), NULL)
                                : auth_login(r->auth, &entry, r->message, r->signature, NULL);
    arena_free(&own);
    return NULL;
}

/* How many of the racers were let in; the others must have been told ERR_UNAUTHENTICATED or `also`.
 */
static size_t run_race(struct slice message, const char *refresh, enum err also)
{
    struct racer racers[THREADS];
    size_t let_in = 0;
    struct slice signature = refresh == NULL ? signature_of(&arena, message) : SLICE_EMPTY;
    for (size_t i = 0; i < THREADS; i++) {
        racers[i] = (struct racer){.auth = &processes[i % PROCESSES],
                                   .message = message,
                                   .signature = signature,
                                   .refresh = refresh};
        assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(racers[i].thread, NULL), 0);
        let_in += racers[i].err == OK;
        if (racers[i].err != OK && racers[i].err != ERR_UNAUTHENTICATED && racers[i].err != also) {
            fail_msg("%s", err_code(racers[i].err));
        }
    }
    return let_in;
}

static void one_message_makes_one_session(void **state)
{
    for (int round = 0; round < 5; round++) {
        assert_int_equal(run_race(fresh_message(), NULL, OK), 1);
    }
}

static void one_refresh_token_is_good_for_one_use(void **state)
{
    for (int round = 0; round < 5; round++) {
        struct http_caller caller;
        struct auth_entry entry = logged_in(&processes[0]);
        assert_int_equal(run_race(SLICE_EMPTY, entry.refresh, ERR_SESSION_EXPIRED), 1);
        assert_int_equal(identified(&processes[0], &entry, &caller), ERR_UNAUTHENTICATED);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tokens_of_one_process_are_taken_by_all),
        TEST(a_token_ends_by_the_clock),
        TEST(a_nonce_ends_by_the_clock),
        TEST(a_session_ends_however_often_it_is_refreshed),
        TEST(a_used_refresh_token_ends_the_session),
        TEST(keys_change_and_overlap),
        TEST(ending_all_keys_ends_access_tokens_only),
        TEST(what_ended_long_ago_is_forgotten),
        TEST(nonces_do_not_pile_up),
        TEST(one_message_makes_one_session),
        TEST(one_refresh_token_is_good_for_one_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
