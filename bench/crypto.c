/*
 * Measures what Freehold computes for every lease: hashes, ABI encoding, digests, signatures.
 * bench/crypto.mjs does the same with ethers and viem; bench/run puts them side by side.
 *
 *     crypto LEASING.json MAIL.json MSEC
 *
 * Prints a line for each operation: {"op":"sign","perSecond":24000,"witness":"0x…"}. The witness is
 * the Keccak-256 of the result, so that the runner sees that all did the same work.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "domain/leasing/leasing_terms.h"
#include "gen/abi_types.h"
#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/hex.h"

#define FILE_BYTES_MAX (256 * 1024)
/* Operations between two looks at the clock. */
#define ROUND 32

struct fixture {
    struct arena boot;
    struct arena scratch; /* of one operation */
    uint8_t bytes[1024];
    struct abi_lease_intent intent;
    struct leasing_terms terms;
    struct slice encoded;
    uint64_t chain_id;
    struct address factory;
    const struct json *mail;
    struct secret key;
    struct hash digest;
    struct signature signature;
    struct address address; /* results that are no slice of their own */
    struct hash hash;
    uint8_t signature_bytes[SIGNATURE_BYTES];
};

static const struct abi_type intent_type = {
    .kind = ABI_TUPLE, .count = 3, .items = abi_lease_intent_members, .name = ""};

/* ---- reading the vectors ---- */

static const struct json *read_json(struct arena *arena, const char *path)
{
    uint8_t *text = arena_alloc(arena, FILE_BYTES_MAX);
    const struct json *v = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, FILE_BYTES_MAX) : -1;
    if (n < 0 || n == FILE_BYTES_MAX ||
        json_parse(arena, slice_of(text, (size_t)n), &json_limits_body, &v, NULL) != OK) {
        (void)fprintf(stderr, "crypto: %s could not be read\n", path);
        _exit(1);
    }
    (void)close(fd);
    return v;
}

/* The vector files are ours: what does not fit is a bug. */
static void must(enum err e)
{
    ASSERT(e == OK);
}

static struct u256 number_of(const struct json *v, const char *key)
{
    struct u256 out = U256_ZERO;
    must(json_get_u256(v, key, &out, NULL));
    return out;
}

static void read_metadata(struct fixture *f, const struct json *list)
{
    struct abi_metadata *pairs = arena_alloc_array(&f->boot, list->count, sizeof *pairs);
    struct leasing_pair *terms = arena_alloc_array(&f->boot, list->count, sizeof *terms);
    size_t i = 0;
    for (const struct json *v = list->child; v != NULL; v = v->next, i++) {
        must(json_get_text(v, "key", &pairs[i].key, NULL));
        must(json_get_text(v, "value", &pairs[i].value, NULL));
        terms[i] = (struct leasing_pair){.key = pairs[i].key, .value = pairs[i].value};
    }
    f->intent.lease.metadata = pairs;
    f->intent.lease.metadata_count = i;
    f->terms.metadata = terms;
    f->terms.metadata_count = i;
}

static void read_intent(struct fixture *f, const struct json *intent)
{
    const struct json *v = json_find(intent, "lease");
    struct abi_lease *l = &f->intent.lease;
    uint64_t version = 0;
    must(json_get_u64(intent, "deadline", &f->intent.deadline, NULL));
    must(json_get_hash(intent, "assetType", &f->intent.asset_type, NULL));
    must(json_get_address(v, "lessor", &l->lessor, NULL));
    must(json_get_address(v, "lessee", &l->lessee, NULL));
    l->asset_id = number_of(v, "assetId");
    must(json_get_address(v, "paymentToken", &l->payment_token, NULL));
    l->rent_amount = number_of(v, "rentAmount");
    l->rent_period = number_of(v, "rentPeriod");
    l->security_deposit = number_of(v, "securityDeposit");
    must(json_get_u64(v, "startTime", &l->start_time, NULL));
    must(json_get_u64(v, "endTime", &l->end_time, NULL));
    must(json_get_hash(v, "legalDocHash", &l->legal_doc_hash, NULL));
    must(json_get_u64(v, "termsVersion", &version, NULL));
    l->terms_version = (uint16_t)version;
    f->terms = (struct leasing_terms){
        .deadline_sec = f->intent.deadline,
        .asset_type = f->intent.asset_type,
        .lessor = l->lessor,
        .lessee = l->lessee,
        .asset_id = l->asset_id,
        .payment_token = l->payment_token,
        .rent = stable_of(l->rent_amount),
        .rent_period_sec = l->rent_period.limb[0],
        .deposit = stable_of(l->security_deposit),
        .start_sec = l->start_time,
        .end_sec = l->end_time,
        .legal_doc_hash = l->legal_doc_hash,
        .terms_version = l->terms_version,
    };
    read_metadata(f, json_find(v, "metadata"));
}

/* ---- operations: each does one thing once and says what came out ---- */

static struct slice op_keccak_64(struct fixture *f)
{
    f->hash = keccak256(slice_of(f->bytes, 64));
    return hash_slice(&f->hash);
}

static struct slice op_keccak_1024(struct fixture *f)
{
    f->hash = keccak256(slice_of(f->bytes, sizeof f->bytes));
    return hash_slice(&f->hash);
}

static struct slice op_abi_encode(struct fixture *f)
{
    struct abi_value value = abi_lease_intent_value(&f->scratch, &f->intent);
    struct slice out = SLICE_EMPTY;
    must(abi_encode(&f->scratch, &intent_type, &value, 1, &out, NULL));
    return out;
}

/* What was decoded is encoded again by the caller of the witness: here a member stands for all. */
static struct slice op_abi_decode(struct fixture *f)
{
    const struct abi_value *values = NULL;
    struct abi_lease_intent intent;
    must(abi_decode(&f->scratch, &intent_type, 1, f->encoded, &values, NULL));
    abi_lease_intent_read(&f->scratch, &values[0], &intent);
    f->hash = intent.lease.legal_doc_hash;
    return hash_slice(&f->hash);
}

static struct slice op_lease_digest(struct fixture *f)
{
    f->hash = leasing_terms_digest(&f->terms, f->chain_id, &f->factory);
    return hash_slice(&f->hash);
}

static struct slice op_mail_digest(struct fixture *f)
{
    must(eip712_typed_data(&f->scratch, f->mail, &f->hash, NULL));
    return hash_slice(&f->hash);
}

static struct slice op_sign(struct fixture *f)
{
    struct signature signature;
    must(secp256k1_sign(&f->key, &f->digest, &signature));
    signature_encode(&signature, f->signature_bytes);
    return slice_of(f->signature_bytes, SIGNATURE_BYTES);
}

static struct slice op_recover(struct fixture *f)
{
    must(secp256k1_recover(&f->digest, &f->signature, &f->address, NULL));
    return slice_of(f->address.bytes, ADDRESS_BYTES);
}

static const struct operation {
    const char *name;
    struct slice (*run)(struct fixture *f);
} operations[] = {
    {"keccak_64", op_keccak_64},
    {"keccak_1024", op_keccak_1024},
    {"abi_encode", op_abi_encode},
    {"abi_decode", op_abi_decode},
    {"lease_digest", op_lease_digest},
    {"mail_digest", op_mail_digest},
    {"sign", op_sign},
    {"recover", op_recover},
};

static uint64_t per_second(struct fixture *f, const struct operation *op, int64_t usec)
{
    int64_t start = clock_mono_usec();
    int64_t passed = 0;
    uint64_t count = 0;
    while (passed < usec) {
        for (size_t i = 0; i < ROUND; i++) {
            arena_clear(&f->scratch);
            (void)op->run(f);
        }
        count += ROUND;
        passed = clock_mono_usec() - start;
    }
    return count * USEC_PER_SEC / (uint64_t)passed;
}

static void prepare(struct fixture *f, const char *leasing, const char *mail)
{
    arena_init(&f->boot, 0);
    arena_init(&f->scratch, 64 * 1024);
    const struct json *lease = json_find(read_json(&f->boot, leasing), "lease");
    const struct json *domain = json_find(lease, "domain");
    uint8_t key[PRIVATE_KEY_BYTES];
    for (size_t i = 0; i < sizeof f->bytes; i++) {
        f->bytes[i] = (uint8_t)i;
    }
    memset(key, 0x42, sizeof key);
    secret_init(&f->key, key, sizeof key);
    must(json_get_u64(domain, "chainId", &f->chain_id, NULL));
    must(json_get_address(domain, "verifyingContract", &f->factory, NULL));
    read_intent(f, json_find(lease, "intent"));
    f->mail = read_json(&f->boot, mail);
    f->encoded = slice_copy(&f->boot, op_abi_encode(f));
    must(json_get_hash(lease, "digest", &f->digest, NULL));
    (void)op_sign(f);
    must(signature_decode(slice_of(f->signature_bytes, SIGNATURE_BYTES), &f->signature, NULL));
}

int main(int argc, char **argv)
{
    static struct fixture f;
    uint64_t msec = 0;
    if (argc != 4 || slice_parse_u64(slice_text(argv[3]), &msec) != OK || msec > 60000) {
        (void)fprintf(stderr, "usage: crypto LEASING.json MAIL.json MSEC\n");
        return 2;
    }
    prepare(&f, argv[1], argv[2]);
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        char text[2 * HASH_BYTES + 3];
        arena_clear(&f.scratch);
        struct hash witness = keccak256(operations[i].run(&f));
        hex_encode_to(hash_slice(&witness), text);
        uint64_t rate = per_second(&f, &operations[i], (int64_t)msec * 1000);
        (void)printf("{\"op\":\"%s\",\"perSecond\":%llu,\"witness\":\"%s\"}\n", operations[i].name,
                     (unsigned long long)rate, text);
    }
    arena_free(&f.scratch);
    arena_free(&f.boot);
    return 0;
}
