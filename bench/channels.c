/*
 * What payment channels take: vouchers that are read, verified and durable. bench/channels.mjs
 * runs it and makes the table.
 *
 *     channels WAY URL THREADS COUNT
 *
 * serves COUNT vouchers of 1,024 channels from an empty database. Each begins as the header that a
 * client sends. WAY is
 *
 *     verify   header, offer, config, signature; no database
 *     charge   the same, and charged by a transaction that records what was served
 *     many     the same, but a thread has 64 vouchers under way and charges them together
 *     take     as charge, but the channel is reserved by a transaction before, as for handlers that
 *              have effects elsewhere
 *
 * A thread has one voucher under way at a time, as a worker of the server does, and no two threads
 * have the same channel. Vouchers are signed before the clock starts. Prints one line of JSON:
 * vouchers a second, CPU of this process for each.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "gen/sql_all.h"
#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/x402/x402_channels.h"

#define CHANNELS 1024
#define THREADS_MAX CHANNELS
#define PRICE 1000
#define TOGETHER 64
#define HELD_USEC (60 * (int64_t)USEC_PER_SEC)
#define FRESH_USEC (3600 * (int64_t)USEC_PER_SEC)

enum way {
    VERIFY,
    CHARGE,
    MANY,
    TAKE,
};

static enum way way;
static size_t threads;
static uint64_t count;
static struct store *store;
static struct x402_batch_offer offer;
static struct x402_channel channels[CHANNELS];
static struct slice *headers; /* by round, then channel */
static struct arena boot;

static _Noreturn void give_up(const char *doing, const char *why)
{
    fprintf(stderr, "bench: %s: %s\n", doing, why);
    exit(1);
}

static void must(enum err e, const char *doing, const struct why *why)
{
    if (e != OK) {
        give_up(doing, why_text(why, e));
    }
}

static void must_be(enum x402_batch_reason reason, const char *doing)
{
    if (reason != X402_BATCH_OK) {
        give_up(doing, x402_batch_reason_code(reason));
    }
}

/* ---- what clients send ---- */

static void write_address(struct json_out *j, const char *key, const struct address *a)
{
    json_key(j, key);
    json_address(j, a);
}

static void write_config(struct json_out *j, const struct x402_channel *c)
{
    json_key(j, "channelConfig");
    json_begin_object(j);
    write_address(j, "payer", &c->payer);
    write_address(j, "payerAuthorizer", &c->payer_authorizer);
    write_address(j, "receiver", &c->receiver);
    write_address(j, "receiverAuthorizer", &c->receiver_authorizer);
    write_address(j, "token", &c->token);
    json_key(j, "withdrawDelay");
    json_u64(j, c->withdraw_delay);
    json_key(j, "salt");
    json_hex(j, hash_slice(&c->salt));
    json_end_object(j);
}

static void write_voucher(struct json_out *j, const struct secret *key, const struct hash *id,
                          struct u256 claimable)
{
    struct signature signature;
    uint8_t bytes[SIGNATURE_BYTES];
    struct hash digest = x402_voucher_digest(&offer.escrow, id, claimable);
    must(secp256k1_sign(key, &digest, &signature), "sign", NULL);
    signature_encode(&signature, bytes);
    json_key(j, "voucher");
    json_begin_object(j);
    json_key(j, "channelId");
    json_hex(j, hash_slice(id));
    json_key(j, "maxClaimableAmount");
    json_u256(j, claimable);
    json_key(j, "signature");
    json_hex(j, slice_of(bytes, sizeof(bytes)));
    json_end_object(j);
}

static struct slice header_of(const struct secret *key, const struct x402_channel *c,
                              uint64_t round)
{
    struct arena scratch;
    struct json_out j;
    arena_init(&scratch, 0);
    struct buf text = {.arena = &scratch};
    struct buf header = {.arena = &boot};
    struct hash id = x402_channel_id(&offer.escrow, c);
    json_out_init(&j, &text);
    json_begin_object(&j);
    json_key(&j, "x402Version");
    json_u64(&j, X402_V2);
    json_key(&j, "accepted");
    x402_batch_offer_write(&j, &offer, NULL, NULL);
    json_key(&j, "payload");
    json_begin_object(&j);
    json_key(&j, "type");
    json_text(&j, "voucher");
    write_config(&j, c);
    write_voucher(&j, key, &id, u256_from_u64((round + 1) * PRICE));
    json_end_object(&j);
    json_end_object(&j);
    x402_base64_encode(&header, buf_slice(&text));
    arena_free(&scratch);
    return buf_slice(&header);
}

static void prepare(void)
{
    struct secret key;
    struct address payer;
    arena_init(&boot, 0);
    secp256k1_key_new(&key);
    must(secp256k1_address(&key, &payer), "key", NULL);
    offer =
        (struct x402_batch_offer){.escrow = {.chain_id = 31337, .contract = x402_batch_escrow},
                                  .collector = x402_batch_collector,
                                  .amount = u256_from_u64(PRICE),
                                  .timeout_seconds = 300,
                                  .withdraw_delay = X402_BATCH_DELAY_MIN,
                                  .deposit_min = u256_from_u64(X402_BATCH_DEPOSIT_TIMES * PRICE),
                                  .token_name = SLICE_LIT("USD Coin"),
                                  .token_version = SLICE_LIT("2")};
    headers = arena_alloc_array(&boot, count, sizeof(*headers));
    for (uint64_t i = 0; i < CHANNELS; i++) {
        channels[i] = (struct x402_channel){
            .payer = payer, .payer_authorizer = payer, .withdraw_delay = X402_BATCH_DELAY_MIN};
        memcpy(channels[i].salt.bytes, &i, sizeof(i));
    }
    for (uint64_t i = 0; i < count; i++) {
        headers[i] = header_of(&key, &channels[i % CHANNELS], i / CHANNELS);
    }
    secret_clear(&key);
}

static enum err open_channels(struct store_tx *tx, void *ctx, struct why *why)
{
    struct x402_channel_state state = {.balance = u256_from_u64(UINT64_C(1) << 60)};
    (void)ctx;
    enum err e = OK;
    for (size_t i = 0; e == OK && i < CHANNELS; i++) {
        e = x402_channel_sync(tx, &offer.escrow, &channels[i], &state, 1, clock_wall_usec(), why);
    }
    return e;
}

/* ---- one voucher ---- */

struct serving {
    struct arena arena;
    struct x402_batch_payment payment;
    struct x402_channel_request request;
    struct x402_channel_hold hold;
    struct x402_channel_answer answer;
    struct x402_channel_row row;
    struct x402_channel_charge charges[TOGETHER];
    struct x402_batch_payment payments[TOGETHER];
    size_t waiting;
};

static enum err do_charge(struct store_tx *tx, void *ctx, struct why *why)
{
    struct serving *s = ctx;
    store_read_committed(tx);
    return x402_channel_charge(tx, &s->arena, &s->request, offer.amount, &s->answer, why);
}

static enum err do_many(struct store_tx *tx, void *ctx, struct why *why)
{
    struct serving *s = ctx;
    store_read_committed(tx);
    return x402_channels_charge(tx, &s->arena, s->charges, s->waiting, why);
}

/* flush charges what a thread has gathered. */
static void flush(struct serving *s)
{
    struct why why = {.err = OK};
    if (s->waiting > 0) {
        must(store_write(store, do_many, s, &why), "many", &why);
    }
    for (size_t i = 0; i < s->waiting; i++) {
        must_be(s->charges[i].answer.reason, "channel");
    }
    s->waiting = 0;
    arena_clear(&s->arena);
}

static void gather(struct serving *s)
{
    size_t i = s->waiting++;
    s->payments[i] = s->payment;
    s->charges[i] = (struct x402_channel_charge){.request = s->request, .price = offer.amount};
    s->charges[i].request.payment = &s->payments[i];
    if (s->waiting == TOGETHER) {
        flush(s);
    }
}

static enum err do_take(struct store_tx *tx, void *ctx, struct why *why)
{
    struct serving *s = ctx;
    store_read_committed(tx);
    return x402_channel_take(tx, &s->arena, &s->request, &s->hold, "", &s->answer, why);
}

static enum err do_commit(struct store_tx *tx, void *ctx, struct why *why)
{
    struct serving *s = ctx;
    store_read_committed(tx);
    return x402_channel_commit(tx, &s->arena, &s->request, &s->hold, offer.amount, &s->row, why);
}

static void serve(struct serving *s, uint64_t i)
{
    struct x402_payment payment = {.version = X402_V2};
    struct why why = {.err = OK};
    int64_t now = clock_wall_usec();
    must(x402_payment_decode(&s->arena, X402_V2, headers[i], &payment, &why), "header", &why);
    if (x402_batch_match(&payment, &offer, 1) == NULL) {
        give_up("match", "another offer");
    }
    must_be(x402_batch_read(payment.payload, &offer, &s->payment, &why), "read");
    must_be(x402_batch_signed(&offer, &s->payment, now, &why), "signature");
    if (way == VERIFY) {
        return;
    }
    s->request = (struct x402_channel_request){
        .offer = &offer, .payment = &s->payment, .now_usec = now, .fresh_usec = FRESH_USEC};
    memcpy(s->request.request_hash.bytes, &i, sizeof(i));
    if (way == MANY) {
        gather(s);
        return;
    }
    if (way == CHARGE) {
        must(store_write(store, do_charge, s, &why), "charge", &why);
    } else {
        s->hold = x402_channel_token(now, HELD_USEC);
        must(store_write(store, do_take, s, &why), "take", &why);
    }
    must_be(s->answer.reason, "channel");
    if (way == TAKE) {
        must(store_write(store, do_commit, s, &why), "commit", &why);
    }
}

static void *work(void *ctx)
{
    struct serving s = {.waiting = 0};
    size_t thread = (size_t)((char *)ctx - (char *)NULL);
    arena_init(&s.arena, 0);
    for (uint64_t round = 0; round * CHANNELS < count; round++) {
        for (uint64_t c = thread; c < CHANNELS && round * CHANNELS + c < count; c += threads) {
            serve(&s, round * CHANNELS + c);
            if (s.waiting == 0) {
                arena_clear(&s.arena);
            }
        }
        flush(&s);
    }
    arena_free(&s.arena);
    return NULL;
}

static int64_t cpu_usec(void)
{
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * (int64_t)USEC_PER_SEC + u.ru_utime.tv_usec +
           u.ru_stime.tv_usec;
}

static void open_store(const char *url)
{
    struct why why = {.err = OK};
    struct store_version version;
    const struct store_config config = {.url = url,
                                        .readers = 2,
                                        .writers = threads < 24 ? threads : 24,
                                        .busy_usec = 30 * (int64_t)USEC_PER_SEC,
                                        .connect_usec = 10 * (int64_t)USEC_PER_SEC,
                                        .batch_max = 1024,
                                        .synchronous = "full"};
    must(store_open(&store, &config, &sql_catalog, &why), "open", &why);
    must(store_version_read(store, &version, &why), "version", &why);
    must(store_migrate(store, version.known, &why), "migrate", &why);
    must(store_write(store, open_channels, NULL, &why), "channels", &why);
}

int main(int argc, char **argv)
{
    static const char *const ways[] = {"verify", "charge", "many", "take"};
    pthread_t all[THREADS_MAX];
    if (argc != 5) {
        give_up("usage", "channels WAY URL THREADS COUNT");
    }
    while (way <= TAKE && strcmp(argv[1], ways[way]) != 0) {
        way++;
    }
    threads = (size_t)strtoull(argv[3], NULL, 10);
    count = strtoull(argv[4], NULL, 10);
    if (way > TAKE || threads == 0 || threads > THREADS_MAX || count == 0) {
        give_up("usage", "WAY is verify, charge, many or take; THREADS is 1 to 1024");
    }
    prepare();
    if (way != VERIFY) {
        open_store(argv[2]);
    }
    int64_t cpu = cpu_usec();
    int64_t begin = clock_mono_usec();
    for (size_t i = 0; i < threads; i++) {
        if (pthread_create(&all[i], NULL, work, (char *)NULL + i) != 0) {
            give_up("thread", "not started");
        }
    }
    for (size_t i = 0; i < threads; i++) {
        pthread_join(all[i], NULL);
    }
    int64_t took = clock_mono_usec() - begin;
    cpu = cpu_usec() - cpu;
    printf(
        "{\"way\":\"%s\",\"threads\":%zu,\"count\":%llu,\"per_second\":%.0f,\"cpu_usec\":%.1f}\n",
        ways[way], threads, (unsigned long long)count, (double)count * 1e6 / (double)took,
        (double)cpu / (double)count);
    store_close(store);
    arena_free(&boot);
    return 0;
}
